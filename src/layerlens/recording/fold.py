"""The fold on a CPU as one compiled loop, which reads a row once, in order, at memory speed.

PyTorch's own operations need a call for each piece of a row, each of which passes over the sums
again. The loop adds the same numbers in the same order, so its sums are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["compiled_fold", "is_compiled"]

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Fold = Callable[[Floats, Floats, Places, Places, Floats, Floats], None]


def _fold(
    rows: Floats, signs: Floats, windows: Places, turns: Places, sums: Floats, folded: Floats
) -> None:
    """Add up the pieces of each row, times their signs, by groups; then turn and add the sums."""
    n_rows, dim = rows.shape
    stride = sums.shape[0]
    width = folded.shape[1]
    for row in range(n_rows):
        for place in range(stride):
            sums[place] = 0
        for number in range(len(windows)):
            start = number * stride
            size = min(stride, dim - start)
            piece = rows[row, start : start + size]
            sign = signs[windows[number] : windows[number] + size]
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
    try:
        import numba
    except ImportError:  # numba does not follow a new Python at once
        return None
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(_fold)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to keep what was compiled
        return numba.njit(**options)(_fold)  # type: ignore[no-any-return]


def is_compiled() -> bool:
    """Tell whether the loop is at hand."""
    return compiled_fold.cache_info().currsize > 0 and compiled_fold() is not None
