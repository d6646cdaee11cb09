"""Clusters of each layer: ``"kmeans"``."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.exceptions import ConvergenceWarning

from layerlens.embedding.principal import principal_axes
from layerlens.reducers._degenerate import distinct_points

__all__ = ["KMeans"]

Matrix = npt.NDArray[np.float32]


class KMeans(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """scikit-learn's k-means, with a picture of the clusters.

    The point of k-means is `labels_`, which become the clusters of the picture. Its distances to
    the centroids are no picture, so the coordinates are the places of the points in the plane
    of the first principal components **of the centroids**: the plane that shows the clusters
    apart as far as a plane can. Points within a cluster lie where they happen to project to.

    Parameters
    ----------
    n_components : int
        Dimensions of the picture.
    n_clusters : int
        Cut to the number of distinct points, with a note.
    init, n_init, max_iter, tol, verbose, random_state, copy_x, algorithm
        As in `sklearn.cluster.KMeans`.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,), int32
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
    inertia_ : float
    metrics_ : dict
        ``inertia``: the sum of squared distances to the nearest centroid, over that to the mean.
    notes_ : list of str
    """

    uses_labels: ClassVar[bool] = False
    _learning: Any = None
    _plane: Any = None

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_clusters: int = 8,
        init: Any = "k-means++",
        n_init: Any = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: Any = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
    ) -> None:
        self.n_components = n_components
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm

    def fit(self, X: Matrix, y: Any = None) -> KMeans:
        """Find the clusters of X, of shape (n_samples, n_features)."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Matrix, y: Any = None) -> Matrix:
        """Find the clusters of X, of shape (n_samples, n_features), and return its picture."""
        X = np.asarray(X, np.float32)
        self._learning = None
        self.notes_: list[str] = []
        fitted = self._fitted(X)
        n_clusters = len(fitted.cluster_centers_)
        found = len(np.unique(fitted.labels_))
        if found < n_clusters:
            self.notes_.append(f"{found} of {n_clusters} clusters have points")
        self.labels_ = fitted.labels_
        self.cluster_centers_ = fitted.cluster_centers_
        self.inertia_ = float(fitted.inertia_)
        self.n_iter_ = fitted.n_iter_
        self.n_features_in_ = X.shape[1]
        whole = float(((X - X.mean(axis=0)) ** 2).sum(dtype=np.float64))
        self.metrics_ = {"inertia": self.inertia_ / whole if whole > 0 else 0.0}

        self._look_at_centres()
        return self.transform(X)

    def _fitted(self, X: Matrix) -> Any:
        """Return scikit-learn's k-means of X, with no more clusters than distinct points."""
        import sklearn.cluster

        n_clusters = min(self.n_clusters, distinct_points(X, self.n_clusters))
        if n_clusters < self.n_clusters:
            self.notes_.append(f"{n_clusters} clusters: there are no more distinct points")
        parameters = self.get_params()
        del parameters["n_components"]
        with warnings.catch_warnings():
            # points that differ by less than float32 can tell; said in notes_
            warnings.simplefilter("ignore", ConvergenceWarning)
            return sklearn.cluster.KMeans(**{**parameters, "n_clusters": n_clusters}).fit(X)

    def _look_at_centres(self) -> None:
        """Find the plane of the centroids."""
        centres = np.asarray(self.cluster_centers_, np.float32)
        self._plane = principal_axes(centres, self.n_components)
        shown = int((self._plane.variance > 0).sum())
        if shown < self.n_components:
            self.notes_.append(
                f"{len(centres)} centroids span {shown} of {self.n_components} axes: "
                f"the others are zero"
            )

    def partial_fit(self, X: Matrix, y: Any = None) -> KMeans:
        """Learn from some rows, of shape (n_rows, n_features), that are not kept.

        The first rows are clustered as `fit_transform` does it; what comes after moves the
        centroids as mini-batches do ([1]_, scikit-learn's `MiniBatchKMeans`). `labels_` are those
        of the last rows: ask `predict`. Fitting whole forgets all of it.

        References
        ----------
        .. [1] D. Sculley, Web-scale k-means clustering, WWW 2010.
        """
        import sklearn.cluster

        X = np.asarray(X, np.float32)
        if self._learning is None:
            self.notes_ = []
            first = self._fitted(X)
            self._learning = sklearn.cluster.MiniBatchKMeans(
                len(first.cluster_centers_),
                init=first.cluster_centers_,
                n_init=1,
                random_state=self.random_state,
            )
        # a copy: it may write into what it gets
        self._learning.partial_fit(X.copy())
        self.cluster_centers_ = self._learning.cluster_centers_
        self.labels_ = self._learning.labels_
        self.n_features_in_ = X.shape[1]
        self.metrics_ = {}
        self._plane = None
        return self

    def predict(self, X: Matrix) -> npt.NDArray[np.int32]:
        """Return the cluster of each row of X, of shape (n_samples, n_features)."""
        from sklearn.metrics import pairwise_distances_argmin

        nearest = pairwise_distances_argmin(np.asarray(X, np.float32), self.cluster_centers_)
        return np.asarray(nearest, np.int32)

    def transform(self, X: Matrix) -> Matrix:
        """Return the places of X, of shape (n_samples, n_features), in the centroids' plane."""
        if self._plane is None:
            self._look_at_centres()
        axes: Any = self._plane
        return np.asarray((np.asarray(X, np.float32) - axes.mean) @ axes.components.T, np.float32)
