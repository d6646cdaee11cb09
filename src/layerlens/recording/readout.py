"""How one output of a layer becomes a row for each sample.

The named readouts are ``flatten`` (every value), ``pool`` (the mean over all positions, one
value a channel), ``max`` (the maximum over them) and ``token:K`` (one token). Anything else is a
callable ``(Tensor) -> (B, D)``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch

from layerlens.errors import ArgumentError, LayerSelectionError, ShapeError

__all__ = ["NotApplicableError", "Readout", "ReadoutSpec", "readouts_for"]

OneReadout: TypeAlias = str | Callable[[torch.Tensor], torch.Tensor]
ReadoutSpec: TypeAlias = OneReadout | Mapping[str, OneReadout]

_NAMES = "flatten, pool, max, token:K (K an integer), or a callable (Tensor) -> (B, D)"


class NotApplicableError(Exception):
    """A readout that makes no sense for this layer; the layer is then left out."""


@dataclass(frozen=True, slots=True)
class Readout:
    """One way to make rows of a layer's output.

    Parameters
    ----------
    name : str
        Its name, for the record.
    function : callable
        ``(output, channel_axis) -> (B, D)``.
    """

    name: str
    function: Callable[[torch.Tensor, int], torch.Tensor]

    def __call__(self, output: torch.Tensor, channel_axis: int, layer: str) -> torch.Tensor:
        """Return rows for an output whose first axis is the batch.

        Raises
        ------
        ShapeError
            If a callable of the user's returns anything but a floating (B, D) tensor.
        NotApplicableError
            If the readout makes no sense for such an output.
        """
        try:
            rows = self.function(output, channel_axis)
        except NotApplicableError:
            raise
        except Exception as error:
            error.add_note(f"in the readout {self.name} of layer {layer!r}")
            raise
        if not isinstance(rows, torch.Tensor):
            raise ShapeError(
                f"layer {layer!r}: the readout {self.name} returned {type(rows).__name__}; it must "
                "return a tensor of shape (batch, D)"
            )
        if rows.ndim != 2 or rows.shape[0] != output.shape[0]:
            raise ShapeError(
                f"layer {layer!r}: the readout {self.name} returned shape {tuple(rows.shape)} for "
                f"an output of shape {tuple(output.shape)}; it must return (batch, D), here "
                f"({output.shape[0]}, D)"
            )
        return rows


def _flatten(output: torch.Tensor, channel_axis: int) -> torch.Tensor:
    return output.flatten(1) if output.ndim > 1 else output[:, None]


def _positions(output: torch.Tensor, channel_axis: int) -> list[int]:
    return [axis for axis in range(1, output.ndim) if axis != channel_axis]


def _pool(output: torch.Tensor, channel_axis: int) -> torch.Tensor:
    positions = _positions(output, channel_axis)
    if not positions:
        return _flatten(output, channel_axis)
    # half precision would lose the mean of many values
    dtype = torch.float32 if output.element_size() < 4 else None
    return output.mean(positions, dtype=dtype)


def _max(output: torch.Tensor, channel_axis: int) -> torch.Tensor:
    positions = _positions(output, channel_axis)
    return output.amax(positions) if positions else _flatten(output, channel_axis)


def _token(place: int) -> Callable[[torch.Tensor, int], torch.Tensor]:
    def token(output: torch.Tensor, channel_axis: int) -> torch.Tensor:
        if output.ndim <= 2:
            return _flatten(output, channel_axis)  # one vector a sample already
        if output.ndim != 3:
            shape = tuple(output.shape)
            raise NotApplicableError(f"token:{place} needs (batch, tokens, channels), got {shape}")
        tokens = output.shape[1]
        if not -tokens <= place < tokens:
            raise NotApplicableError(f"token:{place} of an output that has {tokens} tokens")
        return output[:, place]

    return token


def _parse(spec: OneReadout) -> Readout:
    named = {"flatten": _flatten, "pool": _pool, "max": _max}
    if isinstance(spec, str):
        if spec in named:
            return Readout(spec, named[spec])
        kind, colon, place = spec.partition(":")
        if kind == "token" and colon and place.removeprefix("-").isdecimal():
            return Readout(spec, _token(int(place)))
    elif callable(spec):
        name = getattr(spec, "__name__", type(spec).__name__)
        return Readout(name, lambda output, channel_axis: spec(output))
    raise ArgumentError(f"readout is {_NAMES}, or a mapping of globs to these; got {spec!r}")


def readouts_for(spec: ReadoutSpec, names: Iterable[str]) -> Callable[[str], Readout]:
    """Return which readout a layer gets.

    Parameters
    ----------
    spec : str, callable, or mapping of str to these
        One readout for all layers, or a glob over layer names for each. The first glob that
        matches counts; a layer that none matches is flattened.
    names : iterable of str
        The layers there are, to find mistyped globs.

    Raises
    ------
    ArgumentError
        If a readout is not known.
    LayerSelectionError
        If a glob of the mapping matches no layer.
    """
    if not isinstance(spec, Mapping):
        everywhere = _parse(spec)
        return lambda name: everywhere
    table = [(pattern, _parse(one)) for pattern, one in spec.items()]
    names = list(names)
    for pattern, _ in table:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise LayerSelectionError(
                f"readout: no selected layer matches {pattern!r}; selected are "
                f"{', '.join(map(repr, names[:8]))}{', ...' if len(names) > 8 else ''}"
            )
    flatten = _parse("flatten")

    def readout(name: str) -> Readout:
        return next((one for glob, one in table if fnmatch.fnmatchcase(name, glob)), flatten)

    return readout
