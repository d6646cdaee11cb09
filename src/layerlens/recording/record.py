"""The record of a run as it grows: every layer's rows, batch after batch.

A batch counts only when its forward is through. If the forward fails half-way, what its first
layers wrote is not counted and is written over, so that all layers have the same samples.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic

import torch

from layerlens.errors import ShapeError
from layerlens.recording.directions import DirectionSketch, rows_to_fit
from layerlens.recording.meter import PairMeter, products_of
from layerlens.recording.readout import NotApplicableError
from layerlens.recording.recorded import Arrivals, Output, RecordedLayer, Taker, to_host
from layerlens.recording.samples import Annotation, Samples
from layerlens.recording.sketch import FoldedSketch, directions_of, sketch_width
from layerlens.records import LayerInfo

__all__ = ["Recording"]


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
        self._arrivals = Arrivals(dtype)
        self._looked: dict[str, _Looked] = {}
        self.indices: list[int] | None = None
        """Places in the data set of the batch under way, where the loader told them."""
        # batches wait until there are enough of them to fit directions on, then none does
        width = directions_of(sketch)
        self._to_fit = rows_to_fit(width) if width else 0
        self._waiting: list[_WaitingBatch] | None = [] if width else None
        self._held: dict[str, _Waiting] = {}

    def add(self, name: str, output: Output) -> bool:
        """Take one layer's output of the batch under way; a second one replaces the first.

        Returns
        -------
        bool
            Whether all of its values were folded: a layer that hands them on has the same rows.

        Raises
        ------
        ShapeError
            If the layer had another shape before, or the readout returns a wrong one.
        NotApplicableError
            If the readout makes no sense for such an output.
        """
        if self._hand_on(name, output):
            return True
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
            return False
        values = rows
        if layer.sketch is not None:
            values = layer.sketch(rows)
            self._look(name, layer.meter, rows, values)
        shaped = tensor if plain and layer.sketch is None and tensor.ndim > 1 else None
        self._arrivals.put(name, layer.rows, values, shaped)
        return plain and layer.signs is not None

    def _maker(self, output: Output) -> RecordedLayer[Taker] | None:
        """Return the layer that put out the same values before, if they were folded."""
        if output.maker is None or output.readout.name != "flatten":
            return None
        return self.layers.get(output.maker)

    def _hand_on(self, name: str, output: Output) -> bool:
        """Take the rows of the layer that put out this very tensor, if they are folded alike."""
        maker = self._maker(output)
        rows = None if maker is None else self._arrivals.here(maker.info.name)
        if maker is None or rows is None or not output.is_certain:
            return False
        layer = self.layers.get(name) or self._new_layer(name, output, maker.info.dim)
        if layer.signs != maker.signs:
            return False
        looked = self._looked.get(maker.info.name)
        blocks = layer.meter.blocks(self.position, len(rows))
        if len(blocks) != (0 if looked is None else len(looked.products)):
            return False
        self._looked.pop(name, None)
        if looked is not None:
            self._looked[name] = looked
        self._arrivals.put(name, layer.rows, torch.from_numpy(rows))
        return True

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
            self._arrivals.put(name, layer.rows, values)
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
            products = to_host(products, products.dtype)
        self._looked[name] = _Looked(products, start, len(rows))

    def _count_looked(self, keep: int) -> None:
        """Count what meters took, of a batch that is kept whole; copies have landed."""
        for name, looked in self._looked.items():
            if looked.count <= keep and name in self.layers:
                self.layers[name].meter.count(looked.products.numpy(), looked.start, looked.count)
        self._looked.clear()

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
        # what is handed on is the same cloud, and lies where that lies, to the bit
        maker = self._maker(output)
        sketch = self._sketch_of(info, None if maker is None else maker.signs)
        layer = RecordedLayer(
            info, self._new_rows(name, info.width), sketch, order=len(self.layers)
        )
        self.layers[name] = layer
        return layer

    def _sketch_of(
        self, info: LayerInfo, signs: str | None = None
    ) -> FoldedSketch | DirectionSketch | None:
        if not info.sketched:
            return None
        if directions_of(self._sketch) is not None:
            return DirectionSketch(info.name, info.dim, info.width, self._seed)
        return FoldedSketch(info.name if signs is None else signs, info.dim, info.width, self._seed)

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
        self._looked.clear()
        known = {name for one in self._waiting or () for name in one.layers}
        for name in self._held:
            if name not in known and not self.layers[name].rows.count:
                del self.layers[name]
        self._held.clear()
        for name in self._arrivals.rows:
            self.layers[name].rows.commit(0)
            if not self.layers[name].rows.count:
                del self.layers[name]
        self._arrivals.clear()
