"""More samples than a reducer bears: a subsample is embedded, the rest placed beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding.blocks import row_blocks
from layerlens.embedding.clouds import LayerCloud
from layerlens.embedding.foreign_neighbors import ForeignNeighbors
from layerlens.embedding.neighbors import searched_rows
from layerlens.records import LayerEmbedding

__all__ = ["measured_samples", "place_rest", "subsample", "subsampled"]

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]

N_PLACING = 5
"""Neighbours that a point is placed by."""

MEASURED = 5_000
"""Samples that stand for all where not all rows can be in memory, at most."""

_MEASURED_BYTES = 256 * 2**20
_LEAST_MEASURED = 256


def subsample(labels: Array | None, n_samples: int, size: int, random_state: int) -> Array:
    """Draw samples at random, of each class as large a share as of all.

    `labels`: (n_samples,). A class of fewer samples than one in ``n_samples / size`` keeps at least
    one.
    Returned: (size,), int64. Ascending.
    """
    shuffled = np.random.default_rng(random_state).permutation(n_samples)
    if labels is None:
        return np.sort(shuffled[:size])
    _, code, counts = np.unique(labels, return_inverse=True, return_counts=True)
    # each sample's turn in its class, over the size of the class: to take the lowest is to take
    # of each class its share; the first of a class comes before all second ones
    order = shuffled[np.argsort(code[shuffled], kind="stable")]
    turn = np.arange(n_samples) - np.repeat(np.cumsum(counts) - counts, counts)
    share = np.empty(n_samples)
    share[order] = np.where(turn == 0, -1.0, (turn + 0.5) / counts[code[order]])
    first = np.argsort(share[shuffled], kind="stable")[:size]
    return np.sort(shuffled[first])


def measured_samples(clouds: Sequence[LayerCloud], random_state: int) -> Array:
    """Draw the samples that the figures are of where not all rows can be in memory.

    Of each class its share; 5,000 of them, fewer where these rows of the widest layer would be
    more than 256 MiB.

    Returned: (n,), int64. Ascending.
    """
    widest = max(int(cloud.source.shape[1]) for cloud in clouds)
    size = min(MEASURED, max(_LEAST_MEASURED, _MEASURED_BYTES // (4 * widest)))
    run = clouds[0].run
    return subsample(run.labels, run.n_samples, min(size, run.n_samples), random_state)


@dataclass(frozen=True, slots=True, eq=False)
class _RowsOf:
    """Some rows of an array-like, read in blocks when they are asked for."""

    source: Any
    places: Array

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.places), int(self.source.shape[1])

    @property
    def pairs(self) -> Any:
        """What was measured of the layer's sketch, which some of its rows have in common."""
        return getattr(self.source, "pairs", None)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        out: Array | None = None
        for start, block in row_blocks(self.source):
            first, last = np.searchsorted(self.places, (start, start + len(block)))
            picked = block[self.places[first:last] - start]
            if out is None:
                out = np.empty(self.shape, picked.dtype)
            out[first:last] = picked
        if out is None:
            out = np.empty(self.shape, np.float32)
        return out if dtype is None else out.astype(dtype, copy=False)


def subsampled(clouds: Sequence[LayerCloud], samples: Array) -> list[LayerCloud]:
    """Return the clouds of some samples only, read from the source when they are asked for."""
    parts = []
    for cloud in clouds:
        rows = np.arange(len(cloud)) if cloud.rows is None else cloud.rows
        places = np.flatnonzero(np.isin(rows, samples))
        parts.append(
            replace(cloud, source=_RowsOf(cloud.source, places), rows=rows[places], cache={})
        )
    return parts


def place_rest(part: LayerEmbedding, cloud: LayerCloud, embedded: Matrix) -> LayerEmbedding:
    """Give every row of a cloud its place beside the rows that were embedded.

    A row lies at the mean of its five nearest embedded rows' places, weighted by the inverse of
    their distance: the start that openTSNE gives new points [1]_, without the optimisation after
    it, so that a placed point moves no other and never leaves the picture. Where the embedded
    rows have clusters, stress or spread, a placed row has those of its nearest.

    `part`: the picture of some of the rows; its `rows` say which samples they are.
    `embedded`: (n_embedded, n_features), float32. The rows of `part` in the layer.
    Returned: of all rows of the cloud; its notes say how many were embedded. The metrics are those
    of the embedded rows; native neighbours are the nearest among these.

    References
    ----------
    .. [1] P. G. Poličar, M. Stražar, B. Zupan, Embedding to reference t-SNE space addresses
       batch effects in single-cell classification, Discovery Science 2019.
    """
    assert part.rows is not None  # noqa: S101 (a picture of a subsample says of which)
    n, n_embedded = len(cloud), len(embedded)
    rows = np.arange(n) if cloud.rows is None else cloud.rows
    at = np.flatnonzero(np.isin(rows, part.rows))
    is_embedded = np.zeros(n, bool)
    is_embedded[at] = True
    k_kept = 0 if part.neighbors is None else part.neighbors.shape[1]
    k = min(max(N_PLACING, k_kept), n_embedded)
    search = ForeignNeighbors(searched_rows(embedded), k)

    coordinates = np.empty((n, part.coordinates.shape[1]), np.float32)
    nearest = np.empty(n, np.int64)
    neighbors = None if part.neighbors is None else np.empty((n, k_kept), np.int32)
    coordinates[at], nearest[at] = part.coordinates, np.arange(n_embedded)
    if neighbors is not None and part.neighbors is not None:
        # a row number of the subsample is one of the whole here
        neighbors[at] = at[part.neighbors]
    for start, values in row_blocks(cloud.source):
        to_place = np.flatnonzero(~is_embedded[start : start + len(values)])
        if len(to_place) == 0:
            continue
        block = replace(
            cloud,
            source=values[to_place],
            rows=rows[start + to_place],
            cache={},
        ).matrix()
        indices, distances = search(searched_rows(block))
        there = start + to_place
        coordinates[there] = _weighted(part.coordinates, indices, distances)
        nearest[there] = indices[:, 0]
        if neighbors is not None:
            neighbors[there] = at[indices[:, :k_kept]]

    note = (
        f"{n_embedded:,} of {n:,} samples embedded, the others placed by their "
        f"{min(N_PLACING, n_embedded)} nearest of these; the figures are of the embedded ones"
    )
    return replace(
        part,
        coordinates=coordinates,
        clusters=None if part.clusters is None else part.clusters[nearest],
        stress=None if part.stress is None else part.stress[nearest],
        spread=None if part.spread is None else part.spread[nearest],
        neighbors=neighbors,
        rows=cloud.rows,
        params={**part.params, "notes": [*part.notes, note], "n_embedded": n_embedded},
    )


def _weighted(places: Matrix, indices: Array, distances: Array) -> Array:
    """Return the means of the places of each row's nearest, by the inverse distance."""
    indices, distances = indices[:, :N_PLACING], distances[:, :N_PLACING].astype(np.float64)
    # a row that equals an embedded one lies where that one lies; no row divides by nought
    floor = np.maximum(distances[:, -1:] * 1e-6, np.finfo(np.float32).tiny)
    weights = 1 / np.maximum(distances, floor)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("nk,nkc->nc", weights, places[indices]))
