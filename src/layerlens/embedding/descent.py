"""One layer's picture while it is optimised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding.affinities import Affinities, divergence

__all__ = ["Anchor", "Descent", "Phase"]

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]

# Repulsion is summed exactly up to this many points and by the treecode above.
EXACT_UP_TO = 1_500
_LEAF = 32
# The divergence holds the logarithm of a sum that the descent may take more coarsely.
_FINE_THETA = 0.25
# No step is longer than this, in units of the kernel's width.
_LONGEST_STEP = 5.0
_NOTHING = np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the optimisation.

    `rate`: learning rate over the number of points; divided by the exaggeration besides.
    `power`: a point is held by the share of its neighbours that both layers have, to this power.
    """

    steps: int
    exaggeration: float
    momentum: float
    rate: float
    coupling: float = 0.0
    power: int = 4


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """Where a neighbouring layer has the points, and how much each is held there.

    `points`: (n_components, n_samples), float32.
    `weights`: (n_samples,), float32.
    """

    points: Matrix
    weights: Matrix


class Descent:
    """The picture of one layer, its memory and its tree.

    `start`: (n_samples, n_components), float32. One to three dimensions. One is done as two with
    nothing in the second, which no force ever fills.
    """

    def __init__(self, joint: Affinities, start: Matrix, theta: float) -> None:
        n, self._n_components = start.shape
        self._joint = joint
        self.points = np.zeros((max(2, self._n_components), n), np.float32)
        self.points[: self._n_components] = start.T
        self._velocity = np.zeros_like(self.points)
        self._gain = np.ones_like(self.points)
        self._depth, self._begin, self._end = _layout(n)
        self._order = np.arange(n, dtype=np.int32)
        self._theta2 = np.float32(-1 if n <= EXACT_UP_TO else theta * theta)
        self._step = 0

    @property
    def coordinates(self) -> Matrix:
        """The picture, of shape (n_samples, n_components); a copy."""
        return np.ascontiguousarray(self.points[: self._n_components].T)

    def run(
        self, phase: Phase, steps: int, above: Anchor | None = None, below: Anchor | None = None
    ) -> None:
        """Take steps of a phase, held by the pictures of the neighbouring layers if given."""
        from layerlens.embedding._descent_kernels import descend

        anchors: list[Any] = []
        for anchor in (above, below):
            anchors += (
                [self.points, _NOTHING] if anchor is None else [anchor.points, anchor.weights]
            )
        descend(
            self.points,
            self._velocity,
            self._gain,
            self._order,
            self._joint.pointers,
            self._joint.columns,
            self._joint.values,
            self._depth,
            self._begin,
            self._end,
            self._theta2,
            self._step,
            steps,
            np.float32(phase.exaggeration),
            np.float32(phase.rate * len(self._order) / phase.exaggeration),
            np.float32(phase.momentum),
            np.float32(_LONGEST_STEP),
            *anchors,
        )
        self._step += steps

    def divergence(self) -> float:
        """Return the Kullback-Leibler divergence of the picture."""
        from layerlens.embedding._tree_kernels import repulsion, sort_into_leaves

        sort_into_leaves(self._depth, self._begin, self._end, self.points, self._order)
        points = np.ascontiguousarray(self.points[:, self._order])
        force = np.empty_like(points)
        theta2 = np.float32(min(float(self._theta2), _FINE_THETA**2))
        normalizer = repulsion(theta2, self._depth, self._begin, self._end, points, force)
        return divergence(self._joint, self.coordinates, normalizer)


def _layout(n: int) -> tuple[int, Array, Array]:
    """Lay out a balanced binary tree: which places in the order each node has."""
    depth = 0
    while -(-n // (1 << depth)) > _LEAF:
        depth += 1
    begin = np.zeros(2 << depth, np.int32)
    end = np.zeros(2 << depth, np.int32)
    end[1] = n
    for node in range(1, 1 << depth):
        middle = (begin[node] + end[node]) >> 1
        begin[2 * node], end[2 * node] = begin[node], middle
        begin[2 * node + 1], end[2 * node + 1] = middle, end[node]
    return depth, begin, end
