"""Tensors inside the structures that modules take and return.

A place in a structure is a path: a tuple of positions and keys. It is written the way one
would reach it in Python, ``[0]`` or ``["logits"]``, one after the other.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from layerlens.errors import LayerSelectionError

__all__ = [
    "Path",
    "Places",
    "describe",
    "find",
    "follow",
    "format_path",
    "holds_values",
    "split_path",
    "tensors",
]

Path = tuple[int | str, ...]

_STEP = re.compile(r"""\[\s*(?:(-?\d+)|"([^"]*)"|'([^']*)')\s*\]""")
_SUFFIX = re.compile(rf"(?:{_STEP.pattern})+$")


def split_path(text: str) -> tuple[str, Path]:
    """Split ``'name[1]["aux"]'`` into ``("name", (1, "aux"))``; no path is an empty one."""
    suffix = _SUFFIX.search(text)
    if suffix is None:
        return text, ()
    steps: list[int | str] = []
    for match in _STEP.finditer(suffix.group()):
        number, double, single = match.groups()
        steps.append(int(number) if number is not None else double if single is None else single)
    return text[: suffix.start()], tuple(steps)


def format_path(path: Path) -> str:
    """Write a path as one would reach the place in Python."""
    return "".join(f"[{step}]" if isinstance(step, int) else f'["{step}"]' for step in path)


def _items(value: Any) -> Iterator[tuple[int | str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, int | str):
                yield key, item
    elif isinstance(value, tuple | list):
        yield from enumerate(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield field.name, getattr(value, field.name)


def tensors(value: Any, path: Path = ()) -> Iterator[tuple[Path, torch.Tensor]]:
    """Walk through tuples, lists, mappings and dataclasses, in order, and yield each tensor."""
    if isinstance(value, torch.Tensor):
        yield path, value
        return
    if len(path) >= 8:  # deeper than any real output; a cycle would not end
        return
    for step, item in _items(value):
        yield from tensors(item, (*path, step))


def holds_values(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor holds real numbers a sample: floating, or quantised from them."""
    return bool(tensor.ndim) and (tensor.is_floating_point() or tensor.is_quantized)


def find(value: Any) -> tuple[Path, torch.Tensor] | None:
    """Return the first floating tensor that has at least one dimension, and where it lies."""
    for path, tensor in tensors(value):
        if holds_values(tensor):
            return path, tensor
    return None


def follow(value: Any, path: Path) -> torch.Tensor | None:
    """Return the tensor at a place of a structure, or None if there is none."""
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, tuple | list) and isinstance(step, int):
            value = value[step] if -len(value) <= step < len(value) else None
        elif isinstance(step, str):  # named tuples and dataclasses
            value = getattr(value, step, None)
        else:
            return None
    return value if isinstance(value, torch.Tensor) else None


def describe(value: Any) -> str:
    """Say in a few words what a value is, for a message."""
    if isinstance(value, torch.Tensor):
        shape = "x".join(map(str, value.shape)) or "0-dim"
        return f"{shape} {str(value.dtype).removeprefix('torch.')}"
    name = type(value).__name__
    found = [f"{format_path(path)}: {describe(tensor)}" for path, tensor in tensors(value)]
    return f"{name} ({', '.join(found[:6])}{', ...' if len(found) > 6 else ''})" if found else name


class Places:
    """Where in what a layer gives its tensor lies: where it was found first, if it is there.

    `skip`: told of a layer, and why it has no such tensor.
    """

    def __init__(self, skip: Callable[[str, str], None]) -> None:
        self.known: dict[str, Path] = {}
        self._skip = skip

    def locate(
        self, layer: str, path: Path | None, value: Any, only_new: bool
    ) -> tuple[Path, torch.Tensor] | None:
        """Return the layer's tensor and its place, which is where it was before if it is there.

        `path`: where it was asked for; None for the first floating one.
        `only_new`: where there is none, the layer is one that need not have any.

        Raises
        ------
        LayerSelectionError
            If there is no tensor where it was asked for.
        """
        known = self.known.get(layer)
        tensor = None if known is None and path is None else follow(value, known or path or ())
        if tensor is None and path is None:
            found = find(value)
            if found is None:
                # a layer that gave something before has fewer rows then
                if not only_new and known is None:
                    self._skip(layer, f"no floating tensor in what it gives: {describe(value)}")
                return None
            self.known.setdefault(layer, found[0])
            return found
        place = known or path or ()
        if tensor is None:
            if known is not None:
                return None
            raise LayerSelectionError(
                f"layer {layer!r}: there is no tensor at {format_path(place)} of what it "
                f"gives: {describe(value)}"
            )
        if not holds_values(tensor):
            self._skip(layer, f"it gives {describe(tensor)}, and not floating values per sample")
            return None
        self.known[layer] = place
        return place, tensor
