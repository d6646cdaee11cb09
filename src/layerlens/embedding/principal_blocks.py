"""Principal axes of rows that come in blocks and are not kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from layerlens.embedding.principal import turn_up

__all__ = ["EXACT_WIDTH", "AxesFromBlocks"]

Matrix = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

EXACT_WIDTH = 2_048
"""Features up to which the whole covariance is kept: 32 MiB."""

_BLOCK = 4_096
_FOLLOWED = 32
_ROWS_AT_ONCE = 256


class AxesFromBlocks:
    """Learns the mean and the first principal axes from blocks of rows, each seen once.

    Up to 2,048 features it adds up the covariance, and the axes are exact. Of wider rows it follows
    the first 32 directions (10 more than are asked for, where that is more) by an incremental
    singular value decomposition [1]_: what a direction loses while it is weak is lost.

    `n_components`: how many axes will be asked for.

    References
    ----------
    .. [1] D. A. Ross, J. Lim, R.-S. Lin, M.-H. Yang, Incremental learning for robust visual
       tracking, International Journal of Computer Vision 77 (2008).
    """

    def __init__(self, width: int, n_components: int) -> None:
        self.count = 0
        self._followed = max(_FOLLOWED, n_components + 10)
        self._shift: Doubles | None = None
        # of the rows less the shift: their sum, and the sum of all squares
        self._sum = np.zeros(width)
        self._squares = 0.0
        self._covariance = np.zeros((width, width)) if width <= EXACT_WIDTH else None
        # directions times their singular values; what was seen so far, centred, is near their span
        self._directions = np.zeros((0, width), np.float32)

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self._sum)

    def add(self, X: Matrix) -> None:
        """Learn from some rows, of shape (n_rows, n_features)."""
        if self._shift is None:
            # near the mean, so that sums of squares about it lose no digits
            self._shift = X.mean(axis=0, dtype=np.float64)
        size = _BLOCK if self._covariance is not None else _ROWS_AT_ONCE
        shift = self._shift.astype(np.float32)
        for start in range(0, len(X), size):
            rows = X[start : start + size] - shift
            total = rows.sum(axis=0, dtype=np.float64)
            if self._covariance is None:
                self._follow(rows, total)
            else:
                self._covariance += rows.T @ rows
            self._squares += float(np.einsum("ij,ij->", rows, rows, dtype=np.float64))
            self._sum += total
            self.count += len(rows)

    def _follow(self, rows: Matrix, total: Doubles) -> None:
        """Take rows to the directions that are followed."""
        n, m = self.count, len(rows)
        mean = (total / m).astype(np.float32)
        parts = [self._directions, rows - mean]
        if n:
            # between the mean of these rows and that of all before them
            between = self._sum / n - total / m
            parts.append((np.sqrt(n * m / (n + m)) * between).astype(np.float32)[None])
        stacked = np.concatenate(parts)
        gram = (stacked @ stacked.T).astype(np.float64)
        values, vectors = np.linalg.eigh(gram)
        # the left vectors, transposed, times the stack: the right vectors times singular values
        kept = vectors[:, ::-1][:, : self._followed].astype(np.float32)
        kept = kept[:, values[::-1][: self._followed] > 1e-12 * max(float(values[-1]), 1e-300)]
        self._directions = kept.T @ stacked

    def axes(self, n_components: int) -> tuple[Matrix, Matrix, Doubles, float]:
        """Return what was learnt.

        Returned `mean`: (n_features,), float32.
        Returned `components`: (n_components, n_features), float32. Orthonormal, each turned by
        `turn_up`; zero where there are no more.
        Returned `variance`: (n_components,), float64. Along each axis, over ``n - 1``.
        """
        assert self._shift is not None  # noqa: S101 (something was added)
        mean = self._sum / self.count
        degrees = max(1, self.count - 1)
        total = max(0.0, self._squares - self.count * float(mean @ mean))
        components = np.zeros((n_components, self.width), np.float32)
        squares = np.zeros(n_components)
        if self._covariance is not None:
            found = min(n_components, self.width)
            scatter = self._covariance - self.count * np.outer(mean, mean)
            picked: Any = (self.width - found, self.width - 1)
            values, vectors = eigh(scatter, subset_by_index=picked)
            squares[:found] = values[::-1]
            components[:found] = vectors[:, ::-1].T
        else:
            lengths = np.linalg.norm(self._directions, axis=1).astype(np.float64)
            found = min(n_components, len(lengths))
            squares[:found] = lengths[:found] ** 2
            components[:found] = self._directions[:found] / lengths[:found, None]
        # rounding leaves a little where there is nothing
        nothing = squares <= max(1e-9 * float(squares.max(initial=0.0)), 1e-12 * self._squares)
        squares[nothing], components[nothing] = 0.0, 0.0
        turn_up(components)
        return (
            (mean + self._shift).astype(np.float32),
            components,
            squares / degrees,
            total / degrees,
        )
