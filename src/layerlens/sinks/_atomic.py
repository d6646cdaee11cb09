"""Write beside the target and rename on success, so that nobody ever sees half a file."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO

from layerlens.errors import StoreError

__all__ = ["AtomicFile"]


class AtomicFile:
    """A binary file that appears under its name only when it is whole.

    `open` makes a hidden file in the target's folder, so that the final rename stays within one
    file system and is atomic. `commit` puts it in the target's place, `discard` removes it. What
    lay under the name before stays until `commit`, and after `discard`.

    Parameters
    ----------
    path : str or path-like
        The final name. A symbolic link is followed: the file it points to is replaced.
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
            If the folder is missing or cannot be written to, or the target is a folder.
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


_BINARY = getattr(os, "O_BINARY", 0)  # on Windows; elsewhere all files are binary
