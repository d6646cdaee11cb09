"""Principal components of each layer: ``"pca"``."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from layerlens.embedding.principal import principal_axes
from layerlens.errors import ArgumentError

__all__ = ["PCA"]

Matrix = npt.NDArray[np.float32]


class PCA(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Principal component analysis of whole layers, without a copy of them in double precision.

    Each layer has axes of its own; `layerlens.reduce` lays the pictures on each other afterwards.

    Parameters
    ----------
    n_components : int
        Dimensions of the picture. Where the cloud has fewer, the rest are zero, with a note.
    solver : {"auto", "full", "randomized"}
        ``"full"`` decomposes the covariance or Gram matrix in double precision,
        ``"randomized"`` uses a randomised range finder with seven power iterations, and
        ``"auto"`` takes the first where samples or features are at most 512.
    random_state : int, RandomState or None
        Seed of the randomised solver.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features), float32
        Unit axes; the farthest point along each lies on its positive side.
    mean_ : ndarray of shape (n_features,), float32
    explained_variance_ : ndarray of shape (n_components,), float64
    explained_variance_ratio_ : ndarray of shape (n_components,), float64
    metrics_ : dict
        ``explained_variance``: the share that the picture shows.
    notes_ : list of str
    """

    uses_labels: ClassVar[bool] = False

    def __init__(
        self, n_components: int = 2, *, solver: str = "auto", random_state: Any = 0
    ) -> None:
        self.n_components = n_components
        self.solver = solver
        self.random_state = random_state

    def fit(self, X: Matrix, y: Any = None) -> PCA:
        """Find the axes of X, of shape (n_samples, n_features)."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Matrix, y: Any = None) -> Matrix:
        """Find the axes of X, of shape (n_samples, n_features), and return its coordinates.

        Raises
        ------
        ArgumentError
            If `solver` is not one of the three.
        """
        if self.solver not in ("auto", "full", "randomized"):
            raise ArgumentError(f"solver is 'auto', 'full' or 'randomized', got {self.solver!r}")
        X = np.asarray(X, np.float32)
        axes = principal_axes(
            X, self.n_components, solver=self.solver, random_state=self.random_state
        )
        self.components_ = axes.components
        self.mean_ = axes.mean
        self.n_features_in_ = X.shape[1]
        self.explained_variance_ = axes.variance
        total = axes.total_variance
        self.explained_variance_ratio_ = axes.variance / total if total > 0 else axes.variance * 0
        self.metrics_ = {"explained_variance": float(self.explained_variance_ratio_.sum())}
        self.notes_: list[str] = []
        if total == 0:
            self.notes_.append("all samples are the same point")
        elif min(X.shape) < self.n_components:
            self.notes_.append(
                f"only {min(X.shape)} of {self.n_components} axes: the others are zero"
            )
        return axes.coordinates

    def transform(self, X: Matrix) -> Matrix:
        """Return the coordinates of X, of shape (n_samples, n_features)."""
        centred = np.asarray(X, np.float32) - self.mean_
        return np.asarray(centred @ self.components_.T, np.float32)
