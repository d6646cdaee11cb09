"""A model called again with other values for its input, up to the layers that are wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import torch
from torch import nn

from layerlens.errors import RecordingError, ShapeError
from layerlens.recording import feeding, structure
from layerlens.recording.grids import Gridded, GridReader
from layerlens.recording.hooks import hooked
from layerlens.recording.layout import ChannelAxes
from layerlens.recording.passes import model_input, send
from layerlens.recording.recorded import Output
from layerlens.recording.samples import Annotation
from layerlens.recording.selection import INPUT, Selector, original, qualified_names

__all__ = ["Recall", "without_call"]

_CALL = re.compile(r":(\d+)$")

Take = Callable[[str, Gridded], None]


class Recall:
    """A model, and a batch that can go into it.

    `x`: (B, C, ...), (x, y), or mapping. The batch.
    `given`: (B, C, ...). What of the batch has places.

    Raises
    ------
    ShapeError
        If what goes in has no places, as token numbers have not.
    """

    def __init__(
        self, model: nn.Module, x: Any, grid: Sequence[int] | None = None, layout: str = "auto"
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
        self.given = given
        self._reader = GridReader(self._root, grid, layout)

    def read(self, layer: str, output: Output) -> Gridded:
        """Return an output, or something of its shape, with its places in a grid."""
        return self._reader.read(output.tensor, 1 if layer == INPUT else output.channel_axis)

    def send(
        self,
        layers: Selector,
        batch: torch.Tensor,
        take: Callable[[str, Output], None],
        *,
        around: Any = None,
        last: str | None = None,
    ) -> dict[str, str]:
        """Call the model without gradients and hand outputs on, up to the layer `last`.

        `batch`: (n, C, ...). What goes in.
        `take`: ``take(layer, output)``.
        """

        def forward(model: nn.Module, given: torch.Tensor) -> None:
            with ExitStack() as stack:
                stack.enter_context(suppress(_EnoughError))
                if around is not None:
                    stack.enter_context(around)
                self._call(model, given)

        taker = _Taker(take, last)
        return send(self._model, layers, [batch], taker, reader=self._reader, forward=forward)

    def graph(self, layers: Sequence[str], given: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the maps of layers, shape (n, C, *grid), with the graph that leads to `given`."""
        caught: dict[str, torch.Tensor] = {INPUT: given} if INPUT in layers else {}
        wanted = set(layers)
        modules = qualified_names(self._root)

        def watch(name: str, asked: list[tuple[str, int, structure.Path]]) -> Any:
            calls = 0

            def catch(module: nn.Module, args: Any, output: Any) -> None:
                nonlocal calls
                for layer, call, path in asked:
                    if call == calls:
                        found = structure.find(output)
                        tensor = structure.follow(output, path) if path else found and found[1]
                        if isinstance(tensor, torch.Tensor):
                            axis = ChannelAxes(self._root).of(module, tensor.shape)
                            # a copy, since what follows may work in place
                            caught[layer] = self._reader.read(tensor.clone(), axis).maps
                calls += 1
                if wanted <= caught.keys():
                    raise _EnoughError

            return catch

        by_module: dict[str, list[tuple[str, int, structure.Path]]] = {}
        for layer in wanted - {INPUT}:
            name, call, path = self._parts(layer)
            by_module.setdefault(name, []).append((layer, call, path))
        with ExitStack() as stack:
            stack.enter_context(feeding.evaluation(self._model))
            hooks = stack.enter_context(hooked(self._model, self._root))
            self._reader.attach(hooks)
            for name, asked in by_module.items():
                hooks.after(modules[name], watch(name, asked))
            stack.enter_context(torch.enable_grad())
            with suppress(_EnoughError):
                self._call(self._model, given)
        if missing := sorted(wanted - caught.keys()):
            raise RecordingError(f"layer {missing[0]!r} was not called, so it has no gradient")
        return caught

    def _parts(self, layer: str) -> tuple[str, int, structure.Path]:
        """Split ``name[1]:2`` into name, number of the call, and place in the output."""
        if layer in qualified_names(self._root):
            return layer, 0, ()
        call = _CALL.search(layer)
        name, path = structure.split_path(layer[: call.start()] if call else layer)
        return name, int(call.group(1)) if call else 0, path

    def _call(self, model: nn.Module, batch: torch.Tensor) -> None:
        args = [self._in_place_of(value, batch) for value in self._fed.args]
        kwargs = {key: self._in_place_of(value, batch) for key, value in self._fed.kwargs.items()}
        model(*args, **kwargs)

    def _in_place_of(self, value: Any, batch: torch.Tensor) -> Any:
        if value is self.given:
            return batch
        whole = isinstance(value, torch.Tensor) and value.ndim and len(value) == len(self.given)
        if whole and len(batch) != len(value):  # a mask, say: one for every sample
            return value[:1].expand(len(batch), *value.shape[1:])
        return value


def without_call(layer: str) -> str:
    """Return a layer's name without the number of the call."""
    return _CALL.sub("", layer)


class _EnoughError(Exception):
    """The layers were called: what comes after them need not run."""


class _Taker:
    """Hands outputs on."""

    def __init__(self, take: Callable[[str, Output], None], last: str | None) -> None:
        self._take = take
        self._last = last

    def begin(self, fed: feeding.Fed | None) -> None:
        pass

    def add(self, layer: str, output: Output) -> None:
        self._take(layer, output)
        if layer == self._last:
            raise _EnoughError

    def commit(self, batch: int, annotation: Annotation | None, keep: int | None) -> None:
        pass

    def drop(self) -> None:
        pass
