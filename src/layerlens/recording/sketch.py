"""The folded sketch: a wide row becomes a short one that keeps distances.

The row is multiplied by random signs, cut into pieces of the sketch's width, and the pieces are
added up: a CountSketch [1]_ [2]_ whose bucket for value ``i`` is ``i mod width``. Two values that
fall into one bucket meet with independent signs, so squared distances and inner products are kept
in expectation; and since buckets are regular there is no scatter, the row is read once, in order.

Pieces are turned against each other before they are added. Without that, a width that has a
factor in common with a feature map's height times width would add up the same few places of all
channels, places that are strong or silent together: on feature maps of 32 x 32 with a silent
margin, width 2048 kept .86 of the 15 nearest neighbours so, and .91 with turns.

The signs of a layer are windows into one pool of random bits, placed by a hash of seed, layer
name and width so that no two values of a bucket share a bit (as long as the row has fewer than
some hundred times as many values as its sketch). All of it comes from SHAKE-128, which is the same
everywhere, and additions run in one order: a row's sketch is the same on every device,
rank and batch, so shards of a run fit together.

References
----------
.. [1] Charikar, Chen, Farach-Colton. Finding frequent items in data streams. ICALP 2002.
.. [2] Weinberger, Dasgupta, Langford, Smola, Attenberg. Feature hashing for large scale
   multitask learning. ICML 2009.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
import torch

from layerlens.errors import ArgumentError
from layerlens.recording.compiling import compiled

__all__ = [
    "AUTO_THRESHOLD",
    "AUTO_WIDTH",
    "FoldedSketch",
    "directions_of",
    "sketch_width",
]

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Fold = Callable[[Floats, Floats, Places, Places, Floats, Floats], None]

AUTO_WIDTH = 2048
"""Width of the sketch under ``sketch="auto"``: .93 of the 15 nearest neighbours of LeNet's first
convolution (18,432 values wide) are still among the 15 nearest; the how-to has the figures."""

AUTO_THRESHOLD = 4096
"""Layers at most this wide are kept as they are under ``sketch="auto"``."""

_POOL = 1 << 17
_GROUP = 4  # pieces that are added in one call: more would leave the cache, fewer cost calls
_WORTH_COMPILING = 1 << 20  # values
_WORTH_CALLING = 1 << 15  # values, where it is compiled already


def sketch_width(sketch: str | int | None, dim: int) -> int | None:
    """Return the width that a layer of `dim` values is sketched to, or None to keep its rows."""
    if sketch is None:
        return None
    if sketch == "auto":
        return AUTO_WIDTH if dim > AUTO_THRESHOLD else None
    width = directions_of(sketch) or int(sketch)
    return width if dim > width else None


def directions_of(sketch: str | int | None) -> int | None:
    """Return the width that ``"pca:512"`` names, or None for another kind of sketch."""
    if not isinstance(sketch, str) or not sketch.startswith("pca:"):
        return None
    number = sketch.removeprefix("pca:")
    if not (number.isascii() and number.isdecimal() and int(number) >= 1):
        raise ArgumentError(
            f'sketch="pca:W" projects on directions of the data, W a width of 1 or more, as in '
            f'"pca:512"; got {sketch!r}'
        )
    return int(number)


def check_sketch(sketch: str | int | None) -> None:
    """Raise `ArgumentError` where the argument is none of those that `Probe` takes."""
    if sketch is None or (isinstance(sketch, str) and sketch == "auto"):
        return
    if directions_of(sketch) is not None:
        return
    if isinstance(sketch, int | np.integer) and not isinstance(sketch, bool) and sketch >= 1:
        return
    raise ArgumentError(
        f'sketch is "auto", None (rows as they are), a width of 1 or more, or "pca:W" (W values '
        f"along directions of the data); got {sketch!r}"
    )


@lru_cache(maxsize=8)
def _pool(seed: int, length: int, device: torch.device) -> torch.Tensor:
    bits = hashlib.shake_128(f"layerlens fold signs {seed}".encode()).digest(-(-length // 8))
    signs = np.unpackbits(np.frombuffer(bits, np.uint8))[:length].astype(np.float32) * 2 - 1
    return torch.from_numpy(signs).to(device)


def _windows(
    seed: int, layer: str, dim: int, width: int, turns: list[int], count: int
) -> list[int]:
    """Return where each window into the pool begins.

    Two values of one bucket have the same bit where their windows lie as far apart as their pieces
    are turned; such places are left out, as long as there are others.
    """
    key = f"layerlens fold windows {seed} {dim} {layer}".encode()
    drawn = np.frombuffer(hashlib.shake_128(key).digest(4 * count), "<u4") % _POOL
    apart = {(one - other) % width for one in turns for other in turns}
    taken: set[int] = set()
    windows: list[int] = []
    for start in drawn.tolist():
        while start % width in taken and len(taken) < width:
            start = (start + 1) % _POOL
        taken.update((start + distance) % width for distance in apart)
        windows.append(start)
    return windows


def _turns(seed: int, layer: str, dim: int, width: int, count: int) -> list[int]:
    """Return by how much each piece of a group is turned before they are added."""
    key = f"layerlens fold turns {seed} {dim} {layer}".encode()
    drawn = np.frombuffer(hashlib.shake_128(key).digest(4 * count), "<u4")
    return [int(turn) for turn in drawn % width]


class FoldedSketch:
    """The sketch of one layer.

    Parameters
    ----------
    layer : str
        Name of the layer: layers do not share signs, but for one that hands on another's tensor
        (`nn.Identity`, a block whose last module made its output), which has that one's.
    dim : int
        Width of its rows.
    width : int
        Width of their sketch, smaller than `dim`.
    random_state : int
        Seed.
    """

    def __init__(self, layer: str, dim: int, width: int, random_state: int = 0) -> None:
        self.layer = layer
        self.dim = dim
        self.width = width
        self.seed = random_state
        # values that are read in one call: a group of pieces, side by side
        self._stride = width * min(_GROUP, -(-dim // width))
        self._starts = list(range(0, dim, self._stride))
        self._turns = _turns(random_state, layer, dim, width, self._stride // width)
        count = len(self._starts)
        self._windows = _windows(random_state, layer, dim, width, self._turns, count)

    def __repr__(self) -> str:
        return f"FoldedSketch({self.dim} -> {self.width}, seed {self.seed})"

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the sketch of rows.

        Parameters
        ----------
        rows : Tensor of shape (B, dim), floating
            Any floating dtype and device; sums run in float32, or in float64 for float64.

        Returns
        -------
        Tensor of shape (B, width), float32 or float64
            New memory, on the same device.
        """
        dtype = torch.float64 if rows.dtype == torch.float64 else torch.float32
        signs = _pool(self.seed, _POOL + self._stride, rows.device)
        if dtype != signs.dtype:
            signs = signs.to(dtype)
        folded = rows.new_zeros((rows.shape[0], self.width), dtype=dtype)
        if self._fold_compiled(rows, signs, folded):
            return folded
        sums = rows.new_zeros((rows.shape[0], self._stride), dtype=dtype)
        for start, window in zip(self._starts, self._windows, strict=True):
            piece = rows[:, start : start + self._stride].to(dtype)
            size = piece.shape[1]
            sums[:, :size].addcmul_(piece, signs[window : window + size])
        # one after the other: a reduction might add in another order on another device
        for piece, turn in zip(torch.split(sums, self.width, dim=1), self._turns, strict=True):
            folded += piece.roll(turn, dims=1)
        return folded

    def _fold_compiled(self, rows: torch.Tensor, signs: torch.Tensor, folded: torch.Tensor) -> bool:
        """Do all of it in one loop where that is possible and worth it."""
        suits = rows.device.type == "cpu" and rows.dtype == folded.dtype == torch.float32
        least = _WORTH_CALLING if _fold_is_compiled() else _WORTH_COMPILING
        if not suits or rows.numel() < least:
            return False
        fold = compiled_fold()
        if fold is None:
            return False
        places = np.asarray(self._windows, np.int64), np.asarray(self._turns, np.int64)
        sums = np.empty(self._stride, np.float32)
        fold(rows.contiguous().numpy(), signs.numpy(), *places, sums, folded.numpy())
        return True


# On a CPU the fold is one compiled loop, which reads a row once, in order, at memory speed.
# PyTorch's own operations need a call for each piece of a row, each of which passes over the sums
# again. The loop adds the same numbers in the same order, so its sums are the same to the bit.
def _fold(
    rows: Floats, signs: Floats, windows: Places, turns: Places, sums: Floats, folded: Floats
) -> None:
    """Add up the pieces of each row, times their signs, by groups; then turn and add the sums."""
    dim = rows.shape[1]
    stride = sums.shape[0]
    width = folded.shape[1]
    for row in range(len(rows)):
        sums[:] = 0
        number = 0
        while (number + 4) * stride <= dim:  # four at a time: sums are read and written less often
            pieces = rows[row, number * stride : (number + 4) * stride]
            piece, second = pieces[:stride], pieces[stride : 2 * stride]
            third, fourth = pieces[2 * stride : 3 * stride], pieces[3 * stride :]
            sign, sign2 = signs[windows[number] :], signs[windows[number + 1] :]
            sign3, sign4 = signs[windows[number + 2] :], signs[windows[number + 3] :]
            for place in range(stride):
                two = (sums[place] + piece[place] * sign[place]) + second[place] * sign2[place]
                sums[place] = (two + third[place] * sign3[place]) + fourth[place] * sign4[place]
            number += 4
        for last in range(number, len(windows)):
            start = last * stride
            size = min(stride, dim - start)
            piece = rows[row, start : start + size]
            sign = signs[windows[last] : windows[last] + size]
            for place in range(size):
                sums[place] += piece[place] * sign[place]
        total = folded[row]
        for number in range(len(turns)):
            turn = turns[number]
            part = sums[number * width : (number + 1) * width]
            for place in range(width - turn):
                total[place + turn] += part[place]
            for place in range(width - turn, width):
                total[place + turn - width] += part[place]


@cache
def compiled_fold() -> Fold | None:
    """Return the loop, compiled the first time; None where numba cannot be had."""
    return compiled(_fold)


def _fold_is_compiled() -> bool:
    """Tell whether the loop is at hand."""
    return compiled_fold.cache_info().currsize > 0 and compiled_fold() is not None
