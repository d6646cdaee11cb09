"""Measuring the sketch while it is made: distances inside a few blocks of a batch's rows.

Before a batch's long rows are let go, the squared distances between some of them are taken, beside
those between their sketches. It needs no second forward, draws no random number and waits for no
device; what is kept is nine sums a layer (`layerlens.recording.loss`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from layerlens.recording.loss import PairSums

__all__ = ["PairMeter", "products_of"]

_BLOCK = 32
"""Rows of a block, spread over the batch; a smaller batch is one."""

_PAIRS = 2048
"""Pairs to look at in the first 512 samples, and again each time the samples have doubled."""

_EVERY = 8
"""Only every eighth batch is looked at: a look takes longer than the sketch does."""

_PIECE = 1 << 14  # values of a row that are multiplied in float32 before sums go to float64

_CANCELS = 4096
"""Squared norms so many times a squared distance: float32 has it to three thousandths then, where a
sketch of 2,048 values has it to three hundredths."""


class PairMeter:
    """Takes distances in some batches of one layer.

    Which batches follows from where they lie in the record and how large they are: every eighth of
    the first ones, and ever fewer as the record grows. So a recording that goes on looks at what
    it would have looked at.

    Parameters
    ----------
    state : mapping, optional
        What `as_json` gave, to go on.

    Attributes
    ----------
    sums : PairSums
        Of the batches that count.
    fit_sums : PairSums
        Of those whose rows a sketch was fitted on: it keeps these better than others.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self.sums = PairSums()
        self.fit_sums = PairSums()
        self._looked = 0
        self._upto = 0
        self._n_fit = 0
        if state is not None:
            self.sums = PairSums.of_json(state["sums"])
            self._looked = int(state["looked"])
            self._upto = int(state["upto"])
            self.fit_sums = PairSums.of_json(state.get("fit_sums", PairSums().as_json()))
            self._n_fit = int(state.get("n_fit", 0))
        self._size = 0
        self._waiting = 0  # pairs of batches that wait for their sketch

    def as_json(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        state = {"sums": self.sums.as_json(), "looked": self._looked, "upto": self._upto}
        if self._n_fit:
            state |= {"fit_sums": self.fit_sums.as_json(), "n_fit": self._n_fit}
        return state

    def of_rows(self, n_rows: int) -> PairSums:
        """Return the sums as they stand for so many rows, those of the fit among them."""
        return self.fit_sums.beside(self.sums, min(1.0, self._n_fit / max(1, n_rows)))

    def blocks(self, start: int, count: int) -> list[slice]:
        """Return which rows of a batch make up blocks.

        Parameters
        ----------
        start : int
            How many rows came before it.
        count : int
            Its own.
        """
        self._size = min(count, _BLOCK)
        each = self._size * (self._size - 1) // 2
        if start < self._upto or not each or start // count % _EVERY:
            return []
        due = _PAIRS * (1 + ((start + count) // 512).bit_length()) - self._looked
        due -= self._waiting
        step = count // self._size
        number = min(step, max(0, -(-due // each)))
        return [slice(first, first + step * self._size, step) for first in range(number)]

    def look(self, rows: torch.Tensor, values: torch.Tensor, start: int) -> torch.Tensor | None:
        """Take the inner products of a batch's blocks, of rows and of their sketches.

        Parameters
        ----------
        rows : Tensor of shape (B, dim), floating
        values : Tensor of shape (B, width), floating
            Their sketches.
        start : int
            How many rows came before.

        Returns
        -------
        Tensor of shape (blocks, 2, m, m), or None
            On the rows' device, for `count`; None where there is nothing to look at.
        """
        blocks = self.blocks(start, len(rows))
        if not blocks:
            return None
        return torch.stack([products_of(rows, blocks), products_of(values, blocks)], dim=1)

    def ahead(self, rows: torch.Tensor, start: int) -> tuple[list[slice], torch.Tensor] | None:
        """Take the inner products of a batch's blocks before there are sketches of its rows."""
        blocks = self.blocks(start, len(rows))
        if not blocks:
            return None
        self._waiting += len(blocks) * (self._size * (self._size - 1) // 2)
        return blocks, products_of(rows, blocks)

    def count(
        self, products: npt.NDArray[Any], start: int, count: int, *, of_fit: bool = False
    ) -> None:
        """Count what `look` gave for a batch of `count` rows, all of which are kept.

        Rows that a sketch was fitted on (`of_fit`) are counted by themselves, and those behind
        them looked at as if they came first.
        """
        if of_fit:
            self._n_fit = start + count
            for pair in products:
                self.fit_sums += PairSums.of_block(*map(_squared, pair))
            self._upto = max(self._upto, start + count)
            self._waiting = 0
            return
        for native, sketched in products:
            m = len(native)
            self.sums += PairSums.of_block(_squared(native), _squared(sketched))
            self._looked += m * (m - 1) // 2
        self._upto = max(self._upto, start + count)


def products_of(rows: torch.Tensor, blocks: Sequence[slice]) -> torch.Tensor:
    """Return the inner products inside some blocks of rows, (blocks, m, m), on their device."""
    return torch.stack([_products(rows[one]) for one in blocks])


def _products(rows: torch.Tensor) -> torch.Tensor:
    """Return the inner products of some rows, or of rows less the first of them.

    Distances are the same. What all rows have in common would be subtracted from itself when they
    are taken, and leave the rounding errors of float32, so it goes first where there is much of
    it. On a device it always does: looking would be waiting.
    """
    if rows.device.type == "cpu":
        found = _summed(rows[:, :_PIECE])
        cancels = _cancels(found)
        if not cancels and rows.shape[1] > _PIECE:
            found += _summed(rows[:, _PIECE:])
            cancels = _cancels(found)
        if not cancels:
            return found
    return _summed(rows, centred=True)


def _cancels(products: torch.Tensor) -> bool:
    """Tell whether distances that these give are mostly what was subtracted, or none."""
    values = products.numpy()
    squared = _squared(values)
    squared.flat[:: len(values) + 1] = np.inf
    return not squared.min() * _CANCELS > values.diagonal().max()


def _summed(rows: torch.Tensor, *, centred: bool = False) -> torch.Tensor:
    """Return the inner products of rows, piece by piece: sums of pieces are exact enough."""
    exact = torch.float32 if rows.device.type == "mps" else torch.float64
    dtype = torch.promote_types(rows.dtype, torch.float32)
    total = rows.new_zeros((len(rows), len(rows)), dtype=exact)
    room = rows.new_empty((len(rows), min(_PIECE, rows.shape[1])), dtype=dtype) if centred else None
    for start in range(0, rows.shape[1], _PIECE):
        piece = rows[:, start : start + _PIECE].to(dtype)
        if room is not None:  # memory anew for each piece would cost as much as the products
            piece = torch.sub(piece, piece[:1], out=room[:, : piece.shape[1]])
        total += piece @ piece.T
    return total


def _squared(products: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    norms = products.diagonal().astype(np.float64)
    squared: npt.NDArray[np.float64] = np.maximum(norms[:, None] + norms - 2 * products, 0.0)
    return squared
