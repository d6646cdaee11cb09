"""Measuring the layers of a run one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding.align import motion
from layerlens.embedding.clouds import LayerCloud
from layerlens.embedding.knowledge import LayerFacts, layer_facts
from layerlens.embedding.metrics import K_RECALL, PictureQuality, measure_picture
from layerlens.embedding.neighbors import neighbors_of, searched_rows
from layerlens.recording.loss import SketchLoss, sketch_loss

__all__ = ["Gauge"]

Matrix = npt.NDArray[np.float32]


class Gauge:
    """Measures pictures in depth order, each against its layer and the layer before.

    `random_state`: draws the samples that stand for all, the same in every layer.
    `n_jobs`: threads of a neighbour search, where neighbours are not kept with the layer yet.
    `n_neighbors`: how many neighbours to search for, where that is more than the measures need:
    whoever asks for them later finds them with the layer.
    """

    def __init__(self, random_state: int, n_jobs: int | None, n_neighbors: int = 0) -> None:
        self._random_state = random_state
        self._n_jobs = n_jobs
        self._k = max(K_RECALL, n_neighbors)
        self._before: tuple[LayerCloud, LayerFacts, Matrix] | None = None

    def restart(self) -> None:
        """Forget the layer before: the next one is the first of its kind."""
        self._before = None

    def measure(self, cloud: LayerCloud, matrix: Matrix, picture: Matrix) -> PictureQuality:
        """Measure the picture of the next layer.

        `matrix`: (n_rows, n_features), float32. The rows of the cloud.
        `picture`: (n_rows, n_components), float32.
        """
        seed = self._random_state
        rows = searched_rows(matrix)
        native = neighbors_of(cloud, self._k, matrix, rows=rows, n_jobs=self._n_jobs)
        native = native.first(K_RECALL)
        quality = measure_picture(rows, picture, native, cloud.labels, random_state=seed)
        facts = layer_facts(
            matrix, rows, native, cloud.labels, loss=_loss(cloud, matrix), random_state=seed
        )
        figures: dict[str, Any] = {**quality.metrics, **facts.metrics}
        if self._before is not None and cloud.has_rows_of(self._before[0]):
            _, facts_before, picture_before = self._before
            figures.update(facts.beside(facts_before))
            if picture.shape == picture_before.shape:
                figures["motion_previous"] = motion(picture, picture_before)
        self._before = cloud, facts, picture
        # a figure that has no meaning here, such as the motion of a dot, is left out
        return PictureQuality(
            {name: value for name, value in figures.items() if np.isfinite(value)}, quality.stress
        )


def _loss(cloud: LayerCloud, matrix: Matrix) -> SketchLoss | None:
    """Return what a layer's sketch lost when it was recorded, if it was measured then."""
    pairs = getattr(cloud.source, "pairs", None)
    if pairs is None:
        return None
    known = cloud.cache.get("sketch_loss")  # under the same name as the layer's own property
    if not isinstance(known, SketchLoss):
        known = sketch_loss(pairs, matrix)
        cloud.cache["sketch_loss"] = known
    return known
