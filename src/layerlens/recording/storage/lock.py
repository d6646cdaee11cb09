"""One writer at a time: a lock that the system lets go when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from pathlib import Path

from layerlens.errors import StoreError

__all__ = ["LOCK_NAME", "WriterLock"]

LOCK_NAME = "writer.lock"

_HELD: weakref.WeakSet[WriterLock] = weakref.WeakSet()


class WriterLock:
    """The right to write to a store.

    The file stays when the lock is let go: to remove it would let two writers lock two files of one
    name. While the lock is held it says by whom.

    Raises
    ------
    StoreError
        If another writer has it, in this process or in another one, or it cannot be had.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK_NAME
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise StoreError(
                f"cannot write {str(path)!r}: {error.strerror}. Choose a path that can be written "
                "to; to read a store, use Activations.open"
            ) from error
        try:
            _lock(descriptor)
        except OSError as error:
            busy = isinstance(error, BlockingIOError | PermissionError)
            holder = _holder(descriptor) if busy else ""
            os.close(descriptor)
            if not busy:
                raise StoreError(
                    f"cannot lock {str(path)!r}: {error.strerror}. Write to a local disk, and copy "
                    "the store when it is complete"
                ) from error
            raise StoreError(
                f"{str(folder)!r} is being written by another recording{holder}. Wait for it, or "
                "choose another path; to read what it has committed, use Activations.open"
            ) from None
        self._descriptor: int | None = descriptor
        _HELD.add(self)
        with contextlib.suppress(OSError):  # a full disk: the lock holds without a word
            os.truncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())

    def release(self) -> None:
        """Let it go; safe to call again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _HELD.discard(self)
            with contextlib.suppress(OSError):
                os.truncate(descriptor, 0)
            os.close(descriptor)

    def leave_to_parent(self) -> None:
        """Close a forked child's copy: else the lock would last until the child ends, too."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, 200, 0).decode(errors="replace") if hasattr(os, "pread") else ""
    return f" ({text})" if text.isprintable() and text else ""


def _lock(descriptor: int) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _after_fork() -> None:
    for lock in list(_HELD):
        lock.leave_to_parent()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
