"""How far a picture can be trusted, and what a layer knows of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding.distances import DistanceRows
from layerlens.embedding.neighbors import Neighbors, shared_neighbors

__all__ = [
    "K_LABELS",
    "K_RECALL",
    "PictureQuality",
    "label_accuracy",
    "measure",
    "neighbors_in_picture",
    "trustworthiness",
]

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]

K_RECALL = 15
K_LABELS = 10
# Trustworthiness needs whole rows of distances in the native space; above this many samples it
# is taken over as many of them, drawn without replacement. Its standard error is then
# about .0005 (measured on LeNet's layers at 5,000 digits).
_ROWS_AT_MOST = 2000
_BLOCK = 512


@dataclass(frozen=True, slots=True, eq=False)
class PictureQuality:
    """What measuring a picture gave.

    Parameters
    ----------
    metrics : dict of str to float
    stress : ndarray of shape (n_samples,), float32, or None
        Share of a point's native neighbours that the picture does not show.
    """

    metrics: dict[str, float]
    stress: Matrix | None


def measure(
    X: Matrix,
    picture: Matrix,
    native: Neighbors,
    labels: Array | None = None,
    *,
    random_state: int = 0,
) -> PictureQuality:
    """Measure one picture against the cloud that it was made of.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
        The cloud.
    picture : ndarray of shape (n_samples, n_components), float32
    native : Neighbors
        Nearest neighbours in X, at least 15 where there are so many samples.
    labels : ndarray of shape (n_samples,), integers or strings, or None
        -1 and ``""`` stand for unknown.
    random_state : int
        Draws the rows that stand for all above 2,000 samples.

    Returns
    -------
    PictureQuality
        Without figures that the cloud has no meaning for: none at all for a dot or for fewer
        than three samples.
    """
    n = len(X)
    if n < 3 or native.k == 0 or not _has_extent(X):
        return PictureQuality({}, None)
    shown = neighbors_in_picture(picture, min(K_RECALL, n - 1))
    # neighbours that are half of all samples would be kept by any picture
    k = min(K_RECALL, native.k, (n - 1) // 2)
    shared = shared_neighbors(native.indices[:, :k], shown[:, :k])
    metrics = {
        "trustworthiness": trustworthiness(X, shown, random_state=random_state)[0],
        "neighbor_recall": float(shared.mean()),
    }
    if labels is not None:
        for name, neighbors in (("knn_accuracy", shown), ("knn_accuracy_native", native.indices)):
            accuracy = label_accuracy(labels, neighbors[:, : min(K_LABELS, n - 1)])
            if accuracy is not None:
                metrics[name] = accuracy
    return PictureQuality(metrics, (1 - shared).astype(np.float32))


def neighbors_in_picture(picture: Matrix, k: int) -> npt.NDArray[np.int32]:
    """Return the k nearest neighbours of each point of a picture, itself not among them.

    Exact. Of points at one place, which are each other's neighbours in any order, the order is
    that of the samples.
    """
    from scipy.spatial import cKDTree

    n = len(picture)
    own = np.arange(n)[:, None]
    found = cKDTree(picture.astype(np.float64)).query(picture.astype(np.float64), k=k + 1)[1]
    found = found.reshape(n, -1)
    is_self = found == own
    # where more than k others lie on the very place, the point itself may not be listed
    is_self[~is_self.any(axis=1), -1] = True
    return np.asarray(found[~is_self].reshape(n, k), np.int32)


def trustworthiness(
    X: Matrix, shown: npt.NDArray[np.int32], *, random_state: int = 0
) -> tuple[float, float]:
    """How little the picture brings together what lies apart in the native space.

    Equal to `sklearn.manifold.trustworthiness` with as many neighbours up to 2,000 samples,
    but for ties; an unbiased estimate of it above.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
        The native space.
    shown : ndarray of shape (n_samples, k), integers
        Nearest neighbours in the picture; k is cut to less than half of the samples.
    random_state : int

    Returns
    -------
    value : float
        1 where all neighbours in the picture are native neighbours.
    standard_error : float
        0 where it was taken over all samples.

    References
    ----------
    .. [1] J. Venna, S. Kaski, Neighborhood preservation in nonlinear projection methods,
       ICANN 2001, equation 1.
    """
    n = len(X)
    k = min(shown.shape[1], (n - 1) // 2)
    if k < 1:
        return 1.0, 0.0
    rows = np.arange(n)
    if n > _ROWS_AT_MOST:
        rows = np.sort(np.random.default_rng(random_state).choice(n, _ROWS_AT_MOST, replace=False))
    from_rows = DistanceRows(X)
    excess = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        squared = from_rows.of(some)
        of_shown = np.take_along_axis(squared, shown[some, :k], axis=1)
        squared.sort(axis=1)
        for i in range(len(some)):
            # the point itself is the first of its row, so places are ranks from 1
            rank = np.searchsorted(squared[i], of_shown[i])
            excess[start + i] = np.maximum(0, rank - k).sum()
    penalty = excess * (2.0 / (k * (2.0 * n - 3.0 * k - 1.0)))
    error = 0.0
    if len(rows) < n:
        error = float(penalty.std(ddof=1) * np.sqrt((1 - len(rows) / n) / len(rows)))
    return 1.0 - float(penalty.mean()), error


def label_accuracy(labels: Array, neighbors: npt.NDArray[np.int32]) -> float | None:
    """How often most neighbours of a sample have its label, each sample left out in turn.

    Of classes with as many votes the first in order wins, as in scikit-learn. Samples whose
    label is not known are neither asked nor vote.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,), integers, bools or strings
    neighbors : ndarray of shape (n_samples, k), integers

    Returns
    -------
    float or None
        None where labels are not classes (floats), or there are fewer than two classes.
    """
    if labels.dtype.kind not in "iubUS":
        return None
    unknown = labels == -1 if labels.dtype.kind == "i" else np.zeros(len(labels), bool)
    if labels.dtype.kind in "US":
        unknown = np.char.str_len(labels) == 0
    classes, codes = np.unique(labels, return_inverse=True)
    if len(np.unique(labels[~unknown])) < 2:
        return None
    correct = total = 0
    for start in range(0, len(labels), 4096):
        some = np.flatnonzero(~unknown[start : start + 4096]) + start
        near = neighbors[some]
        votes = np.zeros((len(some), len(classes)), np.int32)
        line = np.broadcast_to(np.arange(len(some))[:, None], near.shape)
        np.add.at(votes, (line, codes[near]), ~unknown[near])
        correct += int((votes.argmax(axis=1) == codes[some]).sum())
        total += len(some)
    return correct / total


def _has_extent(X: Matrix) -> bool:
    """Whether not all samples are the same point."""
    return bool((X.max(axis=0) > X.min(axis=0)).any())
