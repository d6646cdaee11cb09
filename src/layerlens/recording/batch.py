"""The batch under way: its size, what was called in it, and who made which tensor."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import nn

from layerlens.recording import structure
from layerlens.recording.layout import puts_batch_second
from layerlens.recording.samples import Annotation

__all__ = [
    "Batch",
    "Makers",
    "batch_size",
    "first_tensor",
    "image_list",
    "is_calling_itself",
    "possible_sizes",
]

_LEAST_SIDE = 8  # pixels; what is shorter is hardly an image


@dataclass(slots=True)
class Batch:
    """A batch on its way through the model.

    `size`: number of samples; None until the first output tells.
    `second`: whether the samples are along the second axis of what the model was called with.
    `depth`: how many calls of the model are under way: 0 where only parts of it are called.
    `first`: the layer whose output began the batch, where the model's own call did not.
    `failed`: whether recording one of its layers failed, so that it cannot count.
    `handling`: the error that the caller was handling when the model was called.
    """

    size: int | None = None
    annotation: Annotation | None = None
    second: bool = False
    announced: bool = False
    depth: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    n_calls: int = 0
    first: str | None = None
    failed: bool = False
    handling: BaseException | None = None

    def next_call(self, layer: str) -> int:
        """Count one more call of a layer and return how many there were before."""
        before = self.calls.get(layer, 0)
        self.calls[layer] = before + 1
        self.n_calls += 1
        return before


def first_tensor(args: Any, kwargs: Any) -> torch.Tensor | None:
    """Return the first tensor that a module is called with.

    One that stands by itself counts before one inside a list, which may be one sample.
    """
    given = [*args, *kwargs.values()]
    loose = [value for value in given if isinstance(value, torch.Tensor) and value.ndim]
    if loose:
        return loose[0]
    return next((tensor for _, tensor in structure.tensors(given) if tensor.ndim), None)


def image_list(args: Any, kwargs: Any) -> Sequence[torch.Tensor] | None:
    """Return the images, where a module is called with a list of them, as detectors are.

    They have no batch axis, and sizes of their own.
    """
    first = next(iter([*args, *kwargs.values()]), None)
    if not isinstance(first, list | tuple) or not first:
        return None
    for one in first:
        if not isinstance(one, torch.Tensor) or one.ndim != 3:
            return None
        if one.shape[0] not in (1, 3) or min(one.shape[1:]) < _LEAST_SIDE:
            return None
    return first


def batch_size(module: nn.Module, args: Any, kwargs: Any) -> int | None:
    """Return the number of samples that a module is called with: the first tensor's length.

    None where that does not tell: of a list that may be images, the first output does.
    """
    images = image_list(args, kwargs)
    if images is not None:
        alike = len({one.shape for one in images}) == 1
        return None if alike else len(images)
    first = first_tensor(args, kwargs)
    if first is None:
        return None
    return first.shape[1 if first.ndim > 2 and puts_batch_second(module) else 0]


def possible_sizes(given: Iterable[torch.Tensor], *, steps_first: bool = False) -> set[int]:
    """Return what a batch's size may be: any tensor's length, or the batch of (time, batch, C).

    Where a model has layers with `steps_first`, also that of tokens (time, batch).
    """
    sizes: set[int] = set()
    for tensor in given:
        tokens = steps_first and tensor.ndim == 2 and not tensor.is_floating_point()
        sizes.update(tensor.shape[: 2 if tensor.ndim == 3 or tokens else 1])
    return sizes


def is_calling_itself(model: nn.Module) -> bool:
    """Tell whether two calls of the model are on the stack, one inside the other."""
    frame: FrameType | None = sys._getframe(1)
    calls = 0
    while frame is not None and calls < 2:
        if frame.f_code.co_name == "_call_impl" and frame.f_locals.get("self") is model:
            calls += 1
        frame = frame.f_back
    return calls == 2


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor without its history, whose operations are torch's and not the user's own."""
    tensor = tensor.detach()
    return tensor if type(tensor) is torch.Tensor else tensor.as_subclass(torch.Tensor)


class Made:
    """A tensor that a module put out, as it was then."""

    __slots__ = ("_ref", "_sample", "_version", "folded")

    def __init__(self, tensor: torch.Tensor) -> None:
        self._ref = weakref.ref(tensor)
        self._version = None if tensor.is_inference() else tensor._version
        self._sample = _sample(tensor) if self._version is None else None
        self.folded: str | None = None
        """The first layer whose rows are the fold of it."""

    @property
    def counts_versions(self) -> bool:
        """Whether a write into the tensor is seen for certain: in inference mode it may not be."""
        return self._version is not None

    def note_fold(self, layer: str, tensor: torch.Tensor) -> None:
        """Note that a layer folded it; what is written through ``.data`` is in no version."""
        self.folded = layer
        if self._sample is None and tensor.device.type == "cpu":  # else looking would be waiting
            self._sample = _sample(tensor)

    def is_now(self, tensor: torch.Tensor) -> bool:
        """Tell whether this is the very tensor, and nothing was written into it since."""
        if self._ref() is not tensor:  # the id of one that is gone comes again
            return False
        if self._version is not None and self._version != tensor._version:
            return False
        return self._sample is None or self._sample == _sample(tensor)


class Makers:
    """Remembers which tensors modules put out, to tell a new tensor from one passed on.

    A tensor that was changed in place since is a new one: ``y = self.bn(x); y += x`` makes a sum
    of what the layer made.
    """

    def __init__(self) -> None:
        self._made: dict[int, Made] = {}

    def clear(self) -> None:
        """Forget all tensors."""
        self._made.clear()

    def note(self, tensor: torch.Tensor) -> Made:
        """Remember that a module put out this tensor, as it is now."""
        made = self._made[id(tensor)] = Made(tensor)
        return made

    def get(self, tensor: torch.Tensor) -> Made | None:
        """Return what is known of this very tensor, as it is now; None where it is new."""
        made = self._made.get(id(tensor))
        return made if made is not None and made.is_now(tensor) else None


def _sample(tensor: torch.Tensor) -> bytes:
    """Return a few values of a tensor, evenly spread."""
    if tensor.layout != torch.strided or tensor.is_quantized:
        return b""
    each = 4 if tensor.is_inference() else 2  # a value that is in no cache yet takes its time
    places = tuple(slice(None, None, max(1, -(-size // each))) for size in tensor.shape)
    few = plain(tensor)[places]
    few = few if few.dtype in (torch.float32, torch.float64) else few.float()
    return few.numpy(force=True).tobytes()
