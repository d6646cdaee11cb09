"""Checking every file of a store."""

from __future__ import annotations

import json
from dataclasses import replace

from layerlens.recording.storage.arrays import StoredArray
from layerlens.recording.storage.bucket import Source
from layerlens.recording.storage.files import DamagedStoreError
from layerlens.recording.storage.tree import GROUPS, ROOT, Entry, dump, group_json, read_manifest

__all__ = ["verify"]

_MOST = 256 << 20


def verify(folder: Source) -> tuple[int, list[tuple[str, str]]]:
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
