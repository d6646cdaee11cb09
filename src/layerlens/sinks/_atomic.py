"""Write beside the target and rename on success, so that nobody ever sees half a result."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from layerlens.errors import StoreError

__all__ = ["AtomicFile", "AtomicFolder", "writing"]


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file in what the system says of a write, such as that the disk is full."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        why = error.strerror or error
        raise StoreError(f"cannot write {os.fspath(path)!r}: {why}") from error


class AtomicFile:
    """A binary file that appears under its name only when it is whole.

    `open` makes a hidden file in the target's folder, so that the final rename stays within one
    file system and is atomic. `commit` puts it in the target's place, `discard` removes it. What
    lay under the name before stays until `commit`, and after `discard`.

    `path`: the final name. A symbolic link is followed: the file it points to is replaced.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._temporary: Path | None = None
        self._stream: BinaryIO | None = None

    def open(self) -> BinaryIO:
        """Make the temporary file and return it, open for writing and reading.

        Raises
        ------
        StoreError
            If the folder is missing or cannot be written to, or the target is a folder, a device,
            a pipe or a socket.
        """
        target = Path(os.path.realpath(self.path))
        if not target.parent.is_dir():
            raise StoreError(
                f"cannot write {str(self.path)!r}: the folder {str(target.parent)!r} does not "
                f"exist. Make it first, or choose another path."
            )
        if target.is_dir():
            raise StoreError(
                f"cannot write {str(self.path)!r}: a folder lies there. Choose another path."
            )
        if target.exists() and not target.is_file():
            # renaming over it would put a plain file in its place, for everybody on the machine
            raise StoreError(
                f"cannot write {str(self.path)!r}: a device, pipe or socket lies there, which a "
                f"result would replace. Choose the path of a file."
            )
        # a short name of its own: the target's may already be as long as file systems allow
        temporary = target.parent / f".layerlens-{secrets.token_hex(8)}.part"
        self._temporary = temporary  # before it is there: Ctrl-C may come at any point
        try:
            # os.open rather than tempfile: the file gets the rights that the umask grants
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        except OSError as error:
            self._temporary = None
            raise StoreError(f"cannot write {str(self.path)!r}: {error.strerror}") from error
        self._stream = os.fdopen(descriptor, "w+b")
        return self._stream

    @property
    def stream(self) -> BinaryIO:
        """The temporary file.

        Raises
        ------
        StoreError
            If it is not open.
        """
        if self._stream is None:
            raise StoreError(f"{str(self.path)!r} is not open for writing")
        return self._stream

    def commit(self) -> None:
        """Put the file under its final name.

        Raises
        ------
        StoreError
            If it cannot be finished, for want of space say. The temporary file is removed.
        """
        stream, temporary = self._stream, self._temporary
        if stream is None or temporary is None:
            raise StoreError(f"{str(self.path)!r} is not open for writing")
        target = os.path.realpath(self.path)
        try:
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
            with contextlib.suppress(FileNotFoundError):
                shutil.copymode(target, temporary)
            temporary.replace(target)
        except OSError as error:
            self.discard()
            raise StoreError(f"cannot write {str(self.path)!r}: {error.strerror}") from error
        except BaseException:  # Ctrl-C between two of these lines
            self.discard()
            raise
        self._stream = self._temporary = None

    def discard(self) -> None:
        """Remove the temporary file; harmless where there is none."""
        stream, temporary = self._stream, self._temporary
        self._stream = self._temporary = None
        if stream is not None:
            # closing flushes, which fails again on a full disk; the file goes all the same
            with contextlib.suppress(OSError):
                stream.close()
        if temporary is not None:
            temporary.unlink(missing_ok=True)


class AtomicFolder:
    """A folder that appears under its name only when all of its files are there.

    As `AtomicFile`, for what needs several files. A folder that lies under the name already is
    replaced only if it is empty or holds the `mark`, the name of a file that every result of this
    kind has: what somebody else keeps in a folder is never removed.

    `path`: the final name. A symbolic link is followed: the folder it points to is replaced.
    """

    def __init__(self, path: str | os.PathLike[str], mark: str) -> None:
        self.path = Path(path)
        self.mark = mark
        self._temporary: Path | None = None

    def open(self) -> Path:
        """Make the temporary folder and return it.

        Raises
        ------
        StoreError
            If the folder above is missing or cannot be written to, or something lies under the
            name that is not ours to replace.
        """
        target = Path(os.path.realpath(self.path))
        if not target.parent.is_dir():
            raise StoreError(
                f"cannot write {str(self.path)!r}: the folder {str(target.parent)!r} does not "
                f"exist. Make it first, or choose another path."
            )
        self._require_free(target)
        temporary = target.parent / f".layerlens-{secrets.token_hex(8)}.part"
        self._temporary = temporary
        try:
            temporary.mkdir()
        except OSError as error:
            self._temporary = None
            raise StoreError(f"cannot write {str(self.path)!r}: {error.strerror}") from error
        return temporary

    def commit(self) -> None:
        """Put the folder under its final name.

        Raises
        ------
        StoreError
            If that cannot be done. The temporary folder is removed, and what lay under the name
            before lies there still.
        """
        temporary = self._temporary
        if temporary is None:
            raise StoreError(f"{str(self.path)!r} is not open for writing")
        target = Path(os.path.realpath(self.path))
        old = temporary.with_suffix(".old")
        try:
            self._require_free(target)
            if target.is_dir():
                target.replace(old)  # a folder with files in it cannot be renamed over
            temporary.replace(target)
        except BaseException as error:
            if old.exists() and not target.exists():
                old.replace(target)
            self.discard()
            if isinstance(error, OSError) and not isinstance(error, StoreError):
                raise StoreError(f"cannot write {str(self.path)!r}: {error.strerror}") from error
            raise
        self._temporary = None
        shutil.rmtree(old, ignore_errors=True)

    def discard(self) -> None:
        """Remove the temporary folder; harmless where there is none."""
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)

    def _require_free(self, target: Path) -> None:
        if not target.exists():
            return
        if not target.is_dir():
            raise StoreError(
                f"cannot write {str(self.path)!r}: a file lies there, and this makes a folder. "
                f"Choose another path."
            )
        if any(target.iterdir()) and not (target / self.mark).is_file():
            raise StoreError(
                f"cannot write {str(self.path)!r}: a folder with other files lies there (there is "
                f"no {self.mark!r} among them). Choose a folder of its own, "
                f"{str(self.path / 'layerlens')!r} say."
            )


_BINARY = getattr(os, "O_BINARY", 0)  # on Windows; elsewhere all files are binary
