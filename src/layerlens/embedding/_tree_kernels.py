"""Repulsion between all points of a picture: exact sums, and a treecode for many points.

The treecode is a balanced k-d tree whose leaves hold some 32 points. For each leaf one list of
what acts on it is collected, points near by and centres of mass far off (Barnes and Hut's
criterion from the leaf's box), and the list is summed for each point of the leaf by SIMD: a
tree walk a leaf rather than a point, and no branch in the inner loop.

References
----------
J. Barnes, P. Hut, A hierarchical O(N log N) force-calculation algorithm, Nature 324 (1986).
L. van der Maaten, Accelerating t-SNE using tree-based algorithms, JMLR 15 (2014).
J. E. Barnes, A modified tree code: don't laugh, it runs, J. Comput. Phys. 87 (1990): one list
for a group of neighbouring points.
"""

# numba works the types out
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from layerlens.embedding._compiling import compiled

__all__ = ["repulsion", "sort_into_leaves"]


@compiled
def _partition(order, key, start, stop, middle):
    """Put the entry of rank `middle` in its place and smaller ones before it (Hoare's select)."""
    stop -= 1
    while stop > start:
        a = key[order[start]]
        b = key[order[(start + stop) >> 1]]
        c = key[order[stop]]
        pivot = max(min(a, b), min(max(a, b), c))
        i = start
        j = stop
        while i <= j:
            while key[order[i]] < pivot:
                i += 1
            while key[order[j]] > pivot:
                j -= 1
            if i <= j:
                kept = order[i]
                order[i] = order[j]
                order[j] = kept
                i += 1
                j -= 1
        if middle <= j:
            stop = j
        elif middle >= i:
            start = i
        else:
            return


@compiled
def sort_into_leaves(depth, begin, end, points, order):
    """Order the points so that each node's are together: halves along the longer side.

    `begin`, `end`: (2 ** (depth + 1),), int32. Which places in the order each node has; the root is
    node 1, the children of ``i`` are ``2 i`` and ``2 i + 1``.
    `points`: (n_components, n_samples), float32.
    `order`: (n_samples,), int32. Permutation of the samples; changed in place.
    """
    for node in range(1, 1 << depth):
        widest = np.float32(-1)
        axis = 0
        for c in range(points.shape[0]):
            low = points[c, order[begin[node]]]
            high = low
            for a in range(begin[node], end[node]):
                at = points[c, order[a]]
                low = min(low, at)
                high = max(high, at)
            if high - low > widest:
                widest = high - low
                axis = c
        middle = (begin[node] + end[node]) >> 1
        _partition(order, points[axis], begin[node], end[node], middle)


@compiled
def _measure_nodes(depth, begin, end, points, centre, low, high, extent):
    """Fill each node's centre of mass, box and squared diagonal; points are in tree order."""
    first = 1 << depth
    for node in range(first, 2 * first):
        extent[node] = 0
        for c in range(points.shape[0]):
            least = points[c, begin[node]]
            most = least
            total = np.float32(0)
            for a in range(begin[node], end[node]):
                at = points[c, a]
                least = min(least, at)
                most = max(most, at)
                total += at
            centre[c, node] = total / (end[node] - begin[node])
            low[c, node] = least
            high[c, node] = most
            extent[node] += (most - least) ** 2
    for node in range(first - 1, 0, -1):
        left = 2 * node
        right = left + 1
        n_left = np.float32(end[left] - begin[left])
        n_right = np.float32(end[right] - begin[right])
        extent[node] = 0
        for c in range(points.shape[0]):
            mass = n_left * centre[c, left] + n_right * centre[c, right]
            centre[c, node] = mass / (n_left + n_right)
            low[c, node] = min(low[c, left], low[c, right])
            high[c, node] = max(high[c, left], high[c, right])
            extent[node] += (high[c, node] - low[c, node]) ** 2


@compiled
def _list_for_leaf(
    leaf, theta2, depth, begin, end, points, centre, low, high, extent, listed, mass, stack
):
    """List what acts on a leaf's points; return how much that is."""
    n = 0
    stack[0] = 1
    size = 1
    n_components = points.shape[0]
    while size > 0:
        size -= 1
        node = stack[size]
        away = np.float32(1)
        for c in range(n_components):
            gap = max(low[c, leaf] - centre[c, node], centre[c, node] - high[c, leaf])
            gap = max(np.float32(0), gap)
            away += gap * gap
        # the 1 of the Student kernel counts as distance: within it forces hardly vary
        if extent[node] <= theta2 * away:
            for c in range(n_components):
                listed[c, n] = centre[c, node]
            mass[n] = np.float32(end[node] - begin[node])
            n += 1
        elif node >= 1 << depth:
            for c in range(n_components):
                for a in range(begin[node], end[node]):
                    listed[c, n + a - begin[node]] = points[c, a]
            for a in range(end[node] - begin[node]):
                mass[n + a] = np.float32(1)
            n += end[node] - begin[node]
        else:
            stack[size] = 2 * node
            stack[size + 1] = 2 * node + 1
            size += 2
    return n


@compiled
def _sum_in_plane(x, y, xs, ys, mass, n):
    z = np.float32(0)
    fx = np.float32(0)
    fy = np.float32(0)
    for j in range(n):
        dx = x - xs[j]
        dy = y - ys[j]
        q = np.float32(1) / (np.float32(1) + dx * dx + dy * dy)
        w = mass[j] * q
        z += w
        w *= q
        fx += w * dx
        fy += w * dy
    return z, fx, fy


@compiled
def _sum_in_space(x, y, u, xs, ys, us, mass, n):
    z = np.float32(0)
    fx = np.float32(0)
    fy = np.float32(0)
    fu = np.float32(0)
    for j in range(n):
        dx = x - xs[j]
        dy = y - ys[j]
        du = u - us[j]
        q = np.float32(1) / (np.float32(1) + dx * dx + dy * dy + du * du)
        w = mass[j] * q
        z += w
        w *= q
        fx += w * dx
        fy += w * dy
        fu += w * du
    return z, fx, fy, fu


@compiled
def repulsion(theta2, depth, begin, end, points, force):
    """Sum ``q`` and ``q^2 (y_i - y_j)`` over all pairs, ``q = 1 / (1 + |y_i - y_j|^2)``.

    `theta2`: squared opening angle; below zero the sums are exact.
    `points`: (2 or 3, n_samples), float32. In tree order.
    `force`: (2 or 3, n_samples), float32. Filled in place: the sum of ``q^2 (y_i - y_j)`` over j.
    Returned: the sum of ``q`` over all ordered pairs of different points.
    """
    n_components, n = points.shape
    nodes = len(begin)
    listed = np.empty((n_components, n + nodes), np.float32)
    mass = np.empty(n + nodes, np.float32)
    centre = np.empty((n_components, nodes), np.float32)
    low = np.empty((n_components, nodes), np.float32)
    high = np.empty((n_components, nodes), np.float32)
    extent = np.empty(nodes, np.float32)
    stack = np.empty(64, np.int32)
    exact = theta2 < 0
    count = n
    if exact:
        for c in range(n_components):
            for a in range(n):
                listed[c, a] = points[c, a]
                mass[a] = np.float32(1)
    else:
        _measure_nodes(depth, begin, end, points, centre, low, high, extent)
    total = 0.0
    for leaf in range(1 << depth, 2 << depth):
        if not exact:
            count = _list_for_leaf(
                leaf, theta2, depth, begin, end, points,
                centre, low, high, extent, listed, mass, stack,
            )  # fmt: skip
        for a in range(begin[leaf], end[leaf]):
            if n_components == 2:
                z, fx, fy = _sum_in_plane(
                    points[0, a], points[1, a], listed[0], listed[1], mass, count
                )
            else:
                z, fx, fy, fu = _sum_in_space(
                    points[0, a], points[1, a], points[2, a],
                    listed[0], listed[1], listed[2], mass, count,
                )  # fmt: skip
                force[2, a] = fu
            force[0, a] = fx
            force[1, a] = fy
            total += z
    return total - n
