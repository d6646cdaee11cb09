"""UMAP of each layer: ``"umap"``."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from layerlens.embedding.labels import label_targets
from layerlens.errors import ArgumentError
from layerlens.reducers._degenerate import plain_picture

with warnings.catch_warnings():
    # its remark on TensorFlow is fatal where warnings are errors
    warnings.simplefilter("ignore", ImportWarning)
    import umap

__all__ = ["UMAP", "umap"]

Matrix = npt.NDArray[np.float32]

# Epochs that suffice from the picture of the layer before; from the spectral start umap-learn
# takes 500 up to 10,000 samples and 200 above.
_WARM_EPOCHS = 200


class UMAP(umap.UMAP):  # type: ignore[misc]
    """`umap.UMAP`, under its own parameters, for clouds of any size.

    `n_neighbors` is cut to the number of samples; clouds of fewer than five distinct points are
    shown by their principal axes; a start of random places replaces the spectral one where the
    cloud has too few points for it. Each is said in `notes_`. Told labels, it is umap-learn's
    supervised UMAP [1]_, in which classes draw together, by `target_metric` and `target_weight`;
    `layerlens.reduce` tells it them with ``supervised=True`` alone. With a seed UMAP runs in one
    thread, so that the same seed gives the same picture.

    References
    ----------
    .. [1] L. McInnes, J. Healy, J. Melville, UMAP: uniform manifold approximation and projection
       for dimension reduction, arXiv 1802.03426 (2018), section 6 on labels as a further metric
       space.
    """

    uses_labels: ClassVar[bool] = True
    n_samples_limit: ClassVar[int] = 200_000

    def fit_transform(
        self,
        X: Matrix,
        y: Any = None,
        *,
        init: Matrix | None = None,
        neighbors: tuple[npt.NDArray[np.int32], Matrix] | None = None,
    ) -> Matrix:
        """Embed X, of shape (n_samples, n_features).

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), float32
        y : array-like of shape (n_samples,), optional
            Labels: classes, -1 or ``""`` where they are not known; numbers with a `target_metric`
            such as ``"l2"``. Not used for clouds that are shown by their principal axes.
        init : ndarray of shape (n_samples, n_components), optional
            Where to start from, in place of the parameter `init`; 200 epochs follow, unless
            `n_epochs` is given.
        neighbors : pair of ndarrays of shape (n_samples, k), optional
            Indices and distances of the nearest others, nearest first, in place of a search.

        Returns
        -------
        ndarray of shape (n_samples, n_components), float32

        Raises
        ------
        ArgumentError
            If labels are floating point and `target_metric` is for classes.
        """
        targets = None if y is None else label_targets(np.asarray(y))
        if (
            targets is not None
            and targets.dtype.kind == "f"
            and self.target_metric == "categorical"
        ):
            raise ArgumentError(
                "the labels are numbers and no classes: pass target_metric='l2', or classes as "
                "integers or strings"
            )
        X = np.asarray(X, np.float32)
        self.notes_: list[str] = []
        plain = plain_picture(X, self.n_components, "UMAP", self.notes_)
        if plain is not None:
            self.embedding_ = plain
            return plain
        inner = umap.UMAP(**self._parameters_for(X, init, neighbors))
        with warnings.catch_warnings():
            # said in notes_ where it matters to the reader
            warnings.filterwarnings("ignore", category=UserWarning, module="umap")
            warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
            warnings.filterwarnings("ignore", category=FutureWarning, module="sklearn")
            coordinates = np.asarray(inner.fit_transform(X, targets), np.float32)
        lost = ~np.isfinite(coordinates).all(axis=1)
        if lost.any():
            # umap-learn leaves points out that have no neighbour within its cut
            coordinates[lost] = coordinates[~lost].mean(axis=0) if (~lost).any() else 0
            self.notes_.append(f"{int(lost.sum())} samples without neighbours lie in the middle")
        self.embedding_ = coordinates
        self.graph_ = inner.graph_
        return coordinates

    def n_neighbors_needed(self, n_samples: int) -> int:
        """Return how many neighbours of each sample UMAP wants, itself not counted."""
        return max(1, min(int(self.n_neighbors), n_samples) - 1)

    def _parameters_for(
        self,
        X: Matrix,
        init: Matrix | None,
        neighbors: tuple[npt.NDArray[np.int32], Matrix] | None,
    ) -> dict[str, Any]:
        n = len(X)
        parameters: dict[str, Any] = self.get_params()
        if self.n_neighbors > n - 1:
            parameters["n_neighbors"] = max(2, n - 1)
            self.notes_.append(f"n_neighbors {parameters['n_neighbors']}: {n} samples")
        if self.random_state is not None:
            parameters["n_jobs"] = 1
        if init is not None:
            parameters["init"] = np.asarray(init, np.float32)
            if self.n_epochs is None:
                parameters["n_epochs"] = _WARM_EPOCHS
        elif isinstance(self.init, str) and self.init == "spectral" and n <= 4 + self.n_components:
            parameters["init"] = "random"
            self.notes_.append(f"random start: {n} samples are too few for a spectral one")
        if neighbors is not None and self.metric == "euclidean":
            k = parameters["n_neighbors"] - 1
            own = np.arange(n, dtype=np.int32)[:, None]
            indices = np.hstack([own, neighbors[0][:, :k]])
            distances = np.hstack([np.zeros((n, 1), np.float32), neighbors[1][:, :k]])
            parameters["precomputed_knn"] = (indices, distances)
            # else umap-learn ignores them below 4,096 samples
            parameters["force_approximation_algorithm"] = True
        return parameters
