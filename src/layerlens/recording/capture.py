"""What happens inside the hooks: batches begin and end, outputs go into the record."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from layerlens.errors import RecordingError
from layerlens.recording import structure
from layerlens.recording.batch import (
    Batch,
    Makers,
    batch_size,
    first_tensor,
    image_list,
    is_calling_itself,
    plain,
    possible_sizes,
)
from layerlens.recording.hooks import Hooks, in_backward, untouchable
from layerlens.recording.layout import ChannelAxes, puts_batch_second
from layerlens.recording.operations import Operations
from layerlens.recording.readout import NotApplicableError, Readouts, TextReader
from layerlens.recording.record import Recording
from layerlens.recording.recorded import Output
from layerlens.recording.samples import Annotation
from layerlens.recording.selection import INPUT, Selection, Target, qualified_names
from layerlens.recording.structure import Path

__all__ = ["Capture", "ForwardEnded"]


class ForwardEnded(Exception):  # noqa: N818  it tells of no error
    """All that was asked for is recorded: the rest of the forward is not needed."""


_THREADS: Counter[int] = Counter()
"""How many captures each thread has open."""


class Capture:
    """One recording of one model, from the first batch to the last.

    A batch is one call of the model. Calls of its parts outside of that make up a batch of their
    own, which ends when the user announces the next.

    `readout`: ``layer name -> Readout``.
    """

    def __init__(
        self,
        model: nn.Module,
        selection: Selection,
        readout: Readouts,
        record: Recording[Any],
        *,
        last_call_only: bool,
    ) -> None:
        self.record = record
        self.skipped: dict[str, str] = {}
        """Layers that are left out of the whole record, and why."""
        self.ignored: dict[str, str] = {}
        """Layers of which single calls could not be recorded, and why."""
        self.doubtful: dict[str, str] = {}
        """Layers whose samples may be something else, and what."""
        self.foreign_calls = 0
        self.next_annotation: Annotation | None = None
        self.keep: int | None = None
        """Take at most so many samples of a batch."""
        self.caller_ends_batches = False
        """Whether a batch may hold several calls of the model, until `end_batch`."""
        self.stop_early = False
        """Whether a forward ends, by `ForwardEnded`, with the last call that the first one had."""
        self._n_calls: int | None = None
        self._model = model
        self._selection = selection
        self._readout = readout
        self._last_call_only = last_call_only
        self._axes = ChannelAxes(model)
        names = qualified_names(model)
        self.text = TextReader(model, names, readout)
        self.operations = Operations(selection.operations, model, names, self)
        self._hooks: Hooks | None = None
        self._names = names
        self._may_have_batch_second = any(puts_batch_second(module) for module in names.values())
        self._thread = threading.get_ident()
        self._batch: Batch | None = None
        self._ignoring = 0
        self._called: set[str] = set()
        self._held: dict[str, Output] = {}
        self._places = structure.Places(self._skip)
        self._makers = Makers()

    def attach(self, hooks: Hooks, *, inputs: bool) -> None:
        """Put the hooks on: on what goes into modules, or on what comes out."""
        self._hooks = hooks
        _THREADS[self._thread] += 1
        hooks.then(self._leave_thread)
        hooks.before(self._model, self._before_model)
        self.text.attach(hooks, self._is_mine)
        for target in self._selection.targets:
            if inputs:
                hooks.before(target.module, partial(self._before_layer, target))
            else:
                hooks.after(target.module, partial(self._after_layer, target))
        self.operations.attach(hooks, self._is_mine)
        # comes last on the model, so that its own output is recorded before the batch ends
        hooks.after(self._model, self._after_model, always=True)

    def _leave_thread(self) -> None:
        _THREADS[self._thread] -= 1
        if not _THREADS[self._thread]:
            del _THREADS[self._thread]

    def go_on(self, record: Recording[Any], skipped: Mapping[str, str]) -> None:
        """Go on with an earlier record: where layers' tensors lay, and what was left out."""
        self.record = record
        for name, layer in record.layers.items():
            self._places.known[name] = structure.split_path(layer.info.output_path)[1]
        self.skipped.update(skipped)

    @property
    def was_traced(self) -> bool:
        """Whether a tracer called the model, which is not recorded."""
        return self._hooks is not None and self._hooks.traced

    def called(self) -> set[str]:
        """Return which of the selected modules were called."""
        return self._called

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
        """Count the batch under way, unless it was not recorded to its end."""
        batch = self._batch
        if batch is None:
            return
        if batch.size is None or batch.failed or batch.depth:
            self.drop_batch()
            return
        try:
            for name, output in self._held.items():
                self._record(name, output)
            size, annotation = self.text.samples(batch.size, batch.annotation)
        except BaseException:
            self.drop_batch()
            raise
        if self._n_calls is None:
            self._n_calls = batch.n_calls
        self._batch = None
        self._held.clear()
        self.text.clear()
        self.record.given = batch.size
        self.record.commit(size, annotation, self.keep)

    def drop_batch(self) -> None:
        """Forget the batch under way."""
        self._batch = None
        self._held.clear()
        self.text.clear()
        self.record.drop()

    def _begin_batch(self, size: int | None, possible: Collection[int]) -> Batch:
        """Begin a batch of `size` samples, or of another possible size that was announced."""
        annotation, self.next_annotation = self.next_annotation, None
        if annotation is not None and len(annotation):
            if len(annotation) in possible:
                size = len(annotation)
            annotation.check(len(annotation) if size is None else size)
            size = len(annotation)
        self._makers.clear()
        self._batch = Batch(size, annotation, announced=annotation is not None)
        return self._batch

    def _is_mine(self) -> bool:
        if in_backward():  # a checkpointed block that runs again
            return False
        thread = threading.get_ident()
        if thread != self._thread:
            # calls that another probe takes in its own thread are nobody's loss
            self.foreign_calls += thread not in _THREADS
            return False
        return True

    def _before_model(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if not self._is_mine():
            return
        first = first_tensor(args, kwargs)
        why = None if first is None else untouchable(first)
        if why is not None or (self._ignoring and is_calling_itself(module)):
            self._ignoring += 1
            self.ignored.setdefault(type(module).__name__, f"in a call of it, {why}")
            return
        self._ignoring = 0
        batch = self._batch
        if batch is not None and batch.depth:
            if is_calling_itself(module):
                batch.depth += 1
                return
            self.drop_batch()  # an interrupt left it half-way
        elif batch is not None and not self.caller_ends_batches:
            self.end_batch()
        batch, images = self._batch, image_list(args, kwargs)
        if batch is None:
            given = [tensor for _, tensor in structure.tensors([args, kwargs])]
            possible = possible_sizes(given, steps_first=self._may_have_batch_second)
            possible |= {len(images)} if images else set()
            batch = self._begin_batch(batch_size(module, args, kwargs), possible)
            # said to be of another size than the first axis: then the second, (time, batch, ...)
            lengths = {len(one) for one in given if one.ndim}
            batch.second = bool(lengths) and not images and batch.size not in lengths
        batch.depth = 1
        batch.handling = sys.exc_info()[1]
        if self._selection.model_input and images:
            self.ignored.setdefault(INPUT, "it is a list of images, each of a size of its own")
        elif self._selection.model_input:
            self._take(INPUT, None, _merged(args, kwargs), module, "input")

    def _after_model(self, module: nn.Module, args: Any, output: Any) -> None:
        if not self._is_mine():
            return
        if self._ignoring:
            self._ignoring -= 1
            return
        batch = self._batch
        if batch is None or not batch.depth:
            return
        # called on failure too, then without an output and while the error is handled
        error = sys.exc_info()[1]
        failed = output is None and error is not None and error is not batch.handling
        if failed and not isinstance(error, ForwardEnded):
            self.drop_batch()
            return
        batch.depth -= 1
        if not batch.depth and not self.caller_ends_batches:
            self.end_batch()

    # --- layers ----------------------------------------------------------------------------

    def _before_layer(self, target: Target, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._take_all(target, module, _merged(args, kwargs))

    def _after_layer(self, target: Target, module: nn.Module, args: Any, output: Any) -> None:
        self._take_all(target, module, output)

    def _take_all(self, target: Target, module: nn.Module, value: Any) -> None:
        if not self._is_mine() or self._ignoring:
            return
        self._called.add(target.name)
        try:
            for path in target.paths:
                self._take(target.name, path, value, module, only_new=target.only_new)
        except BaseException:
            if self._batch is not None:
                self._batch.failed = True
            raise
        self._end_forward()

    def _end_forward(self) -> None:
        """Leave the forward, where all that the first one gave is recorded."""
        batch = self._batch
        if not self.stop_early or batch is None or not batch.depth:
            return
        if self._n_calls and batch.n_calls == self._n_calls:
            raise ForwardEnded

    def take_operation(
        self,
        layer: str,
        wanted: Callable[[int], bool],
        value: Any,
        module: nn.Module,
        size: int | None,
    ) -> None:
        """Record what an operation gave, where it is one row a sample."""
        batch = self._batch
        found = None if self._ignoring else structure.find(value)
        if found is None or untouchable(found[1]) is not None:
            return
        size = size if batch is None or batch.size is None else batch.size
        shape = found[1].shape
        second = batch is not None and batch.second
        second = found[1].ndim > 2 and (second or puts_batch_second(module)) and shape[1] == size
        if size is None or (shape[0] != size and not second):
            return
        if not wanted(0 if batch is None else batch.calls.get(layer, 0)):
            if batch is not None:
                batch.next_call(layer)
            return
        try:
            self._take(layer, None, value, module, f"op:{layer.rpartition('/')[2]}")
        except BaseException:
            if self._batch is not None:
                self._batch.failed = True
            raise
        self._end_forward()

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
        found = self._places.locate(layer, path, value, only_new)
        if found is None:
            return
        path, tensor = found
        why = untouchable(tensor)
        if why is not None:
            self.ignored.setdefault(layer, why)
            return
        made = self._makers.get(tensor)
        if only_new and made is not None:
            return
        made = made or self._makers.note(tensor)
        batch = self._batch_of(layer, tensor)
        before = batch.next_call(layer)
        key = f"{layer}:{before}" if before and not self._last_call_only else layer
        if key != layer and key in self._names:
            why = f"its call {before} would be called {key!r}, which is a module's own name"
            self.ignored.setdefault(layer, f"{why}; record with call='last', or rename that module")
            return
        if key in self.skipped:
            return
        with torch.no_grad():
            given, tensor = tensor, plain(tensor)
            if batch.size is None:
                batch.size = tensor.shape[0]
            second = tensor.ndim > 2 and puts_batch_second(module, path[0] if path else None)
            if tensor.ndim > 2 and batch.second:
                second = second or tensor.shape[0] != batch.size
            turned = second and tensor.shape[1] == batch.size
            if turned:
                tensor = tensor.transpose(0, 1)
            elif second and not batch.annotation and tensor.shape[0] == batch.size:
                self.doubtful.setdefault(key, _steps_first(tensor))
            if tensor.shape[0] != batch.size:
                self._skip(key, _other_batch(tensor, batch.size))
                return
            channels = self._axes.of(module, tensor.shape)
            try:
                owner = name.rpartition("/")[0] if module_type.startswith("op:") else name
                readout = self.text.bind(self._readout(name), owner, tensor, channels)
            except NotApplicableError as why_not:
                self._skip(key, str(why_not))
                return
            output = Output(
                tensor,
                channels,
                module_type or type(module).__name__,
                structure.format_path(path),
                readout,
                maker=None if turned else made.folded,
                is_certain=made.counts_versions,
            )
            if self._last_call_only:  # which call is the last is known when the batch ends
                self._held[key] = replace(output, tensor=tensor.clone())
            else:
                folded = self._record(key, output)
                if folded and made.folded is None and not turned:
                    made.note_fold(key, given)

    def _record(self, key: str, output: Output) -> bool:
        try:
            return self.record.add(key, output)
        except NotApplicableError as why:
            self._skip(key, str(why))
            return False

    def _batch_of(self, layer: str, tensor: torch.Tensor) -> Batch:
        batch = self._batch
        if batch is None:
            batch = self._begin_batch(tensor.shape[0], possible_sizes([tensor]))
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


def _steps_first(tensor: torch.Tensor) -> str:
    steps, samples = tensor.shape[:2]
    return (
        f"batch_first is False, so its output of shape {tuple(tensor.shape)} is {steps} steps of "
        f"{samples} samples, but the model was called with {steps} first; say which "
        f"they are by labels or ids, one a sample: batches (x, y), or probe.annotate(ids=...)"
    )


def _other_batch(tensor: torch.Tensor, size: int) -> str:
    return (
        f"its output has shape {tuple(tensor.shape)}, whose first axis is not the batch of {size} "
        "samples"
    )
