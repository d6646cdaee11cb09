"""What a reducer makes of the layers: each on its own, from the one before, or all in one."""

from __future__ import annotations

import copy
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed, effective_n_jobs

from layerlens.embedding.align import rms_radius
from layerlens.embedding.blocks import draw_in_blocks
from layerlens.embedding.clouds import LayerCloud, LazyMatrices, as_array
from layerlens.embedding.grid import Grid
from layerlens.embedding.making import ReducerMaker, parameters_of, versions_of
from layerlens.embedding.neighbors import neighbors_of
from layerlens.errors import ArgumentError, PluginError
from layerlens.plugins.protocols import SupportsNeighbors, accepts, draws_series

__all__ = ["Align", "Drawer", "Picture"]

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]
Align = bool | Literal["procrustes"]

_TOLD = "the reducer was told the labels: that classes lie apart is no finding about the layer"


class Picture:
    """What a reducer made of one layer, before it is aligned and measured."""

    __slots__ = (
        *("coordinates", "labels", "matrix", "metrics", "name", "notes", "one_frame"),
        *("params", "spread", "start"),
    )

    def __init__(self, coordinates: Matrix, reducer: Any, name: str, seconds: float) -> None:
        self.coordinates = coordinates
        self.labels: Any = getattr(reducer, "labels_", None)
        self.matrix: Matrix | None = None
        self.spread: Matrix | None = None
        self.start: str | None = None
        self.one_frame = False
        notes = getattr(reducer, "notes_", None) or ()
        self.notes = [notes] if isinstance(notes, str) else [str(note) for note in notes]
        self.metrics = _mapping(getattr(reducer, "metrics_", None), "metrics_", name)
        self.name = name
        self.params: dict[str, Any] = {
            "parameters": parameters_of(reducer),
            "versions": versions_of(reducer),
            "seconds": round(seconds, 4),
        }


class Drawer:
    """Draws layers with reducers of one kind.

    `align`: True: all layers in one series where the reducer can, else each from the one before
    where it can. Otherwise each on its own.
    `n_neighbors`: how many neighbours to search for, where the reducer wants fewer: whoever asks
    for them later finds them with the layer.
    `targets`: (n_samples,). What the reducer is told of each sample of the run, as its ``y``.
    `n_jobs`: how many layers are drawn side by side by joblib, where none needs another's picture;
    None for as many as `joblib.parallel_config` says, which is one without it.
    """

    def __init__(
        self,
        make: ReducerMaker,
        *,
        align: Align,
        n_neighbors: int,
        targets: Array | None,
        n_jobs: int | None = None,
        in_blocks: Collection[str] = (),
        random_state: int = 0,
    ) -> None:
        self._in_blocks = in_blocks
        self._random_state = random_state
        self._make = make
        self._n_jobs = n_jobs
        self._warm = align is True
        self._n_neighbors = n_neighbors
        self._targets = targets

    def draw(self, clouds: Sequence[LayerCloud]) -> Iterator[Picture]:
        """Yield one picture a layer, in order."""
        made = self._make()
        series = draws_series(made)
        one_frame = series and bool(getattr(made, "one_frame", False))
        same = _same_samples(clouds)
        if one_frame and not same:
            raise ArgumentError(
                f"the reducer {self._make.name!r} draws all layers in one frame, which needs the "
                f"same samples in every layer; choose layers that have all samples"
            )
        if series and same and not self._in_blocks and (self._warm or one_frame):
            grid = Grid(clouds)
            if grid.has_steps and accepts(made.fit_transform_series, "pairs"):
                drawn = self._in_one_series(clouds, pairs=grid.pairs())
            else:
                path = grid.path()
                along = list(self._in_one_series([clouds[at] for at in path]))
                drawn = iter([along[path.index(at)] for at in range(len(clouds))])
        else:
            drawn = self._one_by_one(clouds)
        for picture in drawn:
            picture.one_frame = one_frame
            if self._targets is not None:
                picture.notes.append(_TOLD)
                picture.params["supervised"] = True
            yield picture

    def _one_by_one(self, clouds: Sequence[LayerCloud]) -> Iterator[Picture]:
        takes_start = self._warm and accepts(self._make().fit_transform, "init")
        if not takes_start and len(clouds) > 1 and effective_n_jobs(self._n_jobs) > 1:
            yield from self._side_by_side(clouds)
            return
        grid, drawn = Grid(clouds), dict[int, tuple[LayerCloud, Matrix]]()
        previous: tuple[LayerCloud, Matrix] | None = None
        for at, cloud in enumerate(clouds):
            earlier = grid.step_before(at)
            if earlier in drawn:  # the same layer a step before is nearer than the layer before
                previous = drawn[earlier]
            keywords = self._labels_of(cloud)
            # what learns from blocks does not start anywhere
            if takes_start and previous is not None and cloud.name not in self._in_blocks:
                start = _start_from(cloud, *previous)
                if start is not None:
                    keywords["init"] = start
            picture = self._draw(cloud, keywords)
            if "init" in keywords and previous is not None:
                picture.start = previous[0].name
            if rms_radius(picture.coordinates) > 0:
                previous = cloud, picture.coordinates
                if grid.has_steps:
                    drawn[at] = previous
            yield picture

    def _draw(self, cloud: LayerCloud, keywords: dict[str, Any]) -> Picture:
        if cloud.name in self._in_blocks:
            return _draw_in_blocks(self._make, cloud, keywords, self._random_state)
        return _draw(self._make, cloud, self._n_neighbors, keywords)

    def _side_by_side(self, clouds: Sequence[LayerCloud]) -> Iterator[Picture]:
        here = copy.copy(self)
        here._targets = None  # each layer's go with the layer
        draw = delayed(_draw_elsewhere)
        tasks = (draw(here, cloud.to_send(), self._labels_of(cloud)) for cloud in clouds)
        for cloud, (picture, cache) in zip(clouds, Parallel(self._n_jobs)(tasks), strict=True):
            cloud.cache.update(cache)
            yield picture

    def _in_one_series(self, clouds: Sequence[LayerCloud], **keywords: Any) -> Iterator[Picture]:
        name = self._make.name
        reducer = self._make()
        keywords.update(self._labels_of(clouds[0]))
        began = time.perf_counter()
        if accepts(reducer.fit_transform_series, "neighbors"):
            found = [
                _neighbors_of(cloud, reducer, self._n_neighbors).get("neighbors")
                for cloud in clouds
            ]
            if None not in found:
                keywords["neighbors"] = found
        try:
            given = reducer.fit_transform_series(LazyMatrices(clouds), **keywords)
            # a generator does its work here
            returned = list(given) if _is_sequence(given) else None
        except Exception as error:
            error.add_note(f"while reducing the series of {len(clouds)} layers with {name!r}")
            raise
        if returned is None:
            raise PluginError(
                f"the reducer {name!r} returned {type(given).__name__} for the series of "
                f"{len(clouds)} layers; fit_transform_series returns one array a layer, in order"
            )
        if len(returned) != len(clouds):
            raise PluginError(
                f"the reducer {name!r} returned {len(returned)} pictures for "
                f"{len(clouds)} layers; fit_transform_series returns one a layer, in order"
            )
        seconds = (time.perf_counter() - began) / len(clouds)
        notes = getattr(reducer, "series_notes_", None) or [()] * len(clouds)
        figures = getattr(reducer, "series_metrics_", None) or [{}] * len(clouds)
        for at, (cloud, each) in enumerate(zip(clouds, returned, strict=True)):
            coordinates = _checked(each, reducer, self._make, cloud)
            picture = Picture(coordinates, reducer, name, seconds)
            picture.notes = [str(note) for note in notes[at]]
            picture.metrics = _mapping(figures[at], "series_metrics_", name)
            picture.start = "series"
            yield picture

    def _labels_of(self, cloud: LayerCloud) -> dict[str, Any]:
        if self._targets is None:
            return {}
        # a copy of one's own: whoever writes into it spoils nobody else's
        rows = slice(None) if cloud.rows is None else cloud.rows
        return {"y": self._targets[rows].copy()}


def _draw_elsewhere(
    drawer: Drawer, cloud: LayerCloud, keywords: dict[str, Any]
) -> tuple[Picture, dict[Any, Any]]:
    """Draw a layer in another process, which reads it: rows that lie on disk are not sent."""
    picture = drawer._draw(cloud, keywords)
    picture.matrix = None
    return picture, dict(cloud.cache)


def _draw(
    make: ReducerMaker, cloud: LayerCloud, n_neighbors: int, keywords: dict[str, Any]
) -> Picture:
    """Draw one layer with a reducer of its own."""
    matrix = cloud.matrix()
    reducer = make()
    if accepts(reducer.fit_transform, "neighbors"):
        keywords = {**keywords, **_neighbors_of(cloud, reducer, n_neighbors, matrix)}
    began = time.perf_counter()
    try:
        returned = reducer.fit_transform(_lent(matrix, reducer), **keywords)
    except Exception as error:
        error.add_note(f"while reducing layer {cloud.name!r} with {make.name!r}")
        raise
    picture = _picture(returned, reducer, make, cloud, began)
    picture.matrix = matrix
    return picture


def _draw_in_blocks(
    make: ReducerMaker, cloud: LayerCloud, keywords: dict[str, Any], random_state: int
) -> Picture:
    """Draw one layer whose rows are never in memory all at once."""
    reducer = make()
    began = time.perf_counter()
    try:
        returned, labels, note = draw_in_blocks(reducer, cloud, keywords.get("y"), random_state)
    except Exception as error:
        error.add_note(f"while reducing layer {cloud.name!r} in blocks with {make.name!r}")
        raise
    picture = _picture(returned, reducer, make, cloud, began)
    picture.labels = labels
    picture.notes.append(note)
    return picture


def _picture(
    returned: Any, reducer: Any, make: ReducerMaker, cloud: LayerCloud, began: float
) -> Picture:
    """Take what a reducer returned for a layer."""
    coordinates = _checked(returned, reducer, make, cloud)
    return Picture(coordinates, reducer, make.name, time.perf_counter() - began)


def _neighbors_of(
    cloud: LayerCloud, reducer: Any, n_neighbors: int, matrix: Matrix | None = None
) -> dict[str, Any]:
    if not isinstance(reducer, SupportsNeighbors):
        return {}
    k = reducer.n_neighbors_needed(len(cloud))
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 0:
        raise PluginError(
            f"the reducer {type(reducer).__name__!r} needs {k!r} neighbours for layer "
            f"{cloud.name!r}; n_neighbors_needed returns an int, 0 or more"
        )
    found = neighbors_of(cloud, max(k, n_neighbors), matrix).first(k)
    return {"neighbors": (found.indices, found.distances)}


def _mapping(given: Any, what: str, name: str) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise PluginError(
            f"the reducer {name!r} left {what} of type {type(given).__name__}; they are a mapping "
            f"of names to numbers"
        )
    return dict(given)


def _is_sequence(given: Any) -> bool:
    return isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping)


def _lent(matrix: Matrix, reducer: Any) -> Matrix:
    """Return the matrix for a reducer to read: a copy where it may write into what it gets.

    Ours do not. Others are told to by ``copy=False``, and the rows are the user's.
    """
    ours = type(reducer).__module__.partition(".")[0] == "layerlens"
    return matrix if ours else matrix.copy()


def _checked(returned: Any, reducer: Any, make: ReducerMaker, cloud: LayerCloud) -> Matrix:
    """Hold a reducer to what it must return."""
    name = make.name
    try:
        coordinates = np.asarray(as_array(returned, cloud.name))
    except (TypeError, ValueError, RuntimeError) as error:
        raise PluginError(
            f"the reducer {name!r} returned {type(returned).__name__} for layer {cloud.name!r}, "
            f"which is no array of coordinates: {error}"
        ) from error
    expected = getattr(reducer, "n_components", None)
    shape = (len(cloud), expected if isinstance(expected, int) else "n_components")
    fits = coordinates.ndim == 2 and coordinates.shape[0] == shape[0] and coordinates.shape[1] > 0
    if not fits or (isinstance(expected, int) and coordinates.shape[1] != expected):
        raise PluginError(
            f"the reducer {name!r} returned an array of shape {coordinates.shape} for layer "
            f"{cloud.name!r}; it must be ({shape[0]}, {shape[1]}), one row a sample"
        )
    if coordinates.dtype.kind not in "fiu":
        raise PluginError(
            f"the reducer {name!r} returned {coordinates.dtype} for layer {cloud.name!r}; "
            f"coordinates are real numbers"
        )
    make.check_components(coordinates.shape[1])
    with np.errstate(over="ignore"):
        coordinates = coordinates.astype(np.float32)
    bad = int((~np.isfinite(coordinates).all(axis=1)).sum())
    if bad:
        raise PluginError(
            f"the reducer {name!r} returned NaN or infinity for {bad} of {len(cloud)} samples of "
            f"layer {cloud.name!r}, whose values are finite; try other parameters, or report it "
            f"to its author"
        )
    return coordinates


def _same_samples(clouds: Sequence[LayerCloud]) -> bool:
    return all(cloud.has_rows_of(clouds[0]) for cloud in clouds)


def _start_from(cloud: LayerCloud, before: LayerCloud, coordinates: Matrix) -> Matrix | None:
    """Return the picture before, for a layer of the very same samples."""
    here, there = cloud.common_rows(before)
    if len(here) != len(cloud):
        return None
    start = np.empty((len(cloud), coordinates.shape[1]), np.float32)
    start[here] = coordinates[there]
    return start
