"""The first principal axes of a cloud, by the cheaper of two ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "PrincipalAxes",
    "common_axes",
    "generator",
    "principal_axes",
    "start_from_axes",
    "turn_up",
]

Matrix = npt.NDArray[np.float32]

# Up to this many rows or columns the covariance (or Gram) matrix is small enough to be
# decomposed whole: an eigendecomposition of 512 x 512 takes some 40 ms.
_EXACT_UP_TO = 512
_BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class PrincipalAxes:
    """Principal axes of a cloud and where its points lie along them.

    `coordinates`: (n_samples, n_components), float32. Places along the axes; columns that the cloud
    has no variance for are zero.
    `components`: (n_components, n_features), float32. The axes, orthonormal, each turned by
    `turn_up`; zero where the cloud has no more.
    `mean`: (n_features,), float32.
    `variance`: (n_components,), float64. Variance along each axis, over ``n_samples - 1``.
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


def turn_up(axes: Matrix) -> None:
    """Turn axes, in place, so that the largest entry of each is positive.

    An axis and its opposite are equally principal. This rule asks for the axis alone, so that
    it is the same for rows that are seen whole and block by block.
    """
    for axis in axes:
        if axis[np.abs(axis).argmax()] < 0:
            axis *= -1


def principal_axes(
    X: Matrix, n_components: int = 2, *, solver: str = "auto", random_state: Any = 0
) -> PrincipalAxes:
    """Find the first principal axes.

    `X`: (n_samples, n_features), float32. The cloud; not changed and not copied as a whole.
    `n_components`: how many axes.
    `solver`: {"auto", "full", "randomized"}. ``"full"`` decomposes the covariance of the features
    (or the Gram matrix of the samples, whichever is smaller) in double precision; ``"randomized"``
    is the range finder of [1]_ with ten further directions and seven power iterations; ``"auto"``
    takes the first where the smaller side has at most 512 entries.

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

    turn_up(axes)

    coordinates = np.zeros((n, n_components), np.float32)
    components = np.zeros((n_components, width), np.float32)
    components[:found] = axes
    total = 0.0
    for start in range(0, n, _BLOCK):
        centred = X[start : start + _BLOCK] - mean
        coordinates[start : start + _BLOCK, :found] = centred @ axes.T
        total += float(np.einsum("ij,ij->", centred, centred, dtype=np.float64))
    degrees = max(1, n - 1)
    variance = (coordinates.astype(np.float64) ** 2).sum(axis=0) / degrees
    return PrincipalAxes(coordinates, components, mean, variance, total / degrees)


def common_axes(
    layers: Sequence[Matrix], n_components: int = 2, *, solver: str = "auto", random_state: Any = 0
) -> Matrix:
    """Find the principal axes that several clouds of one feature space have in common.

    Those of the pooled within-group covariance ([1]_, [2]_), each cloud centred at its own mean
    and scaled to a total variance of 1, so that each has the same say.

    `layers`: each (n_samples, n_features), float32. Read one after the other: once where the
    covariance is decomposed whole, else ten times.
    `solver`: {"auto", "full", "randomized"}. As for `principal_axes`; ``"auto"`` decomposes up to
    512 features whole.
    Returned: (n_components, n_features), float32. Orthonormal, each turned by `turn_up`; zero where
    the clouds have no more.

    References
    ----------
    .. [1] W. J. Krzanowski, Principal component analysis in the presence of group structure,
       Journal of the Royal Statistical Society C 33 (1984).
    .. [2] B. N. Flury, Common principal components in k groups, JASA 79 (1984).
    """
    width = layers[0].shape[1]
    found = min(n_components, width)
    means, scales = [], []
    for X in layers:
        mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        total = sum(
            float(np.einsum("ij,ij->", part, part, dtype=np.float64)) for part in _centred(X, mean)
        )
        means.append(mean)
        scales.append(1 / total if total > 0 else 0.0)

    def pooled(basis: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        product = np.zeros((width, basis.shape[1]))
        narrow = basis.astype(np.float32)
        for X, mean, scale in zip(layers, means, scales, strict=True):
            for part in _centred(X, mean):
                product += scale * (part.T @ (part @ narrow)).astype(np.float64)
        return product

    if solver == "full" or (solver == "auto" and width <= _EXACT_UP_TO):
        covariance = np.zeros((width, width))
        for X, mean, scale in zip(layers, means, scales, strict=True):
            for part in _centred(X, mean):
                wide = part.astype(np.float64)
                covariance += scale * (wide.T @ wide)
        values, vectors = np.linalg.eigh(covariance)
    else:
        size = min(found + 10, width)
        basis = generator(random_state).standard_normal((width, size))
        for _ in range(8):
            basis = np.linalg.qr(pooled(basis))[0]
        values, turn = np.linalg.eigh(basis.T @ pooled(basis))
        vectors = basis @ turn
    axes = np.zeros((n_components, width), np.float32)
    axes[:found] = vectors[:, ::-1][:, :found].T
    axes[:found][values[::-1][:found] <= 1e-12 * max(float(values[-1]), 0.0)] = 0
    turn_up(axes)
    return axes


def _centred(X: Matrix, mean: Matrix) -> Iterator[Matrix]:
    for start in range(0, len(X), _BLOCK):
        yield X[start : start + _BLOCK] - mean


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
