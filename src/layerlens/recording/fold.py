"""The fold on a CPU as one compiled loop, which reads a row once, in order, at memory speed.

PyTorch's own operations need a call for each piece of a row, each of which passes over the sums
again. The loop adds the same numbers in the same order, so its sums are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from layerlens.recording.compiling import compiled

__all__ = ["compiled_fold", "is_compiled"]

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Fold = Callable[[Floats, Floats, Places, Places, Floats, Floats], None]


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


def is_compiled() -> bool:
    """Tell whether the loop is at hand."""
    return compiled_fold.cache_info().currsize > 0 and compiled_fold() is not None
