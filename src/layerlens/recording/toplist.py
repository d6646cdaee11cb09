"""The k strongest samples of many units, kept up to date batch by batch.

Each unit has a line of k entries, strongest first, of equals the one with the smaller id first.
A batch adds its values, and the first k of what both have together stay. What is kept does not
depend on how the samples were cut into batches, nor on the order of the batches. Where in its map
a unit is strongest is looked up for those that stay, without copying the maps first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from layerlens.recording.compiling import compiled

__all__ = ["TopList", "strongest_cells"]

Array = npt.NDArray[Any]
Cells = npt.NDArray[np.int64]
Scan = Callable[[npt.NDArray[np.float32], Cells, Cells, Cells], None]

_NONE = -1


class TopList:
    """Lines of k entries for n units.

    `values`: (n_units, k), float64. Strongest first; -inf where there is none yet.
    `ids`: (n_units, k). Identifiers of the samples: int64 or str.
    `numbers`: (n_units, k), int64. Places of the samples in the run; -1 where there is none.
    `cells`: (n_units, k), int64. Places in the grid, counted through.
    """

    def __init__(self, n_units: int, k: int) -> None:
        self.k = k
        self.values = np.full((n_units, k), -np.inf)
        self.ids: Array = np.zeros((n_units, k), np.int64)
        self.numbers = np.full((n_units, k), _NONE)
        self.cells = np.zeros((n_units, k), np.int64)
        self._last_id: Any = None
        self._in_order = True

    def wanted(self, values: Array) -> Array:
        """Return which values of a batch may enter, as a mask of shape (B, n_units).

        `values`: (B, n_units). NaN never enters.
        """
        low = self.values[:, -1]
        mask: Array = values >= low  # an equal one may have the smaller id
        if self._in_order and np.isfinite(low).any():
            mask = (values > low) | (~np.isfinite(low) & mask)
        if len(values) > self.k:  # no more than k of one batch, and those equal to the last
            comparable = np.where(np.isnan(values), -np.inf, values)
            last = np.partition(comparable, -self.k, axis=0)[-self.k]
            mask = mask & (values >= last)
        return mask

    def start(self, ids: Array) -> None:
        """Take note of the ids of the batch that comes: ascending ones need no comparing."""
        if not len(ids):
            return
        rising = bool((ids[1:] > ids[:-1]).all()) if len(ids) > 1 else True
        if not rising or (self._last_id is not None and not ids[0] > self._last_id):
            self._in_order = False
        self._last_id = ids[-1]

    def add(self, mask: Array, values: Array, cells: Array, ids: Array, first: int) -> None:
        """Add what entered of a batch.

        `mask`, `values`, `cells`: (B, n_units). What may enter, how strong, and where in the grid.
        `ids`: (B,). Identifiers.
        """
        units = np.flatnonzero(mask.any(0))
        if not units.size:
            return
        if ids.dtype.kind != self.ids.dtype.kind or ids.dtype.itemsize > self.ids.dtype.itemsize:
            self.ids = self.ids.astype(np.promote_types(ids.dtype, self.ids.dtype))
        new = np.where(mask[:, units], values[:, units], -np.inf).T
        numbers = np.where(new > -np.inf, first + np.arange(len(ids)), _NONE)
        self._keep(
            units,
            np.concatenate([self.values[units], new], 1),
            np.concatenate([self.ids[units], np.broadcast_to(ids, new.shape)], 1),
            np.concatenate([self.numbers[units], numbers], 1),
            np.concatenate([self.cells[units], cells[:, units].T], 1),
            in_order=self._in_order,
        )

    def _keep(
        self, units: Array, values: Array, ids: Array, numbers: Array, cells: Array, *,
        in_order: bool,
    ) -> None:  # fmt: skip
        if in_order:  # what stood there has the smaller ids: a stable sort does it
            order = np.argsort(-values, axis=1, kind="stable")[:, : self.k]
        else:
            order = np.lexsort((ids, -values), axis=1)[:, : self.k]
        if self.ids.dtype != ids.dtype:
            self.ids = self.ids.astype(ids.dtype)
        self.values[units] = np.take_along_axis(values, order, 1)
        self.ids[units] = np.take_along_axis(ids, order, 1)
        self.numbers[units] = np.take_along_axis(numbers, order, 1)
        self.cells[units] = np.take_along_axis(cells, order, 1)


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
