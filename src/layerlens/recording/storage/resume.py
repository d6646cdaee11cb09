"""Beginning to write: an empty folder, or a store that goes on where its last commit ended."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from layerlens.errors import LayerlensWarning, StoreError
from layerlens.recording.storage.arrays import StoredArray
from layerlens.recording.storage.files import TEMPORARY, DamagedStoreError, Folder
from layerlens.recording.storage.lock import LOCK_NAME
from layerlens.recording.storage.tree import (
    CHUNK,
    GROUPS,
    KEY,
    ROOT,
    Entry,
    Manifest,
    dump,
    group_json,
    read_manifest,
)

__all__ = ["begin", "check_end", "cut", "differences", "refuse_foreign", "remove_array"]

_ARRAY = re.compile(r"[LC][0-9]{5}")


def begin(
    folder: Folder,
    spec: Mapping[str, Any],
    about: Mapping[str, Any],
    created: str,
    limit: int | None,
) -> Manifest:
    """Return the commit to go on from, and leave nothing in the folder that does not belong to it.

    Raises
    ------
    StoreError
        If there is something else, or the record of something else.
    """
    fresh = Manifest(created=created, spec=spec, about=about)
    if folder.holds(ROOT):
        manifest = read_manifest(folder)
        differ = differences(manifest.spec, spec)
        if differ and manifest.rows:
            raise StoreError(_other(folder, manifest, differ))
        if differ:
            manifest = replace(fresh, created=manifest.created)
        if manifest.complete:
            check_end(folder, manifest, limit)
        manifest = replace(_whole(folder, manifest), complete=False, limit=None)
        _commit(folder, manifest)
    else:
        refuse_foreign(folder)
        manifest = fresh
        _write_groups(folder)
        folder.write(ROOT, dump(manifest.document()))
    _sweep(folder, manifest)
    return manifest


def refuse_foreign(folder: Folder) -> None:
    """Take a folder that is empty, or where a recording was killed before its first commit."""
    ours = {LOCK_NAME, ROOT + TEMPORARY, *GROUPS}
    foreign = [name for name in folder.names() if name not in ours]
    foreign += [
        f"{group}/{name}"
        for group in GROUPS
        for name in folder.names(group)
        if not _ARRAY.fullmatch(name) and name not in (ROOT, ROOT + TEMPORARY)
    ]
    if foreign:
        raise StoreError(
            f"{str(folder.root)!r} is no store, and it is not empty: there is {foreign[0]!r}. "
            "Choose another path"
        )


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return in words what two recordings have different."""
    found = []
    for name in dict.fromkeys([*there, *here]):
        before, now = there.get(name), here.get(name)
        if before == now:
            continue
        if isinstance(before, list) and isinstance(now, list):
            fewer = [one for one in before if one not in now]
            more = [one for one in now if one not in before]
            listed = [f"without {', '.join(map(repr, fewer[:5]))}"] if fewer else []
            listed += [f"with {', '.join(map(repr, more[:5]))}"] if more else []
            found.append(f"{name} ({' and '.join(listed) or 'in another order'})")
        else:
            found.append(f"{name} ({before!r} there, {now!r} here)")
    return found


def _other(folder: Folder, manifest: Manifest, differ: Sequence[str]) -> str:
    return (
        f"{str(folder.root)!r} holds {manifest.rows} samples of another recording, which differs "
        f"in {'; '.join(differ)}. Record the same to go on, or choose another path"
    )


def check_end(folder: Folder, manifest: Manifest, limit: int | None) -> None:
    """Raise `StoreError` where a record is complete with more samples than are asked for."""
    if limit is not None and limit < manifest.rows:
        raise StoreError(
            f"{str(folder.root)!r} is complete with {manifest.rows} samples, and limit={limit} "
            "asks for fewer; open it with Activations.open, or choose another path"
        )


def _whole(folder: Folder, manifest: Manifest) -> Manifest:
    """Read all that is committed; where something is damaged, go back to what lies before it."""
    rows = manifest.rows
    said = []
    for entry in manifest.sketches:
        for _, error in StoredArray(folder, entry).damage():
            # without it no row can be added; all are made again
            warnings.warn(
                f"{error}. The directions of {entry.name!r} are gone with it, and all "
                f"{manifest.rows} samples are recorded again",
                LayerlensWarning,
                stacklevel=2,
            )
            return Manifest(created=manifest.created, spec=manifest.spec, about=manifest.about)
    for entry in manifest.layers + manifest.samples:
        for number, error in StoredArray(folder, entry).damage():
            rows = min(rows, _sample_of(entry, number * entry.chunk))
            said.append(str(error))
    if rows == manifest.rows:
        return manifest
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    warnings.warn(
        f"{'; '.join(said[:3])}{more}. Of {manifest.rows} samples, those from {rows} on are "
        "recorded again",
        LayerlensWarning,
        stacklevel=2,
    )
    return cut(manifest, rows)


def _spans(entry: Entry) -> list[list[int]]:
    return entry.facts.get("spans", [[0, entry.rows]])  # type: ignore[no-any-return]


def _sample_of(entry: Entry, row: int) -> int:
    """Return which sample a row of an array is of."""
    for start, stop in _spans(entry):
        if row < stop - start:
            return start + row
        row -= stop - start
    raise ValueError(f"{entry.key} has no row {row}")


def cut(manifest: Manifest, rows: int) -> Manifest:
    """Return the commit of the first samples alone."""

    def shortened(entry: Entry) -> Entry:
        spans = [[a, min(b, rows)] for a, b in _spans(entry) if a < rows]
        facts = dict(entry.facts)
        if "spans" in facts:
            facts["spans"] = spans
        if "missing" in facts:
            facts["missing"] = [[a, min(b, rows)] for a, b in facts["missing"] if a < rows]
        return replace(entry, rows=sum(b - a for a, b in spans), facts=facts)

    batches, start = [], 0
    for size, given, times in manifest.batches:
        kept = min(times, max(0, -(-(rows - start) // size)) if size else times)
        if kept:
            batches.append((size, given, kept))
        start += size * times
    return replace(
        manifest,
        rows=rows,
        complete=False,
        limit=None,
        batches=tuple(batches),
        layers=tuple(map(shortened, manifest.layers)),
        samples=tuple(map(shortened, manifest.samples)),
    )


def _write_groups(folder: Folder) -> None:
    for group in GROUPS:
        folder.make(group)
        _write_if_other(folder, f"{group}/{ROOT}", dump(group_json()))


def _commit(folder: Folder, manifest: Manifest) -> None:
    """Say how many samples are safe, before anything is removed, and put all metadata right."""
    _write_if_other(folder, ROOT, dump(manifest.document()))
    _write_groups(folder)
    for entry in manifest.entries:
        folder.make(entry.key)
        _write_if_other(folder, f"{entry.key}/{ROOT}", dump(entry.zarr(manifest.rows)))


def _write_if_other(folder: Folder, name: str, content: bytes) -> None:
    try:
        if folder.holds(name) and folder.read(name, size=len(content)) == content:
            return
    except DamagedStoreError:
        pass
    folder.write(name, content)


def _sweep(folder: Folder, manifest: Manifest) -> None:
    """Remove what an interrupted recording left: what is ours and nothing refers to."""
    if folder.holds(ROOT + TEMPORARY):
        folder.remove(ROOT + TEMPORARY)
    entries = {entry.key: entry for entry in manifest.entries}
    for group in GROUPS:
        for name in folder.names(group):
            key = f"{group}/{name}"
            if name == ROOT + TEMPORARY:
                folder.remove(key)
            elif KEY.fullmatch(key) and key not in entries:
                remove_array(folder, key)
    for entry in entries.values():
        for name in _left_over(folder, entry):
            folder.remove(name)


def _left_over(folder: Folder, entry: Entry) -> Iterator[str]:
    for name in folder.names(entry.key):
        chunk = CHUNK.fullmatch(name)
        beyond = chunk is not None and int(chunk[1]) >= entry.n_chunks
        if beyond or name.endswith(TEMPORARY):
            yield f"{entry.key}/{name}"


def remove_array(folder: Folder, key: str) -> None:
    """Remove an array's folder with all that a store puts there."""
    if folder.is_linked(key):
        return
    for name in folder.names(key):
        if CHUNK.fullmatch(name.removesuffix(TEMPORARY)) or name.removesuffix(TEMPORARY) == ROOT:
            folder.remove(f"{key}/{name}")
    if not folder.names(key):
        folder.remove(key)
