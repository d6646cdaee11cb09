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
def _attract_in_plane(pointers, columns, values, xs, ys, near_x, near_y, pull_x, pull_y):
    """Fill each point's pull by its neighbours: the sum of ``p q (y_i - y_j)``.

    Their places are gathered first, so that the sums run by SIMD. A function of its own for two
    dimensions, of flat arrays: rows of a matrix and loops over dimensions cost three times as much.
    """
    for i in range(len(xs)):
        x = xs[i]
        y = ys[i]
        first = pointers[i]
        count = pointers[i + 1] - first
        for e in range(count):
            j = columns[first + e]
            near_x[e] = xs[j]
            near_y[e] = ys[j]
        fx = np.float32(0)
        fy = np.float32(0)
        for e in range(count):
            dx = x - near_x[e]
            dy = y - near_y[e]
            w = values[first + e] / (np.float32(1) + dx * dx + dy * dy)
            fx += w * dx
            fy += w * dy
        pull_x[i] = fx
        pull_y[i] = fy


@compiled
def _attract_in_space(
    pointers, columns, values, xs, ys, us, near_x, near_y, near_u, pull_x, pull_y, pull_u
):
    """Do the same in three dimensions."""
    for i in range(len(xs)):
        x = xs[i]
        y = ys[i]
        u = us[i]
        first = pointers[i]
        count = pointers[i + 1] - first
        for e in range(count):
            j = columns[first + e]
            near_x[e] = xs[j]
            near_y[e] = ys[j]
            near_u[e] = us[j]
        fx = np.float32(0)
        fy = np.float32(0)
        fu = np.float32(0)
        for e in range(count):
            dx = x - near_x[e]
            dy = y - near_y[e]
            du = u - near_u[e]
            w = values[first + e] / (np.float32(1) + dx * dx + dy * dy + du * du)
            fx += w * dx
            fy += w * dy
            fu += w * du
        pull_x[i] = fx
        pull_y[i] = fy
        pull_u[i] = fu


@compiled
def _spring(slope, points, anchor, weights):
    """Add the pull of a neighbouring layer's picture to the gradient."""
    for c in range(points.shape[0]):
        for i in range(points.shape[1]):
            slope[c, i] += 2 * weights[i] * (points[c, i] - anchor[c, i])


@compiled
def _move(points, velocity, gain, slope, rate, momentum, longest):
    """Update gains and velocities, and move the points; no step is longer than `longest`."""
    n_components, n = points.shape
    for c in range(n_components):
        for i in range(n):
            up = slope[c, i]
            speed = velocity[c, i]
            agreeing = max(np.float32(0.01), gain[c, i] * np.float32(0.8))
            factor = gain[c, i] + np.float32(0.2) if up * speed < 0 else agreeing
            gain[c, i] = factor
            velocity[c, i] = momentum * speed - rate * factor * up
    for i in range(n):
        length2 = np.float32(0)
        for c in range(n_components):
            length2 += velocity[c, i] * velocity[c, i]
        if length2 > longest * longest:
            cut = longest / math.sqrt(length2)
            for c in range(n_components):
                velocity[c, i] *= cut
    for c in range(n_components):
        for i in range(n):
            points[c, i] += velocity[c, i]


@compiled
def descend(
    points, velocity, gain, order, pointers, columns, values, depth, begin, end, theta2,
    first, steps, exaggeration, rate, momentum, longest, above, w_above, below, w_below,
):  # fmt: skip
    """Take gradient steps in place.

    The update is van der Maaten's: momentum and a gain for each coordinate. To the gradient is
    added ``2 w (y - anchor)`` for the layer before and the layer behind, where there are any.

    `points`, `velocity`, `gain`: (2 or 3, n_samples), float32. The picture and the optimiser's
    memory; changed in place.
    `order`: (n_samples,), int32. Tree order of the samples; changed in place.
    `first`: number of the first step; the tree is sorted anew every ten steps.
    `above`, `below`: (2 or 3, n_samples), float32. The neighbouring layers' pictures.
    `w_above`, `w_below`: (n_samples,), float32. How much each point is held; of length 0 where
    there is no such layer.
    """
    n_components, n = points.shape
    sorted_points = np.empty((n_components, n), np.float32)
    force = np.empty((n_components, n), np.float32)
    slope = np.empty((n_components, n), np.float32)
    near = np.empty((n_components, n), np.float32)
    pull = np.empty((n_components, n), np.float32)
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
        if n_components == 2:
            _attract_in_plane(
                pointers, columns, values, points[0], points[1],
                near[0], near[1], pull[0], pull[1],
            )  # fmt: skip
        else:
            _attract_in_space(
                pointers, columns, values, points[0], points[1], points[2],
                near[0], near[1], near[2], pull[0], pull[1], pull[2],
            )  # fmt: skip
        for c in range(n_components):
            for i in range(n):
                slope[c, i] = exaggeration * pull[c, i]
            for a in range(n):
                slope[c, order[a]] -= share * force[c, a]
        if held_above:
            _spring(slope, points, above, w_above)
        if held_below:
            _spring(slope, points, below, w_below)
        _move(points, velocity, gain, slope, rate, momentum, longest)
        # a picture that hangs on others must not be shifted from under them
        if not held_above and not held_below:
            for c in range(n_components):
                mean = 0.0
                for i in range(n):
                    mean += points[c, i]
                shift = np.float32(mean / n)
                for i in range(n):
                    points[c, i] -= shift
