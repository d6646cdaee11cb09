"""What was recorded: for every layer, one row a sample."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens._options import refuse_masked
from layerlens.errors import LayerSelectionError, ShapeError
from layerlens.recording.loss import PairSums, SketchLoss, loss_to_show, sketch_loss
from layerlens.recording.rows import Rows, RowSource
from layerlens.recording.shown import activations_html, size_of
from layerlens.records import LayerInfo, RunInfo

__all__ = ["Activations", "LayerActivations"]

Array = npt.NDArray[Any]


class LayerActivations:
    """The rows of one layer: array-like, of shape (n_rows, width).

    ``np.asarray(layer)`` gives all rows, without a copy where they lie in one piece; indexing
    reads only what is asked for. Do not write into them.

    Attributes
    ----------
    info : LayerInfo
        The layer's name, module type, native width and shape, readout.
    rows : ndarray of shape (n_rows,), int64, or None
        Which samples of the run the rows are; None where they are all of them, in order.
        A module that is called twice in some batches only has fewer rows in ``name:1``.
    ids : ndarray of shape (n_rows,)
        Identifiers of the rows' samples.
    sketch : str or None
        How the rows were made narrower, such as ``"fold 18432 -> 2048, seed 0"``; None where
        they are the values themselves.
    pairs : PairSums or None
        What was measured of pairs of rows while they were sketched; None where there is no
        sketch, or nothing was.
    cache : dict
        What was derived from the rows and may be used again, such as nearest neighbours.
    """

    def __init__(
        self,
        info: LayerInfo,
        values: RowSource,
        *,
        ids: Array,
        rows: Array | None = None,
        sketch: str | None = None,
        pairs: PairSums | None = None,
    ) -> None:
        self.info = info
        self.ids = ids
        self.rows = rows
        self.sketch = sketch
        self.pairs = pairs
        self.cache: dict[str, Any] = {}
        self._values = values
        self._count = values.count
        values.watch(self)

    @property
    def source(self) -> RowSource:
        """Where the rows lie."""
        return self._values

    @property
    def shape(self) -> tuple[int, int]:
        """(n_rows, width): width is that of the sketch, where there is one."""
        return self._count, self._values.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the rows."""
        return self._values.dtype

    @property
    def ndim(self) -> int:
        """2."""
        return 2

    @property
    def nbytes(self) -> int:
        """Bytes that the rows take."""
        return self._count * self._values.width * self.dtype.itemsize

    @property
    def dim(self) -> int:
        """Native width: values per sample before the sketch."""
        return self.info.dim

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the layer's output for one sample."""
        return self.info.output_shape

    @property
    def module_type(self) -> str:
        """Class of the module."""
        return self.info.module_type

    @property
    def sketch_loss(self) -> SketchLoss | None:
        """What the sketch lost; None where the rows are the values themselves.

        ``distance_ratio`` and ``distance_spread`` are the mean and standard deviation of sketched
        over native squared distance, of pairs in some batches; ``neighbor_recall``, ``low`` and
        ``high`` the estimated share of the 15 nearest neighbours that are still among the 15
        nearest, and its 95 % interval. It is worked out when it is asked for, from at most 4,096
        rows, and kept.
        """
        if self.sketch is None:
            return None
        known = self.cache.get("sketch_loss")
        if not isinstance(known, SketchLoss):
            known = sketch_loss(self.pairs or PairSums(), self)
            self.cache["sketch_loss"] = known
        return known

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Array]:
        return iter(np.asarray(self))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is not True:
            self._values.consolidate()
        rows = self._values.array(0, self._count)
        if dtype is not None and np.dtype(dtype) != rows.dtype:
            if copy is False:
                raise ValueError(f"cannot give {rows.dtype} rows as {np.dtype(dtype)} uncopied")
            return rows.astype(dtype)
        return rows.copy() if copy else rows

    def __getitem__(self, key: Any) -> Any:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        if isinstance(first, int | np.integer):
            place = int(first) + (self._count if first < 0 else 0)
            if not 0 <= place < self._count:
                raise IndexError(f"row {first} of {self._count}")
            return self._values.array(place, place + 1)[(0, *rest)]
        if isinstance(first, slice):
            start, stop, step = first.indices(self._count)
            if step > 0:
                rows = self._values.array(start, max(start, stop))[::step]
                return rows[(slice(None), *rest)] if rest else rows
        places = _places(first, self._count)
        if places is not None:
            rows = self._values.take(places)
            return rows[(slice(None), *rest)] if rest else rows
        return np.asarray(self)[key]

    def __reduce__(self) -> tuple[Any, ...]:
        # rows in memory travel as an array; rows on disk are read by whoever gets this
        where = self._values.portable()
        return _layer_of, (self.info, where, self.ids, self.rows, self.sketch, self.pairs)

    def __repr__(self) -> str:
        loss = loss_to_show(self)
        kept = f" -> {self.shape[1]} sketched" if self.sketch else ""
        keeps = "" if loss is None else f", {loss}"
        size = f"{self.dtype}, {size_of(self)}"
        return f"{self.info.title}  {len(self)} x {self.dim}{kept}, {size}{keeps}"


def _layer_of(
    info: LayerInfo,
    values: Any,
    ids: Array,
    rows: Array | None,
    sketch: str | None,
    pairs: PairSums | None = None,
) -> LayerActivations:
    source: RowSource = Rows.of(values) if isinstance(values, np.ndarray) else values
    return LayerActivations(info, source, ids=ids, rows=rows, sketch=sketch, pairs=pairs)


def _places(key: Any, count: int) -> npt.NDArray[np.int64] | None:
    """Return the rows that a list or array of integers or booleans picks, or None for others."""
    if not isinstance(key, list | np.ndarray):
        return None
    array = np.asarray(key)
    if array.ndim != 1 or array.dtype.kind not in "iub" or not array.size:
        return None
    if array.dtype.kind == "b":
        return np.flatnonzero(array) if len(array) == count else None
    places = array.astype(np.int64)
    outside = (places < -count) | (places >= count)
    if outside.any():
        raise IndexError(f"row {places[outside][0]} of {count}")
    return np.where(places < 0, places + count, places)


class Activations(Mapping[str, LayerActivations]):
    """What was recorded of a run, layer by layer in the order in which layers were called.

    Made by `Probe`, of arrays by `of`, or from disk by `open`. All layers have the same samples in
    the same order, but for layers that were not called for every sample (see
    `LayerActivations.rows`).

    Attributes
    ----------
    run : RunInfo
        What all layers share.
    meta : dict
        How the record was made: the model's class and size, selection, readout, sketch, seed,
        versions, and ``"skipped"``, which layers gave nothing and why. From disk also the weights'
        fingerprint, ``"store"`` (the path) and ``"complete"``.
    """

    def __init__(
        self, layers: Mapping[str, LayerActivations], run: RunInfo, meta: Mapping[str, Any]
    ) -> None:
        self._layers = dict(layers)
        self.run = replace(run, layers={name: one.info for name, one in layers.items()})
        self.meta = dict(meta)

    @classmethod
    def of(
        cls,
        arrays: Mapping[str, Any],
        *,
        labels: Any = None,
        ids: Any = None,
        label_names: Sequence[str] | None = None,
        **columns: Any,
    ) -> Activations:
        """Make activations of arrays that came from elsewhere, to reduce them with labels.

        Parameters
        ----------
        arrays : mapping of str to array-like of shape (n_samples, D)
            Layers in order, all of the same samples. Not copied where they are arrays.
        labels, ids : array-like of shape (n_samples,), optional
            Classes and identifiers; without ids, samples are numbered.
        label_names : sequence of str, optional
            What to call the classes ``0, 1, ...``.
        **columns : array-like of shape (n_samples,)
            Further facts.

        Raises
        ------
        ShapeError
            If an array is not two-dimensional, or lengths differ.
        DataError
            If there are masked values.

        Examples
        --------
        >>> Activations.of({"a": np.zeros((3, 5)), "b": np.ones((3, 2))}, labels=[0, 1, 0])
        Activations of arrays: 3 samples, 2 layers, 168 B
          a  3 x 5, float64, 120 B
          b  3 x 2, float64, 48 B
        """
        given = {name: _as_array(f"layer {name!r}", values) for name, values in arrays.items()}
        for name, values in given.items():
            if values.ndim != 2:
                raise ShapeError(f"layer {name!r}: (n_samples, D) is needed, got {values.shape}")
        from layerlens.recording.samples import as_fact  # which needs torch

        facts = {"labels": labels, "ids": ids, **columns}
        known = {
            name: as_fact(name, one if isinstance(one, list) else _as_array(name, one))
            for name, one in facts.items()
            if one is not None
        }
        for name, values in known.items():
            if values.ndim != 1:
                raise ShapeError(f"{name}: one value a sample is needed, got {values.shape}")
        lengths = {f"layer {name!r}": len(values) for name, values in given.items()}
        lengths |= {name: len(values) for name, values in known.items()}
        if len(set(lengths.values())) != 1:
            said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ShapeError(f"arrays, labels, ids and columns need one length; {said or 'none'}")
        count = next(iter(lengths.values()))
        numbers = known.pop("ids", np.arange(count))
        layers = {
            name: LayerActivations(
                LayerInfo(name, dim=values.shape[1], width=values.shape[1]),
                Rows.of(values),
                ids=numbers,
            )
            for name, values in given.items()
        }
        run = RunInfo(
            layers={},
            ids=numbers,
            labels=known.pop("labels", None),
            label_names=None if label_names is None else tuple(label_names),
            columns=known,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={"numpy": np.__version__},
        )
        return cls(layers, run, {"model": "arrays"})

    @classmethod
    def open(cls, path: str | os.PathLike[str] | Any) -> Activations:
        """Open what was recorded to disk; also while it is being written, or was interrupted.

        Nothing is read but what the record says of itself and of its samples; a layer's rows are
        read when they are asked for, and only those. What is committed when the store is opened is
        what there is: open it again to see more.

        Parameters
        ----------
        path : str, path-like or obstore store
            A folder that `Probe` wrote, with ``store=``; or a copy of it elsewhere: its URL
            (``"s3://bucket/run.zarr"``, ``gs://``, ``az://``, ``https://``; credentials come from
            the environment), or one of obstore's stores whose prefix it is. These need the extra
            ``zarr``, and are read a chunk at a time.

        Returns
        -------
        Activations
            ``meta["complete"]`` says whether the recording came to its end.

        Raises
        ------
        StoreError
            If there is no store, a damaged one, one that a newer layerlens wrote, or it cannot be
            reached.
        PluginError
            If obstore is needed, and not installed.

        Examples
        --------
        >>> import tempfile, torch, layerlens
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     probe = layerlens.Probe(torch.nn.Linear(3, 2), store=f"{folder}/run.zarr")
        ...     _ = probe.run(torch.zeros(5, 3))
        ...     layerlens.Activations.open(f"{folder}/run.zarr")[""][1:3]
        array([[..., ...],
               [..., ...]], dtype=float32)
        """
        from layerlens.recording.opening import open_store

        return open_store(path)

    @classmethod
    def merge(cls, parts: Sequence[Activations]) -> Activations:
        """See the recordings of several jobs as one: the same model and layers, other samples.

        Rows stay where they are, and are read from there. Samples are in the order of their ids;
        of several with one id the first counts. Ranks of one run need no merging: `open` sees
        them as one.

        Parameters
        ----------
        parts : sequence of Activations
            With ids of their own, that were given when they were recorded.

        Raises
        ------
        ArgumentError
            If there are none, or they do not go together; the message says in what they differ.

        Examples
        --------
        >>> odd = Activations.of({"a": np.ones((2, 3))}, ids=[1, 3])
        >>> even = Activations.of({"a": np.zeros((2, 3))}, ids=[0, 2])
        >>> Activations.merge([odd, even])["a"][:, 0]
        array([0., 1., 0., 1.])
        """
        from layerlens.recording.merging import merged

        return merged(list(parts))

    def verify(self) -> int:
        """Read every file of the store that these activations lie in, and check it.

        Returns
        -------
        int
            How many files were checked; 0 where the rows lie in memory.

        Raises
        ------
        StoreError
            If files are missing or damaged; it names them, all of them in its ``files``.
        """
        from layerlens.recording.opening import verify_store

        return sum(verify_store(path) for path in self.meta.get("stores", ()))

    def __getitem__(self, name: str) -> LayerActivations:
        try:
            return self._layers[name]
        except KeyError:
            known = ", ".join(map(repr, list(self._layers)[:12]))
            more = ", ..." if len(self._layers) > 12 else ""
            raise UnknownLayerError(
                f"no layer {name!r} was recorded; there are: {known or 'none'}{more}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.run.n_samples

    @property
    def ids(self) -> Array:
        """Identifiers of the samples, shape (n_samples,)."""
        return self.run.ids

    @property
    def labels(self) -> Array | None:
        """Classes of the samples, shape (n_samples,), or None."""
        return self.run.labels

    @property
    def columns(self) -> Mapping[str, Array]:
        """Further facts of the samples, by name, each of shape (n_samples,)."""
        return self.run.columns

    @property
    def thumbnails(self) -> Array | None:
        """Small pictures of the inputs, (n_samples, height, width, 1 or 3) uint8, or None."""
        return self.run.thumbnails

    @property
    def nbytes(self) -> int:
        """Bytes that the rows of all layers take."""
        return sum(layer.nbytes for layer in self._layers.values())

    def _headline(self) -> str:
        model = self.meta.get("model", "a model")
        layers = f"{len(self)} layer{'s' * (len(self) != 1)}"
        return f"Activations of {model}: {self.n_samples} samples, {layers}, {size_of(self)}"

    def __repr__(self) -> str:
        lines = _table(self, limit=40)
        return "\n".join([self._headline(), *(f"  {line}" for line in lines)])

    def _repr_html_(self) -> str:
        return activations_html(self)


def _as_array(what: str, values: Any) -> Array:
    """Return an array of what may be a tensor, on any device and with a graph behind it."""
    refuse_masked(what, values)
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if "bfloat16" in str(values.dtype):  # which NumPy does not have
            values = values.float()
    return np.asarray(values)


class UnknownLayerError(LayerSelectionError, KeyError):
    """A layer that was not recorded: a `KeyError` too, as a mapping must raise."""

    def __str__(self) -> str:
        # KeyError would show the message's repr
        return str(self.args[0])


def _table(activations: Activations, limit: int) -> list[str]:
    layers = list(activations.values())
    lines = [repr(layer) for layer in layers]
    if len(lines) > limit:
        half = limit // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} more ...", *lines[-half:]]
    return lines
