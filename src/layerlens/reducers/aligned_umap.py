"""umap-learn's own series: ``"aligned-umap"``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from layerlens.errors import ShapeError
from layerlens.reducers._degenerate import plain_picture
from layerlens.reducers.umap import UMAP, umap

__all__ = ["AlignedUMAP"]

Matrix = npt.NDArray[np.float32]


class AlignedUMAP(umap.AlignedUMAP):  # type: ignore[misc]
    """`umap.AlignedUMAP` over the layers of a run, under its own parameters.

    Every sample is related to itself in the layers around. It is exact in what it promises and
    slow: minutes for six layers of 5,000 samples, where ``"umap"``, started from the layer before,
    takes seconds. Layers with fewer than five distinct points are shown by their principal axes.
    """

    uses_labels: ClassVar[bool] = False
    n_samples_limit: ClassVar[int] = 10_000

    def fit_transform(self, X: Matrix, y: Any = None) -> Matrix:
        """Embed one layer, of shape (n_samples, n_features), by plain UMAP."""
        names = set(UMAP().get_params()) & set(self.get_params())
        alone = UMAP(**{name: getattr(self, name) for name in names})
        coordinates = alone.fit_transform(X)
        self.notes_ = alone.notes_
        return coordinates

    def fit_transform_series(self, layers: Sequence[Matrix], y: Any = None) -> list[Matrix]:
        """Embed all layers.

        Parameters
        ----------
        layers : sequence of ndarrays of shape (n_samples, n_features), float32
            In depth order, of the same samples.
        y : None
            Not used.

        Returns
        -------
        list of ndarray of shape (n_samples, n_components), float32

        Raises
        ------
        ShapeError
            If the layers have different numbers of samples.
        """
        clouds = [np.asarray(X, np.float32) for X in layers]
        if len({len(X) for X in clouds}) > 1:
            raise ShapeError(
                f"a series shows the same samples in every layer; these layers have "
                f"{sorted({len(X) for X in clouds})} of them"
            )
        self.series_notes_: list[list[str]] = [[] for _ in clouds]
        plain = [
            plain_picture(X, self.n_components, "UMAP", notes)
            for X, notes in zip(clouds, self.series_notes_, strict=True)
        ]
        pictures = [np.empty(0, np.float32) if each is None else each for each in plain]
        drawn = [at for at, each in enumerate(plain) if each is None]
        if len(drawn) < 2:
            for at in drawn:
                pictures[at] = self.fit_transform(clouds[at])
                self.series_notes_[at] += self.notes_
            return pictures
        parameters = self.get_params()
        n = len(clouds[0])
        if self.n_neighbors > n - 1:
            parameters["n_neighbors"] = max(2, n - 1)
            for at in drawn:
                self.series_notes_[at].append(
                    f"n_neighbors {parameters['n_neighbors']}: {n} samples"
                )
        same = {sample: sample for sample in range(n)}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning)
            warnings.filterwarnings("ignore", category=FutureWarning, module="sklearn")
            inner = umap.AlignedUMAP(**parameters)
            found = inner.fit_transform(
                [clouds[at] for at in drawn], relations=[same] * (len(drawn) - 1)
            )
        for at, coordinates in zip(drawn, found, strict=True):
            pictures[at] = np.asarray(coordinates, np.float32)
        return pictures
