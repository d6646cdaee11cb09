"""Files that appear whole or not at all, and are read only as what they should be.

Everything that a store changes on disk goes through here: a file is written beside its place and
renamed, so that a reader finds the old one or the whole new one, whenever the writer dies.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layerlens.errors import StoreError

__all__ = ["MAX_FILE", "TEMPORARY", "DamagedStoreError", "Folder"]

TEMPORARY = ".tmp"
"""How the name of a file ends that is not whole yet."""

MAX_FILE = 1 << 30

# Windows has no O_NOFOLLOW, and elsewhere all files are binary
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


class DamagedStoreError(StoreError):
    """Files of a store that are missing, cut off, or hold other bytes than were written.

    Attributes
    ----------
    files : tuple of str
        The files.
    """

    def __init__(self, message: str, files: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.files = files


class Folder:
    """The folder of a store; names are relative to it, with ``/`` between the parts.

    `sync`: wait until the disk has each file, so that even a power cut takes nothing committed.
    """

    def __init__(self, root: str | os.PathLike[str], *, sync: bool = False) -> None:
        self.root = Path(root).absolute()
        self.sync = sync

    def path(self, name: str) -> str:
        """Return the whole path of a file, for messages too."""
        return str(self.root / name)

    def below(self, name: str) -> Folder:
        """Return a store that lies in this one."""
        return Folder(self.root / name, sync=self.sync)

    def why_no_store(self, name: str) -> str:
        """Return why there is no store here, given that a file is missing."""
        path = str(self.root)
        if not self.root.exists():
            return f"there is no store at {path!r}"
        if not self.root.is_dir():
            return f"{path!r} is a file, and a store is a folder"
        return f"{path!r} is a folder without {name!r}, and so no store"

    # --- writing ---------------------------------------------------------------------------

    def make(self, name: str = "") -> None:
        """Make a folder where there is none; the one above it must be there.

        Raises
        ------
        StoreError
            If it cannot be made.
        """
        path = self.root / name
        if path.is_dir():
            return
        if not path.parent.is_dir():
            raise StoreError(
                f"cannot write {str(path)!r}: the folder {str(path.parent)!r} does not exist. "
                "Make it first, or choose another path"
            )
        try:
            os.mkdir(path)  # noqa: PTH102  one module to watch in tests of faults: os
        except FileExistsError:
            if not path.is_dir():  # somebody else's file, rather than another rank's folder
                raise StoreError(
                    f"cannot write {str(path)!r}: a file lies there. Choose another path"
                ) from None
        except OSError as error:
            raise self._failed("make", name, error) from error

    def write(self, name: str, *parts: Any, beside: str = "") -> None:
        """Write a file of parts, one after the other, each contiguous bytes.

        `beside`: what sets the file under way apart from those of others who write the same.

        Raises
        ------
        StoreError
            If it cannot be written; what lay under the name before still does.
        """
        path = self.path(name)
        temporary = path + beside + TEMPORARY
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NO_LINKS | _BINARY
        try:
            descriptor = os.open(temporary, flags, 0o666)
            try:
                for part in parts:
                    _write_all(descriptor, part)
                if self.sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, path)  # noqa: PTH105
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise self._failed("write", name, error) from error

    def remove(self, name: str) -> None:
        """Remove a file, or a folder that is empty; nothing where there is none."""
        path = self.root / name
        try:
            if path.is_dir() and not path.is_symlink():
                os.rmdir(path)  # noqa: PTH106
            else:
                os.unlink(path)  # noqa: PTH108
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._failed("remove", name, error) from error

    def settle(self, name: str = "") -> None:
        """Have the disk keep the names in a folder, where that was asked for."""
        if not self.sync or os.name == "nt":
            return
        descriptor = os.open(self.root / name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _failed(self, verb: str, name: str, error: OSError) -> StoreError:
        return StoreError(
            f"cannot {verb} {self.path(name)!r}: {error.strerror or error}. What was committed "
            "before is whole: the same call goes on from there"
        )

    # --- reading ---------------------------------------------------------------------------

    def names(self, name: str = "") -> list[str]:
        """Return the names in a folder, in order; none where there is no folder."""
        try:
            return sorted(os.listdir(self.root / name))  # noqa: PTH208
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"cannot read {self.path(name)!r}: {error.strerror}") from error

    def holds(self, name: str) -> bool:
        """Tell whether a file or folder is there."""
        return os.path.lexists(self.root / name)

    def is_linked(self, name: str) -> bool:
        """Tell whether a name leads elsewhere."""
        return (self.root / name).is_symlink()

    def read(self, name: str, *, size: int | None = None, limit: int = MAX_FILE) -> bytes:
        """Read a whole file: a regular one, and no link.

        `size`: how many bytes it must have.
        `limit`: how many it may have, where that is not known.

        Raises
        ------
        DamagedStoreError
            If it is missing, something else, or of another size.
        StoreError
            If it cannot be read.
        """
        path = self.path(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | _NO_LINKS | _BINARY)
        except FileNotFoundError:
            raise self.damaged(name, "the file is missing") from None
        except OSError as error:
            if os.path.islink(path):  # noqa: PTH114
                raise self.damaged(name, "it is a link, and no file of this store") from None
            raise StoreError(f"cannot read {path!r}: {error.strerror}") from error
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            os.close(descriptor)
            raise self.damaged(name, "it is no regular file")
        with os.fdopen(descriptor, "rb") as stream:
            if size is not None and about.st_size != size:
                raise self.damaged(name, f"it has {about.st_size} bytes, and should have {size}")
            if about.st_size > limit:
                raise self.damaged(name, f"it has {about.st_size} bytes, more than {limit}")
            try:
                return stream.read()
            except OSError as error:
                raise StoreError(f"cannot read {path!r}: {error.strerror}") from error

    def damaged(self, name: str, why: str) -> DamagedStoreError:
        """Return an error that names a damaged file."""
        path = self.path(name)
        return DamagedStoreError(f"{path!r} is damaged: {why}", (path,))

    def walk(self) -> Iterator[str]:
        """Yield the names of all files, in order."""
        for folder, folders, files in os.walk(self.root):
            folders.sort()
            for file in sorted(files):
                yield (Path(folder) / file).relative_to(self.root).as_posix()


def _write_all(descriptor: int, part: Any) -> None:
    left = memoryview(part).cast("B")
    while left:
        left = left[os.write(descriptor, left) :]
