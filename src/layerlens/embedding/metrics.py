"""How far a picture can be trusted: its error bars.

All of it comes from neighbours that were found once and, above some thousand samples, from rows
drawn at random, with the standard error that this costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding._compiling import numba_runs
from layerlens.embedding.distances import DistanceRows
from layerlens.embedding.labels import label_accuracy, label_purity
from layerlens.embedding.neighbors import Neighbors, shared_neighbors

__all__ = [
    "K_LABELS",
    "K_RECALL",
    "Estimate",
    "PictureQuality",
    "continuity",
    "measure_picture",
    "neighbors_in_picture",
    "triplet_order",
    "trustworthiness",
]

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]

K_RECALL = 15
K_LABELS = 10
# Up to so many samples ranks are taken over all of them, above over a thousand drawn without
# replacement: a standard error of .0002 to .0014 in trustworthiness on LeNet's layers.
_ALL_UP_TO = 2000
_ROWS = 1000
_TRIPLETS = 10_000
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and the standard error that drawing samples for it costs (0: none were drawn)."""

    value: float
    error: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PictureQuality:
    """What measuring a picture gave.

    `stress`: (n_samples,), float32. Share of a point's native neighbours that the picture does not
    show.
    """

    metrics: dict[str, float]
    stress: Matrix | None


def measure_picture(
    X: Matrix,
    picture: Matrix,
    native: Neighbors,
    labels: Array | None = None,
    *,
    random_state: int = 0,
) -> PictureQuality:
    """Measure one picture against the cloud that it was made of.

    `X`: (n_samples, n_features), float32. The cloud, or a sketch of it.
    `picture`: (n_samples, n_components), float32.
    `native`: nearest neighbours in X, at least 15 where there are so many samples.
    `labels`: (n_samples,), integers or strings. -1 and ``""`` stand for unknown.
    Returned: ``trustworthiness``, ``continuity``, ``neighbor_recall`` (at 15 neighbours),
    ``triplet_order``, and with labels ``knn_accuracy`` and ``knn_purity`` in the picture (at 10
    neighbours); for each figure that was estimated its standard error under the name with ``_se``
    behind it. Without figures that have no meaning: none at all for a dot or for fewer than three
    samples.
    """
    n = len(X)
    if n < 3 or native.k == 0 or not has_extent(X):
        return PictureQuality({}, None)
    shown = neighbors_in_picture(picture, min(K_RECALL, n - 1))
    # neighbours that are half of all samples would be kept by any picture
    k = min(K_RECALL, native.k, (n - 1) // 2)
    shared = shared_neighbors(native.indices[:, :k], shown[:, :k])
    metrics: dict[str, float] = {}
    for name, estimate in (
        ("trustworthiness", trustworthiness(X, shown, random_state=random_state)),
        ("continuity", continuity(picture, native, random_state=random_state)),
        ("triplet_order", triplet_order(X, picture, random_state=random_state)),
    ):
        metrics[name] = estimate.value
        if estimate.error > 0:
            metrics[f"{name}_se"] = estimate.error
    metrics["neighbor_recall"] = float(shared.mean(dtype=np.float64))
    if labels is not None:
        near = shown[:, :K_LABELS]
        for name, figure in (
            ("knn_accuracy", label_accuracy(labels, near)),
            ("knn_purity", label_purity(labels, near)),
        ):
            if figure is not None:
                metrics[name] = figure
    return PictureQuality(metrics, (1 - shared).astype(np.float32))


def neighbors_in_picture(picture: Matrix, k: int) -> Indices:
    """Return the k nearest neighbours of each point of a picture, itself not among them.

    Exact. Of points at one place, which are each other's neighbours in any order, the order is
    that of the search.
    """
    from scipy.spatial import cKDTree

    n = len(picture)
    places = picture.astype(np.float64)
    found = cKDTree(places).query(places, k=k + 1)[1].reshape(n, -1)
    is_self = found == np.arange(n)[:, None]
    # where more than k others lie on the very place, the point itself may not be listed
    is_self[~is_self.any(axis=1), -1] = True
    return np.asarray(found[~is_self].reshape(n, k), np.int32)


def trustworthiness(X: Matrix, shown: Indices, *, random_state: int = 0) -> Estimate:
    """How little the picture brings together what lies apart in the native space.

    Equal to `sklearn.manifold.trustworthiness` with as many neighbours up to 2,000 samples,
    but for ties; an unbiased estimate of it above.

    `X`: (n_samples, n_features), float32. The native space.
    `shown`: (n_samples, k), int32. Nearest neighbours in the picture; k is cut to less than half of
    the samples.

    References
    ----------
    .. [1] J. Venna, S. Kaski, Neighborhood preservation in nonlinear projection methods,
       ICANN 2001, equation 1.
    """
    return _from_excess_ranks(X, shown, random_state)


def continuity(picture: Matrix, native: Neighbors, *, random_state: int = 0) -> Estimate:
    """How little the picture tears apart what lies together in the native space.

    Trustworthiness with the two spaces exchanged ([1]_, equation 2): a picture that tears is
    continuous no longer, one that folds over is not to be trusted.

    `picture`: (n_samples, n_components), float32.
    `native`: the nearest 15 are used.

    References
    ----------
    .. [1] J. Venna, S. Kaski, Neighborhood preservation in nonlinear projection methods,
       ICANN 2001.
    """
    return _from_excess_ranks(picture, native.indices[:, :K_RECALL], random_state)


def triplet_order(X: Matrix, picture: Matrix, *, random_state: int = 0) -> Estimate:
    """How often the picture has the nearer of two samples nearer, over random triplets.

    What neighbour measures do not see: whether the picture is right on the whole. One half for
    a picture that has nothing to do with the cloud.

    `X`: (n_samples, n_features), float32.
    `picture`: (n_samples, n_components), float32.

    References
    ----------
    .. [1] Y. Wang et al., Understanding how dimension reduction tools work, JMLR 22 (2021):
       random triplet accuracy.
    """
    n = len(X)
    draw = np.random.default_rng(random_state)
    # three different samples: two steps around the ring that do not add up to a whole turn
    one = draw.integers(0, n, _TRIPLETS)
    near = draw.integers(1, n, _TRIPLETS)
    far = draw.integers(1, n, _TRIPLETS)
    different = near != far
    one, near, far = one[different], near[different], far[different]
    in_native = _nearer(X, one, (one + near) % n, (one + far) % n)
    in_picture = _nearer(picture, one, (one + near) % n, (one + far) % n)
    decided = in_native != 0
    if not decided.any():
        return Estimate(float("nan"))
    right = float((in_native == in_picture)[decided].mean())
    return Estimate(right, float(np.sqrt(right * (1 - right) / decided.sum())))


def has_extent(X: Matrix) -> bool:
    """Whether not all samples are the same point."""
    return bool((X.max(axis=0) > X.min(axis=0)).any())


def _nearer(space: Matrix, one: Array, a: Array, b: Array) -> Array:
    """Return -1 where a is nearer to one than b, 1 where b is, 0 where neither."""
    difference = np.empty(len(one))
    for start in range(0, len(one), _BLOCK):
        part = slice(start, start + _BLOCK)
        to_a = space[one[part]] - space[a[part]]
        to_b = space[one[part]] - space[b[part]]
        squared_a = np.einsum("ij,ij->i", to_a, to_a, dtype=np.float64)
        squared_b = np.einsum("ij,ij->i", to_b, to_b, dtype=np.float64)
        difference[part] = squared_a - squared_b
    return np.sign(difference)


def _from_excess_ranks(space: Matrix, neighbors: Indices, random_state: int) -> Estimate:
    """Penalise neighbours by how far their rank in `space` lies behind k."""
    n = len(space)
    k = min(neighbors.shape[1], (n - 1) // 2)
    if k < 1:
        return Estimate(1.0)
    rows = np.arange(n)
    if n > _ALL_UP_TO:
        rows = np.sort(np.random.default_rng(random_state).choice(n, _ROWS, replace=False))
    from_rows = DistanceRows(space)
    excess = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        squared = from_rows.of(some)
        # the point itself comes first in its row, so that counts of smaller ones are ranks from 1
        ranks = _count_below(squared, np.take_along_axis(squared, neighbors[some, :k], axis=1))
        excess[start : start + _BLOCK] = np.maximum(0, ranks - k).sum(axis=1)
    penalty = excess * (2.0 / (k * (2.0 * n - 3.0 * k - 1.0)))
    error = 0.0
    if len(rows) < n:
        error = float(penalty.std(ddof=1) * np.sqrt((1 - len(rows) / n) / len(rows)))
    return Estimate(1.0 - float(penalty.mean()), error)


def _count_below(rows: Matrix, thresholds: Matrix) -> Array:
    if rows.shape[1] > _ALL_UP_TO and numba_runs():
        from layerlens.embedding._neighbor_kernels import count_below

        # fastmath knows no infinity: a row's own entry
        np.maximum(rows, -1, out=rows)
        counts = np.empty(thresholds.shape, np.int32)
        count_below(rows, thresholds, counts)
        return counts
    ordered = np.sort(rows, axis=1)
    return np.stack(
        [np.searchsorted(row, wanted) for row, wanted in zip(ordered, thresholds, strict=True)]
    )
