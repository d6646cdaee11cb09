"""What of the input each value of a forward depends on, followed operation by operation.

Beside each tensor that depends on the input go shadows of its shape: for every axis of the input
the first row on which a value depends, and the last one, with its sign turned. Of values that come
together the smaller shadow counts, in both cases, and a shadow of infinity means that a value
depends on nothing. So a convolution or a pooling takes the least of a window, a sum the least of
its terms, and an operation that only moves values about is done to the shadows as it is done to
the values. What a place sees follows from that by arithmetic, weights of zero included. One forward
of one sample tells it for all layers.

The operations are PyTorch's own (`torch.ops.aten`), whatever Python they are called from. An
operation that has no rule here makes what it gives, and all that comes of it, unknown.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Follower"]

Shadows: TypeAlias = tuple[torch.Tensor, ...]
ShadowOf: TypeAlias = Callable[[Any], torch.Tensor | None]
Rule: TypeAlias = Callable[[ShadowOf, tuple[Any, ...], torch.Tensor], torch.Tensor | None]
"""(shadow of an argument or None, arguments, output) -> shadow of the output, None if unknown."""

aten = torch.ops.aten


class Follower(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows one input through all that is computed inside of the block.

    `given`: (B, C, ...). The input.
    """

    def __init__(self, given: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # tensors are held, so that no other one gets the id of one that is gone
        self._tensors: dict[int, torch.Tensor] = {}
        self._shadows: dict[int, Shadows | None] = {}
        self._overwritten: set[int] = set()
        """Memory of tensors that did not depend on the input, before part of it was written to."""
        self._note(given, tuple(_starts(given)))

    def shadows(self, tensor: torch.Tensor) -> Shadows | None:
        """Return a tensor's shadows; None where they are unknown.

        Returned: of the tensor's shape, float32, two for each axis of the input: the first row on
        which a value depends, and minus the last one.
        """
        return self._shadows.get(id(tensor))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and find the shadows of what it gives."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        followed = [one for one in _tensors([args, kwargs]) if self._is_followed(one)]
        results = _tensors(out)
        if followed and results and func.overloadpacket not in _FRESH:
            found = self._find(func, args, kwargs, followed, results)
            note = self._change if func._schema.is_mutable else self._note
            for number, result in enumerate(results):
                note(result, found[number] if number < len(found) else None)
        return out

    def _find(
        self, func: Any, args: Any, kwargs: Any, followed: list[torch.Tensor],
        results: list[torch.Tensor],
    ) -> list[Shadows]:  # fmt: skip
        """Return the shadows of the first of an operation's results, or of all; none if unknown."""
        known = [one for tensor in followed if (one := self._shadows[id(tensor)]) is not None]
        if len(known) < len(followed):
            return []
        shape = results[0].shape
        if torch.Tag.pointwise in func.tags or func.overloadpacket in _POINTWISE:
            if len({id(one) for one in known}) == 1 and followed[0].shape == shape:
                return [known[0]]
            return [tuple(_least(side, shape) for side in zip(*known, strict=True))]
        sides = [functools.partial(self._side, side) for side in range(len(known[0]))]
        if func.overloadpacket in _MOVES and len(followed) == 1:
            moved = [_tensors(func(side(args[0]), *args[1:], **kwargs)) for side in sides]
            return list(zip(*moved, strict=True))
        rule = _RULES.get(func.overloadpacket)
        found = [rule(side, args, results[0]) for side in sides] if rule is not None else []
        whole = tuple(one for one in found if one is not None)
        return [whole] if whole and len(whole) == len(found) else []

    def _is_followed(self, tensor: torch.Tensor) -> bool:
        if id(tensor) not in self._shadows and self._overwritten:
            if tensor.untyped_storage().data_ptr() not in self._overwritten:
                return False
            self._note(tensor, None)
        return id(tensor) in self._shadows

    def _side(self, side: int, tensor: Any) -> torch.Tensor | None:
        shadows = self._shadows.get(id(tensor)) if isinstance(tensor, torch.Tensor) else None
        return None if shadows is None else shadows[side]

    def _note(self, tensor: torch.Tensor, shadows: Shadows | None) -> None:
        self._tensors[id(tensor)] = tensor
        self._shadows[id(tensor)] = shadows

    def _change(self, tensor: torch.Tensor, shadows: Shadows | None) -> None:
        """Note that a tensor was changed in place, and others that share its memory with it."""
        before = self._shadows.get(id(tensor))
        if before is None or shadows is None or any(map(_differs, before, shadows)):
            place = tensor.untyped_storage().data_ptr()
            self._overwritten.add(place)
            for other in list(self._tensors.values()):
                if other is not tensor and other.untyped_storage().data_ptr() == place:
                    self._note(other, None)
        self._note(tensor, shadows)


def _starts(given: torch.Tensor) -> list[torch.Tensor]:
    sides = []
    for axis in range(2, given.ndim):
        rows = torch.arange(given.shape[axis], dtype=torch.float32, device=given.device)
        rows = rows.view(-1, *[1] * (given.ndim - 1 - axis))
        sides += [rows.expand(given.shape), (-rows).expand(given.shape)]
    return sides


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [tensor for one in value for tensor in _tensors(one)]
    return []


def _differs(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one is not other and not torch.equal(one, other)


# --- rules -----------------------------------------------------------------------------------


def _thin(shadow: torch.Tensor) -> torch.Tensor:
    """Return it with one entry along axes on which it does not depend, as stride 0 tells."""
    for axis, step in enumerate(shadow.stride()):
        if step == 0 and shadow.shape[axis] > 1:
            shadow = shadow.narrow(axis, 0, 1)
    return shadow


def _least(shadows: Sequence[torch.Tensor], shape: Sequence[int]) -> torch.Tensor:
    return functools.reduce(torch.minimum, map(_thin, shadows)).expand(shape)


def _view(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> Any:
    one = shadow(args[0])  # strides of its own, so that it may have to be copied
    return None if one is None or not isinstance(args[1], list | tuple) else one.reshape(out.shape)


def _window(
    shadow: torch.Tensor, axis: int, length: int, kernel: int, stride: int, padding: int, step: int
) -> torch.Tensor:
    """Return the least in each place of a window that slides along an axis."""
    span = (kernel - 1) * step + 1
    after = max(0, (length - 1) * stride + span - shadow.shape[axis] - padding)
    pads = [0, 0] * (shadow.ndim - 1 - axis) + [padding, after]
    padded = torch.nn.functional.pad(shadow, pads, value=torch.inf)
    windows = padded.unfold(axis, span, stride).narrow(axis, 0, length)
    return windows[..., ::step].amin(-1)


def _each(value: Any, count: int, default: Any = None) -> list[int]:
    """Return an argument of a convolution or pooling for each axis."""
    given: list[int] = list(value) if isinstance(value, list | tuple) else [value]
    given = given or list(default)
    return given * count if len(given) == 1 else given


def _slide(
    shadow: torch.Tensor, out: torch.Tensor, kernel: Any, stride: Any, padding: Any, step: Any
) -> torch.Tensor:
    count = len(kernel)
    for number, axis in enumerate(range(out.ndim - count, out.ndim)):
        shadow = _window(
            shadow, axis, out.shape[axis], kernel[number], stride[number], padding[number],
            step[number],
        )  # fmt: skip
    return shadow


def _convolution(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> Any:
    given, weight, _, stride, padding, step, transposed, _, groups = args
    one = shadow(given)
    if transposed or one is None or shadow(weight) is not None:
        return None
    axes = weight.ndim - 2
    one = _thin(one) if one.stride(1) == 0 else one
    one = one.expand(one.shape[:2] + given.shape[2:])
    if one.shape[1] > 1:
        one = one.unflatten(1, (groups, -1)).amin(2)  # type: ignore[no-untyped-call]
    one = _slide(
        one, out, weight.shape[2:], _each(stride, axes), _each(padding, axes), _each(step, axes)
    )
    if one.shape[1] > 1:
        one = one.repeat_interleave(out.shape[1] // groups, 1)
    return one.expand(out.shape)


def _pool(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor, *, dilates: bool) -> Any:
    given, kernel, *rest = args
    one = shadow(given)
    if one is None:
        return None
    axes = len(kernel) if isinstance(kernel, list | tuple) else 1
    kernel = _each(kernel, axes)
    stride = _each(rest[0], axes, kernel) if rest else kernel
    padding = _each(rest[1], axes) if len(rest) > 1 else [0] * axes
    step = _each(rest[2], axes) if dilates and len(rest) > 2 else [1] * axes
    return _slide(one, out, kernel, stride, padding, step)


def _adaptive(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> Any:
    one = shadow(args[0])
    if one is None:
        return None
    for axis in range(out.ndim - len(args[1]), out.ndim):
        long, count = one.shape[axis], out.shape[axis]
        cuts = [(i * long // count, -(-(i + 1) * long // count)) for i in range(count)]
        parts = [one.narrow(axis, a, b - a).amin(axis, keepdim=True) for a, b in cuts]
        one = torch.cat(parts, axis)
    return one


def _batch_norm(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> Any:
    is_training = args[5] if isinstance(args[5], bool) else False
    return None if is_training else shadow(args[0])


def _layer_norm(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> Any:
    one = shadow(args[0])
    axes = list(range(out.ndim - len(args[1]), out.ndim))
    return None if one is None else one.amin(axes, keepdim=True).expand(out.shape)


def _group_norm(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> Any:
    one, groups = shadow(args[0]), args[6]
    if one is None:
        return None
    least = one.reshape(out.shape[0], groups, -1).amin(-1, keepdim=True)
    return least.expand(-1, -1, out[0].numel() // groups).reshape(out.shape)


def _softmax(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> Any:
    one = shadow(args[0])
    return None if one is None else one.amin(args[1], keepdim=True).expand(out.shape)


def _reduce(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> Any:
    one = shadow(args[0])
    axes = args[1] if len(args) > 1 else None
    if one is None:
        return None
    axes = list(range(one.ndim)) if axes is None or axes == [] else axes
    keep = args[2] if len(args) > 2 and isinstance(args[2], bool) else False
    return one.amin(axes, keepdim=keep)


def _cat(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> torch.Tensor | None:
    parts = []
    for tensor in args[0]:
        one = shadow(tensor)
        parts.append(torch.full(tensor.shape, torch.inf, device=out.device) if one is None else one)
    return torch.cat(parts, *args[1:])


def _pad(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> torch.Tensor | None:
    one = shadow(args[0])
    return None if one is None else torch.nn.functional.pad(one, args[1], value=torch.inf)


def _multiply(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> Any:
    """Of a product of matrices: a value depends on a line of one and a column of the other."""
    *bias, left, right = args[:3] if len(args) > 2 else args[:2]
    parts = []
    for factor, axis in ((left, -1), (right, -2)):
        one = shadow(factor)
        if one is not None:
            parts.append(one.amin(axis, keepdim=True))
    parts += [one for one in map(shadow, bias) if one is not None]
    return _least(parts, out.shape) if parts else None


def _attention(shadow: ShadowOf, args: tuple[Any, ...], out: torch.Tensor) -> Any:
    query, key, value = map(shadow, args[:3])
    if query is None or key is None or value is None:
        return None
    parts = [query.amin(-1, keepdim=True)]
    parts += [one.amin((-2, -1), keepdim=True) for one in (key, value)]
    return _least(parts, out.shape)


_POINTWISE = frozenset(
    {
        aten._prelu_kernel, aten.clone, aten.detach, aten.dropout, aten.hardswish,
        aten.hardswish_, aten._to_copy, aten.alias,
    }
)  # fmt: skip
"""Those that give each value from the values at its place, and are not tagged so."""

_RULES: dict[Any, Rule] = {
    aten.convolution: _convolution,
    aten.max_pool2d_with_indices: functools.partial(_pool, dilates=True),
    aten.max_pool3d_with_indices: functools.partial(_pool, dilates=True),
    aten.avg_pool1d: functools.partial(_pool, dilates=False),
    aten.avg_pool2d: functools.partial(_pool, dilates=False),
    aten.avg_pool3d: functools.partial(_pool, dilates=False),
    aten._adaptive_avg_pool2d: _adaptive,
    aten._adaptive_avg_pool3d: _adaptive,
    aten.adaptive_max_pool2d: _adaptive,
    aten.native_batch_norm: _batch_norm,
    aten._native_batch_norm_legit_no_training: _batch_norm,
    aten.native_layer_norm: _layer_norm,
    aten.native_group_norm: _group_norm,
    aten._softmax: _softmax,
    aten.mean: _reduce,
    aten.sum: _reduce,
    aten.amax: _reduce,
    aten.cat: _cat,
    aten.constant_pad_nd: _pad,
    aten.mm: _multiply,
    aten.bmm: _multiply,
    aten.addmm: _multiply,
    aten.baddbmm: _multiply,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention: _attention,
    aten._scaled_dot_product_efficient_attention: _attention,
    aten.view: _view,
    aten._unsafe_view: _view,
    aten.reshape: _view,
}

_FRESH = frozenset(
    {
        aten.zeros_like, aten.ones_like, aten.full_like, aten.empty_like, aten.rand_like,
        aten.randn_like, aten.new_zeros, aten.new_ones, aten.new_full, aten.new_empty,
    }
)  # fmt: skip
"""Those that look at a tensor's shape alone, so that what they give depends on nothing."""

_MOVES = frozenset(
    {
        aten.permute, aten.transpose, aten.t, aten.unsqueeze, aten.squeeze, aten.expand,
        aten.slice, aten.select, aten.flip, aten.roll, aten.split, aten.split_with_sizes,
        aten.unbind, aten.reflection_pad1d, aten.reflection_pad2d, aten.replication_pad1d,
        aten.replication_pad2d, aten.upsample_nearest1d, aten.upsample_nearest2d,
        aten.upsample_nearest3d, aten.pixel_shuffle, aten.pixel_unshuffle,
    }
)  # fmt: skip
"""Those that move values about: what they do to the values they do to the shadows."""
