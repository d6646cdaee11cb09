"""A pass of batches through a model: `drive` for rows, as `Probe.run` wants them, and `send`.

`send` is for takers that want the outputs themselves: maps, strongest places.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack, suppress
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from layerlens import _options
from layerlens.errors import ShapeError
from layerlens.progress import Progress
from layerlens.recording import feeding, structure
from layerlens.recording.batch import image_list
from layerlens.recording.capture import Capture, ForwardEnded
from layerlens.recording.grids import GridReader
from layerlens.recording.hooks import hooked
from layerlens.recording.readout import readouts_for
from layerlens.recording.record import Recording
from layerlens.recording.recorded import Output
from layerlens.recording.samples import Annotation
from layerlens.recording.selection import INPUT, Selector, original, select

__all__ = ["Forward", "Taker", "drive", "model_input", "require_grids", "send"]

Forward = Callable[[nn.Module, Any], Any]


class Taker(Protocol):
    """Who gets the outputs."""

    def begin(self, fed: feeding.Fed | None) -> None:
        """Take note of the batch that comes; None where the user feeds the model."""
        ...

    def add(self, layer: str, output: Output) -> None:
        """Take one output: it is the model's memory, to be read now and left as it is."""
        ...

    def commit(self, batch: int, annotation: Annotation | None, keep: int | None) -> None:
        """Count the batch: it is through."""
        ...

    def drop(self) -> None:
        """Forget the batch: it failed."""
        ...


def drive(
    model: nn.Module,
    batches: Iterable[Any],
    capture: Capture,
    forward: Forward | None,
    *,
    limit: int | None,
    places: deque[list[int]],
    shown: Progress,
) -> bool:
    """Send batches through a model; return whether that ended at the limit.

    `places`: where in the data set the samples of each batch are, where the loader tells.
    """
    record = capture.record
    capture.caller_ends_batches = True
    shown.advance(record.n_taken)
    for batch in batches:
        before = record.n_taken
        capture.keep = None if limit is None else limit - record.position
        if places:
            record.indices = places.popleft()
        with suppress(ForwardEnded):
            if forward is not None:
                forward(model, batch)
            else:
                fed = feeding.feed(model, batch)
                capture.announce(fed.annotation)
                model(*fed.args, **fed.kwargs)
        capture.end_batch()
        shown.advance(record.n_taken - before)
        if limit is not None and record.n_taken >= limit:
            return True
    return False


def send(
    model: nn.Module,
    layers: Selector,
    batches: Iterable[Any],
    taker: Taker,
    *,
    reader: GridReader | None = None,
    forward: Forward | None = None,
) -> dict[str, str]:
    """Send batches through a model, in eval mode and without gradients.

    Raises
    ------
    ArgumentError
        If `forward` is no function.
    RecordingError
        If the model takes no hooks or a batch cannot be fed.
    ShapeError
        If what goes in has another number of channels than the first convolution takes.
    """
    _options.function("forward", forward)
    root = original(model)
    found = select(root, layers)
    names = [target.name for target in found.targets] + [INPUT] * found.model_input
    with ExitStack() as stack:
        stack.enter_context(feeding.evaluation(model))
        stack.enter_context(torch.no_grad())
        hooks = stack.enter_context(hooked(model, root))
        if reader is not None:
            reader.attach(hooks)
        # the capture calls add, commit and drop, and no more
        record = cast("Recording[Any]", taker)
        capture = Capture(root, found, readouts_for("flatten", names), record, last_call_only=False)
        capture.caller_ends_batches = True
        capture.attach(hooks, inputs=False)
        for batch in batches:
            _send_one(model, batch, taker, capture, forward)
        for name in found.named - capture.called() - {INPUT}:
            capture.skipped.setdefault(name, "it was never called")
    return capture.skipped


def _send_one(
    model: nn.Module, batch: Any, taker: Taker, capture: Capture, forward: Forward | None
) -> None:
    if forward is not None:
        taker.begin(None)
        forward(model, batch)
    else:
        fed = feeding.feed(model, batch)
        taker.begin(fed)
        capture.announce(fed.annotation)
        given = model_input(fed)
        _refuse_single_sample(model, given)
        try:
            model(*fed.args, **fed.kwargs)
        except RuntimeError as error:
            why = _other_channels(model, given)
            if why is None:
                raise
            raise ShapeError(why) from error
    capture.end_batch()


def model_input(fed: feeding.Fed) -> torch.Tensor | None:
    """Return the tensor with places that goes in: images, sound, volumes; None for others."""
    if image_list(fed.args, fed.kwargs):
        return None
    found = structure.tensors([*fed.args, *fed.kwargs.values()])
    return next((t for _, t in found if t.ndim > 2 and t.is_floating_point()), None)


def require_grids(
    model: nn.Module, layers: Selector, found: Collection[str], skipped: Mapping[str, str]
) -> None:
    """Raise `ShapeError` where a layer that was asked for by its name has no grid, or none has."""
    root = original(model)
    for name in sorted(select(root, layers).named & skipped.keys()):
        raise ShapeError(f"layer {name!r} of {type(root).__name__}: {skipped[name]}")
    if not found:
        shown = "; ".join(f"{name!r}: {why}" for name, why in list(skipped.items())[:3])
        raise ShapeError(f"none of the selected layers has a grid. {shown}")


def _first_convolution(model: nn.Module) -> _ConvNd | None:
    return next((module for module in model.modules() if isinstance(module, _ConvNd)), None)


def _refuse_single_sample(model: nn.Module, given: torch.Tensor | None) -> None:
    """Say that the batch axis is missing, where a convolution would take it for the channels."""
    first = _first_convolution(model)
    if first is None or given is None or given.ndim != len(first.kernel_size) + 1:
        return
    if given.shape[0] == first.in_channels:
        raise ShapeError(
            f"the input has shape {tuple(given.shape)}: one sample without a batch axis. Pass "
            "x[None]"
        )


def _other_channels(model: nn.Module, given: torch.Tensor | None) -> str | None:
    first = _first_convolution(model)
    if first is None or given is None or given.ndim != len(first.kernel_size) + 2:
        return None
    has, takes = given.shape[1], first.in_channels
    if has == takes:
        return None
    hint = ""
    if takes == 3 and has == 1:
        hint = "; a grey image goes into a colour model as x.expand(-1, 3, -1, -1)"
    elif takes == 1 and has == 3:
        hint = "; a colour image becomes grey as x.mean(1, keepdim=True)"
    elif given.shape[-1] == takes:
        hint = "; channels come first: x.movedim(-1, 1)"
    return (
        f"{type(model).__name__}'s first convolution takes {takes} channels, and the input of "
        f"shape {tuple(given.shape)} has {has}{hint}"
    )
