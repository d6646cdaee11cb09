"""openTSNE's t-SNE of each layer: ``"opentsne"``."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import openTSNE
from openTSNE.affinity import PerplexityBasedNN
from openTSNE.nearest_neighbors import PrecomputedNeighbors

from layerlens.embedding.principal import generator, principal_axes, start_from_axes
from layerlens.reducers._degenerate import plain_picture

__all__ = ["OpenTSNE"]

Matrix = npt.NDArray[np.float32]


class OpenTSNE(openTSNE.TSNE):  # type: ignore[misc]
    """`openTSNE.TSNE`, under its own parameters, for clouds of any size.

    It interpolates the repulsion on a grid (FIt-SNE) where that pays, so that its time grows with
    the number of samples and no faster. The perplexity is cut to a third of the other samples;
    pictures of three and more dimensions, which it does not draw, are refused; clouds of fewer
    than five distinct points are shown by their principal axes. What was done differently is said
    in `notes_`.

    References
    ----------
    P. Poličar, M. Stražar, B. Zupan, openTSNE: A Modular Python Library for t-SNE Dimensionality
    Reduction and Embedding, Journal of Statistical Software 109(3), 2024.
    """

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
        y : None
            Not used.
        init : ndarray of shape (n_samples, n_components), optional
            Where to start from, of any scale; in place of the parameter `initialization`.
        neighbors : pair of ndarrays of shape (n_samples, k), optional
            Indices and distances of the nearest others, nearest first, in place of a search.

        Returns
        -------
        ndarray of shape (n_samples, n_components), float32
        """
        X = np.asarray(X, np.float32)
        n = len(X)
        self.notes_: list[str] = []
        self.metrics_: dict[str, float] = {}
        plain = plain_picture(X, self.n_components, "t-SNE", self.notes_)
        if plain is not None:
            return plain
        parameters: dict[str, Any] = self.get_params()
        parameters["n_jobs"] = self.n_jobs or 1  # openTSNE knows no None
        perplexity = self._perplexity_for(n)
        if perplexity < self.perplexity:
            parameters["perplexity"] = perplexity
            self.notes_.append(f"perplexity {perplexity:.3g}: {n} samples allow no more")
        if self.n_components > 2 and self.negative_gradient_method == "auto":
            parameters["negative_gradient_method"] = "bh"  # the grid knows one and two dimensions
        start = self._start(X, init)
        affinities = None
        if neighbors is not None and self.metric == "euclidean":
            k = self.n_neighbors_needed(n)
            found = PrecomputedNeighbors(
                np.asarray(neighbors[0][:, :k]), np.asarray(neighbors[1][:, :k], np.float64)
            )
            affinities = PerplexityBasedNN(
                knn_index=found, perplexity=perplexity, n_jobs=parameters["n_jobs"], verbose=False
            )
        with warnings.catch_warnings(), _quiet("openTSNE"):
            warnings.filterwarnings("ignore", module="openTSNE")
            fitted = openTSNE.TSNE(**parameters).fit(
                None if affinities is not None else X, affinities=affinities, initialization=start
            )
        self.kl_divergence_ = float(fitted.kl_divergence)
        self.metrics_ = {"kl_divergence": self.kl_divergence_}
        self.embedding_ = np.array(fitted, np.float32)
        return self.embedding_

    def n_neighbors_needed(self, n_samples: int) -> int:
        """Return how many neighbours of each sample t-SNE wants: three times the perplexity."""
        return max(1, min(n_samples - 1, int(3 * self._perplexity_for(n_samples))))

    def _perplexity_for(self, n: int) -> float:
        return min(float(self.perplexity), max(1.0, (n - 1) / 3))

    def _start(self, X: Matrix, init: Matrix | None) -> Any:
        if init is None and not (
            isinstance(self.initialization, str) and self.initialization == "pca"
        ):
            return None  # its own way
        if init is not None:
            start = start_from_axes(np.asarray(init, np.float32))
        else:
            axes = principal_axes(X, self.n_components, random_state=self._seed())
            start = start_from_axes(axes.coordinates)
        # axes that the cloud does not have must not keep t-SNE in a line
        noise = generator(self._seed()).standard_normal(start.shape)
        return np.asarray(start + 1e-6 * noise, np.float64)

    def _seed(self) -> int:
        return int(self.random_state) if isinstance(self.random_state, int | np.integer) else 0


class _quiet:  # noqa: N801 -- used as a function
    """Keep a package's log messages below errors for the length of a block."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def __enter__(self) -> None:
        self._level = self._logger.level
        self._logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)
