"""reduce(): every layer through one reducer, in order, aligned and measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from layerlens import _options
from layerlens.embedding.align import seed_metrics, seed_spread
from layerlens.embedding.blocks import in_blocks as layers_in_blocks
from layerlens.embedding.clouds import LayerCloud, layer_clouds
from layerlens.embedding.drawing import Align, Drawer
from layerlens.embedding.embeddings import Embeddings
from layerlens.embedding.finishing import Finisher
from layerlens.embedding.labels import label_targets
from layerlens.embedding.making import ReducerMaker
from layerlens.embedding.placing import measured_samples, place_rest, subsample, subsampled
from layerlens.errors import ArgumentError
from layerlens.progress import Progress

__all__ = ["check_reduction", "reduce"]


def _samples(name: str, value: Any) -> None:
    is_count = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 2
    is_auto = isinstance(value, str) and value == "auto"
    if value is not None and not is_auto and not is_count:
        raise _options.refused(name, "an int from 2 up, 'auto' or None", value)


def _jobs(name: str, value: Any) -> None:
    _options.whole(None, or_none=True)(name, value)
    if value is not None and not 0 < abs(value) < 2**15:
        raise _options.refused(name, "a number of workers (-1: one for each core), or None", value)


_OPTIONS: dict[str, _options.Check] = {
    "n_components": _options.whole(),
    "align": _options.one_of(True, False, "procrustes"),
    "supervised": _options.flag,
    "metrics": _options.flag,
    "keep_neighbors": _options.whole(0),
    "max_samples": _samples,
    "in_blocks": _options.one_of(True, False, "auto"),
    "n_seeds": _options.whole(),
    "n_jobs": _jobs,
    "progress": _options.flag,
}

Array = npt.NDArray[Any]


def reduce(
    activations: Mapping[str, Any],
    reducer: Any = "pca",
    *,
    layers: str | Iterable[str] | None = None,
    n_components: int = 2,
    align: Align = True,
    supervised: bool = False,
    metrics: bool = True,
    keep_neighbors: int = 15,
    max_samples: int | Literal["auto"] | None = "auto",
    in_blocks: bool | Literal["auto"] = "auto",
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
        constructor where it takes such a parameter; a ready reducer keeps its own, and one that
        draws another number than was asked for is refused.
    align : bool or "procrustes"
        How consecutive pictures are kept comparable. True: the best that the reducer can take,
        that is all layers in one series, else each layer started from the picture before, and
        in every case laid on the picture before by a Procrustes transform. ``"procrustes"``:
        each layer on its own, and then laid on the picture before. False: as they come.
        Pictures that share one frame, as those of ``"pca"`` with ``basis="common"``, stay in it.
    supervised : bool
        Whether the reducer is told the labels, as ``y`` of its ``fit_transform``: linear
        discriminant analysis needs them, UMAP can use them. They are class numbers, -1 where a
        label is not known; labels of floating point come as they are. A picture that was drawn
        so has classes apart because it was told to, which its notes say.
    metrics : bool
        Whether to measure how far each picture can be trusted.
    keep_neighbors : int
        How many of each point's nearest neighbours in the layer to keep beside the picture, in
        `LayerEmbedding.neighbors`; 0 for none. They are those that metrics and reducers use, so
        that nothing is searched twice; with ``metrics=False``, and a reducer that needs no
        neighbours, nothing is searched for and there are none.
    max_samples : int, "auto" or None
        Above so many samples the reducer embeds a subsample, of each class its share and the
        same samples in every layer, and the others are placed by their nearest neighbours among
        it; each picture's `notes` say so. ``"auto"``: what the reducer names in its attribute
        ``n_samples_limit``. None: all samples, however long it takes.
    in_blocks : bool or "auto"
        Whether the reducer gets a layer's rows block by block, so that they are never in memory
        all at once: it learns by ``partial_fit``, and places by ``transform``. ``"auto"``: where
        it can, for layers on disk whose rows take more than 1 GiB. ``"pca"`` finds the same axes
        either way (of more than 2,048 features, nearly), ``"kmeans"`` draws mini-batches. The
        figures are then of at most 5,000 samples, the same in every layer, and there are no
        neighbours and no stress of single samples; the notes say so.
    n_jobs : int or None
        Threads, for reducers that can use them; and where each layer is drawn by itself
        (``align="procrustes"`` or False, or a reducer that takes no start), how many layers
        joblib draws side by side, in processes of their own. None leaves that to
        ``joblib.parallel_config``: by ``parallel_config("dask")``, say, layers are drawn by the
        workers of a cluster, who read a record on disk themselves.
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
        If an argument is not allowed, the reducer does not take one of `params`, a reducer that
        keeps its own ``n_components`` draws another number than was asked for, or with
        `supervised` there are no labels or the reducer uses none.
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
    options: dict[str, Any] = {
        "n_components": n_components,
        "align": align,
        "supervised": supervised,
        "metrics": metrics,
        "keep_neighbors": keep_neighbors,
        "max_samples": max_samples,
        "in_blocks": in_blocks,
        "n_seeds": n_seeds,
        "progress": progress,
    }
    make = check_reduction(reducer, params, random_state=random_state, n_jobs=n_jobs, **options)
    clouds = layer_clouds(activations, layers)
    whole = clouds
    if in_blocks is not True or max_samples != "auto":
        clouds = _part(clouds, make, max_samples, random_state or 0)
    names = layers_in_blocks(clouds, make(), make.name, in_blocks)
    if names and clouds is not whole:
        raise ArgumentError(
            f"in_blocks=True is for all samples, and max_samples={max_samples} leaves most out: "
            "pass one of them"
        )
    more_seeds = _further_seeds(make, random_state, n_seeds)
    drawing: dict[str, Any] = {
        "align": align,
        "n_neighbors": keep_neighbors,
        "targets": _targets(make, clouds[0], supervised),
        "n_jobs": n_jobs,
        "in_blocks": names,
        "random_state": random_state or 0,
    }
    standing = measured_samples(clouds, random_state or 0) if names else None
    report = Progress("reducing", len(clouds), shown=progress, unit="layers")
    with report:
        others = [
            [
                picture.coordinates
                for picture in Drawer(make.with_seed(seed), **drawing).draw(clouds)
            ]
            for seed in more_seeds
        ]
        finished = []
        finisher = Finisher(
            clouds, align=align is not False, metrics=metrics, keep_neighbors=keep_neighbors,
            n_jobs=n_jobs, random_state=random_state, standing=standing,
        )  # fmt: skip
        for index, (cloud, picture) in enumerate(
            zip(clouds, Drawer(make, **drawing).draw(clouds), strict=True)
        ):
            if others:
                same = [picture.coordinates, *(other[index] for other in others)]
                picture.spread = seed_spread(same)
                picture.metrics.update(seed_metrics(same, picture.spread))
            finished.append(finisher.finish(index, cloud, picture))
            report.advance(note=cloud.name)
        if clouds is not whole:
            finished = [
                place_rest(part, every, cloud.matrix())
                for part, every, cloud in zip(finished, whole, clouds, strict=True)
            ]
    return Embeddings(finished)


def check_reduction(
    reducer: Any,
    params: Mapping[str, Any],
    *,
    n_components: int,
    random_state: int | None,
    n_jobs: int | None,
    **options: Any,
) -> ReducerMaker:
    """Return what makes the reducer, once all that can be known without layers is right.

    Parameters and errors are those of `reduce`.
    """
    _options.check(_OPTIONS, {"n_components": n_components, "n_jobs": n_jobs, **options})
    if random_state is not None and (
        isinstance(random_state, bool)
        or not isinstance(random_state, int | np.integer)
        or not 0 <= random_state < 2**32
    ):
        raise ArgumentError(
            f"random_state is an int from 0 to 2**32 - 1, or None, got {random_state!r}"
        )
    common = {"n_components": n_components, "random_state": random_state, "n_jobs": n_jobs}
    return ReducerMaker(reducer, common, params)


def _part(
    clouds: list[LayerCloud],
    make: ReducerMaker,
    max_samples: int | Literal["auto"] | None,
    random_state: int,
) -> list[LayerCloud]:
    """Return the clouds of as many samples as the reducer bears: themselves, or parts of them."""
    if max_samples == "auto":
        max_samples = getattr(make(), "n_samples_limit", None)
    if max_samples is None:
        return clouds
    _samples("max_samples", max_samples)
    run = clouds[0].run
    if run.n_samples <= max_samples:
        return clouds
    return subsampled(clouds, subsample(run.labels, run.n_samples, max_samples, random_state))


def _targets(make: ReducerMaker, cloud: LayerCloud, supervised: bool) -> Array | None:
    """Return what the reducer is told of each sample, if it is."""
    use = make.use_of_labels()
    labels = cloud.run.labels
    if not supervised:
        if use == "needed":
            raise ArgumentError(
                f"the reducer {make.name!r} draws with the labels: pass supervised=True"
                + ("" if labels is not None else ", and labels, of which there are none here")
            )
        return None
    if use == "none":
        raise ArgumentError(
            f"supervised=True tells the reducer the labels, and {make.name!r} uses none: leave it "
            f"out, or take one that does, 'umap' say"
        )
    if labels is None:
        raise ArgumentError(
            "supervised=True tells the reducer the labels, and there are none: record with "
            "(x, y) batches or annotate(labels=y), or pass Activations.of(arrays, labels=y)"
        )
    return label_targets(labels)


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
    if random_state + n_seeds > 2**32:
        raise ArgumentError(
            f"n_seeds={n_seeds} counts seeds from random_state={random_state} on, which end at "
            f"2**32 - 1"
        )
    return [random_state + more for more in range(1, n_seeds)]
