"""The k nearest neighbours of every row of a layer, found once and used by all."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from layerlens.embedding._compiling import announced, numba_runs
from layerlens.embedding.clouds import LayerCloud
from layerlens.embedding.distances import DistanceRows, cancels, fold

__all__ = [
    "Neighbors",
    "found_neighbors",
    "nearest_neighbors",
    "neighbors_of",
    "searched_rows",
    "shared_neighbors",
    "warm_up",
]

Matrix = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]
Method = Literal["auto", "exact", "approximate"]

# Rows that are wider are sketched before the search. Measured on LeNet's layers with 5,000
# digits, the pictures' divergence changes by less than 1 %.
SEARCH_WIDTH = 1024
# Above this many rows the exact search, whose cost grows with their square, gives way to
# nearest-neighbour descent.
EXACT_UP_TO = 25_000
# Below this many rows NumPy is done before numba's kernels are loaded.
_PLAIN_UP_TO = 1_000
_WHOLE_UP_TO = 6_144
_BLOCK = 2_048
# So many are found even where fewer are asked for: whoever comes next, the metrics say, finds them.
_AT_LEAST = 15
_CACHE_KEY = "neighbors"


@dataclass(frozen=True, slots=True, eq=False)
class Neighbors:
    """Nearest neighbours of each row, itself not among them, nearest first.

    `indices`: (n_samples, k), int32.
    `distances`: (n_samples, k), float32. Euclidean.
    """

    indices: Indices
    distances: Matrix
    exact: bool = True

    @property
    def k(self) -> int:
        """How many neighbours of each row there are."""
        return int(self.indices.shape[1])

    def first(self, k: int) -> Neighbors:
        """Return only the k nearest ones."""
        return Neighbors(self.indices[:, :k], self.distances[:, :k], self.exact)


def usable_cores(n_jobs: int | None = None) -> int:
    """Return how many threads to use: `n_jobs`, or one for each core that this process may use."""
    if n_jobs is not None and n_jobs > 0:
        return n_jobs
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def searched_rows(X: Matrix) -> Matrix:
    """Return the rows that neighbours are searched among: X itself, or a sketch of wide rows."""
    return fold(X, SEARCH_WIDTH)


def neighbors_of(
    cloud: LayerCloud,
    k: int,
    matrix: Matrix | None = None,
    *,
    rows: Matrix | None = None,
    n_jobs: int | None = None,
) -> Neighbors:
    """Return the k nearest neighbours of a layer's rows, kept with the layer.

    `k`: cut to ``n_rows - 1``.
    `matrix`: (n_rows, n_features), float32. The layer's rows, where they are at hand already.
    `rows`: (n_rows, width), float32. What `searched_rows` makes of them, where that is at hand
    already.
    `n_jobs`: threads; the result does not depend on it.
    """
    k = min(k, len(cloud) - 1)
    kept = found_neighbors(cloud)
    if kept is not None and kept.k >= k:
        return kept.first(k)
    if rows is None:
        rows = searched_rows(cloud.matrix() if matrix is None else matrix)
    found = nearest_neighbors(rows, max(k, _AT_LEAST), n_jobs=n_jobs)
    cloud.cache[_CACHE_KEY] = found
    return found.first(k)


def found_neighbors(cloud: LayerCloud) -> Neighbors | None:
    """Return the neighbours that were found for a layer so far, as many as there are."""
    kept = cloud.cache.get(_CACHE_KEY)
    fits = isinstance(kept, Neighbors) and len(kept.indices) == len(cloud)
    return kept if fits else None


def nearest_neighbors(
    X: Matrix, k: int, *, method: Method = "auto", n_jobs: int | None = None
) -> Neighbors:
    """Find the k nearest neighbours of each row.

    `X`: (n_samples, n_features), float32.
    `k`: cut to ``n_samples - 1``.
    `method`: {"auto", "exact", "approximate"}. ``"exact"`` goes through blocks of the Gram matrix,
    each of which serves both of its sides; rows whose distances float32 is too coarse for are done
    again in double precision. ``"approximate"`` is nearest-neighbour descent [1]_ (pynndescent).
    ``"auto"`` is exact up to 25,000 rows.
    `n_jobs`: threads; the result does not depend on it.
    Returned: of as many neighbours at one distance the first in order come first.

    References
    ----------
    .. [1] W. Dong, C. Moses, K. Li, Efficient k-nearest neighbor graph construction for generic
       similarity measures, WWW 2011.
    """
    n = len(X)
    k = max(0, min(k, n - 1))
    if k == 0:
        return Neighbors(np.empty((n, 0), np.int32), np.empty((n, 0), np.float32))
    if method == "approximate" or (method == "auto" and n > EXACT_UP_TO):
        return _by_descent(X, k, n_jobs)
    if n <= _PLAIN_UP_TO or not numba_runs():
        return _by_sorting(DistanceRows(X), k)
    return _by_heaps(X, k, usable_cores(n_jobs))


def shared_neighbors(a: Indices, b: Indices) -> npt.NDArray[np.float32]:
    """Return the share of each row of `a` that is in the same row of `b`.

    `a`, `b`: (n_samples, k), int32. Indices, each once in a row.
    """
    shared = np.zeros(len(a), np.float32)
    for column in range(a.shape[1]):
        shared += (a[:, column, None] == b).any(axis=1)
    return shared / np.float32(max(1, a.shape[1]))


def _by_sorting(from_rows: DistanceRows, k: int) -> Neighbors:
    n = len(from_rows)
    indices = np.empty((n, k), np.int32)
    distances = np.empty((n, k), np.float32)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(n, start + _BLOCK))
        indices[rows], distances[rows] = _nearest_of_rows(from_rows.of(rows), rows, k)
    return Neighbors(indices, distances)


def _nearest_of_rows(block: Matrix, rows: npt.NDArray[Any], k: int) -> tuple[Indices, Matrix]:
    block[np.arange(len(rows)), rows] = np.inf
    nearest = np.argpartition(block, k - 1, axis=1)[:, :k]
    squared = np.take_along_axis(block, nearest, axis=1)
    order = np.lexsort((nearest, squared), axis=1)
    distances = np.sqrt(np.maximum(0, np.take_along_axis(squared, order, axis=1)))
    return np.take_along_axis(nearest, order, axis=1).astype(np.int32), distances


def _by_heaps(X: Matrix, k: int, threads: int) -> Neighbors:
    from layerlens.embedding import _neighbor_kernels as kernels

    warm_up()
    n = len(X)
    centred = X - X.mean(axis=0, dtype=np.float64).astype(np.float32)
    norms = np.einsum("ij,ij->i", centred, centred)
    values = np.full((n, k), kernels.FAR, np.float32)
    indices = np.zeros((n, k), np.int32)
    size = n if n <= _WHOLE_UP_TO else _BLOCK
    with ThreadPoolExecutor(threads) as pool:

        def offer(gram: Matrix, rows: int, columns: int) -> None:
            across = norms[columns : columns + gram.shape[1]]

            def do(start: int, stop: int) -> None:
                # a transposed block is copied in parts that stay in a core's cache
                part = np.ascontiguousarray(gram[start:stop])
                room = np.empty(gram.shape[1] // 16 + 1, np.float32)
                kernels.offer_block(
                    part, across, rows + start, columns, values, indices, 0, len(part), room
                )

            _in_parts(pool, threads, len(gram), do)

        for top in range(0, n, size):
            some = centred[top : top + size]
            for left in range(top, n, size):
                if left == top:
                    offer(some @ some.T, top, top)
                else:
                    gram = some @ centred[left : left + size].T
                    offer(gram, top, left)
                    offer(gram.T, left, top)

        def finish(start: int, stop: int) -> None:
            kernels.finish_rows(values, indices, norms, start, stop)

        _in_parts(pool, threads, n, finish)
    coarse = np.flatnonzero(cancels(values[:, 0], norms))
    if len(coarse):
        from_rows = DistanceRows(X)
        for start in range(0, len(coarse), 256):
            rows = coarse[start : start + 256]
            indices[rows], values[rows] = _nearest_of_rows(from_rows.of(rows), rows, k)
            values[rows] **= 2
    return Neighbors(indices, np.sqrt(values))


@functools.cache
def warm_up() -> None:
    """Load the compiled kernels, or compile them, with a word where that takes long."""
    from layerlens.embedding import _neighbor_kernels as kernels

    with announced("the neighbour search"):
        values, indices = np.full((2, 1), kernels.FAR, np.float32), np.zeros((2, 1), np.int32)
        ones = np.ones(2, np.float32)
        kernels.offer_block(np.ones((2, 2), np.float32), ones, 0, 0, values, indices, 0, 2, ones)
        kernels.finish_rows(values, indices, ones, 0, 2)


def _in_parts(
    pool: ThreadPoolExecutor, threads: int, count: int, do: Callable[[int, int], None]
) -> None:
    """Do rows 0 to `count` on several threads; which thread does which row changes nothing."""
    parts = max(1, min(4 * threads, count // 64))
    edges = [count * part // parts for part in range(parts + 1)]
    list(pool.map(do, edges[:-1], edges[1:]))


def _descend(X: Matrix, k: int, n_jobs: int | None) -> Any:
    import pynndescent

    return pynndescent.NNDescent(X, n_neighbors=k + 1, random_state=0, n_jobs=n_jobs).neighbor_graph


@functools.cache
def _warm_up_descent() -> None:
    """Let pynndescent compile, with a word: it keeps not all of its code, and takes half a minute.

    On a few rows, so that a long search is not taken for compiling.
    """
    with announced("the approximate neighbour search (pynndescent)", kept=False):
        rows = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)
        _descend(rows, 5, 1)


def _by_descent(X: Matrix, k: int, n_jobs: int | None) -> Neighbors:
    _warm_up_descent()
    found: tuple[Any, Any] = _descend(X, k, n_jobs)
    indices, distances = found
    own = indices == np.arange(len(X))[:, None]
    # a row that is not among its own neighbours (it has many duplicates) loses its last one
    own[~own.any(axis=1), -1] = True
    shape = (len(X), k)
    return Neighbors(
        indices[~own].reshape(shape).astype(np.int32),
        distances[~own].reshape(shape).astype(np.float32),
        exact=False,
    )
