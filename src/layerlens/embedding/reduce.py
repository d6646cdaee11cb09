"""reduce(): every layer through one reducer, in order, aligned and measured."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from layerlens.embedding.align import procrustes, rms_radius
from layerlens.embedding.clouds import LayerCloud, LazyMatrices, as_array, layer_clouds
from layerlens.embedding.embeddings import Embeddings
from layerlens.embedding.making import ReducerMaker, as_json, parameters_of, versions_of
from layerlens.embedding.measuring import Gauge
from layerlens.embedding.metrics import PictureQuality
from layerlens.embedding.neighbors import found_neighbors, neighbors_of
from layerlens.embedding.stability import seed_metrics, seed_spread
from layerlens.errors import ArgumentError, PluginError
from layerlens.plugins.protocols import SupportsNeighbors, SupportsSeries, accepts
from layerlens.progress import Progress
from layerlens.records import LayerEmbedding

__all__ = ["reduce"]

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]
Align = bool | Literal["procrustes"]


def reduce(
    activations: Mapping[str, Any],
    reducer: Any = "pca",
    *,
    layers: str | Iterable[str] | None = None,
    n_components: int = 2,
    align: Align = True,
    metrics: bool = True,
    keep_neighbors: int = 15,
    n_jobs: int | None = None,
    n_seeds: int = 1,
    progress: bool = False,
    random_state: int | None = 0,
    **params: Any,
) -> Embeddings:
    """Turn every layer's cloud of points into a picture.

    Parameters
    ----------
    activations : Activations, or mapping of str to array-like of shape (n_samples, n_features)
        Arrays or tensors, of any real type, in the order of depth. They are read one by one and
        not changed.
    reducer : str, Reducer or class
        A name (see `layerlens.reducers.available`); a class or factory; or a ready object with
        ``fit_transform``, which is taken as it is configured and cloned for each layer.
    layers : str, iterable of str, or None
        Which layers, by name or glob; all by default.
    n_components : int
        Dimensions of the pictures. Passed, as are `n_jobs` and `random_state`, to the reducers'
        constructor where it takes such a parameter; a ready reducer keeps its own.
    align : bool or "procrustes"
        How consecutive pictures are kept comparable. True: the best that the reducer can take,
        that is all layers in one series, else each layer started from the picture before, and
        in every case laid on the picture before by a Procrustes transform. ``"procrustes"``:
        each layer on its own, and then laid on the picture before. False: as they come.
    metrics : bool
        Whether to measure how far each picture can be trusted.
    keep_neighbors : int
        How many of each point's nearest neighbours in the layer to keep beside the picture, in
        `LayerEmbedding.neighbors`; 0 for none. They are those that metrics and reducers use, so
        that nothing is searched twice; with ``metrics=False``, and a reducer that needs no
        neighbours, nothing is searched for and there are none.
    n_jobs : int or None
        Threads, for reducers that can use them.
    n_seeds : int
        Draw every picture with so many seeds from `random_state` on, and say how far they differ:
        ``seed_spread`` and ``seed_motion`` among the metrics, and each point's own in
        `LayerEmbedding.spread`. The picture is that of the first.
    progress : bool
        Whether to show progress on standard error.
    random_state : int or None
        Seed; the same seed gives the same pictures.
    **params
        The reducer's own parameters.

    Returns
    -------
    Embeddings
        Coordinates are finite float32 of shape (n_samples, n_components).

    Raises
    ------
    ArgumentError
        If an argument is not allowed or the reducer does not take one of `params`.
    LayerSelectionError
        If `layers` names one that is not there.
    ShapeError, DataError
        If a layer is not one finite row a sample.
    PluginError
        If there is no such reducer, or what it returns is no picture.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> wide = rng.normal(size=(100, 50)).astype("float32")
    >>> pictures = reduce({"input": wide, "relu": np.maximum(wide, 0)}, "pca")
    >>> pictures["relu"].coordinates.shape
    (100, 2)
    """
    if align not in (True, False, "procrustes"):
        raise ArgumentError(f"align is True, False or 'procrustes', got {align!r}")
    if not isinstance(n_components, int | np.integer) or n_components < 1:
        raise ArgumentError(f"n_components is an int from 1 up, got {n_components!r}")
    if not isinstance(n_seeds, int | np.integer) or n_seeds < 1:
        raise ArgumentError(f"n_seeds is an int from 1 up, got {n_seeds!r}")
    if not isinstance(keep_neighbors, int | np.integer) or keep_neighbors < 0:
        raise ArgumentError(f"keep_neighbors is an int from 0 up, got {keep_neighbors!r}")
    clouds = layer_clouds(activations, layers)
    common = {"n_components": n_components, "random_state": random_state, "n_jobs": n_jobs}
    make = ReducerMaker(reducer, common, params)
    more_seeds = _further_seeds(make, random_state, n_seeds)
    report = Progress("reducing", len(clouds), shown=progress, unit="layers")
    with report:
        others = [
            [
                picture.coordinates
                for picture in _pictures(
                    clouds,
                    ReducerMaker(reducer, {**common, "random_state": seed}, params),
                    align,
                    keep_neighbors,
                )
            ]
            for seed in more_seeds
        ]
        finished = []
        gauge = Gauge(random_state or 0, n_jobs, keep_neighbors) if metrics else None
        chain = _Chain(enabled=align is not False)
        for index, (cloud, picture) in enumerate(
            zip(clouds, _pictures(clouds, make, align, keep_neighbors), strict=True)
        ):
            if others:
                same = [picture.coordinates, *(other[index] for other in others)]
                picture.spread = seed_spread(same)
                picture.metrics.update(seed_metrics(same, picture.spread))
            finished.append(
                _finish(index, cloud, picture, chain, gauge, keep_neighbors, random_state)
            )
            chain.append(cloud, finished[-1].coordinates)
            report.advance(note=cloud.name)
    return Embeddings(finished)


class _Picture:
    """What a reducer made of one layer, before it is aligned and measured."""

    __slots__ = (
        *("coordinates", "matrix", "metrics", "name", "notes"),
        *("params", "reducer", "spread", "start"),
    )

    def __init__(self, coordinates: Matrix, reducer: Any, name: str, seconds: float) -> None:
        self.coordinates = coordinates
        self.reducer = reducer
        self.matrix: Matrix | None = None
        self.spread: Matrix | None = None
        self.start: str | None = None
        notes = getattr(reducer, "notes_", None) or ()
        self.notes = [notes] if isinstance(notes, str) else [str(note) for note in notes]
        self.metrics = dict(getattr(reducer, "metrics_", None) or {})
        self.name = name
        self.params: dict[str, Any] = {
            "parameters": parameters_of(reducer),
            "versions": versions_of(reducer),
            "seconds": round(seconds, 4),
        }


class _Chain:
    """The pictures so far, and the one that the next is laid on."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self._cloud: LayerCloud | None = None
        self._coordinates: Matrix | None = None

    def append(self, cloud: LayerCloud, coordinates: Matrix) -> None:
        # a dot has no direction to turn the next picture by: the one before it stays
        if self.enabled and rms_radius(coordinates) > 0:
            self._cloud, self._coordinates = cloud, coordinates

    def align(self, cloud: LayerCloud, coordinates: Matrix) -> tuple[Matrix, dict[str, Any]]:
        """Lay a picture on the one before, by the samples that both have."""
        if not self.enabled:
            return coordinates, {"method": "none"}
        if self._cloud is None or self._coordinates is None:
            return coordinates, {"method": "first"}
        here, there = _common_rows(cloud, self._cloud)
        if len(here) < 2 or coordinates.shape[1] != self._coordinates.shape[1]:
            return coordinates, {"method": "none", "reason": "too few samples in common"}
        transform = procrustes(coordinates[here], self._coordinates[there])
        return transform(coordinates), {
            "method": "procrustes",
            "to": self._cloud.name,
            "samples": len(here),
            "scale": transform.scale,
            "reflected": transform.reflects,
        }


def _pictures(
    clouds: Sequence[LayerCloud], make: ReducerMaker, align: Align, k_kept: int
) -> Iterator[_Picture]:
    """Draw every layer, in one series where the reducer can."""
    if align is True and isinstance(make(), SupportsSeries) and _same_samples(clouds):
        return _in_one_series(clouds, make, k_kept)
    return _one_by_one(clouds, make, k_kept, warm=align is True)


def _lent_neighbors(
    cloud: LayerCloud, reducer: SupportsNeighbors, k_kept: int, matrix: Matrix | None = None
) -> tuple[Array, Array]:
    """Return the neighbours that a reducer needs, having searched for those to keep as well."""
    k = reducer.n_neighbors_needed(len(cloud))
    found = neighbors_of(cloud, max(k, k_kept), matrix).first(k)
    return found.indices, found.distances


def _further_seeds(make: ReducerMaker, random_state: int | None, n_seeds: int) -> list[int]:
    if n_seeds == 1:
        return []
    if not make.takes_seed:
        raise ArgumentError(
            f"n_seeds={n_seeds} draws with several seeds, and the reducer {make.name!r} is given "
            f"ready-made or takes no random_state; pass its name or class, or leave n_seeds out"
        )
    if random_state is None:
        raise ArgumentError("n_seeds counts seeds from random_state on, which is None: give an int")
    return [random_state + more for more in range(1, n_seeds)]


def _one_by_one(
    clouds: Sequence[LayerCloud], make: ReducerMaker, k_kept: int, *, warm: bool
) -> Iterator[_Picture]:
    previous: tuple[LayerCloud, Matrix] | None = None
    for cloud in clouds:
        matrix = cloud.matrix()
        reducer = make()
        keywords: dict[str, Any] = {}
        if warm and previous is not None and accepts(reducer.fit_transform, "init"):
            start = _start_from(cloud, *previous)
            if start is not None:
                keywords["init"] = start
        if isinstance(reducer, SupportsNeighbors) and accepts(reducer.fit_transform, "neighbors"):
            keywords["neighbors"] = _lent_neighbors(cloud, reducer, k_kept, matrix)
        began = time.perf_counter()
        try:
            returned = reducer.fit_transform(_lent(matrix, reducer), **keywords)
        except Exception as error:
            error.add_note(f"while reducing layer {cloud.name!r} with {make.name!r}")
            raise
        coordinates = _checked(returned, reducer, make.name, cloud)
        picture = _Picture(coordinates, reducer, make.name, time.perf_counter() - began)
        picture.matrix = matrix
        if "init" in keywords and previous is not None:
            picture.start = previous[0].name
        if rms_radius(coordinates) > 0:
            previous = cloud, coordinates
        yield picture


def _in_one_series(
    clouds: Sequence[LayerCloud], make: ReducerMaker, k_kept: int
) -> Iterator[_Picture]:
    reducer = make()
    keywords: dict[str, Any] = {}
    began = time.perf_counter()
    takes_neighbors = accepts(reducer.fit_transform_series, "neighbors")
    if takes_neighbors and isinstance(reducer, SupportsNeighbors):
        keywords["neighbors"] = [_lent_neighbors(cloud, reducer, k_kept) for cloud in clouds]
    try:
        returned = list(reducer.fit_transform_series(LazyMatrices(clouds), **keywords))
    except Exception as error:
        error.add_note(f"while reducing the series of {len(clouds)} layers with {make.name!r}")
        raise
    if len(returned) != len(clouds):
        raise PluginError(
            f"the reducer {make.name!r} returned {len(returned)} pictures for "
            f"{len(clouds)} layers; fit_transform_series returns one a layer, in order"
        )
    seconds = (time.perf_counter() - began) / len(clouds)
    notes = getattr(reducer, "series_notes_", None) or [()] * len(clouds)
    figures = getattr(reducer, "series_metrics_", None) or [{}] * len(clouds)
    for at, (cloud, each) in enumerate(zip(clouds, returned, strict=True)):
        coordinates = _checked(each, reducer, make.name, cloud)
        picture = _Picture(coordinates, reducer, make.name, seconds)
        picture.notes = [str(note) for note in notes[at]]
        picture.metrics = dict(figures[at])
        picture.start = "series"
        yield picture


def _lent(matrix: Matrix, reducer: Any) -> Matrix:
    """Return the matrix for a reducer to read: a copy where it may write into what it gets.

    Ours do not. Others are told to by ``copy=False``, and the rows are the user's.
    """
    ours = type(reducer).__module__.partition(".")[0] == "layerlens"
    return matrix if ours else matrix.copy()


def _checked(returned: Any, reducer: Any, name: str, cloud: LayerCloud) -> Matrix:
    """Hold a reducer to what it must return."""
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


def _own_metrics(picture: _Picture, cloud: LayerCloud) -> dict[str, float]:
    try:
        return {str(name): float(value) for name, value in picture.metrics.items()}
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"the reducer {picture.name!r} left metrics_ that are no numbers for layer "
            f"{cloud.name!r}: {error}"
        ) from error


def _clusters(picture: _Picture, cloud: LayerCloud) -> Array | None:
    """Return the clusters that a reducer found, where its ``labels_`` are one a sample.

    Some transformers of scikit-learn have labels of features: those are no clusters.
    """
    labels = getattr(picture.reducer, "labels_", None)
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


def _finish(
    index: int,
    cloud: LayerCloud,
    picture: _Picture,
    chain: _Chain,
    gauge: Gauge | None,
    keep_neighbors: int,
    random_state: int | None,
) -> LayerEmbedding:
    coordinates, alignment = chain.align(cloud, picture.coordinates)
    if picture.start is not None:
        alignment["started_from"] = picture.start
    quality = PictureQuality({}, None)
    if gauge is not None:
        matrix = cloud.matrix() if picture.matrix is None else picture.matrix
        quality = gauge.measure(cloud, matrix, coordinates)
    own = _own_metrics(picture, cloud)
    clusters = _clusters(picture, cloud)
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
            "random_state": as_json(random_state),
            "alignment": alignment,
            "notes": picture.notes,
        },
        rows=cloud.rows,
        neighbors=_kept_neighbors(cloud, keep_neighbors),
        spread=picture.spread,
    )


def _kept_neighbors(cloud: LayerCloud, k: int) -> Array | None:
    found = found_neighbors(cloud)
    # of rows that all lie at one point, any are each other's neighbours: that tells nothing
    if found is None or min(k, found.k) == 0 or not found.distances.any():
        return None
    return np.ascontiguousarray(found.indices[:, :k])


def _same_samples(clouds: Sequence[LayerCloud]) -> bool:
    return all(cloud.has_rows_of(clouds[0]) for cloud in clouds)


def _common_rows(a: LayerCloud, b: LayerCloud) -> tuple[Array, Array]:
    """Places, in each of the two layers, of the samples that both have."""
    if a.rows is None and b.rows is None:
        everywhere = np.arange(len(a))
        return everywhere, everywhere
    samples_a = np.arange(len(a)) if a.rows is None else a.rows
    samples_b = np.arange(len(b)) if b.rows is None else b.rows
    _, in_a, in_b = np.intersect1d(samples_a, samples_b, return_indices=True)
    return in_a, in_b


def _start_from(cloud: LayerCloud, before: LayerCloud, coordinates: Matrix) -> Matrix | None:
    """Return the picture before, for a layer of the very same samples."""
    here, there = _common_rows(cloud, before)
    if len(here) != len(cloud):
        return None
    start = np.empty((len(cloud), coordinates.shape[1]), np.float32)
    start[here] = coordinates[there]
    return start
