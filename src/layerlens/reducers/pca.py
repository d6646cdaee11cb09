"""Principal components of each layer: ``"pca"``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.metaestimators import available_if

from layerlens.embedding.principal import common_axes, principal_axes
from layerlens.embedding.principal_blocks import EXACT_WIDTH, AxesFromBlocks
from layerlens.errors import ArgumentError, ShapeError

__all__ = ["PCA"]

Matrix = npt.NDArray[np.float32]


class PCA(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Principal component analysis of whole layers, without a copy of them in double precision.

    Parameters
    ----------
    n_components : int
        Dimensions of the picture. Where the cloud has fewer, the rest are zero, with a note.
    basis : {"layer", "common"}
        ``"layer"``: each layer has axes of its own, the best for it, and `layerlens.reduce` lays
        the pictures on each other afterwards. ``"common"``: all layers are seen along the same
        axes of one feature space, those of the pooled within-layer covariance ([1]_, [2]_), and
        stay where that puts them: for layers that write into one space, such as the blocks of a
        residual network or the residual stream of a transformer. Only layers of one width have
        one feature space, and sketches have none in common.
    solver : {"auto", "full", "randomized"}
        ``"full"`` decomposes the covariance or Gram matrix in double precision,
        ``"randomized"`` uses a randomised range finder with seven power iterations, and
        ``"auto"`` takes the first where samples or features are at most 512.
    random_state : int, RandomState or None
        Seed of the randomised solver.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features), float32
        Unit axes; the largest entry of each is positive.
    mean_ : ndarray of shape (n_features,), float32
    explained_variance_ : ndarray of shape (n_components,), float64
    explained_variance_ratio_ : ndarray of shape (n_components,), float64
    metrics_ : dict
        ``explained_variance``: the share that the picture shows.
    notes_ : list of str

    Notes
    -----
    Layers of different widths can be put into one picture by multiple factor analysis, and that
    was not taken: it sees each layer through what all have in common. Measured on scikit-learn's
    digits, an unrelated layer of 20,000 random values then seemed to agree with the digits
    (motion .35, where .13 is between the digits and a layer of them, and 1.24 between unrelated
    pictures).

    References
    ----------
    .. [1] W. J. Krzanowski, Principal component analysis in the presence of group structure,
       Journal of the Royal Statistical Society C 33 (1984).
    .. [2] B. N. Flury, Common principal components in k groups, JASA 79 (1984).
    """

    uses_labels: ClassVar[bool] = False

    _learning: AxesFromBlocks | None = None
    _unread: AxesFromBlocks | None = None

    def __init__(
        self,
        n_components: int = 2,
        *,
        basis: str = "layer",
        solver: str = "auto",
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.basis = basis
        self.solver = solver
        self.random_state = random_state

    @property
    def one_frame(self) -> bool:
        """Whether axes mean the same in every layer of a series."""
        return bool(self.basis == "common")

    @available_if(lambda self: self.basis == "common")  # type: ignore[untyped-decorator]
    def fit_transform_series(self, layers: Sequence[Matrix], y: Any = None) -> list[Matrix]:
        """Find the axes that all layers have in common, and return each layer's coordinates.

        Only with ``basis="common"``. Each layer is centred at its own mean: what moves all
        samples alike from layer to layer is not shown.

        Parameters
        ----------
        layers : sequence of ndarrays of shape (n_samples, n_features), float32
        y : None
            Not used.

        Returns
        -------
        list of ndarray of shape (n_samples, n_components), float32

        Raises
        ------
        ShapeError
            If the layers have not one feature space.
        """
        self._check()
        _require_one_space(layers)
        axes = common_axes(
            layers, self.n_components, solver=self.solver, random_state=self.random_state
        )
        pictures = []
        self.series_metrics_: list[dict[str, float]] = []
        self.series_notes_: list[list[str]] = []
        for X in layers:
            centred = X - X.mean(axis=0, dtype=np.float64).astype(np.float32)
            coordinates = np.asarray(centred @ axes.T, np.float32)
            total = float(np.einsum("ij,ij->", centred, centred, dtype=np.float64))
            shown = float((coordinates.astype(np.float64) ** 2).sum())
            pictures.append(coordinates)
            self.series_metrics_.append({"explained_variance": shown / total if total else 0.0})
            self.series_notes_.append([f"axes in common for all {len(layers)} layers"])
            if total == 0:
                self.series_notes_[-1].append("all samples are the same point")
        self.components_ = axes
        return pictures

    def _check(self) -> None:
        if self.solver not in ("auto", "full", "randomized"):
            raise ArgumentError(f"solver is 'auto', 'full' or 'randomized', got {self.solver!r}")
        if self.basis not in ("layer", "common"):
            raise ArgumentError(f"basis is 'layer' or 'common', got {self.basis!r}")

    def fit(self, X: Matrix, y: Any = None) -> PCA:
        """Find the axes of X, of shape (n_samples, n_features)."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Matrix, y: Any = None) -> Matrix:
        """Find the axes of X, of shape (n_samples, n_features), and return its coordinates.

        Raises
        ------
        ArgumentError
            If `solver` or `basis` is none of those that there are.
        """
        self._check()
        self._learning = self._unread = None
        X = np.asarray(X, np.float32)
        axes = principal_axes(
            X, self.n_components, solver=self.solver, random_state=self.random_state
        )
        self.components_ = axes.components
        self.mean_ = axes.mean
        self.n_features_in_ = X.shape[1]
        self.explained_variance_ = axes.variance
        self._tell(axes.total_variance, min(X.shape))
        return axes.coordinates

    def _tell(self, total: float, found: int) -> None:
        variance = self.explained_variance_
        self.explained_variance_ratio_ = variance / total if total > 0 else variance * 0
        self.metrics_ = {"explained_variance": float(self.explained_variance_ratio_.sum())}
        self.notes_: list[str] = []
        if total == 0:
            self.notes_.append("all samples are the same point")
        elif found < self.n_components:
            self.notes_.append(f"only {found} of {self.n_components} axes: the others are zero")

    @available_if(lambda self: self.basis == "layer")  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Matrix, y: Any = None) -> PCA:
        """Learn from some rows, of shape (n_rows, n_features), that are not kept.

        The axes are found when `transform` asks for them: those of all rows that were learnt from,
        exactly up to 2,048 features, of wider rows nearly (`solver` is not used). Fitting whole
        forgets them.

        Raises
        ------
        ArgumentError
            If `solver` or `basis` is none of those that there are.
        ShapeError
            If the rows are of another width than those before.
        """
        self._check()
        X = np.asarray(X, np.float32)
        if self._learning is None:
            self._learning = AxesFromBlocks(X.shape[1], self.n_components)
        if X.shape[1] != self._learning.width:
            raise ShapeError(
                f"partial_fit: rows of {X.shape[1]:,} features came after rows of "
                f"{self._learning.width:,}; learn each layer with a reducer of its own"
            )
        self._learning.add(X)
        self._unread = self._learning
        return self

    def _read(self) -> None:
        """Find the axes of what was learnt, where there is more than when they were found last."""
        learnt, self._unread = self._unread, None
        if learnt is None:
            return
        self.mean_, self.components_, self.explained_variance_, total = learnt.axes(
            self.n_components
        )
        self.n_features_in_ = learnt.width
        self._tell(total, min(learnt.count, learnt.width))
        if learnt.width > EXACT_WIDTH:
            self.notes_.append("the axes are those of an incremental decomposition")

    def transform(self, X: Matrix) -> Matrix:
        """Return the coordinates of X, of shape (n_samples, n_features)."""
        self._read()
        centred = np.asarray(X, np.float32) - self.mean_
        return np.asarray(centred @ self.components_.T, np.float32)


def _require_one_space(layers: Sequence[Matrix]) -> None:
    """Raise where layers cannot have axes in common."""
    infos = getattr(layers, "infos", None)
    names = [repr(info.title) for info in infos] if infos else [str(i) for i in range(len(layers))]
    remedy = "choose layers that write into one space, as a residual network's blocks do, or "
    widths = {name: X.shape[1] for name, X in zip(names, layers, strict=True)}
    if len(set(widths.values())) > 1:
        some = ", ".join(f"{name}: {width:,}" for name, width in list(widths.items())[:6])
        raise ShapeError(
            f"basis='common' needs layers of one width, and these have several ({some}"
            f"{', …' if len(widths) > 6 else ''}): {remedy}take basis='layer'"
        )
    sketched = [info.title for info in infos or () if info.sketched]
    if sketched:
        raise ShapeError(
            f"basis='common' needs features that mean the same in every layer, and the sketch of "
            f"{sketched[0]!r} has some of its own: record with sketch=None, or take basis='layer'"
        )
