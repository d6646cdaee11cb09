"""The first principal axes of a cloud, by the cheaper of two ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PrincipalAxes", "generator", "principal_axes", "start_from_axes"]

Matrix = npt.NDArray[np.float32]

# Up to this many rows or columns the covariance (or Gram) matrix is small enough to be
# decomposed whole: an eigendecomposition of 512 x 512 takes some 40 ms.
_EXACT_UP_TO = 512
_BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class PrincipalAxes:
    """Principal axes of a cloud and where its points lie along them.

    Parameters
    ----------
    coordinates : ndarray of shape (n_samples, n_components), float32
        Places along the axes; columns that the cloud has no variance for are zero.
    components : ndarray of shape (n_components, n_features), float32
        The axes, orthonormal; zero where the cloud has no more.
    mean : ndarray of shape (n_features,), float32
    variance : ndarray of shape (n_components,), float64
        Variance along each axis, over ``n_samples - 1``.
    total_variance : float
        Variance of the whole cloud.
    """

    coordinates: Matrix
    components: Matrix
    mean: Matrix
    variance: npt.NDArray[np.float64]
    total_variance: float


def generator(random_state: Any) -> np.random.Generator:
    """Make a NumPy generator from what scikit-learn calls ``random_state``."""
    if isinstance(random_state, np.random.RandomState):
        random_state = int(random_state.randint(2**31 - 1))
    return np.random.default_rng(random_state)


def principal_axes(
    X: Matrix, n_components: int = 2, *, solver: str = "auto", random_state: Any = 0
) -> PrincipalAxes:
    """Find the first principal axes.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32
        The cloud; not changed and not copied as a whole.
    n_components : int
        How many axes.
    solver : {"auto", "full", "randomized"}
        ``"full"`` decomposes the covariance of the features (or the Gram matrix of the
        samples, whichever is smaller) in double precision; ``"randomized"`` is the range
        finder of [1]_ with ten further directions and seven power iterations; ``"auto"`` takes
        the first where the smaller side has at most 512 entries.
    random_state : int or None
        Seed of the randomised solver.

    Returns
    -------
    PrincipalAxes
        The sign of an axis is such that the point farthest along it lies on the positive side.

    References
    ----------
    .. [1] N. Halko, P. G. Martinsson, J. A. Tropp, Finding structure with randomness,
       SIAM Review 53 (2011), algorithm 4.4.
    """
    n, width = X.shape
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    found = min(n_components, n, width)
    exact = solver == "full" or (solver == "auto" and min(n, width) <= _EXACT_UP_TO)
    if exact and width <= n:
        axes = _axes_from_covariance(X, mean, found)
    elif exact:
        axes = _axes_from_gram(X, mean, found)
    else:
        axes = _axes_from_range(X, mean, found, generator(random_state))

    coordinates = np.zeros((n, n_components), np.float32)
    components = np.zeros((n_components, width), np.float32)
    components[:found] = axes
    total = 0.0
    for start in range(0, n, _BLOCK):
        centred = X[start : start + _BLOCK] - mean
        coordinates[start : start + _BLOCK, :found] = centred @ axes.T
        total += float(np.einsum("ij,ij->", centred, centred, dtype=np.float64))
    for c in range(found):
        if coordinates[np.abs(coordinates[:, c]).argmax(), c] < 0:
            coordinates[:, c] *= -1
            components[c] *= -1
    degrees = max(1, n - 1)
    variance = (coordinates.astype(np.float64) ** 2).sum(axis=0) / degrees
    return PrincipalAxes(coordinates, components, mean, variance, total / degrees)


def start_from_axes(axes: Matrix, scale: float = 1e-4) -> Matrix:
    """Scale coordinates to a small start for t-SNE, the first axis at standard deviation `scale`.

    The start of Kobak and Berens (2019), as in scikit-learn and openTSNE.
    """
    centred = axes - axes.mean(axis=0)
    spread = float(centred[:, 0].std())
    if spread > 0:
        centred = centred * np.float32(scale / spread)
    return np.asarray(centred, np.float32)


def _axes_from_covariance(X: Matrix, mean: Matrix, found: int) -> Matrix:
    covariance = np.zeros((X.shape[1], X.shape[1]))
    for start in range(0, len(X), _BLOCK):
        centred = (X[start : start + _BLOCK] - mean).astype(np.float64)
        covariance += centred.T @ centred
    vectors = np.linalg.eigh(covariance)[1]
    return vectors[:, ::-1][:, :found].T.astype(np.float32)


def _axes_from_gram(X: Matrix, mean: Matrix, found: int) -> Matrix:
    n = len(X)
    gram = np.zeros((n, n))
    for start in range(0, X.shape[1], _BLOCK):
        centred = (X[:, start : start + _BLOCK] - mean[start : start + _BLOCK]).astype(np.float64)
        gram += centred @ centred.T
    vectors = np.linalg.eigh(gram)[1][:, ::-1][:, :found].astype(np.float32)
    return _orthonormal_rows(vectors.T @ X - np.outer(vectors.sum(axis=0), mean))


def _axes_from_range(X: Matrix, mean: Matrix, found: int, generator: np.random.Generator) -> Matrix:
    width = X.shape[1]
    size = min(found + 10, *X.shape)
    basis = generator.standard_normal((width, size)).astype(np.float32)
    for _ in range(8):
        left = np.linalg.qr(X @ basis - mean @ basis)[0]
        # transposed twice so that the wide matrix is read along its rows
        basis = np.linalg.qr((left.T @ X - np.outer(left.sum(axis=0), mean)).T)[0]
    projected = X @ basis - mean @ basis
    turn = np.linalg.svd(projected.astype(np.float64), full_matrices=False)[2]
    return (turn[:found].astype(np.float32)) @ basis.T


def _orthonormal_rows(rows: Matrix) -> Matrix:
    """Scale rows that are orthogonal already; rows of no length stay zero."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    floor = 1e-6 * max(float(length.max(initial=0.0)), 1e-30)
    return np.where(length > floor, rows / np.maximum(length, floor), 0).astype(np.float32)
