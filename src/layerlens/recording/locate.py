"""Where in its map each of many chosen units is strongest, without copying the maps first."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from layerlens.recording.compiling import compiled

__all__ = ["strongest_cells"]

Cells = npt.NDArray[np.int64]
Scan = Callable[[npt.NDArray[np.float32], Cells, Cells, Cells], None]


def strongest_cells(maps: torch.Tensor, samples: Cells, units: Cells) -> Cells:
    """Return the place of each map's maximum, the first of equals, counted through the grid.

    `maps`: (B, C, *grid). All maps.
    `samples`, `units`: (n,), int64. Which of them are meant; they hold no NaN.
    """
    flat = maps.flatten(2) if maps.is_contiguous() else None
    scan = _scan() if maps.device.type == "cpu" and maps.dtype == torch.float32 else None
    if flat is None or scan is None:
        picked = maps[torch.as_tensor(samples), torch.as_tensor(units)].flatten(1)
        return picked.argmax(1).cpu().numpy().astype(np.int64)
    cells = np.empty(len(samples), np.int64)
    scan(flat.numpy(), samples, units, cells)
    return cells


def _first_maximum(maps: Any, samples: Cells, units: Cells, cells: Cells) -> None:
    for row in range(len(samples)):
        line = maps[samples[row], units[row]]
        # two loops that the compiler can vectorise, where one that notes the place is not
        most = line[0]
        for value in line:
            most = max(most, value)
        for place in range(len(line)):
            if line[place] == most:
                cells[row] = place
                break


@cache
def _scan() -> Scan | None:
    """Return the loop, compiled the first time; None where numba cannot be had."""
    return compiled(_first_maximum, fastmath={"nnan", "nsz"})
