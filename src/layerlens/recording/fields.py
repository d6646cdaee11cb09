"""Receptive fields: what of the input a place of a layer sees, found from the network itself.

Nothing is assumed of the network. A part of the input is made NaN, and the places of a layer that
become NaN are those it has an influence on, whatever lies in between: NaN goes through
convolutions (zero weights included), rectifiers, poolings and sums. Making the first ``t`` rows
NaN, for growing ``t``, tells where a field begins, and the last ``t`` rows where it ends; ``t`` is
found by bisection, for all places at once and in few forwards, since what one forward tells about
one place it tells about all; a forward ends where the layer is reached. Convolutions by transforms
(Winograd, FFT) spread NaN over their tiles, so the libraries that choose those (cuDNN, NNPACK) are
switched off meanwhile; oneDNN is asked for direct convolutions by PyTorch.

The field is that of the network as built. How much of it matters is another question: where it is
the whole input (attention, squeeze and excitation, late layers of deep networks), the box is that
which holds 95 % of the gradient's magnitude, and is called so.

References
----------
W. Luo, Y. Li, R. Urtasun, R. Zemel. Understanding the effective receptive field in deep
convolutional neural networks. NeurIPS 2016. (That the field's middle has most of the gradient.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from layerlens.errors import RecordingError, ShapeError
from layerlens.recording import feeding, structure
from layerlens.recording.boxes import FIELD, GRADIENT, Box
from layerlens.recording.grids import GridReader
from layerlens.recording.hooks import Hooks, compiled_runs_eagerly, is_compiled
from layerlens.recording.layout import ChannelAxes
from layerlens.recording.passes import model_input, send
from layerlens.recording.record import Output
from layerlens.recording.samples import Annotation
from layerlens.recording.selection import INPUT, original, qualified_names
from layerlens.recording.structure import Path

__all__ = ["FieldFinder"]

_PROBES = 16  # inputs in one forward
_SHARE = 0.95
_CALL = re.compile(r":(\d+)$")

Side = tuple[int, bool]
"""An axis of the input and whether it is entered from its end."""


class FieldFinder:
    """Finds the boxes of places, for inputs of one shape.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    x : Tensor of shape (B, C, ...), (x, y), or mapping
        A batch that can go into it; gradients are taken at these samples.
    grid, layout
        As for `activation_maps`.

    Raises
    ------
    ShapeError
        If what goes in has no places, as token numbers have not.
    """

    def __init__(
        self,
        model: nn.Module,
        x: Any,
        *,
        grid: Sequence[int] | None = None,
        layout: str = "auto",
    ) -> None:
        self._model = model
        self._root = original(model)
        self._fed = feeding.feed(model, x)
        given = model_input(self._fed)
        if given is None:
            raise ShapeError(
                f"boxes are of inputs with places, (B, C, ...) of floating values; "
                f"{type(model).__name__} is given {structure.describe(self._fed.args)}"
            )
        self._given = given
        self._reader = GridReader(self._root, grid, layout)
        self.size = tuple(given.shape[2:])
        # per layer and side, how far into the input one may go before each row of the grid is
        # reached: known (not reached at, reached at) pairs
        self._known: dict[tuple[str, Side], dict[int, list[int]]] = {}

    def boxes(
        self,
        layer: str,
        places: Sequence[Sequence[int]],
        channels: Sequence[int],
        samples: Sequence[int],
    ) -> list[Box]:
        """Return what of the input each place sees.

        Parameters
        ----------
        layer : str
            Name of the layer.
        places : sequence of sequence of int
            Places in its grid.
        channels, samples : sequence of int
            At which channel and sample of the batch the gradient is taken, where it is needed.
        """
        fields = self.fields(layer, places)
        whole = [i for i, box in enumerate(fields) if box.shape == self.size]
        if whole:
            asked = [(samples[i], channels[i], tuple(places[i])) for i in whole]
            for i, box in zip(whole, self._gradient_boxes(layer, asked), strict=True):
                fields[i] = box
        return fields

    def fields(self, layer: str, places: Sequence[Sequence[int]]) -> list[Box]:
        """Return the receptive field of each place: nothing outside of it has any influence.

        Along each axis of the input the field of a place is taken to be that of all places in the
        same row of the grid, which it is for everything that slides a window.
        """
        axes = range(len(self.size))
        if len({len(place) for place in places} | {len(self.size)}) != 1:
            # a grid of another kind than the input's: what a place sees is not told apart
            return [Box((0,) * len(self.size), self.size) for _ in places]
        for axis in axes:
            rows = {int(place[axis]) for place in places}
            for side in ((axis, False), (axis, True)):
                table = self._known.setdefault((layer, side), {})
                for row in rows - table.keys():
                    table[row] = [-1, self.size[axis] - 1]
        self._search(layer)
        boxes = []
        for place in places:
            reach = [
                [self._known[layer, (axis, end)][int(place[axis])][1] for end in (False, True)]
                for axis in axes
            ]
            start = tuple(first for first, _ in reach)
            stop = tuple(self.size[axis] - last for axis, (_, last) in enumerate(reach))
            boxes.append(Box(start, stop, FIELD))
        return boxes

    # --- bisection -------------------------------------------------------------------------

    def _search(self, layer: str) -> None:
        first = True
        while True:
            asked: set[tuple[Side, int]] = set()
            for (name, side), table in self._known.items():
                if name == layer:
                    asked |= {(side, t) for t in self._next(side, table, first=first)}
            if not asked:
                return
            first = False
            probes = sorted(asked)
            for start in range(0, len(probes), _PROBES):
                self._look(layer, probes[start : start + _PROBES])

    def _next(self, side: Side, table: dict[int, list[int]], *, first: bool) -> set[int]:
        """Return how far in to go next: half-way, or about where a known neighbour says."""
        open_rows = {row: span for row, span in table.items() if span[1] - span[0] > 1}
        if not open_rows:
            return set()
        if first and any(low < 0 for low, _ in open_rows.values()):
            return {0}  # most late layers see the whole input, which this tells at once
        closed = {row: span[1] for row, span in table.items() if span[1] - span[0] <= 1}
        inner = {row: reach for row, reach in closed.items() if reach > 0}
        asked = set()
        middle = sorted(open_rows)[len(open_rows) // 2]
        for row, (low, high) in open_rows.items():
            guess = (low + high) // 2
            if inner:
                near = min(inner, key=lambda known: abs(known - row))
                step = self.size[side[0]] / max(1, self._rows[side[0]])
                guess = round(inner[near] + (row - near) * step * (-1 if side[1] else 1))
                asked |= {t for t in (guess - 1, guess) if low < t < high}
                if not any(low < t < high for t in (guess - 1, guess)):
                    asked.add((low + high) // 2)
            elif row == middle:
                asked.add(guess)
        return asked

    def _look(self, layer: str, probes: list[tuple[Side, int]]) -> None:
        """Go into the input from these sides and note which rows of the grid are reached."""
        batch = self._given[:1].detach().clone()
        batch = batch.repeat(len(probes), *[1] * (batch.ndim - 1))
        # what is no number already would be seen everywhere
        batch = torch.nan_to_num(batch, nan=0.0, posinf=0.0, neginf=0.0)
        for number, ((axis, end), t) in enumerate(probes):
            length = self.size[axis]
            part = slice(length - 1 - t, None) if end else slice(0, t + 1)
            batch[(number, slice(None), *[slice(None)] * axis, part)] = torch.nan
        reached = self._reached(layer, batch)
        self._rows = reached.shape[1:]
        for number, (side, t) in enumerate(probes):
            others = tuple(i for i in range(len(self._rows)) if i != side[0])
            rows = reached[number].any(axis=others)
            for row, span in self._known[layer, side].items():
                if rows[row]:
                    span[1] = min(span[1], t)
                else:
                    span[0] = max(span[0], t)

    def _reached(self, layer: str, batch: torch.Tensor) -> npt.NDArray[np.bool_]:
        name = _CALL.sub("", layer)
        taker = _NotNumbers(self._reader, layer)

        def forward(model: nn.Module, given: torch.Tensor) -> None:
            # the rest of the network has no say in it
            with suppress(_ReachedError):
                model(*self._args(given), **self._kwargs(given))

        with ExitStack() as stack:
            stack.enter_context(torch.backends.nnpack.flags(enabled=False))
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            skipped = send(self._model, name, [batch], taker, reader=self._reader, forward=forward)
        if layer not in taker.found:
            why = skipped.get(layer, "it was not called")
            raise RecordingError(f"the box of a place of {layer!r} cannot be found: {why}")
        return taker.found[layer]

    def _args(self, batch: torch.Tensor) -> list[Any]:
        return [self._in_place_of(value, batch) for value in self._fed.args]

    def _kwargs(self, batch: torch.Tensor) -> dict[str, Any]:
        return {key: self._in_place_of(value, batch) for key, value in self._fed.kwargs.items()}

    def _in_place_of(self, value: Any, batch: torch.Tensor) -> Any:
        if value is self._given:
            return batch
        whole = isinstance(value, torch.Tensor) and value.ndim and len(value) == len(self._given)
        if whole and len(batch) != len(value):  # a mask, say: one for every sample
            return value[:1].expand(len(batch), *value.shape[1:])
        return value

    # --- gradients -------------------------------------------------------------------------

    def _gradient_boxes(
        self, layer: str, asked: list[tuple[int, int, tuple[int, ...]]]
    ) -> list[Box]:
        boxes: list[Box | None] = [None] * len(asked)
        for sample in sorted({sample for sample, _, _ in asked}):
            mine = [i for i, (b, _, _) in enumerate(asked) if b == sample]
            given = self._given[sample : sample + 1].detach().clone().requires_grad_()
            with torch.enable_grad():
                maps = self._maps_of(layer, given)
                for i in mine:
                    _, channel, place = asked[i]
                    value = maps[(0, channel, *place)]
                    (gradient,) = torch.autograd.grad(value, given, retain_graph=True)
                    boxes[i] = _middle(gradient[0], self.size)
        return [box for box in boxes if box is not None]

    def _maps_of(self, layer: str, given: torch.Tensor) -> torch.Tensor:
        """Return a layer's maps with their graph."""
        if layer == INPUT:
            return given
        name, call, path = _parts(layer, self._root)
        module = qualified_names(self._root)[name]
        caught: list[torch.Tensor] = []

        def catch(module: nn.Module, args: Any, output: Any) -> None:
            tensor = structure.follow(output, path) if path else (structure.find(output) or [0])[-1]
            if isinstance(tensor, torch.Tensor):
                caught.append(tensor.clone())  # what follows may work in place

        with ExitStack() as stack:
            stack.enter_context(feeding.evaluation(self._model))
            hooks = Hooks(self._root)
            stack.callback(hooks.remove)
            compiled_runs_eagerly(stack, is_compiled(self._model))
            self._reader.attach(hooks)
            hooks.after(module, catch)
            self._model(*self._args(given), **self._kwargs(given))
        tensor = caught[call]
        axis = ChannelAxes(self._root).of(module, tensor.shape)
        return self._reader.read(tensor, axis).maps


class _ReachedError(Exception):
    """The layer was called: what comes after it need not run."""


class _NotNumbers:
    """Takes from each output which of its places are NaN in any channel."""

    def __init__(self, reader: GridReader, last: str) -> None:
        self.found: dict[str, npt.NDArray[np.bool_]] = {}
        self._reader = reader
        self._last = last

    def begin(self, fed: feeding.Fed | None) -> None:
        pass

    def add(self, layer: str, output: Output) -> None:
        axis = 1 if layer == INPUT else output.channel_axis
        maps = self._reader.read(output.tensor, axis).maps
        self.found[layer] = maps.isnan().any(1).cpu().numpy()
        if layer == self._last:
            raise _ReachedError

    def commit(self, batch: int, annotation: Annotation | None, keep: int | None) -> None:
        pass

    def drop(self) -> None:
        pass


def _parts(layer: str, model: nn.Module) -> tuple[str, int, Path]:
    """Split ``name[1]:2`` into name, number of the call, and place in the output."""
    if layer in qualified_names(model):
        return layer, 0, ()
    call = _CALL.search(layer)
    name, path = structure.split_path(layer[: call.start()] if call else layer)
    return name, int(call.group(1)) if call else 0, path


def _middle(gradient: torch.Tensor, size: tuple[int, ...]) -> Box:
    """Return the box that is left when little enough weight is cut off at every side."""
    weight = gradient.abs().double().sum(0)
    total = float(weight.sum())
    if not total > 0 or not np.isfinite(total):
        return Box((0,) * len(size), size, FIELD)
    cut = (1 - _SHARE) / (2 * len(size)) * total
    starts, stops = [], []
    for axis in range(len(size)):
        profile = weight.sum([i for i in range(len(size)) if i != axis]).cpu().numpy()
        starts.append(int((np.cumsum(profile) <= cut).sum()))
        stops.append(len(profile) - int((np.cumsum(profile[::-1]) <= cut).sum()))
    return Box(tuple(starts), tuple(stops), GRADIENT)
