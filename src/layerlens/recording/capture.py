"""What happens inside the hooks: batches begin and end, outputs go into the record."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from layerlens.errors import LayerSelectionError, RecordingError, ShapeError
from layerlens.recording import structure
from layerlens.recording.batch import Batch, Makers, batch_size, is_calling_itself
from layerlens.recording.hooks import Hooks, in_backward, untouchable
from layerlens.recording.layout import ChannelAxes, puts_batch_second
from layerlens.recording.readout import NotApplicableError, Readout
from layerlens.recording.record import Output, Record
from layerlens.recording.samples import Annotation
from layerlens.recording.selection import INPUT, Selection, Target
from layerlens.recording.structure import Path

__all__ = ["Capture"]


class Capture:
    """One recording of one model, from the first batch to the last.

    A batch is one call of the model. Calls of its parts outside of that make up a batch of their
    own, which ends when the user announces the next.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    selection : Selection
        What is recorded of it.
    readout : callable
        ``layer name -> Readout``.
    record : Record
        Where it goes.
    last_call_only : bool
        Record only the last call of a module in a batch.
    """

    def __init__(
        self,
        model: nn.Module,
        selection: Selection,
        readout: Callable[[str], Readout],
        record: Record,
        *,
        last_call_only: bool,
    ) -> None:
        self.record = record
        self.skipped: dict[str, str] = {}
        self.foreign_calls = 0
        self.next_annotation: Annotation | None = None
        self.keep: int | None = None
        """Take at most so many samples of a batch."""
        self.caller_ends_batches = False
        """Whether a batch may hold several calls of the model, until `end_batch`."""
        self._model = model
        self._selection = selection
        self._readout = readout
        self._last_call_only = last_call_only
        self._axes = ChannelAxes(model)
        self._thread = threading.get_ident()
        self._batch: Batch | None = None
        self._places: dict[str, Path] = {}
        self._makers = Makers() if any(t.only_new for t in selection.targets) else None

    def attach(self, hooks: Hooks, *, inputs: bool) -> None:
        """Put the hooks on: on what goes into modules, or on what comes out."""
        hooks.before(self._model, self._before_model)
        for target in self._selection.targets:
            if inputs:
                hooks.before(target.module, partial(self._before_layer, target))
            else:
                hooks.after(target.module, partial(self._after_layer, target))
        # comes last on the model, so that its own output is recorded before the batch ends
        hooks.after(self._model, self._after_model, always=True)

    def called(self) -> set[str]:
        """Return which of the selected modules were called."""
        return {name.partition("[")[0] for name in self._places} | {
            name.partition("[")[0] for name in self.skipped
        }

    # --- batches ---------------------------------------------------------------------------

    def announce(self, annotation: Annotation) -> None:
        """Take what is known of the next batch; calls of parts of the model begin a new one."""
        if self._batch is not None and not self._batch.depth and not self.caller_ends_batches:
            self.end_batch()
        if self.next_annotation is None:
            self.next_annotation = annotation
        else:
            self.next_annotation.update(annotation)

    def end_batch(self) -> None:
        """Count the batch under way."""
        batch, self._batch = self._batch, None
        if batch is not None and batch.size is not None:
            self.record.commit(batch.size, batch.annotation, self.keep)

    def drop_batch(self) -> None:
        """Forget the batch under way."""
        self._batch = None
        self.record.drop()

    def _begin_batch(self, size: int | None) -> Batch:
        annotation, self.next_annotation = self.next_annotation, None
        if annotation is not None and len(annotation):
            annotation.check(len(annotation) if size is None else size)
            size = len(annotation)
        if self._makers is not None:
            self._makers.clear()
        self._batch = Batch(size, annotation, announced=annotation is not None)
        return self._batch

    def _is_mine(self) -> bool:
        if in_backward():  # a checkpointed block that runs again
            return False
        if threading.get_ident() != self._thread:
            self.foreign_calls += 1
            return False
        return True

    def _before_model(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if not self._is_mine():
            return
        batch = self._batch
        if batch is not None and batch.depth:
            if is_calling_itself(module):
                batch.depth += 1
                return
            self.drop_batch()  # an interrupt left it half-way
        elif batch is not None and not self.caller_ends_batches:
            self.end_batch()
        batch = self._batch or self._begin_batch(batch_size(module, args, kwargs))
        batch.depth = 1
        if self._selection.model_input:
            self._take(INPUT, None, _merged(args, kwargs), module, "input")

    def _after_model(self, module: nn.Module, args: Any, output: Any) -> None:
        batch = self._batch
        if batch is None or not batch.depth or not self._is_mine():
            return
        # called on failure too, then without an output and while the error is handled
        failed = output is None and sys.exc_info()[0] is not None
        batch.depth = 0 if failed else batch.depth - 1
        if failed:
            self.drop_batch()
        elif not batch.depth and not self.caller_ends_batches:
            self.end_batch()

    # --- layers ----------------------------------------------------------------------------

    def _before_layer(self, target: Target, module: nn.Module, args: Any, kwargs: Any) -> None:
        if self._is_mine():
            for path in target.paths:
                self._take(target.name, path, _merged(args, kwargs), module)

    def _after_layer(self, target: Target, module: nn.Module, args: Any, output: Any) -> None:
        if not self._is_mine():
            return
        for path in target.paths:
            self._take(target.name, path, output, module, only_new=target.only_new)

    def _take(
        self,
        name: str,
        path: Path | None,
        value: Any,
        module: nn.Module,
        module_type: str = "",
        only_new: bool = False,
    ) -> None:
        """Find the tensor of one call of a layer and record it."""
        layer = name if path is None else name + structure.format_path(path)
        found = self._locate(layer, path, value, only_new)
        if found is None:
            return
        path, tensor = found
        why = untouchable(tensor)
        if why is not None:
            self._skip(layer, why)
            return
        if self._makers is not None:
            if only_new and self._makers.knows(tensor):
                return
            self._makers.note(tensor)
        batch = self._batch_of(layer, tensor)
        before = batch.next_call(layer)
        key = f"{layer}:{before}" if before and not self._last_call_only else layer
        if key in self.skipped:
            return
        with torch.no_grad():
            tensor = tensor.detach()
            if type(tensor) is not torch.Tensor:  # its operations may be the user's own
                tensor = tensor.as_subclass(torch.Tensor)
            if batch.size is None:
                batch.size = tensor.shape[0]
            if tensor.shape[0] != batch.size:
                second = tensor.ndim > 2 and tensor.shape[1] == batch.size
                if not second or not puts_batch_second(module):
                    self._skip(key, _other_batch(tensor, batch.size))
                    return
                tensor = tensor.transpose(0, 1)
            output = Output(
                tensor,
                self._axes.of(module, tensor.shape),
                module_type or type(module).__name__,
                structure.format_path(path),
                self._readout(name),
            )
            try:
                self.record.add(key, output)
            except NotApplicableError as why_not:
                self._skip(key, str(why_not))

    def _locate(
        self, layer: str, path: Path | None, value: Any, only_new: bool
    ) -> tuple[Path, torch.Tensor] | None:
        """Return the layer's tensor and its place, which is where it was the first time."""
        place = self._places.get(layer, path)
        if place is None:
            found = structure.find(value)
            if found is None:
                if not only_new:
                    self._skip(layer, f"no floating tensor in what it gives: {_what(value)}")
                return None
            self._places[layer] = found[0]
            return found
        tensor = structure.follow(value, place)
        if tensor is None and layer in self._places:
            raise ShapeError(
                f"layer {layer!r}: its tensor was at {structure.format_path(place) or 'the top'} "
                f"of what it gives, and now that is {_what(value)}"
            )
        if tensor is None:
            raise LayerSelectionError(
                f"layer {layer!r}: there is no tensor at {structure.format_path(place)} of what it "
                f"gives: {_what(value)}"
            )
        self._places[layer] = place
        if not tensor.is_floating_point() or not tensor.ndim:
            self._skip(layer, f"it gives {_what(tensor)}, and not floating values per sample")
            return None
        return place, tensor

    def _batch_of(self, layer: str, tensor: torch.Tensor) -> Batch:
        batch = self._batch
        if batch is None:
            batch = self._begin_batch(None)
            batch.first = layer
        elif (
            batch.first == layer
            and not batch.depth
            and not batch.announced
            and not self.caller_ends_batches
        ):
            raise RecordingError(
                f"layer {layer!r} was called a second time outside of a call of "
                f"{type(self._model).__name__}, so where a batch begins is unclear. Call "
                "probe.annotate() before each batch, or put the probe on the part that you call"
            )
        return batch

    def _skip(self, layer: str, why: str) -> None:
        self.skipped.setdefault(layer, why)


def _merged(args: Any, kwargs: Any) -> Any:
    """Return arguments as one structure, in which a single tensor is reached without a step."""
    if len(args) == 1 and not kwargs:
        return args[0]
    return dict(enumerate(args)) | kwargs


def _what(value: Any) -> str:
    return structure.describe(value)


def _other_batch(tensor: torch.Tensor, size: int) -> str:
    return (
        f"its output has shape {tuple(tensor.shape)}, whose first axis is not the batch of {size} "
        "samples"
    )
