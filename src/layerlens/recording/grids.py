"""Where the places of a layer's output lie: its channels in front, its grid behind.

A convolution's output is a grid already, with its channels first. Some blocks put them last, which
`layerlens.recording.layout` tells from what the modules declare. A transformer gives a list of
tokens instead: those of the image lie in the order of the patches, and the class and register
tokens stand before them. The grid of the patches is not in the list, so it is read where it is
made: a convolution whose stride is its kernel cuts the image, and its output has the grid's shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from layerlens import _options
from layerlens.errors import ArgumentError
from layerlens.recording.hooks import Hooks
from layerlens.recording.readout import NotApplicableError

__all__ = ["GridReader", "Gridded"]

_MOST_EXTRA = 64  # class, distillation and register tokens: real models have up to 16
_MOST_MERGES = 5  # Swin halves its grid three times


@dataclass(frozen=True, slots=True)
class Gridded:
    """An output with its places in a grid.

    `maps`: (B, C, *grid). A view of the output.
    `extra`: (B, C, n_extra). Tokens that belong to no place, such as the class token; a view.
    `layout`: {"channels first", "channels last", "tokens"}. How the output held them.
    """

    maps: torch.Tensor
    extra: torch.Tensor | None
    layout: str


class GridReader:
    """Finds the grid of outputs of one model.

    `model`: the model; its patch embeddings are watched.
    `layout`: {"auto", "channels_first", "channels_last"}. Where channels are, in place of what is
    found out.

    Raises
    ------
    ArgumentError
        If an argument is not one of these.
    """

    def __init__(
        self, model: nn.Module, grid: Sequence[int] | None = None, layout: str = "auto"
    ) -> None:
        _options.one_of("auto", "channels_first", "channels_last")("layout", layout)
        if grid is not None and (
            not isinstance(grid, Sequence) or not grid or not all(map(_is_length, grid))
        ):
            raise ArgumentError(
                f"grid is the shape of the tokens' grid, such as (14, 14); got {grid!r}"
            )
        self._given = None if grid is None else tuple(int(side) for side in grid)
        self._layout = layout
        self._cutters = [module for module in model.modules() if _cuts_patches(module)]
        self._patches: tuple[int, ...] | None = None

    def attach(self, hooks: Hooks) -> None:
        """Watch the patch embeddings."""
        for module in self._cutters if self._given is None else ():
            hooks.after(module, self._note)

    def _note(self, module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim > 3:
            self._patches = tuple(output.shape[2:])

    def read(self, output: torch.Tensor, channel_axis: int) -> Gridded:
        """Return an output with its channels as the second axis and its grid behind them.

        `output`: (B, ...). What a layer gave.

        Raises
        ------
        NotApplicableError
            If it has no grid.
        """
        if output.ndim < 3:
            raise NotApplicableError(
                f"it has no grid: its shape for one sample is {tuple(output.shape[1:])}. Maps are "
                "of layers with places (convolutions, tokens); record other layers with "
                "layerlens.Probe"
            )
        axis = {"channels_first": 1, "channels_last": output.ndim - 1}.get(
            self._layout, channel_axis
        )
        listed = output.ndim == 3 and (axis == 2 or self._given is not None)
        if output.ndim == 3 and self._layout == "auto":
            axis = self._axis_of_three(output.shape, axis)
        maps = output.movedim(axis, 1)
        if maps.ndim > 3:
            return Gridded(maps, None, "channels first" if axis == 1 else "channels last")
        grid, extra = self._tokens(maps.shape[2]) if listed else (None, 0)
        if grid is None:
            return Gridded(maps, None, "channels first" if axis == 1 else "channels last")
        places = maps[:, :, extra:]
        places = places.view(*places.shape[:2], *grid)  # splitting an axis copies nothing
        return Gridded(places, maps[:, :, :extra] if extra else None, "tokens")

    def _axis_of_three(self, shape: torch.Size, axis: int) -> int:
        """Tell (B, tokens, channels) from its transpose, which mixers work on.

        A module declares which axis it works along; when that one is as long as there are patches
        and the other is not, then it works along the patches.
        """
        if axis == 2 and self._tokens(shape[1])[0] is None and self._tokens(shape[2])[1] == 0:
            return 1 if self._tokens(shape[2])[0] is not None else axis
        return axis

    def _tokens(self, count: int) -> tuple[tuple[int, ...] | None, int]:
        """Return the grid of so many tokens and how many stand before it; None without one."""
        if self._given is not None:
            extra = count - math.prod(self._given)
            return (self._given, extra) if 0 <= extra <= _MOST_EXTRA else (None, 0)
        if self._patches is None:
            return None, 0
        grid = self._patches
        for _ in range(_MOST_MERGES):
            extra = count - math.prod(grid)
            # a grid that was merged has no class token
            if extra == 0 or (grid == self._patches and 0 < extra <= _MOST_EXTRA):
                return grid, extra
            grid = tuple(-(-side // 2) for side in grid)
        return None, 0


def _cuts_patches(module: nn.Module) -> bool:
    return (
        isinstance(module, _ConvNd)
        and max(module.stride) > 1
        and tuple(module.stride) == tuple(module.kernel_size)
    )


def _is_length(side: Any) -> bool:
    return isinstance(side, int) and not isinstance(side, bool) and side >= 1
