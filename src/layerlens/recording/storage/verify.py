"""Checking every file of a store."""

from __future__ import annotations

from layerlens.recording.storage.arrays import StoredArray
from layerlens.recording.storage.bucket import Source
from layerlens.recording.storage.files import DamagedStoreError
from layerlens.recording.storage.tree import GROUPS, ROOT, dump, group_json, read_manifest

__all__ = ["verify"]


def verify(folder: Source) -> tuple[int, list[tuple[str, str]]]:
    """Read all files that the last commit names.

    Returns
    -------
    count : int
        How many files were read.
    problems : list of (str, str)
        Path of each damaged file, and what is wrong with it.

    Raises
    ------
    StoreError
        If there is no store, or its root is damaged.
    """
    manifest = read_manifest(folder)
    expected = {ROOT: dump(manifest.document())}
    expected |= {f"{group}/{ROOT}": dump(group_json()) for group in GROUPS}
    for entry in manifest.entries:
        expected[f"{entry.key}/{ROOT}"] = dump(entry.zarr(manifest.rows))
    problems = []
    for name, content in expected.items():
        try:
            if folder.read(name, size=len(content)) != content:
                problems.append(folder.damaged(name, "it does not say what the root says"))
        except DamagedStoreError as error:
            problems.append(error)
    count = len(expected)
    for entry in manifest.entries:
        count += entry.n_chunks
        problems += [error for _, error in StoredArray(folder, entry).damage()]
    return count, [(error.files[0], str(error)) for error in problems]
