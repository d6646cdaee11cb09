"""The k smallest entries of each row of distance blocks, and ranks within rows, without sorting."""

# numba works the types out
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from layerlens.embedding._compiling import compiled

__all__ = ["FAR", "count_below", "finish_rows", "offer_block"]

# fastmath knows no infinity
FAR = np.float32(3e38)
_GROUP = 16


@compiled
def _sift(values, indices, value, index):
    """Replace the largest entry of a heap."""
    k = len(values)
    at = 0
    while True:
        child = 2 * at + 1
        if child >= k:
            break
        if child + 1 < k and values[child + 1] > values[child]:
            child += 1
        if values[child] <= value:
            break
        values[at] = values[child]
        indices[at] = indices[child]
        at = child
    values[at] = value
    indices[at] = index


@compiled
def offer_block(gram, norms, first_row, first_column, values, indices, start, stop, minima):
    """Offer a block of Gram entries to the heaps of its rows.

    The value of an entry is ``norms[column] - 2 gram[row, column]``: the squared distance but
    for a constant of the row. The minima of groups of sixteen columns are taken first, by SIMD,
    so that few values meet the heap.

    `gram`: (n_rows, n_columns), float32.
    `norms`: (n_columns,), float32. Squared norms of the columns' points.
    `values`, `indices`: (n_samples, k), float32 and int32. Heaps, the largest first; changed in
    place.
    `minima`: (n_columns // 16 + 1,), float32. Work space.
    """
    n_columns = gram.shape[1]
    groups = n_columns // _GROUP
    for row in range(start, stop):
        sample = first_row + row
        heap = values[sample]
        named = indices[sample]
        line = gram[row]
        for group in range(groups):
            least = FAR
            for column in range(group * _GROUP, (group + 1) * _GROUP):
                least = min(least, norms[column] - 2 * line[column])
            minima[group] = least
        worst = heap[0]
        for group in range(groups + 1):
            if group < groups and minima[group] >= worst:
                continue
            for column in range(group * _GROUP, min(n_columns, (group + 1) * _GROUP)):
                value = norms[column] - 2 * line[column]
                if value < worst and first_column + column != sample:
                    _sift(heap, named, value, first_column + column)
                    worst = heap[0]


@compiled
def finish_rows(values, indices, norms, start, stop):
    """Sort the heaps of rows `start` to `stop` and make squared distances of their values."""
    k = values.shape[1]
    for row in range(start, stop):
        heap = values[row]
        named = indices[row]
        # heapsort of what is a heap already; ties by index, so that the order is defined
        for last in range(k - 1, 0, -1):
            value = heap[last]
            index = named[last]
            heap[last] = heap[0]
            named[last] = named[0]
            _sift(heap[:last], named[:last], value, index)
        for at in range(1, k):
            value = heap[at]
            index = named[at]
            to = at
            while to > 0 and heap[to - 1] == value and named[to - 1] > index:
                heap[to] = heap[to - 1]
                named[to] = named[to - 1]
                to -= 1
            heap[to] = value
            named[to] = index
        for at in range(k):
            heap[at] = max(np.float32(0), heap[at] + norms[row])


@compiled
def count_below(rows, thresholds, counts):
    """Count, for each threshold of a row, how many of the row's entries are smaller.

    Fifteen passes by SIMD over a row that lies in the cache take a tenth of the time that
    sorting it does.

    `rows`: (n_rows, n_columns), float32.
    `thresholds`: (n_rows, k), float32.
    `counts`: (n_rows, k), int32. Filled in place.
    """
    for i in range(rows.shape[0]):
        row = rows[i]
        for a in range(thresholds.shape[1]):
            threshold = thresholds[i, a]
            count = 0
            for j in range(rows.shape[1]):
                count += row[j] < threshold
            counts[i, a] = count
