"""Small recordings in which everything happens that a store has to take."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import torch
from torch import nn

import layerlens as ll
from layerlens.recording.storage.files import Folder


class Sometimes(nn.Module):
    """A layer that is called again for some batches, one that comes late, and one that fails."""

    def __init__(self, width: int = 6000) -> None:
        super().__init__()
        self.first = nn.Linear(4, width)
        self.again = nn.Linear(4, 3)
        self.late = nn.Linear(4, 2)
        self.odd = nn.Identity()
        self.calls = 0

    def forward(self, x):
        y = self.first(x).sum(1, keepdim=True)
        z = self.again(x)
        if x[0, 0] > 0:
            z = z + self.again(x)
        if x[0, 1] > 0.5:
            z = z + self.late(x).sum(1, keepdim=True)
        # from the second sample on it is no layer with one row a sample
        self.odd(x if x[0, 2] < 1 else x.reshape(-1))
        return y + z


def model() -> Sometimes:
    torch.manual_seed(0)
    return Sometimes()


def batches(count: int = 5, size: int = 8) -> list[dict]:
    """Return batches whose facts change in kind on the way."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for number in range(count):
        x = torch.randn(size, 4, generator=generator)
        x[0, 0] = 1.0 if number % 2 else -1.0
        x[0, 1] = 1.0 if number >= 2 else 0.0
        x[0, 2] = 2.0 if number >= 3 else 0.0
        batch = {"x": x, "label": list(range(number, number + size))}
        if number >= 1:
            batch["score"] = torch.rand(size, generator=generator).double()
        if number >= 4:
            batch["label"] = [f"class {one}" for one in batch["label"]]
        found.append(batch)
    return found


def record(path, given=None, **options):
    """Record everything, with so small a buffer that there are several commits."""
    store = ll.Store(path, buffer=2**20)
    probe = ll.Probe(model(), store=store, sketch=None, **options)
    return probe.run(batches() if given is None else given)


def tree(path) -> dict[str, bytes]:
    """Return every file and folder of a store."""
    root = Path(path)
    folders = {f"{p.relative_to(root)}/": b"" for p in root.rglob("*") if p.is_dir()}
    return folders | {name: (root / name).read_bytes() for name in Folder(root).walk()}


class Killed(BaseException):
    """The process is gone."""


class FaultyOS:
    """`os`, but for one operation that changes the disk: there the process ends, half-way.

    Parameters
    ----------
    fatal : int or None
        Which of the operations it is; None counts them all.
    error : int or None
        An error to raise in place of dying: from then on, always.
    """

    changing = ("open", "write", "replace", "unlink", "rmdir", "mkdir")

    def __init__(self, fatal: int | None = None, error: int | None = None) -> None:
        self.count = 0
        self.fatal = fatal
        self.error = error
        self.log: list[str] = []

    def __getattr__(self, name):
        original = getattr(os, name)
        if name not in self.changing:
            return original

        def changed(*args, **kwargs):
            if name == "open" and not args[1] & os.O_CREAT:
                return original(*args, **kwargs)
            self.count += 1
            self.log.append(f"{name} {args[0]}")
            if self.fatal is None or self.count < self.fatal:
                return original(*args, **kwargs)
            if self.error is not None:
                if name in ("write", "open", "mkdir"):
                    raise OSError(self.error, os.strerror(self.error))
                return original(*args, **kwargs)
            if self.count == self.fatal and name == "write":
                original(args[0], bytes(args[1][: len(args[1]) // 2]))
            raise Killed

        return changed


NO_SPACE = errno.ENOSPC
READ_ONLY = errno.EROFS
