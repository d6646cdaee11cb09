"""Distances from rows of a cloud to all of it, as exact as float32 allows and no slower.

Wide rows are folded first, by the sketch of `layerlens.recording.sketch`, which keeps distances.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DistanceRows", "cancels", "fold"]

Matrix = npt.NDArray[np.float32]

_ROWS = 256

# A squared distance taken from float32 Gram entries carries an error of some units in the last
# place of the squared norms; below this share of them it is mostly rounding.
_SHARE_OF_NORM = 64 * float(np.finfo(np.float32).eps)


def cancels(squared: Matrix, norms: Matrix) -> npt.NDArray[np.bool_]:
    """Whether squared distances are so small beside the norms that nothing of them is left."""
    return np.asarray(squared <= np.float32(_SHARE_OF_NORM) * norms)


class DistanceRows:
    """Squared distances from chosen rows of a cloud to all of them, by the Gram matrix.

    `X`: (n_samples, n_features), float32.
    """

    def __init__(self, X: Matrix) -> None:
        self._centred = X - X.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._norms = np.einsum("ij,ij->i", self._centred, self._centred)
        self._exact: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self._centred)

    def of(self, rows: npt.NDArray[np.integer[Any]]) -> Matrix:
        """Return squared distances of shape (len(rows), n_samples).

        That of a row to itself is minus infinity, so that it comes first. Rows with a neighbour
        that is much nearer than the centre of the cloud, as in clusters far apart, are done
        again in double precision.
        """
        block: Matrix = self._centred[rows] @ self._centred.T
        block *= -2
        block += self._norms
        block += self._norms[rows, None]
        own = np.arange(len(rows))
        block[own, rows] = np.inf
        coarse = cancels(block.min(axis=1), self._norms[rows])
        block[own, rows] = -np.inf
        if coarse.any():
            block[coarse] = self._in_double(rows[coarse])
        return block

    def _in_double(self, rows: npt.NDArray[np.integer[Any]]) -> Matrix:
        if self._exact is None:
            self._exact = self._centred.astype(np.float64)
        norms = np.einsum("ij,ij->i", self._exact, self._exact)
        block = norms[rows, None] + norms - 2 * (self._exact[rows] @ self._exact.T)
        # identical rows are at no distance at all, whatever rounding says
        block[block < 1e-13 * norms[rows, None]] = 0
        block[np.arange(len(rows)), rows] = -np.inf
        return np.asarray(block, np.float32)


def fold(X: Matrix, width: int, *, random_state: int = 0) -> Matrix:
    """Sketch rows to at most `width` values, keeping distances in expectation.

    Each value is multiplied by a random sign, the row is cut into segments of one length, and
    the segments are added up: a CountSketch [1]_ whose bucket is the place in the segment, so
    that the buckets are equally full and memory is read in order.

    `X`: (n_samples, n_features), float32.
    `width`: rows that are no wider are returned as they are, not copied.
    Returned: (n_samples, width or a little less), float32. The width is such that the segments are
    nearly of one length.

    References
    ----------
    .. [1] M. Charikar, K. Chen, M. Farach-Colton, Finding frequent items in data streams,
       ICALP 2002; as feature hashing, K. Weinberger et al., ICML 2009.
    """
    n, features = X.shape
    if features <= width:
        return X
    segments = -(-features // width)
    kept = -(-features // segments)
    signs = np.random.default_rng(random_state).integers(0, 2, features) * 2 - 1
    signs = signs.astype(np.float32)
    sketch = np.zeros((n, kept), np.float32)
    # few rows at a time, so that the sketch's rows stay in the cache between segments
    for top in range(0, n, _ROWS):
        rows = sketch[top : top + _ROWS]
        for left in range(0, features, kept):
            right = min(features, left + kept)
            rows[:, : right - left] += X[top : top + _ROWS, left:right] * signs[left:right]
    return sketch
