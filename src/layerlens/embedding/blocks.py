"""Layers larger than memory: rows go to a reducer in blocks, and are never there all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from layerlens.embedding.clouds import LayerCloud, lies_on_disk
from layerlens.errors import ArgumentError
from layerlens.plugins.protocols import learns_from_blocks

__all__ = ["draw_in_blocks", "in_blocks", "row_blocks", "rows_of"]

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]

IN_BLOCKS_ABOVE = 2**30
"""Bytes of float32 rows above which a layer on disk is drawn in blocks, where that can be."""

BLOCK_BYTES = 64 * 2**20
_LEAST_ROWS = 64
# a block for learning is made of so many runs of rows, where no chunks say how long a run is
_RUNS = 8


def in_blocks(
    clouds: Sequence[LayerCloud], reducer: Any, name: str, asked: bool | Literal["auto"]
) -> frozenset[str]:
    """Return the names of the layers that are drawn in blocks.

    `asked`: ``"auto"``: those that lie on disk and take more than 1 GiB as float32.

    Raises
    ------
    ArgumentError
        If it is asked for, and the reducer does not learn from blocks.
    """
    if not learns_from_blocks(reducer):
        if asked is True:
            raise ArgumentError(
                f"in_blocks=True shows a reducer the rows block by block, and {name!r} has no "
                "partial_fit and transform as it is made here; take 'pca', 'kmeans' or "
                "sklearn.decomposition.IncrementalPCA, or embed a subsample: max_samples=5000"
            )
        return frozenset()
    return frozenset(
        cloud.name
        for cloud in clouds
        if asked is True or (asked == "auto" and _is_large(cloud) and lies_on_disk(cloud.source))
    )


def _is_large(cloud: LayerCloud) -> bool:
    return len(cloud) * int(cloud.source.shape[1]) * 4 > IN_BLOCKS_ABOVE


def row_blocks(source: Any) -> Iterator[tuple[int, Array]]:
    """Read an array-like from the front to the end, a bounded number of bytes at a time.

    `rows`: (n_rows, n_features).
    """
    n, width = (int(length) for length in source.shape)
    size = _rows_in(width, 1)
    for start in range(0, n, size):
        yield start, _read(source, start, min(n, start + size))


def _rows_in(width: int, least: int) -> int:
    return max(least, BLOCK_BYTES // (4 * max(1, width)))


def _read(source: Any, start: int, stop: int) -> Array:
    rows = source[start:stop]
    detach = getattr(rows, "detach", None)
    return np.asarray(rows if detach is None else detach().cpu().float())


def mixed_blocks(cloud: LayerCloud, generator: np.random.Generator) -> Iterator[Array]:
    """Yield the numbers of the rows of one block after the other, all about equally large.

    Each takes runs of rows from several places drawn at random, so that a layer that was recorded
    class by class does not show one class at a time; and whole chunks where that is how the layer
    lies on disk, so that each is read once.
    """
    n, source = len(cloud), cloud.source
    size = _rows_in(int(source.shape[1]), _LEAST_ROWS)
    n_blocks = -(-n // size)
    if n_blocks == 1:
        yield np.arange(n)
        return
    chunk = _rows_of_chunk(source)
    run = chunk if 0 < 2 * chunk <= size else size // _RUNS
    starts = generator.permutation(np.arange(0, n, run))
    for some in np.array_split(starts, n_blocks):
        yield np.concatenate([np.arange(a, min(n, a + run)) for a in np.sort(some)])


def _rows_of_chunk(source: Any) -> int:
    """Return how many rows are read together; 0 where nothing tells."""
    rows = getattr(source, "source", None)
    if rows is not None:
        return int(getattr(rows, "chunk_rows", 0))
    chunks = getattr(source, "chunks", None)  # zarr's and h5py's; dask's are tuples of tuples
    first = chunks[0] if isinstance(chunks, tuple) and chunks else 0
    return first if isinstance(first, int) else 0


def rows_of(cloud: LayerCloud, numbers: Array) -> Matrix:
    """Return some rows of a cloud, as `LayerCloud.matrix` returns all."""
    edges = np.flatnonzero(np.diff(numbers) != 1) + 1
    runs = np.split(numbers, edges)
    values = np.empty((len(numbers), int(cloud.source.shape[1])), np.float32)
    start = 0
    for run in runs:
        read = _read(cloud.source, int(run[0]), int(run[-1]) + 1)
        values[start : start + len(run)] = _part(cloud, read, run).matrix()
        start += len(run)
    return values


def _own(rows: Matrix, cloud: LayerCloud) -> Matrix:
    """Return rows that a reducer may write into: the caller's may be the source's own."""
    return rows if getattr(cloud.source, "source", None) is not None else rows.copy()


def _part(cloud: LayerCloud, values: Array, numbers: Array) -> LayerCloud:
    rows = numbers if cloud.rows is None else cloud.rows[numbers]
    return replace(cloud, source=values, rows=rows, cache={})


def draw_in_blocks(
    reducer: Any, cloud: LayerCloud, targets: Array | None, random_state: int
) -> tuple[Array, Array | None, str]:
    """Let a reducer learn a layer from blocks of rows, and place all rows block by block.

    `targets`: (n_rows,). What it is told of each row, as ``y`` of its ``partial_fit``.
    Returned `coordinates`: (n_rows, n_components).
    Returned `labels`: (n_rows,). Clusters, where the reducer has a ``predict`` and ``labels_``.
    """
    count = 0
    for numbers in mixed_blocks(cloud, np.random.default_rng(random_state)):
        told = {} if targets is None else {"y": targets[numbers]}
        reducer.partial_fit(rows_of(cloud, numbers), **told)
        count += 1
    finds_clusters = hasattr(reducer, "labels_") and callable(getattr(reducer, "predict", None))
    coordinates, labels = [], []
    for start, values in row_blocks(cloud.source):
        rows = _part(cloud, values, np.arange(start, start + len(values))).matrix()
        if finds_clusters:
            labels.append(np.asarray(reducer.predict(_own(rows, cloud))))
        coordinates.append(np.asarray(reducer.transform(_own(rows, cloud))))
    size = -(-len(cloud) // count)
    return (
        np.concatenate(coordinates),
        np.concatenate(labels) if finds_clusters else None,
        f"learnt from {count:,} block{'s' * (count > 1)} of at most {size:,} rows",
    )
