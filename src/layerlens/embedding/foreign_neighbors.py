"""The nearest rows of one cloud to rows that are not of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding._compiling import announced, numba_runs
from layerlens.embedding.distances import cancels
from layerlens.embedding.neighbors import EXACT_UP_TO, usable_cores, warm_up

__all__ = ["ForeignNeighbors"]

Matrix = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]

_ROWS = 2_048
# columns of a block of the Gram matrix: 16 MiB with so many rows
_COLUMNS = 2_048


class ForeignNeighbors:
    """Finds the nearest of some rows to others: exactly, or where there are many by descent.

    Exactly is by blocks of the Gram matrix in single precision, with distances taken anew from
    the differences; others for which single precision is too coarse are asked again in double.

    `rows`: (n_rows, n_features), float32. Up to 25,000 are searched exactly.
    `k`: how many, at most ``n_rows``.
    """

    def __init__(self, rows: Matrix, k: int) -> None:
        self._k = k
        self._rows = rows
        self._index: Any = None
        if len(rows) > EXACT_UP_TO:
            from pynndescent import NNDescent

            with announced("pynndescent's search"):
                self._index = NNDescent(rows, n_neighbors=max(15, k), random_state=0)
                # compiles what a query needs, too
                self._index.query(rows[:1], k)
            return
        self._centre = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._centred = rows - self._centre
        self._norms = np.einsum("ij,ij->i", self._centred, self._centred)
        self._threads = usable_cores() if numba_runs() else 0
        if self._threads:
            warm_up()

    def __call__(self, others: Matrix) -> tuple[Any, Any]:
        """Return indices and distances of the nearest, nearest first, of shape (n_others, k)."""
        if self._index is not None:
            found: tuple[Any, Any] = self._index.query(others, self._k)
            return found
        if not self._threads:
            return self._in_double(others)
        indices = np.empty((len(others), self._k), np.int64)
        distances = np.empty((len(others), self._k), np.float32)
        with ThreadPoolExecutor(self._threads) as pool:
            for start in range(0, len(others), _ROWS):
                some = others[start : start + _ROWS]
                there = slice(start, start + len(some))
                indices[there], distances[there] = self._by_heaps(some, pool)
        return indices, distances

    def _by_heaps(self, others: Matrix, pool: ThreadPoolExecutor) -> tuple[Any, Any]:
        from layerlens.embedding import _neighbor_kernels as kernels

        n = len(others)
        centred = others - self._centre
        norms = np.einsum("ij,ij->i", centred, centred)
        values = np.full((n, self._k), kernels.FAR, np.float32)
        named = np.zeros((n, self._k), np.int32)
        edges = [n * part // self._threads for part in range(self._threads + 1)]
        for left in range(0, len(self._centred), _COLUMNS):
            gram = centred @ self._centred[left : left + _COLUMNS].T
            across = self._norms[left : left + _COLUMNS]

            def offer(span: tuple[int, int], gram: Matrix = gram, across: Matrix = across,
                      left: int = left) -> None:  # fmt: skip
                room = np.empty(gram.shape[1] // 16 + 1, np.float32)
                # the kernel leaves out a row's own column: numbered from n on, none is
                kernels.offer_block(gram, across, 0, n + left, values, named, *span, room)

            list(pool.map(offer, pairwise(edges)))
        kernels.finish_rows(values, named, norms, 0, n)
        indices = named.astype(np.int64) - n
        # rows and others far from their centre leave no digits for what is between them
        coarse = np.flatnonzero(cancels(values[:, 0], norms))
        distances = np.empty_like(values)
        for column in range(self._k):
            apart = centred - self._centred[indices[:, column]]
            distances[:, column] = np.sqrt(np.einsum("ij,ij->i", apart, apart))
        order = np.argsort(distances, axis=1, kind="stable")
        indices = np.take_along_axis(indices, order, axis=1)
        distances = np.take_along_axis(distances, order, axis=1)
        if len(coarse):
            indices[coarse], distances[coarse] = self._in_double(others[coarse])
        return indices, distances

    def _in_double(self, others: Matrix) -> tuple[Any, Any]:
        from sklearn.neighbors import NearestNeighbors

        search = NearestNeighbors(n_neighbors=self._k, algorithm="brute").fit(self._rows)
        distances, indices = search.kneighbors(others)
        return indices, distances
