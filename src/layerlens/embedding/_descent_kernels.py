"""Gradient steps of one layer's picture."""

# numba works the types out
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numpy as np

from layerlens.embedding._compiling import compiled
from layerlens.embedding._tree_kernels import repulsion, sort_into_leaves

__all__ = ["descend"]

_REBUILD_EVERY = 10


@compiled
def _attract(i, pointers, columns, values, points, pull):
    """Fill the pull of a point's neighbours: the sum of ``p q (y_i - y_j)``."""
    x = points[0, i]
    y = points[1, i]
    fx = np.float32(0)
    fy = np.float32(0)
    if points.shape[0] == 2:
        for e in range(pointers[i], pointers[i + 1]):
            j = columns[e]
            dx = x - points[0, j]
            dy = y - points[1, j]
            w = values[e] / (np.float32(1) + dx * dx + dy * dy)
            fx += w * dx
            fy += w * dy
    else:
        u = points[2, i]
        fu = np.float32(0)
        for e in range(pointers[i], pointers[i + 1]):
            j = columns[e]
            dx = x - points[0, j]
            dy = y - points[1, j]
            du = u - points[2, j]
            w = values[e] / (np.float32(1) + dx * dx + dy * dy + du * du)
            fx += w * dx
            fy += w * dy
            fu += w * du
        pull[2] = fu
    pull[0] = fx
    pull[1] = fy


@compiled
def descend(
    points, velocity, gain, order, pointers, columns, values, depth, begin, end, theta2,
    first, steps, exaggeration, rate, momentum, longest, above, w_above, below, w_below,
):  # fmt: skip
    """Take gradient steps in place.

    The update is van der Maaten's: momentum and a gain for each coordinate. To the gradient is
    added ``2 w (y - anchor)`` for the layer before and the layer behind, where there are any.

    Parameters
    ----------
    points, velocity, gain : ndarrays of shape (2 or 3, n_samples), float32
        The picture and the optimiser's memory; changed in place.
    order : ndarray of shape (n_samples,), int32
        Tree order of the samples; changed in place.
    pointers, columns, values
        Joint probabilities, compressed sparse rows.
    depth, begin, end, theta2
        The tree, see `repulsion`.
    first : int
        Number of the first step; the tree is sorted anew every ten steps.
    steps : int
    exaggeration, rate, momentum, longest : float32
        `longest` bounds the length of a step.
    above, below : ndarray of shape (2 or 3, n_samples), float32
        The neighbouring layers' pictures.
    w_above, w_below : ndarray of shape (n_samples,), float32
        How much each point is held; of length 0 where there is no such layer.
    """
    n_components, n = points.shape
    sorted_points = np.empty((n_components, n), np.float32)
    force = np.empty((n_components, n), np.float32)
    pull = np.empty(3, np.float32)
    held_above = len(w_above) > 0
    held_below = len(w_below) > 0
    for step in range(first, first + steps):
        if step == first or step % _REBUILD_EVERY == 0:
            sort_into_leaves(depth, begin, end, points, order)
        for c in range(n_components):
            for a in range(n):
                sorted_points[c, a] = points[c, order[a]]
        total = repulsion(theta2, depth, begin, end, sorted_points, force)
        share = np.float32(1 / total)
        for a in range(n):
            i = order[a]
            _attract(i, pointers, columns, values, points, pull)
            length2 = np.float32(0)
            for c in range(n_components):
                slope = exaggeration * pull[c] - force[c, a] * share
                if held_above:
                    slope += 2 * w_above[i] * (points[c, i] - above[c, i])
                if held_below:
                    slope += 2 * w_below[i] * (points[c, i] - below[c, i])
                if slope * velocity[c, i] < 0:
                    gain[c, i] += np.float32(0.2)
                else:
                    gain[c, i] = max(np.float32(0.01), gain[c, i] * np.float32(0.8))
                speed = momentum * velocity[c, i] - rate * gain[c, i] * slope
                velocity[c, i] = speed
                length2 += speed * speed
            if length2 > longest * longest:
                cut = longest / math.sqrt(length2)
                for c in range(n_components):
                    velocity[c, i] *= cut
        for c in range(n_components):
            mean = 0.0
            for i in range(n):
                points[c, i] += velocity[c, i]
                mean += points[c, i]
            # a picture that hangs on others must not be shifted from under them
            if not held_above and not held_below:
                shift = np.float32(mean / n)
                for i in range(n):
                    points[c, i] -= shift
