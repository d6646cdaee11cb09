"""PaCMAP of each layer: ``"pacmap"``."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import pacmap
import sklearn.base

from layerlens.reducers._degenerate import plain_picture

__all__ = ["PaCMAP"]

Matrix = npt.NDArray[np.float32]

# with fewer there are no samples left for its "further" pairs
_AT_LEAST = 12


class PaCMAP(sklearn.base.BaseEstimator):  # type: ignore[misc]
    """`pacmap.PaCMAP`, under its own parameters, for clouds of any size.

    It draws near, mid-near and further pairs in turn, and keeps the arrangement of clusters better
    than t-SNE at some cost in the neighbourhoods. Neighbours are cut to what the cloud allows;
    clouds of fewer than twelve distinct points are shown by their principal axes. Each is said in
    `notes_`.

    Parameters
    ----------
    n_components : int
    n_neighbors : int
        Near pairs of each sample.
    MN_ratio : float
        Mid-near pairs, as a multiple of `n_neighbors`.
    FP_ratio : float
        Further pairs, as a multiple of `n_neighbors`.
    distance : str
        ``"euclidean"``, ``"manhattan"``, ``"angular"`` or ``"hamming"``.
    lr : float
        Learning rate of its Adam optimizer.
    num_iters : tuple of three int, or int
        Iterations of each phase.
    apply_pca : bool
        Whether clouds wider than 100 are reduced to 100 dimensions first.
    random_state : int or None
        Seed; with one, its searches run in one thread.

    References
    ----------
    Y. Wang, H. Huang, C. Rudin, Y. Shaposhnik, Understanding How Dimension Reduction Tools Work,
    JMLR 22(201), 2021.
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_neighbors: int = 10,
        MN_ratio: float = 0.5,
        FP_ratio: float = 2.0,
        distance: str = "euclidean",
        lr: float = 1.0,
        num_iters: Any = (100, 100, 250),
        apply_pca: bool = True,
        random_state: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.MN_ratio = MN_ratio
        self.FP_ratio = FP_ratio
        self.distance = distance
        self.lr = lr
        self.num_iters = num_iters
        self.apply_pca = apply_pca
        self.random_state = random_state

    def fit_transform(self, X: Matrix, y: Any = None, *, init: Matrix | None = None) -> Matrix:
        """Embed X, of shape (n_samples, n_features).

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), float32
        y : None
            Not used.
        init : ndarray of shape (n_samples, n_components), optional
            Where to start from, of any scale; PaCMAP shrinks it to a spread of 1e-4.

        Returns
        -------
        ndarray of shape (n_samples, n_components), float32
        """
        # a copy: PaCMAP normalises in place
        X = np.array(X, np.float32, order="C")
        self.notes_: list[str] = []
        plain = plain_picture(X, self.n_components, "PaCMAP", self.notes_, _AT_LEAST)
        if plain is not None:
            return plain
        parameters = self.get_params()
        # near, mid-near and further pairs of one sample are all different samples
        most = max(1, int((len(X) - 2) / (1 + self.MN_ratio + self.FP_ratio)))
        if self.n_neighbors > most:
            parameters["n_neighbors"] = most
            self.notes_.append(f"n_neighbors {most}: {len(X)} samples allow no more")
        if self.random_state is not None:
            parameters["random_state"] = int(self.random_state)
        if X.shape[1] < self.n_components:
            # its preparation is a PCA, which wants as many features as the picture has axes
            X = np.pad(X, ((0, 0), (0, self.n_components - X.shape[1])))
            rng = np.random.default_rng(self.random_state)
            noise = rng.standard_normal((len(X), self.n_components)).astype(np.float32)
            init = noise if init is None else init
            self.notes_.append("random start: the cloud has fewer axes than the picture")
        start = None if init is None else np.array(init, np.float32)
        logger, threads = logging.getLogger("pacmap"), faiss.omp_get_max_threads()
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="pacmap")
                warnings.filterwarnings("ignore", module="sklearn")
                fitted = pacmap.PaCMAP(**parameters).fit(
                    X, init="pca" if start is None else start, save_pairs=False
                )
        finally:
            logger.setLevel(level)
            faiss.omp_set_num_threads(threads)  # with a seed PaCMAP leaves it at one
        self.embedding_ = np.array(fitted.embedding_, np.float32)
        return self.embedding_
