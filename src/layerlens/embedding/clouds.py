"""What reduce() was given, made uniform: one checked cloud of points a layer, and the run."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens import _options
from layerlens._options import refuse_masked
from layerlens._version import __version__
from layerlens.errors import ArgumentError, DataError, LayerSelectionError, ShapeError
from layerlens.recording.memory import available_memory
from layerlens.records import LayerInfo, RunInfo

__all__ = ["LayerCloud", "layer_clouds", "selected_layers"]

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]

_NAMED_AT_MOST = 5
_KEPT_BYTES = 64 * 2**20
# the square of a distance between two rows is at most four times the larger row's square
_LARGEST_SQUARE = float(np.finfo(np.float32).max) / 8


@dataclass(frozen=True, slots=True, eq=False)
class LayerCloud:
    """The rows of one layer, read when they are asked for.

    `source`: (n_rows, n_features). As the caller gave it.
    `rows`: (n_rows,), integers. Which samples of the run the rows are; None for all of them.
    `cache`: where derived things, such as neighbours, are kept with the layer.
    """

    name: str
    source: Any
    run: RunInfo
    rows: Array | None = None
    cache: MutableMapping[Any, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.run.n_samples if self.rows is None else len(self.rows)

    @property
    def labels(self) -> Array | None:
        """Labels of the rows, where the run has labels."""
        labels = self.run.labels
        return labels if labels is None or self.rows is None else labels[self.rows]

    def to_send(self) -> LayerCloud:
        """Return the cloud as another process needs it: without pictures and columns."""
        run = replace(self.run, thumbnails=None, columns={})
        return replace(self, run=run, cache=dict(self.cache))

    def has_rows_of(self, other: LayerCloud) -> bool:
        """Whether the rows are of the same samples in the same order."""
        if self.rows is None or other.rows is None:
            return self.rows is None and other.rows is None
        return bool(np.array_equal(self.rows, other.rows))

    def common_rows(self, other: LayerCloud) -> tuple[Array, Array]:
        """Return the places, in each of the two layers, of the samples that both have."""
        if self.rows is None and other.rows is None:
            everywhere = np.arange(len(self))
            return everywhere, everywhere
        samples, others = (
            np.arange(len(cloud)) if cloud.rows is None else cloud.rows for cloud in (self, other)
        )
        _, here, there = np.intersect1d(samples, others, return_indices=True)
        return here, there

    def matrix(self) -> Matrix:
        """Return the rows as a C-contiguous float32 matrix, checked to be finite.

        Raises
        ------
        DataError
            If there is NaN or infinity in it, values whose squared distances float32 cannot
            hold, it is not numeric, or it lies on disk and is larger than the memory that there is.
        """
        self._refuse_larger_than_memory()
        values = np.asarray(as_array(self.source, self.name))
        if values.dtype.kind not in "fiub":
            raise DataError(
                f"layer {self.name!r} holds {values.dtype}, not real numbers: "
                f"convert it to a float or integer array first"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            matrix = np.ascontiguousarray(values, dtype=np.float32)
            # one pass tells NaN, infinity, and rows whose distances float32 could not hold
            squares = np.einsum("ij,ij->i", matrix, matrix)
        if not bool((squares < _LARGEST_SQUARE).all()):
            self._raise_not_finite(values)
        return matrix

    def _refuse_larger_than_memory(self) -> None:
        """Raise rather than be killed by the system."""
        if not lies_on_disk(self.source):
            return
        needed, available = len(self) * int(self.source.shape[1]) * 4, available_memory()
        if available is not None and needed > available:
            raise DataError(
                f"the rows of layer {self.name!r} take {needed / 2**30:,.1f} GiB, and "
                f"{available / 2**30:,.1f} GiB of memory are available. Embed a subsample "
                "(max_samples=5000), take a reducer that gets them in blocks ('pca', 'kmeans', "
                "whatever has partial_fit: in_blocks=True), or record with a sketch"
            )

    def _raise_not_finite(self, values: Array) -> None:
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        what = "NaN or infinity"
        remedy = "Every value must be finite: leave these samples out, or find where it comes from"
        if len(bad) == 0:
            bad = np.flatnonzero((np.abs(values) > np.finfo(np.float32).max).any(axis=1))
            what, remedy = "values too large for float32", "Scale the layer down first"
        if len(bad) == 0:
            bad = np.flatnonzero((values.astype(np.float64) ** 2).sum(axis=1) >= _LARGEST_SQUARE)
            what = "values whose squared distances are too large for float32"
        ids = self.run.ids if self.rows is None else self.run.ids[self.rows]
        shown = ", ".join(str(i) for i in ids[bad[:_NAMED_AT_MOST]].tolist())
        if len(bad) > _NAMED_AT_MOST:
            shown += f" and {len(bad) - _NAMED_AT_MOST} more"
        raise DataError(
            f"layer {self.name!r} has {what} in {len(bad)} of {len(values)} samples "
            f"(ids {shown}). {remedy}."
        )


def as_array(source: Any, name: str) -> Array:
    """Turn anything array-like into an array; a tensor is taken off its graph and device."""
    refuse_masked(f"layer {name!r}", source)
    try:
        return np.asarray(source)
    except (TypeError, RuntimeError, ValueError) as error:
        if not callable(getattr(source, "detach", None)):
            raise DataError(
                f"layer {name!r} cannot be read as an array: {type(source).__name__}: {error}"
            ) from error
    # a tensor that requires grad, lies on another device, or is of a type that NumPy lacks
    return np.asarray(source.detach().cpu().float())


def lies_on_disk(source: Any) -> bool:
    """Tell whether rows are read from somewhere when they are asked for."""
    rows = getattr(source, "source", None)
    if rows is not None:
        return bool(getattr(rows, "on_disk", False))
    # zarr's, h5py's and dask's arrays
    return isinstance(source, np.memmap) or hasattr(source, "chunks")


def layer_clouds(
    activations: Mapping[str, Any], layers: str | Iterable[str] | None = None
) -> list[LayerCloud]:
    """Check what reduce() was given and return one cloud a layer, in order.

    `activations`: each (n_samples, n_features). An `Activations`, or any mapping.
    `layers`: names or globs; None for all layers.

    Raises
    ------
    ArgumentError
        If it is not a mapping, or has no layers.
    ShapeError
        If a layer is not two-dimensional, is empty, or its number of rows does not fit.
    LayerSelectionError
        If a name or glob matches no layer.
    """
    if not isinstance(activations, Mapping):
        raise ArgumentError(
            f"reduce() takes a mapping of layer names to arrays, got "
            f"{type(activations).__name__}; for one array write {{'layer': array}}"
        )
    if not activations:
        raise ArgumentError("there are no layers to reduce: the mapping is empty")
    for name in activations:
        if not isinstance(name, str):
            raise ArgumentError(f"layers are named by str, got the key {name!r}")
    names = selected_layers(list(activations), layers)
    sources = {name: _two_dimensional(name, activations[name]) for name in names}
    run = getattr(activations, "run", None)
    if not isinstance(run, RunInfo):
        run = _run_of_plain_mapping(activations, sources)
    run = _kept(run)
    return [_cloud(name, source, run) for name, source in sources.items()]


def _kept(run: RunInfo) -> RunInfo:
    """Return a run whose thumbnails are in memory, unless they are many.

    A result may be looked at, and saved, when the record on disk is gone.
    """
    pictures: Any = run.thumbnails
    if pictures is None or isinstance(pictures, np.ndarray) or pictures.nbytes > _KEPT_BYTES:
        return run
    return replace(run, thumbnails=np.asarray(pictures))


def selected_layers(names: Sequence[str], wanted: str | Iterable[str] | None) -> list[str]:
    """Return the names that match, in their own order.

    Raises
    ------
    ArgumentError
        If `wanted` is neither a name or glob, nor several.
    LayerSelectionError
        If one of the wanted names or globs matches nothing; it names the nearest layers.
    """
    if wanted is None:
        return list(names)
    given: Any = wanted
    is_one = isinstance(given, str) or not isinstance(given, Iterable)
    patterns = [given] if is_one else list(given)
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise _options.refused("layers", "a name or glob, or a list of these", wanted)
    if not patterns:
        raise LayerSelectionError(f"layers is empty; there are: {', '.join(names)}")
    chosen: set[str] = set()
    for pattern in patterns:
        # a name may hold the characters of a glob: "lstm[1]"
        matching = [pattern] if pattern in names else [n for n in names if fnmatchcase(n, pattern)]
        if not matching:
            close = difflib.get_close_matches(str(pattern), names, n=3, cutoff=0.4)
            hint = "nearest: " if close else "there are: "
            shown = ", ".join(repr(n) for n in (close or names[:10]))
            raise LayerSelectionError(f"no layer matches {pattern!r}; {hint}{shown}")
        chosen.update(matching)
    return [name for name in names if name in chosen]


def _two_dimensional(name: str, source: Any) -> Any:
    refuse_masked(f"layer {name!r}", source)
    shape = getattr(source, "shape", None)
    if shape is None:
        source = as_array(source, name)
        shape = source.shape
    shape = tuple(int(n) for n in shape)
    if len(shape) != 2:
        remedy = (
            "reshape it to (n_samples, 1)"
            if len(shape) == 1
            else "flatten it, x.reshape(len(x), -1), or take the mean over its positions"
        )
        raise ShapeError(
            f"layer {name!r} has shape {shape}; one row a sample is needed, "
            f"(n_samples, n_features): {remedy}"
        )
    if 0 in shape:
        raise ShapeError(f"layer {name!r} is empty: its shape is {shape}")
    return source


def _run_of_plain_mapping(activations: Mapping[str, Any], sources: Mapping[str, Any]) -> RunInfo:
    lengths = {
        name: source.shape[0]
        for name, source in sources.items()
        if getattr(source, "rows", None) is None
    }
    if not lengths:
        raise ShapeError(
            "every layer has rows of some samples only, so nothing says how many samples there "
            "are; pass the Activations that they come from"
        )
    if len(set(lengths.values())) != 1:
        shown = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise ShapeError(
            f"the layers have different numbers of samples ({shown}), so their points cannot be "
            f"told to be the same; cut them to the same samples, or reduce them one by one"
        )
    (n_samples,) = set(lengths.values())
    labels = getattr(activations, "labels", None)
    refuse_masked("labels", labels)
    return RunInfo(
        layers={
            name: LayerInfo(
                name=name,
                dim=source.shape[1],
                width=source.shape[1],
                output_shape=(source.shape[1],),
            )
            for name, source in sources.items()
        },
        ids=np.arange(n_samples),
        labels=None if labels is None else np.asarray(labels),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        versions={"layerlens": __version__, "numpy": np.__version__},
    )


def _cloud(name: str, source: Any, run: RunInfo) -> LayerCloud:
    rows = getattr(source, "rows", None)
    expected = run.n_samples if rows is None else len(rows)
    if source.shape[0] != expected:
        raise ShapeError(
            f"layer {name!r} has {source.shape[0]} rows where the run has {expected} samples; "
            f"a layer with other samples than the rest says which in its attribute 'rows'"
        )
    cache = getattr(source, "cache", None)
    return LayerCloud(
        name=name,
        source=source,
        run=run,
        rows=None if rows is None else np.asarray(rows),
        cache=cache if isinstance(cache, MutableMapping) else {},
    )


class LazyMatrices(Sequence[Matrix]):
    """The matrices of several clouds, each read when it is asked for and not kept."""

    def __init__(self, clouds: Sequence[LayerCloud]) -> None:
        self._clouds = clouds

    def __len__(self) -> int:
        return len(self._clouds)

    @property
    def infos(self) -> tuple[LayerInfo, ...]:
        """What is known of the layers beside their values."""
        return tuple(cloud.run.layers[cloud.name] for cloud in self._clouds)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return LazyMatrices(self._clouds[index])
        return self._clouds[index].matrix()

    def __iter__(self) -> Iterator[Matrix]:
        return (cloud.matrix() for cloud in self._clouds)
