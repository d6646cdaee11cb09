"""Activations that lie on disk: opened, and every file of theirs checked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import StoreError
from layerlens.recording.activations import Activations, LayerActivations
from layerlens.recording.merging import merged
from layerlens.recording.storage.arrays import ChunkCache, StoredArray
from layerlens.recording.storage.bucket import Bucket, Source, is_url, source_of
from layerlens.recording.storage.columns import THUMBNAILS, decoded
from layerlens.recording.storage.files import DamagedStoreError
from layerlens.recording.storage.shards import read_shards, shard_name, shards_documents
from layerlens.recording.storage.tree import (
    GROUPS,
    ROOT,
    Entry,
    Manifest,
    dump,
    group_json,
    read_manifest,
    read_own,
)
from layerlens.recording.stored import info_of, pairs_of
from layerlens.recording.thumbs import StoredThumbnails
from layerlens.records import RunInfo

__all__ = ["open_store", "verify_store"]

Array = npt.NDArray[Any]

_MOST = 256 << 20


class StoredRows:
    """Rows of one layer on disk; only what is asked for is read."""

    def __init__(self, array: StoredArray) -> None:
        self._array = array

    @property
    def width(self) -> int:
        """Values in a row."""
        return self._array.entry.shape[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Their dtype."""
        return np.dtype(self._array.entry.dtype)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self._array.entry.rows

    @property
    def on_disk(self) -> bool:
        """Whether rows are read from somewhere each time: they are."""
        return True

    @property
    def chunk_rows(self) -> int:
        """How many rows are read together."""
        return self._array.entry.chunk

    def array(self, start: int, stop: int) -> Array:
        """Return rows as one array, read anew."""
        return self._array.read(start, stop)

    def take(self, places: npt.NDArray[np.int64]) -> Array:
        """Return the rows at some places, in that order."""
        return self._array.take(places)

    def consolidate(self) -> None:
        """Do nothing: rows on disk stay there."""

    def watch(self, reader: Any) -> None:
        """Do nothing: nobody writes over rows that count."""

    def portable(self) -> StoredRows:
        """Return these: another process reads from the store for itself."""
        return self


def open_store(path: Any) -> Activations:
    """Return the activations that a store holds by now; see `Activations.open`."""
    folder = source_of(path)
    own = read_own(folder)
    world_size = read_shards(folder, own)
    if world_size is None:
        return activations_of(folder, read_manifest(folder, own))
    shards = [folder.below(shard_name(rank)) for rank in range(world_size)]
    manifests = [(one, read_manifest(one)) for one in shards if one.holds(ROOT)]
    parts = [activations_of(one, manifest) for one, manifest in manifests if manifest.rows]
    if not parts:
        raise StoreError(f"{str(folder.root)!r}: none of {world_size} ranks has committed anything")
    whole = merged(
        parts,
        ids_are_known=True,
        complete=len(manifests) == world_size and all(one.complete for _, one in manifests),
    )
    whole.meta["store"] = str(folder.root)
    whole.meta["stores"] = [_reopened(folder)]
    return whole


def activations_of(folder: Source, manifest: Manifest) -> Activations:
    """Return what a commit holds."""
    cache = ChunkCache()
    facts: dict[str, Array] = {}
    thumbnails: Any = None
    for entry in manifest.samples:
        if entry.name == THUMBNAILS:
            thumbnails = StoredThumbnails(StoredArray(folder, entry, cache))
            continue
        values = StoredArray(folder, entry).read(0, entry.rows)
        facts[entry.name] = decoded(values, entry.facts)
    ids, how = _ids(facts, manifest)
    layers = {}
    for entry in manifest.layers:
        if not entry.rows:
            continue
        spans = entry.facts.get("spans")
        rows = None if spans is None else np.concatenate([np.arange(a, b) for a, b in spans])
        layers[entry.name] = LayerActivations(
            info_of(entry),
            StoredRows(StoredArray(folder, entry, cache)),
            ids=ids if rows is None else ids[rows],
            rows=rows,
            sketch=entry.facts.get("sketch"),
            pairs=pairs_of(entry),
        )
    about = manifest.about
    names = about.get("label_names")
    run = RunInfo(
        layers={},
        ids=ids,
        labels=facts.get("labels"),
        label_names=None if names is None else tuple(names),
        thumbnails=thumbnails if thumbnails is None or len(thumbnails) else None,
        columns={
            name.removeprefix("column:"): values
            for name, values in facts.items()
            if name.startswith("column:")
        },
        created=manifest.created,
        versions=dict(about.get("versions", {})),
    )
    meta = {
        **manifest.spec,
        "skipped": dict(about.get("skipped", {})),
        "versions": dict(about.get("versions", {})),
        "store": str(folder.root),
        "stores": [_reopened(folder)],
        "complete": manifest.complete,
        "ids": how,
    }
    return Activations(layers, run, meta)


def _reopened(folder: Source) -> Any:
    """Return what `open_store` opens the same with."""
    if isinstance(folder, Bucket) and not is_url(folder.root):
        return folder.objects
    return str(folder.root)


def _ids(facts: dict[str, Array], manifest: Manifest) -> tuple[Array, str]:
    """Return the samples' ids, and whether they were given or follow from something else.

    A rank's samples are numbered by their place in the data set, where the loader told it, so that
    the padding of a distributed sampler is known for what it is; else in turn with other ranks'.
    """
    if "ids" in facts:
        return facts["ids"], "given"
    order = np.arange(manifest.rows)
    world_size = manifest.spec.get("world_size")
    if world_size is None:
        return order, "order"
    index = facts.get("index")
    if index is not None and len(index) and index.min() >= 0:
        return index, "index"
    return order * int(world_size) + int(manifest.spec["rank"]), "order"


def verify_store(path: Any) -> int:
    """Check every file of a store; return how many, or raise a `StoreError` that names them."""
    folder = source_of(path)
    world_size = read_shards(folder)
    count, problems = _verify(folder) if world_size is None else _verify_shards(folder, world_size)
    if problems:
        listed = "".join(f"\n  {text}" for _, text in problems[:20])
        more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise DamagedStoreError(
            f"{len(problems)} of {count} files of {str(folder.root)!r} are damaged:{listed}{more}\n"
            "The same recording into this store records again what is lost",
            tuple(name for name, _ in problems),
        )
    return count


def _verify_shards(folder: Source, world_size: int) -> tuple[int, list[tuple[str, str]]]:
    """Check the files of all ranks that there are."""
    problems = []
    documents = shards_documents(world_size)
    count = len(documents)
    for name, content in documents.items():
        try:
            if folder.read(name) != content:
                raise folder.damaged(name, "it does not say what it should")
        except DamagedStoreError as error:
            problems.append((error.files[0], str(error)))
    for rank in range(world_size):
        shard = folder.below(shard_name(rank))
        if shard.holds(ROOT):
            files, found = _verify(shard)
            count += files
            problems += found
    return count, problems


def _verify(folder: Source) -> tuple[int, list[tuple[str, str]]]:
    """Read all files that the last commit names.

    Raises
    ------
    StoreError
        If there is no store, or its root is damaged.
    """
    manifest = read_manifest(folder)
    expected = {ROOT: dump(manifest.document())}
    expected |= {f"{group}/{ROOT}": dump(group_json()) for group in GROUPS}
    described = {f"{entry.key}/{ROOT}": entry for entry in manifest.entries}
    expected |= {name: dump(entry.zarr(manifest.rows)) for name, entry in described.items()}
    problems = []
    for name, content in expected.items():
        # until a recording is complete, what arrays say of themselves may be a commit behind
        behind = None if manifest.complete else described.get(name)
        if behind is not None and not folder.holds(name):
            continue
        try:
            found = folder.read(name, limit=_MOST)
            if found != content and (behind is None or not _is_earlier(behind, found)):
                problems.append(folder.damaged(name, "it does not say what the root says"))
        except DamagedStoreError as error:
            problems.append(error)
    count = len(expected)
    for entry in manifest.entries:
        count += entry.n_chunks
        problems += [error for _, error in StoredArray(folder, entry).damage()]
    return count, [(error.files[0], str(error)) for error in problems]


def _is_earlier(entry: Entry, found: bytes) -> bool:
    """Tell whether an array's own metadata is that of fewer of its rows."""
    try:
        (rows, *_) = json.loads(found)["shape"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    if type(rows) is not int or not 0 <= rows <= entry.rows:
        return False
    # it may have had a row for every sample, and have none for some by now
    forms = [
        replace(entry, rows=rows, facts=facts).zarr(n_samples)
        for facts in (entry.facts, {})
        for n_samples in (rows, -1)
    ]
    return any(found == dump(form) for form in forms)
