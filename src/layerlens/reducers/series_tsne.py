"""All layers in one t-SNE: ``"series-tsne"``."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from layerlens.embedding._compiling import numba_runs
from layerlens.embedding.affinities import affinities
from layerlens.embedding.neighbors import (
    Neighbors,
    nearest_neighbors,
    searched_rows,
    shared_neighbors,
    usable_cores,
)
from layerlens.embedding.series import (
    Link,
    SeriesLayer,
    consensus_start,
    consensus_view,
    optimise,
    schedule_for,
    warm_up,
)
from layerlens.errors import ArgumentError, LayerlensWarning, ShapeError
from layerlens.reducers._degenerate import plain_picture

__all__ = ["SeriesTSNE"]

Matrix = npt.NDArray[np.float32]
Pair = tuple[npt.NDArray[np.int32], Matrix]

_K_SHARED = 15


class SeriesTSNE(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """t-SNE of all layers of a network in one optimisation, so that they can be compared.

    Each layer minimises its own divergence. All start from one consensus of the layers, and while
    they unfold neighbours in depth hold each other's points, each as much as the network kept its
    neighbourhood; at the end only points whose neighbourhood hardly changed are held. A layer that
    says something else than its neighbours, such as one whose rows are shuffled, is held nowhere.

    Parameters
    ----------
    n_components : int
        1, 2 or 3.
    perplexity : float
        How many neighbours a point looks at, as in `sklearn.manifold.TSNE`; cut to a third of the
        other samples, with a note.
    coupling : float
        Multiplies the strength of the hold between layers. 0 lets each go alone.
    hold_on : float
        Hold that is kept to the end, as a multiple of what is usual. Measured on LeNet's layers
        with 5,000 digits, motion from layer to layer in the mean, and divergence of the worst
        layer beside scikit-learn's: at 0 .185 and +.4 %, at 1 .153 and +1.4 %, at 1.7 .144 and
        +2.0 %.
    angle : float
        Opening angle of the treecode, used above 1,500 samples; smaller is more exact and slower.
    random_state : int, RandomState or None
        Moves the start a little.
    n_jobs : int or None
        Threads; the pictures do not depend on it. None takes every core that the process may use.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_components), float32
        After `fit_transform`.
    kl_divergence_ : float
        After `fit_transform`.
    notes_ : list of str
    series_notes_ : list of list of str
        After `fit_transform_series`, one list a layer.
    series_metrics_ : list of dict
        After `fit_transform_series`, one a layer: ``kl_divergence``.

    References
    ----------
    .. [1] L. van der Maaten, G. Hinton, Visualizing data using t-SNE, JMLR 9 (2008).
    .. [2] P. E. Rauber, A. X. Falcao, A. C. Telea, Visualizing time-dependent data using dynamic
       t-SNE, EuroVis 2016: one optimisation for a series, held by a uniform spring.
    """

    uses_labels: ClassVar[bool] = False
    n_samples_limit: ClassVar[int] = 100_000

    def __init__(
        self,
        n_components: int = 2,
        *,
        perplexity: float = 30.0,
        coupling: float = 1.0,
        hold_on: float = 1.0,
        angle: float = 0.7,
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.perplexity = perplexity
        self.coupling = coupling
        self.hold_on = hold_on
        self.angle = angle
        self.random_state = random_state
        self.n_jobs = n_jobs

    def n_neighbors_needed(self, n_samples: int) -> int:
        """Return how many neighbours of each sample are wanted: twice the perplexity, or 15."""
        self._check()
        perplexity = self._perplexity_for(n_samples)
        return max(1, min(n_samples - 1, max(_K_SHARED, round(2 * perplexity))))

    def fit_transform(self, X: Matrix, y: Any = None, *, neighbors: Pair | None = None) -> Matrix:
        """Embed one layer, of shape (n_samples, n_features)."""
        pictures = self.fit_transform_series(
            [X], neighbors=None if neighbors is None else [neighbors]
        )
        self.embedding_ = pictures[0]
        self.notes_ = self.series_notes_[0]
        self.metrics_ = self.series_metrics_[0]
        self.kl_divergence_ = self.metrics_.get("kl_divergence", float("nan"))
        return self.embedding_

    def fit_transform_series(
        self,
        layers: Sequence[Matrix],
        y: Any = None,
        *,
        neighbors: Sequence[Pair] | None = None,
        pairs: Sequence[tuple[int, int]] | None = None,
    ) -> list[Matrix]:
        """Embed all layers.

        Parameters
        ----------
        layers : sequence of ndarrays of shape (n_samples, n_features), float32
            In depth order, of the same samples; read one after the other.
        y : None
            Not used.
        neighbors : sequence of pairs of ndarrays of shape (n_samples, k), optional
            Indices and distances of each layer's nearest others, nearest first, in place of a
            search.
        pairs : sequence of pairs of int, optional
            Numbers of the layers that hold each other, where that is not each the one before and
            the one after it: in a series over depth and training steps, those next to each other
            along both.

        Returns
        -------
        list of ndarray of shape (n_samples, n_components), float32

        Raises
        ------
        ArgumentError
            If a parameter is out of range.
        ShapeError
            If the layers have different numbers of samples.
        """
        self._check()
        self.series_notes_: list[list[str]] = []
        self.series_metrics_: list[dict[str, float]] = []
        prepared = [
            self._prepare(np.asarray(X, np.float32), None if neighbors is None else neighbors[at])
            for at, X in enumerate(layers)
        ]
        self.series_notes_ = [each.notes for each in prepared]
        self.series_metrics_ = [{} for _ in prepared]
        sizes = {each.n_samples for each in prepared}
        if len(sizes) > 1:
            raise ShapeError(
                f"a series shows the same samples in every layer; these layers have "
                f"{sorted(sizes)} of them"
            )
        shown = [at for at, each in enumerate(prepared) if each.picture is None]
        if shown:
            self._draw(prepared, shown, pairs)
        return [each.picture for each in prepared if each.picture is not None]

    def _draw(
        self,
        prepared: list[_Prepared],
        shown: list[int],
        pairs: Sequence[tuple[int, int]] | None,
    ) -> None:
        n = prepared[0].n_samples
        if not numba_runs():
            self._draw_without_numba(prepared, shown)
            return
        warm_up()
        common = consensus_start(
            (prepared[at].view for at in shown), self.n_components, random_state=self.random_state
        )
        layers = []
        for at in shown:
            each = prepared[at]
            perplexity = self._perplexity_for(len(each.neighbors.indices))
            chosen = each.representatives
            layers.append(
                SeriesLayer(
                    joint=affinities(each.neighbors, perplexity),
                    start=common if chosen is None else common[chosen],
                    members=each.members,
                    representatives=chosen,
                )
            )
        near = {at: prepared[at].nearest_samples() for at in shown}
        place = {at: number for number, at in enumerate(shown)}
        links = [
            Link((place[a], place[b]), shared_neighbors(near[a], near[b]))
            for a, b in (itertools.pairwise(shown) if pairs is None else pairs)
            if a in place and b in place
        ]
        pictures, divergences = optimise(
            layers,
            links,
            schedule=self._schedule(n),
            theta=self.angle,
            coupling=self.coupling,
            threads=usable_cores(self.n_jobs),
        )
        for at, picture, kl in zip(shown, pictures, divergences, strict=True):
            prepared[at].picture = picture
            self.series_metrics_[at]["kl_divergence"] = kl

    def _draw_without_numba(self, prepared: list[_Prepared], shown: list[int]) -> None:
        """Let scikit-learn draw each layer from the consensus, held by the start only."""
        from layerlens.reducers.tsne import TSNE

        warnings.warn(
            "numba cannot run here, so series-tsne lets scikit-learn draw each layer: slower, "
            "and points are kept in place by the common start only",
            LayerlensWarning,
            stacklevel=2,
        )
        common = consensus_start(
            (prepared[at].view for at in shown), self.n_components, random_state=self.random_state
        )
        for at in shown:
            each = prepared[at]
            reducer = TSNE(self.n_components, perplexity=self.perplexity, random_state=0)
            each.picture = reducer.fit_transform(each.rows, init=common)
            each.notes += ["drawn by scikit-learn: numba cannot run here", *reducer.notes_]
            self.series_metrics_[at].update(reducer.metrics_)

    def _prepare(self, X: Matrix, neighbors: Pair | None) -> _Prepared:
        prepared = _Prepared(len(X))
        prepared.picture = plain_picture(X, self.n_components, "t-SNE", prepared.notes)
        if prepared.picture is not None:
            return prepared
        rows = searched_rows(X)
        prepared.view = consensus_view(rows)
        if not numba_runs():
            prepared.rows = rows
        k = self.n_neighbors_needed(len(X))
        if neighbors is None:
            prepared.neighbors = nearest_neighbors(rows, k, n_jobs=self.n_jobs)
        else:
            prepared.neighbors = Neighbors(neighbors[0][:, :k], neighbors[1][:, :k])
        prepared.fold_duplicates(rows, self)
        distinct = len(prepared.neighbors.indices)
        perplexity = self._perplexity_for(distinct)
        if perplexity < self.perplexity:
            prepared.notes.append(f"perplexity {perplexity:.3g}: {distinct} points allow no more")
        return prepared

    def _perplexity_for(self, n_samples: int) -> float:
        return min(float(self.perplexity), max(1.0, (n_samples - 1) / 3))

    def _schedule(self, n_samples: int) -> Any:
        from dataclasses import replace

        return [
            replace(phase, coupling=phase.coupling * self.hold_on) if phase.power > 4 else phase
            for phase in schedule_for(n_samples)
        ]

    def _check(self) -> None:
        if self.n_components not in (1, 2, 3):
            raise ArgumentError(
                f"series-tsne draws n_components 1, 2 or 3, got {self.n_components!r}; "
                f"for more take 'umap' or 'pca'"
            )
        for name, least in (("perplexity", 1), ("coupling", 0), ("hold_on", 0), ("angle", 0)):
            value = getattr(self, name)
            if not isinstance(value, Real) or not least <= float(value) < np.inf:
                raise ArgumentError(f"{name} is a number from {least} up, got {value!r}")


class _Prepared:
    """What is known of a layer before it is drawn, and its picture."""

    def __init__(self, n_samples: int) -> None:
        self.n_samples = n_samples
        self.picture: Matrix | None = None
        self.notes: list[str] = []
        self.view: Matrix
        self.rows: Matrix
        self.neighbors: Neighbors
        self.members: npt.NDArray[np.intp] | None = None
        self.representatives: npt.NDArray[np.intp] | None = None

    def fold_duplicates(self, rows: Matrix, reducer: SeriesTSNE) -> None:
        """Leave one of each group of samples that are the same point."""
        doubtful = np.flatnonzero(self.neighbors.distances[:, 0] == 0)
        if len(doubtful) == 0:
            return
        first_of: dict[bytes, int] = {}
        representative = np.arange(self.n_samples)
        for sample in doubtful.tolist():
            content = (rows[sample] + np.float32(0)).tobytes()
            representative[sample] = first_of.setdefault(content, sample)
        distinct, members = np.unique(representative, return_inverse=True)
        if len(distinct) == self.n_samples:
            return
        self.members, self.representatives = members, distinct
        self.notes.append(f"{self.n_samples - len(distinct)} duplicates lie on their originals")
        self.neighbors = nearest_neighbors(
            rows[distinct], reducer.n_neighbors_needed(len(distinct)), n_jobs=reducer.n_jobs
        )

    def nearest_samples(self) -> npt.NDArray[np.int32]:
        """Return the nearest samples of each sample, each group of duplicates by its first."""
        k = min(_K_SHARED, self.neighbors.k)
        nearest = self.neighbors.indices[:, :k]
        if self.members is None or self.representatives is None:
            return nearest
        return np.asarray(self.representatives[nearest][self.members], np.int32)
