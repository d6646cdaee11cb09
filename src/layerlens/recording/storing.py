"""Where a probe records to disk, and how it goes on there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layerlens import _options
from layerlens.errors import ArgumentError, StoreError
from layerlens.recording.arguments import parse_size
from layerlens.recording.storage.bucket import is_url
from layerlens.recording.storage.files import Folder
from layerlens.recording.storage.resume import check_end, differences
from layerlens.recording.storage.shards import begin_shard, read_shards, shard_name
from layerlens.recording.storage.sizes import BUFFER
from layerlens.recording.storage.tree import ROOT, Manifest, read_manifest
from layerlens.recording.storage.writer import StoreWriter
from layerlens.recording.stored import StoredRecord

__all__ = ["Store", "StoredRun", "ranks_of"]

_LEAST = 1 << 20


@dataclass(frozen=True, slots=True)
class Store:
    """Where to record to, with options: ``Probe(model, store=Store("run.zarr", sync=True))``.

    Parameters
    ----------
    path : str or path-like
        A folder that is not there yet, is empty, or holds the same recording unfinished.
    buffer : int or str, default "512 MiB"
        What the recording may hold of rows that are not written yet, beside those of the batch
        under way: one half is filled while the other is written. More makes fewer, larger files,
        and fewer commits; less than one sample's rows is taken for that.
    sync : bool, default False
        Wait until the disk has each file. Without it a killed process loses nothing committed, but
        a power cut may; what it took is noticed and recorded again.

    Raises
    ------
    ArgumentError
        If `buffer` is no size, or below 1 MiB, or `path` is a URL.
    """

    path: str | os.PathLike[str]
    buffer: int | str = BUFFER
    sync: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "buffer", parse_size("buffer", self.buffer, least=_LEAST))
        _options.flag("sync", self.sync)
        object.__setattr__(self, "path", os.fspath(self.path))
        if is_url(str(self.path)):
            raise ArgumentError(
                f"store={self.path!r} is a URL, and recording is to a folder: record to one, copy "
                "it there, and read the copy with Activations.open"
            )
        # of the working directory of now, wherever the process is when it records
        object.__setattr__(self, "path", str(Path(self.path).absolute()))

    @classmethod
    def of(cls, given: Any) -> Store | None:
        """Return what an argument ``store=`` means.

        Raises
        ------
        ArgumentError
            If it is no path.
        """
        if given is None or isinstance(given, cls):
            return given
        if isinstance(given, str | os.PathLike) and os.fspath(given):
            return cls(given)
        raise ArgumentError(f"store is the path of a folder, or a Store; got {given!r}")


def ranks_of(store: Store | None, rank: Any, world_size: Any) -> tuple[int, int] | None:
    """Return which rank of how many this process is, or None where it records alone.

    Without arguments, launchers tell: ``RANK`` and ``WORLD_SIZE`` in the environment.

    Raises
    ------
    ArgumentError
        If the arguments are no rank, or there is no store for several to write to.
    """
    if (rank is None) != (world_size is None):
        raise ArgumentError("rank and world_size go together: pass both, or neither")
    if rank is None:
        told = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
        if store is None or not all(one.isdecimal() for one in told) or int(told[1]) < 2:
            return None
        rank, world_size = map(int, told)
    elif store is None:
        raise ArgumentError("rank and world_size are of a recording to disk: pass store=")
    numbers = all(hasattr(n, "__index__") and not isinstance(n, bool) for n in (rank, world_size))
    if not numbers or not 0 <= rank < world_size:
        raise ArgumentError(
            f"rank is a number from 0 to world_size - 1; got rank={rank!r}, "
            f"world_size={world_size!r}"
        )
    return int(rank), int(world_size)


class StoredRun:
    """One probe's recording into one folder."""

    def __init__(
        self,
        store: Store,
        spec: Mapping[str, Any],
        ranks: tuple[int, int] | None = None,
    ) -> None:
        self._whole = Folder(store.path, sync=store.sync)
        self._ranks = ranks
        self.folder = self._whole
        if ranks is not None:
            self.folder = self._whole.below(shard_name(ranks[0]))
            spec = {**spec, "rank": ranks[0], "world_size": ranks[1]}
        self._buffer = int(store.buffer)
        self._spec = spec

    def there(self) -> Manifest | None:
        """Return the commit that is there already, if it is of the same recording.

        Raises
        ------
        StoreError
            If what is there is damaged, or of a newer layerlens.
        """
        if not self.folder.holds(ROOT) or read_shards(self.folder) is not None:
            return None
        manifest = read_manifest(self.folder)
        return None if differences(manifest.spec, self._spec) else manifest

    def is_done(self, total: int | None, limit: int | None) -> bool:
        """Tell whether nothing is left to record.

        `total`: how many samples there will be in the end, where that is known.

        Raises
        ------
        StoreError
            If there are more already.
        """
        manifest = self.there()
        if manifest is None or not manifest.complete:
            return False
        check_end(self.folder, manifest, limit)
        if total is None:
            return manifest.limit is None or manifest.limit == limit
        if total < manifest.rows:
            raise StoreError(
                f"{str(self.folder.root)!r} is complete with {manifest.rows} samples, and the "
                f"batches hold {total}; pass the same batches, or choose another path"
            )
        return total == manifest.rows

    def refuse_complete(self) -> None:
        """Raise `StoreError` where there is nothing to go on with."""
        manifest = self.there()
        if manifest is not None and manifest.complete:
            raise StoreError(
                f"{str(self.folder.root)!r} is complete with {manifest.rows} samples; open it with "
                "Activations.open, or choose another path"
            )

    def begin(
        self,
        about: Mapping[str, Any],
        limit: int | None,
        *,
        sketch: str | int | None,
        dtype: str,
        random_state: int,
    ) -> StoredRecord:
        """Lock the store and return the record to go on with.

        Raises
        ------
        StoreError
            See `StoreWriter`.
        """
        if self._ranks is not None:
            begin_shard(self._whole, *self._ranks)
        elif self._whole.holds(ROOT):
            world_size = read_shards(self._whole)
            if world_size is not None:
                raise StoreError(
                    f"{str(self._whole.root)!r} is a recording of {world_size} ranks; pass rank= "
                    "and world_size= to go on with one, or choose another path"
                )
        writer = StoreWriter(
            self.folder,
            spec=self._spec,
            about=about,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            limit=limit,
            buffer=self._buffer,
        )
        try:
            return StoredRecord(writer, sketch=sketch, dtype=dtype, random_state=random_state)
        except BaseException:
            writer.close()
            raise
