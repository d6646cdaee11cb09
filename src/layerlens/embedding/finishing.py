"""Pictures finished, one after the other: laid on those before, measured, told where from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding.align import motion
from layerlens.embedding.clouds import LayerCloud
from layerlens.embedding.drawing import Picture
from layerlens.embedding.grid import Chain, Grid
from layerlens.embedding.knowledge import LayerFacts, layer_facts
from layerlens.embedding.making import as_json
from layerlens.embedding.metrics import K_RECALL, PictureQuality, measure_picture
from layerlens.embedding.neighbors import found_neighbors, neighbors_of, searched_rows
from layerlens.embedding.placing import subsampled
from layerlens.errors import PluginError
from layerlens.recording.loss import SketchLoss, sketch_loss
from layerlens.records import LayerEmbedding

__all__ = ["Finisher", "Gauge"]

Array = npt.NDArray[Any]
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


class Finisher:
    """Makes results of pictures, which come in the order of the series.

    `standing`: samples that stand for all where pictures are measured by some; None for all.
    """

    def __init__(
        self,
        clouds: Sequence[LayerCloud],
        *,
        align: bool,
        metrics: bool,
        keep_neighbors: int,
        n_jobs: int | None,
        random_state: int | None,
        standing: Array | None,
    ) -> None:
        self._grid = Grid(clouds)
        self._chain = Chain(self._grid, enabled=align)
        self._gauge = Gauge(random_state or 0, n_jobs, keep_neighbors) if metrics else None
        self._keep_neighbors = keep_neighbors
        self._random_state = random_state
        self._standing = standing

    def finish(self, index: int, cloud: LayerCloud, picture: Picture) -> LayerEmbedding:
        """Return the result of the next layer.

        Raises
        ------
        PluginError
            If the reducer left figures that are no numbers.
        """
        if picture.one_frame:
            # its axes mean the same in every layer: turned, they would not
            coordinates, alignment = picture.coordinates, {"method": "one frame"}
        else:
            coordinates, alignment = self._chain.align(index, cloud, picture.coordinates)
        if picture.start is not None:
            alignment["started_from"] = picture.start
        quality = self._measure(index, cloud, picture, coordinates)
        own = _own_metrics(picture, cloud)
        earlier = self._chain.step_before(index)
        if self._gauge is not None and earlier is not None and earlier.shape == coordinates.shape:
            own["motion_step"] = motion(coordinates, earlier)
        clusters = _clusters(picture, cloud)
        place = self._grid.places[index]
        self._chain.append(index, cloud, coordinates)
        return LayerEmbedding(
            layer=cloud.name,
            index=index,
            coordinates=coordinates,
            run=cloud.run,
            clusters=clusters,
            metrics={**quality.metrics, **own},
            stress=quality.stress,
            reducer=picture.name,
            params={
                **picture.params,
                "random_state": as_json(self._random_state),
                "alignment": alignment,
                "notes": picture.notes,
                **({} if place.step is None else {"step": place.step, "layer": place.layer}),
            },
            rows=cloud.rows,
            neighbors=_kept_neighbors(cloud, self._keep_neighbors),
            spread=picture.spread,
        )

    def _measure(
        self, index: int, cloud: LayerCloud, picture: Picture, coordinates: Matrix
    ) -> PictureQuality:
        gauge, standing = self._gauge, self._standing
        if gauge is None:
            return PictureQuality({}, None)
        if self._grid.has_steps and self._grid.layer_before(index) is None:
            gauge.restart()
        if standing is None:
            matrix = cloud.matrix() if picture.matrix is None else picture.matrix
            return gauge.measure(cloud, matrix, coordinates)
        (part,) = subsampled([cloud], standing)
        rows = np.arange(len(cloud)) if cloud.rows is None else cloud.rows
        of_part = coordinates[np.isin(rows, standing)]
        if len(part) < len(cloud):
            picture.notes.append(f"the figures are of {len(part):,} of {len(cloud):,} samples")
        return PictureQuality(gauge.measure(part, part.matrix(), of_part).metrics, None)


def _own_metrics(picture: Picture, cloud: LayerCloud) -> dict[str, float]:
    try:
        return {str(name): float(value) for name, value in picture.metrics.items()}
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"the reducer {picture.name!r} left metrics_ that are no numbers for layer "
            f"{cloud.name!r}: {error}"
        ) from error


def _clusters(picture: Picture, cloud: LayerCloud) -> Array | None:
    """Return the clusters that a reducer found, where its ``labels_`` are one a sample.

    Some transformers of scikit-learn have labels of features: those are no clusters.
    """
    labels = picture.labels
    if labels is None:
        return None
    clusters = np.asarray(labels)
    if clusters.shape != (len(cloud),) or clusters.dtype.kind not in "iu":
        picture.notes.append(
            f"labels_ of shape {clusters.shape} and dtype {clusters.dtype} left out: clusters "
            "are one integer a sample"
        )
        return None
    return clusters


def _kept_neighbors(cloud: LayerCloud, k: int) -> Array | None:
    found = found_neighbors(cloud)
    # of rows that all lie at one point, any are each other's neighbours: that tells nothing
    if found is None or min(k, found.k) == 0 or not found.distances.any():
        return None
    return np.ascontiguousarray(found.indices[:, :k])


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
