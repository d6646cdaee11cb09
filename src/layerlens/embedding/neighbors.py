"""The k nearest neighbours of every row of a layer, found once and used by all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerlens.embedding.clouds import LayerCloud

__all__ = ["DistanceRows", "Neighbors", "nearest_neighbors", "neighbors_of"]

Matrix = npt.NDArray[np.float32]

_BLOCK = 1024
_CACHE_KEY = "neighbors"
# Below this share of the squared norms a squared distance that was taken from float32 Gram
# entries is mostly rounding: 64 units in the last place.
_SHARE_OF_NORM = 64 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbors:
    """Nearest neighbours of each row, itself not among them, nearest first.

    Parameters
    ----------
    indices : ndarray of shape (n_samples, k), int32
    distances : ndarray of shape (n_samples, k), float32
        Euclidean.
    """

    indices: npt.NDArray[np.int32]
    distances: Matrix

    @property
    def k(self) -> int:
        """How many neighbours of each row there are."""
        return int(self.indices.shape[1])

    def first(self, k: int) -> Neighbors:
        """Return only the k nearest ones."""
        return Neighbors(self.indices[:, :k], self.distances[:, :k])


class DistanceRows:
    """Squared distances from chosen rows of a cloud to all of them, by the Gram matrix.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
    """

    def __init__(self, X: Matrix) -> None:
        self._centred = X - X.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._norms = np.einsum("ij,ij->i", self._centred, self._centred)
        self._exact: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self._centred)

    def of(self, rows: npt.NDArray[np.integer]) -> Matrix:
        """Return squared distances of shape (len(rows), n_samples).

        That of a row to itself is minus infinity, so that it comes first.
        """
        block: Matrix = self._centred[rows] @ self._centred.T
        block *= -2
        block += self._norms
        block += self._norms[rows, None]
        block[np.arange(len(rows)), rows] = np.inf
        cancelled = block.min(axis=1) < _SHARE_OF_NORM * self._norms[rows]
        block[np.arange(len(rows)), rows] = -np.inf
        if cancelled.any():
            block[cancelled] = self._in_double(rows[cancelled])
        return block

    def _in_double(self, rows: npt.NDArray[np.integer]) -> Matrix:
        """Do it again where near points lie far from the centre and float32 is too coarse."""
        if self._exact is None:
            self._exact = self._centred.astype(np.float64)
        norms = np.einsum("ij,ij->i", self._exact, self._exact)
        block = norms[rows, None] + norms - 2 * (self._exact[rows] @ self._exact.T)
        # identical rows are at no distance at all, whatever rounding says
        block[block < 1e-13 * norms[rows, None]] = 0
        block[np.arange(len(rows)), rows] = -np.inf
        return np.asarray(block, np.float32)


def nearest_neighbors(X: Matrix, k: int) -> Neighbors:
    """Find the k nearest neighbours of each row exactly, by blocks of the Gram matrix.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
    k : int
        Cut to ``n_samples - 1``.

    Returns
    -------
    Neighbors
    """
    n = len(X)
    k = max(0, min(k, n - 1))
    indices = np.empty((n, k), np.int32)
    distances = np.empty((n, k), np.float32)
    if k == 0:
        return Neighbors(indices, distances)
    from_rows = DistanceRows(X)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(n, start + _BLOCK))
        block = from_rows.of(rows)
        block[np.arange(len(rows)), rows] = np.inf
        nearest = np.argpartition(block, k - 1, axis=1)[:, :k]
        squared = np.take_along_axis(block, nearest, axis=1)
        order = np.lexsort((nearest, squared), axis=1)
        indices[rows] = np.take_along_axis(nearest, order, axis=1)
        distances[rows] = np.sqrt(np.maximum(0, np.take_along_axis(squared, order, axis=1)))
    return Neighbors(indices, distances)


def neighbors_of(cloud: LayerCloud, k: int, matrix: Matrix | None = None) -> Neighbors:
    """Return the k nearest neighbours of a layer's rows, kept with the layer.

    Parameters
    ----------
    cloud : LayerCloud
    k : int
        Cut to ``n_rows - 1``.
    matrix : ndarray of shape (n_rows, n_features), float32, optional
        The layer's rows, where they are at hand already.
    """
    k = min(k, len(cloud) - 1)
    kept = cloud.cache.get(_CACHE_KEY)
    if isinstance(kept, Neighbors) and len(kept.indices) == len(cloud) and kept.k >= k:
        return kept.first(k)
    found = nearest_neighbors(cloud.matrix() if matrix is None else matrix, k)
    cloud.cache[_CACHE_KEY] = found
    return found
