"""The record of a run as it grows: every layer's rows, batch after batch.

A batch counts only when its forward is through. If the forward fails half-way, what its first
layers wrote is not counted and is written over, so that all layers have the same samples.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from layerlens.errors import LayerlensWarning, RecordingError, ShapeError
from layerlens.recording.activations import Activations, LayerActivations
from layerlens.recording.directions import DirectionSketch, rows_to_fit
from layerlens.recording.loss import PairSums
from layerlens.recording.meter import PairMeter, products_of
from layerlens.recording.readout import NotApplicableError, Readout
from layerlens.recording.rows import Rows
from layerlens.recording.samples import Annotation, Samples
from layerlens.recording.sketch import FoldedSketch, directions_of, sketch_width
from layerlens.records import LayerInfo, RunInfo

__all__ = ["Output", "Record", "RecordedLayer", "Recording"]

_DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a layer on its way into the record.

    Parameters
    ----------
    tensor : Tensor of shape (B, ...)
        The output, batch first.
    channel_axis : int
        Which axis holds the channels.
    module_type : str
        Class of the module.
    path : str
        Where the tensor lay in the module's output.
    readout : Readout
        How it becomes rows.
    """

    tensor: torch.Tensor
    channel_axis: int
    module_type: str
    path: str
    readout: Readout


class RowTaker(Protocol):
    """Rows of one layer as they grow."""

    @property
    def count(self) -> int:
        """How many rows were taken."""
        ...

    def reserve(self, n_rows: int) -> npt.NDArray[Any]:
        """Return memory for the next rows; they count once `commit` says so."""
        ...

    def commit(self, n_rows: int) -> None:
        """Keep the first rows of what was last reserved."""
        ...


Taker = TypeVar("Taker", bound=RowTaker)


@dataclass(slots=True)
class RecordedLayer(Generic[Taker]):
    """One layer of a record.

    Parameters
    ----------
    info : LayerInfo
        What is known of it.
    rows : RowTaker
        Its rows.
    sketch : FoldedSketch, DirectionSketch or None
        What makes them narrower.
    order : int
        Its place among the layers.
    spans : list of (int, int)
        Which samples the rows are of.
    meter : PairMeter
        What measures the sketch, where there is one.
    """

    info: LayerInfo
    rows: Taker
    sketch: FoldedSketch | DirectionSketch | None
    order: int
    spans: list[tuple[int, int]] = field(default_factory=list)
    meter: PairMeter = field(default_factory=PairMeter)

    @property
    def pairs(self) -> PairSums | None:
        """What was measured of the sketch, where there is one."""
        return None if self.sketch is None else self.meter.of_rows(self.rows.count)

    @property
    def sketch_text(self) -> str | None:
        """How the rows were made narrower, for the record."""
        if self.sketch is None:
            return None
        kind = "fold" if isinstance(self.sketch, FoldedSketch) else "pca"
        return f"{kind} {self.sketch!r}"

    def note_span(self, start: int, stop: int) -> None:
        """Note which samples the last rows belong to; neighbouring spans are one."""
        if self.spans and self.spans[-1][1] == start:
            self.spans[-1] = (self.spans[-1][0], stop)
        elif stop > start:
            self.spans.append((start, stop))


@dataclass(frozen=True, slots=True)
class _InFlight:
    """Rows on their way from an accelerator."""

    host: torch.Tensor
    target: npt.NDArray[Any]
    device: torch.device


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a layer's meter took of the batch under way."""

    products: torch.Tensor
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One layer's rows of a batch that waits for directions, and their products in blocks."""

    values: torch.Tensor
    ahead: tuple[list[slice], torch.Tensor] | None
    start: int


@dataclass(frozen=True, slots=True)
class _WaitingBatch:
    """A batch that waits for directions: all that `Recording.commit` was told of it."""

    layers: dict[str, _Waiting]
    batch: int
    annotation: Annotation | None
    keep: int
    given: int | None
    indices: list[int] | None


class Recording(Generic[Taker]):
    """What all records share: an output becomes rows, and a batch counts when it is through.

    Parameters
    ----------
    sketch : "auto", int, str or None
        See `Probe`.
    dtype : str
        ``"float16"``, ``"float32"`` or ``"float64"``.
    random_state : int
        Seed of the sketches.
    """

    def __init__(self, *, sketch: str | int | None, dtype: str, random_state: int) -> None:
        self.layers: dict[str, RecordedLayer[Taker]] = {}
        self.samples = Samples()
        self.expected: int | None = None
        """How many samples will come, where that is known."""
        self.given: int | None = None
        """How many the batch under way was of when it was given, where each makes several."""
        self._sketch = sketch
        self._dtype = dtype
        self._seed = random_state
        # rows of the batch under way: how many of each layer, and copies still on their way
        self._pending: dict[str, int] = {}
        self._in_flight: dict[str, _InFlight] = {}
        self._looked: dict[str, _Looked] = {}
        self.indices: list[int] | None = None
        """Places in the data set of the batch under way, where the loader told them."""
        # batches wait until there are enough of them to fit directions on, then none does
        width = directions_of(sketch)
        self._to_fit = rows_to_fit(width) if width else 0
        self._waiting: list[_WaitingBatch] | None = [] if width else None
        self._held: dict[str, _Waiting] = {}
        self._overflowed: set[str] = set()

    def add(self, name: str, output: Output) -> None:
        """Take one layer's output of the batch under way; a second one replaces the first.

        Raises
        ------
        ShapeError
            If the layer had another shape before, or the readout returns a wrong one.
        NotApplicableError
            If the readout makes no sense for such an output.
        """
        tensor = output.tensor
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        plain = output.readout.name == "flatten"
        rows = output.readout(tensor, output.channel_axis, name)
        if not rows.is_floating_point():
            rows = rows.float()
        layer = self.layers.get(name)
        if layer is None and not rows.shape[1]:
            raise NotApplicableError(f"it gives no values: {tuple(tensor.shape)}")
        if layer is None:
            layer = self._new_layer(name, output, rows.shape[1])
        elif layer.info.dim != rows.shape[1]:
            raise ShapeError(self._other_width(layer, output, rows.shape[1]))
        if self._waiting is not None:
            self._hold(name, layer, rows)
            return
        values = rows
        if layer.sketch is not None:
            values = layer.sketch(rows)
            self._look(name, layer.meter, rows, values)
        shaped = tensor if plain and layer.sketch is None and tensor.ndim > 1 else None
        self._put(name, layer, values, shaped)

    def _put(
        self,
        name: str,
        layer: RecordedLayer[Taker],
        values: torch.Tensor,
        shaped: torch.Tensor | None = None,
    ) -> None:
        """Write a layer's rows, which are all of `shaped` where that is given."""
        target = layer.rows.reserve(len(values))
        if values.device.type == "cpu":
            memory = torch.from_numpy(target)
            if shaped is not None:
                # straight from the output, whatever its strides: flattening might copy it first
                memory.view(shaped.shape).copy_(shaped)
            else:
                memory.copy_(values)
            if memory.dtype == torch.float16:
                self._look_for_overflow(name, memory, values)
        else:
            host = _to_host(values, _DTYPES[self._dtype])
            self._in_flight[name] = _InFlight(host, target, values.device)
        self._pending[name] = len(values)

    def _hold(self, name: str, layer: RecordedLayer[Taker], rows: torch.Tensor) -> None:
        """Keep rows back, as narrow as they can be, until there are enough to fit directions."""
        ahead = None
        sketch, start = layer.sketch, self.position
        if isinstance(sketch, DirectionSketch):
            ahead = layer.meter.ahead(rows, start)
            values = sketch.folded(rows)
            self._check_waiting()
        else:
            values = rows.clone()
        self._held[name] = _Waiting(values.cpu(), ahead, start)

    def _check_waiting(self) -> None:
        """Raise `RecordingError` where what waits would take more memory than it may."""

    @property
    def bytes_waiting(self) -> int:
        """How much memory batches take that wait, when there are enough of them."""
        return sum(
            4 * self._to_fit * layer.sketch.wide
            for layer in self.layers.values()
            if isinstance(layer.sketch, DirectionSketch) and not layer.sketch.n_fitted
        )

    @property
    def n_waiting(self) -> int:
        """How many samples wait."""
        return sum(one.keep for one in self._waiting or ())

    @property
    def n_taken(self) -> int:
        """How many samples there are, those that wait among them."""
        return self.samples.count + self.n_waiting

    def settle(self) -> None:
        """Fit directions on the rows that wait, however few, and let all of them count."""
        if not self._waiting:
            return
        waiting, self._waiting = deque(self._waiting), None
        for name, layer in self.layers.items():
            sketch = layer.sketch
            if isinstance(sketch, DirectionSketch) and not sketch.n_fitted:
                kept = [b.layers[name].values[: b.keep] for b in waiting if name in b.layers]
                sketch.fit(torch.cat(kept)[: self._to_fit])
        while waiting:  # the memory of what has its place is free for the rest
            self._settle(waiting.popleft())

    def _settle(self, batch: _WaitingBatch) -> None:
        for name, one in batch.layers.items():
            layer = self.layers[name]
            values = one.values
            if isinstance(layer.sketch, DirectionSketch):
                values = layer.sketch.project(values)
                if one.ahead is not None and len(values) <= batch.keep:
                    blocks, native = one.ahead
                    products = torch.stack([native.cpu(), products_of(values, blocks)], dim=1)
                    layer.meter.count(products.numpy(), one.start, len(values), of_fit=True)
            self._put(name, layer, values)
        self.given, self.indices = batch.given, batch.indices
        self._commit(batch.batch, batch.annotation, batch.keep)

    def _look(self, name: str, meter: PairMeter, rows: torch.Tensor, values: torch.Tensor) -> None:
        """Let a layer's meter compare distances before and after the sketch."""
        start = self.position
        products = meter.look(rows, values, start)
        if products is None:
            self._looked.pop(name, None)
            return
        if products.device.type != "cpu":
            products = _to_host(products, products.dtype)
        self._looked[name] = _Looked(products, start, len(rows))

    def _count_looked(self, keep: int) -> None:
        """Count what meters took, of a batch that is kept whole; copies have landed."""
        for name, looked in self._looked.items():
            if looked.count <= keep and name in self.layers:
                self.layers[name].meter.count(looked.products.numpy(), looked.start, looked.count)
        self._looked.clear()

    def _look_for_overflow(
        self, name: str, stored: torch.Tensor, values: torch.Tensor | None = None
    ) -> None:
        """Say once of a layer that its values are beyond what float16 holds."""
        if name in self._overflowed or not torch.isinf(stored).any():
            return
        if values is not None and not torch.isfinite(values[torch.isinf(stored)]).any():
            return  # it was infinite before
        self._overflowed.add(name)
        warnings.warn(
            f"layer {name!r} has values beyond float16's 65,504, which are recorded as infinity: "
            f"record with dtype='float32'",
            LayerlensWarning,
            stacklevel=2,
        )

    def _new_layer(self, name: str, output: Output, dim: int) -> RecordedLayer[Taker]:
        width = sketch_width(self._sketch, dim)
        info = LayerInfo(
            name,
            module_type=output.module_type,
            dim=dim,
            width=width or dim,
            output_shape=tuple(output.tensor.shape[1:]),
            output_path=output.path,
            readout=output.readout.name,
        )
        layer = RecordedLayer(
            info, self._new_rows(name, info.width), self._sketch_of(info), order=len(self.layers)
        )
        self.layers[name] = layer
        return layer

    def _sketch_of(self, info: LayerInfo) -> FoldedSketch | DirectionSketch | None:
        if not info.sketched:
            return None
        if directions_of(self._sketch) is not None:
            return DirectionSketch(info.name, info.dim, info.width, self._seed)
        return FoldedSketch(info.name, info.dim, info.width, self._seed)

    def _new_rows(self, name: str, width: int) -> Taker:
        """Return where a layer's rows go."""
        raise NotImplementedError

    def _other_width(self, layer: RecordedLayer[Taker], output: Output, dim: int) -> str:
        info = layer.info
        shape = "x".join(map(str, output.tensor.shape[1:]))
        before = "x".join(map(str, info.output_shape))
        cure = (
            "readout='pool' gives rows of one width for outputs of any size (or 'token:0' for "
            "sequences)"
            if output.tensor.ndim > 2 and info.readout == "flatten"
            else "use a readout that returns the same width for every batch"
        )
        return (
            f"layer {info.title!r}: this batch's output has shape {shape} a sample ({dim} values "
            f"by readout {info.readout!r}), earlier ones had {before} ({info.dim} values). {cure}"
        )

    @property
    def position(self) -> int:
        """How many samples of the stream of batches have gone by."""
        return self.n_taken

    def commit(self, batch: int, annotation: Annotation | None, keep: int | None = None) -> None:
        """Count the batch under way, or its first `keep` samples."""
        keep = batch if keep is None else min(batch, keep)
        if self._waiting is None:
            self._commit(batch, annotation, keep)
            return
        held, self._held = self._held, {}
        indices, self.indices = self.indices, None
        self._waiting.append(_WaitingBatch(held, batch, annotation, keep, self.given, indices))
        wide = any(isinstance(layer.sketch, DirectionSketch) for layer in self.layers.values())
        if not wide or self.n_waiting >= self._to_fit:
            self.settle()

    def _commit(self, batch: int, annotation: Annotation | None, keep: int) -> None:
        """Count the batch under way, or its first `keep` samples, whose rows are all there."""
        raise NotImplementedError

    def drop(self) -> None:
        """Forget the batch under way, and the layers that only it had."""
        self._in_flight.clear()
        self._looked.clear()
        known = {name for one in self._waiting or () for name in one.layers}
        for name in self._held:
            if name not in known and not self.layers[name].rows.count:
                del self.layers[name]
        self._held.clear()
        for name in self._pending:
            self.layers[name].rows.commit(0)
            if not self.layers[name].rows.count:
                del self.layers[name]
        self._pending.clear()

    def _land(self) -> None:
        """Wait once for all copies from an accelerator, and put them where they belong."""
        for device in {copy.device for copy in self._in_flight.values()}:
            if device.type == "cuda":  # copies of products came before those of their rows
                torch.cuda.current_stream(device).synchronize()
        for name, copy in self._in_flight.items():
            torch.from_numpy(copy.target).copy_(copy.host)
            if copy.host.dtype == torch.float16:
                self._look_for_overflow(name, copy.host)
        self._in_flight.clear()


class Record(Recording[Rows]):
    """Rows of all layers of one run, in memory.

    Parameters
    ----------
    sketch, dtype, random_state
        See `Recording`.
    previous : Record or None
        An earlier record; its memory is written again where nobody looks at it any more.
    memory_limit : int or None
        How many bytes the rows may take.
    """

    def __init__(
        self,
        *,
        sketch: str | int | None,
        dtype: str,
        random_state: int,
        previous: Record | None = None,
        memory_limit: int | None = None,
    ) -> None:
        super().__init__(sketch=sketch, dtype=dtype, random_state=random_state)
        self._memory_limit = memory_limit
        # other threads may read at any time: they see a batch in all layers or in none
        self._whole = threading.Lock()
        self._created = datetime.now(UTC).isoformat(timespec="seconds")
        self._spare = (
            {}
            if previous is None
            else {name: layer.rows.recycle() for name, layer in previous.layers.items()}
        )

    def _check_size(self, count: int) -> None:
        """Raise `RecordingError` where the record will be larger than it may, or has become so."""
        if self._memory_limit is None:
            return
        layers = [self.layers[name] for name in self._pending]
        per_sample = sum(one.info.width * one.rows.dtype.itemsize for one in layers)
        total = max(self.samples.count + count, self.expected or 0)
        size = total * per_sample
        if size <= self._memory_limit:
            return
        wide = max(layers, key=lambda layer: layer.info.width)
        known = "will have" if self.expected else "has by now"
        raise RecordingError(
            f"the record {known} {total:,} samples of {len(layers)} layers, "
            f"{size / 2**30:,.1f} GiB, and memory_limit is {self._memory_limit / 2**30:,.1f} GiB. "
            'Make rows narrower (sketch="auto" or a smaller width, or readout="pool"; '
            f"{wide.info.title!r} keeps {wide.info.width:,} values), record to disk "
            '(store="run.zarr"), or record fewer layers (layers=); or pass a larger memory_limit'
        )

    def _new_rows(self, name: str, width: int) -> Rows:
        expected = None if self.expected is None else max(0, self.expected - self.samples.count)
        rows = Rows(width, np.dtype(self._dtype), expected)
        rows.adopt(self._spare.pop(name, []))
        return rows

    def _check_waiting(self) -> None:
        if self._memory_limit is not None and self.bytes_waiting > self._memory_limit:
            raise RecordingError(
                f"sketch={self._sketch!r} keeps the first {self._to_fit:,} rows back to fit its "
                f"directions, {self.bytes_waiting / 2**30:,.1f} GiB for the layers so far, and "
                f"memory_limit is {self._memory_limit / 2**30:,.1f} GiB. Record fewer layers "
                "(layers=), or pass a width (sketch=2048), which keeps nothing back"
            )

    def _commit(self, batch: int, annotation: Annotation | None, keep: int) -> None:
        try:
            self._check_size(keep)
        except RecordingError:
            self.drop()
            raise
        self._land()
        with self._whole:
            self._count_looked(keep)
            self._count(keep, annotation)

    def _count(self, keep: int, annotation: Annotation | None) -> None:
        start = self.samples.count
        for name, count in self._pending.items():
            layer = self.layers[name]
            layer.rows.commit(min(count, keep))
            layer.note_span(start, start + min(count, keep))
        self._pending.clear()
        self.samples.add(keep, annotation)

    def activations(
        self,
        meta: dict[str, Any],
        label_names: tuple[str, ...] | None = None,
        without: Collection[str] = (),
    ) -> Activations:
        """Return what was recorded up to now, without some layers."""
        with self._whole:
            return self._activations(meta, label_names, without)

    def _activations(
        self, meta: dict[str, Any], label_names: tuple[str, ...] | None, without: Collection[str]
    ) -> Activations:
        facts = self.samples.facts()
        ids = facts.pop("ids")
        labels = facts.pop("labels", None)
        whole = [(0, self.samples.count)]
        layers = {}
        for name, layer in sorted(self.layers.items(), key=lambda item: item[1].order):
            if not layer.rows.count or name in without:
                continue
            spans = [np.arange(*span) for span in layer.spans]
            rows = None if layer.spans == whole else np.concatenate(spans)
            layers[name] = LayerActivations(
                layer.info,
                layer.rows,
                ids=ids if rows is None else ids[rows],
                rows=rows,
                sketch=layer.sketch_text,
                pairs=layer.pairs,
            )
        run = RunInfo(
            layers={},
            ids=ids,
            labels=labels,
            label_names=label_names,
            thumbnails=self.samples.thumbnails(),
            columns={name.removeprefix("column:"): values for name, values in facts.items()},
            created=self._created,
            versions={"torch": torch.__version__, "numpy": np.__version__},
        )
        how = "given" if self.samples.have_ids else "order"
        return Activations(layers, run, {**meta, "ids": how})


def _to_host(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Begin to copy rows to the host without waiting for them."""
    values = values.to(dtype)
    if values.device.type != "cuda":
        return values.cpu()
    host = torch.empty(values.shape, dtype=dtype, pin_memory=True)
    return host.copy_(values, non_blocking=True)
