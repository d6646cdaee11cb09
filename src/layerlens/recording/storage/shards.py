"""A store of several ranks: each writes a store of its own in it, and nobody waits for anybody.

The root says only of how many ranks the run is; every rank writes it, and all write the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layerlens.errors import StoreError
from layerlens.recording.storage.bucket import Source
from layerlens.recording.storage.crc32c import crc32c
from layerlens.recording.storage.files import Folder
from layerlens.recording.storage.tree import ROOT, VERSION, dump, group_json, read_own

__all__ = ["begin_shard", "read_shards", "shard_name", "shards_documents"]

SHARDS = "layerlens shards"
_GROUP = "shards"
_MOST = 100_000


def shard_name(rank: int) -> str:
    """Return the name of the folder that one rank writes to."""
    return f"{_GROUP}/S{rank:05d}"


def shards_documents(world_size: int) -> dict[str, bytes]:
    """Return the metadata of a store of so many ranks, by name."""
    own: dict[str, Any] = {"format": SHARDS, "version": VERSION, "world_size": world_size}
    own["checksum"] = f"crc32c {crc32c(dump([own, None])):08x}"
    root = {**group_json(), "attributes": {"layerlens": own}}
    return {f"{_GROUP}/{ROOT}": dump(group_json()), ROOT: dump(root)}


def begin_shard(folder: Folder, rank: int, world_size: int) -> None:
    """Make the store, if no other rank did, and leave this rank's folder to be made.

    Raises
    ------
    StoreError
        If there is something else, or a store of another number of ranks.
    """
    if folder.holds(ROOT):
        found = read_shards(folder)
        if found is None:
            raise StoreError(
                f"{str(folder.root)!r} was recorded by one process, and this is rank {rank} of "
                f"{world_size}; choose another path"
            )
        if found != world_size:
            raise StoreError(
                f"{str(folder.root)!r} is a recording of {found} ranks, and this is rank {rank} of "
                f"{world_size}; go on with {found}, or choose another path"
            )
    folder.make()
    foreign = [n for n in folder.names() if n not in (_GROUP, ROOT) and not n.startswith(ROOT)]
    if foreign:
        raise StoreError(
            f"{str(folder.root)!r} is no store, and it is not empty: there is {foreign[0]!r}. "
            "Choose another path"
        )
    folder.make(_GROUP)
    for name, content in shards_documents(world_size).items():
        if not folder.holds(name):
            folder.write(name, content, beside=f".{rank}")


def read_shards(folder: Source, own: Mapping[str, Any] | None = None) -> int | None:
    """Return of how many ranks a store is, or None where it is of one process.

    `own` is what `read_own` gave, where that was called.

    Raises
    ------
    StoreError
        If there is no store, or a damaged one.
    """
    own = read_own(folder) if own is None else own
    if own["format"] != SHARDS:
        return None
    world_size = own.get("world_size")
    if type(world_size) is not int or not 0 < world_size <= _MOST:
        raise folder.damaged(ROOT, f"it says that there are {world_size!r} ranks")
    return world_size
