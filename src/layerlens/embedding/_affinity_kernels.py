"""From nearest neighbours to t-SNE's joint probabilities, sparse and symmetric."""

# numba works the types out
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numpy as np

from layerlens.embedding._compiling import compiled

__all__ = ["conditional_affinities", "symmetric_affinities"]


@compiled
def conditional_affinities(squared, perplexity, affinities, start, stop):
    """Fill rows of ``p(j | i)``, whose entropy is the logarithm of the perplexity.

    Bisection of the precision, as in [1]_, started from the mean of the row's squared distances.
    A row whose neighbours are all at one distance has no scale, and gives each the same share.

    `squared`: (n_samples, k), float32. Squared distances to the nearest neighbours, nearest first.
    `affinities`: (n_samples, k), float32. Filled in place.

    References
    ----------
    .. [1] L. van der Maaten, G. Hinton, Visualizing data using t-SNE, JMLR 9 (2008).
    """
    k = squared.shape[1]
    wanted = math.log(perplexity)
    for i in range(start, stop):
        nearest = squared[i, 0]
        mean = np.float32(0)
        for j in range(k):
            mean += squared[i, j] - nearest
        mean /= k
        if mean <= np.float32(1e-30):
            for j in range(k):
                affinities[i, j] = np.float32(1) / k
            continue
        precision = 1.0
        low = 0.0
        high = -1.0
        total = 1.0
        for _ in range(60):
            total = 0.0
            weighted = 0.0
            for j in range(k):
                away = (squared[i, j] - nearest) / mean
                weight = math.exp(-precision * away)
                affinities[i, j] = weight
                total += weight
                weighted += weight * away
            excess = math.log(total) + precision * weighted / total - wanted
            if abs(excess) < 1e-4:
                break
            if excess > 0:
                low = precision
                precision = precision * 2 if high < 0 else (precision + high) * 0.5
            else:
                high = precision
                precision = (precision + low) * 0.5
        for j in range(k):
            affinities[i, j] /= np.float32(total)


@compiled
def symmetric_affinities(indices, conditional):
    """Return ``(p(j | i) + p(i | j)) / 2n`` as compressed sparse rows.

    `indices`: (n_samples, k), int32.
    `conditional`: (n_samples, k), float32.
    Returned `pointers`: (n_samples + 1,), int64.
    Returned `columns`: (n_entries,), uint32.
    Returned `values`: (n_entries,), float32. Of sum 1.
    """
    n, k = indices.shape
    # the transpose first: who names i as a neighbour, and how much
    begin = np.zeros(n + 1, np.int64)
    for i in range(n):
        for a in range(k):
            begin[indices[i, a] + 1] += 1
    for i in range(n):
        begin[i + 1] += begin[i]
    place = begin[:n].copy()
    naming = np.empty(n * k, np.int32)
    named_by = np.empty(n * k, np.float32)
    for i in range(n):
        for a in range(k):
            j = indices[i, a]
            naming[place[j]] = i
            named_by[place[j]] = conditional[i, a]
            place[j] += 1
    pointers = np.zeros(n + 1, np.int64)
    # unsigned: what cannot be negative is indexed without a look at its sign
    columns = np.empty(2 * n * k, np.uint32)
    values = np.empty(2 * n * k, np.float32)
    where = np.full(n, -1, np.int64)
    scale = np.float32(0.5 / n)
    at = 0
    for i in range(n):
        first = at
        for a in range(k):
            columns[at] = indices[i, a]
            values[at] = conditional[i, a] * scale
            where[indices[i, a]] = at
            at += 1
        for a in range(begin[i], begin[i + 1]):
            j = naming[a]
            if where[j] >= first:
                values[where[j]] += named_by[a] * scale
            else:
                columns[at] = j
                values[at] = named_by[a] * scale
                where[j] = at
                at += 1
        pointers[i + 1] = at
    return pointers, columns[:at].copy(), values[:at].copy()
