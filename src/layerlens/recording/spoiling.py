"""How far into the input one may go before a place of a layer notices: asked of the network.

Nothing is assumed of the network. A part of the input is made NaN, and the places of a layer that
become NaN are those it has an influence on, whatever lies in between: NaN goes through
convolutions (zero weights included), rectifiers, poolings and sums. Making the first ``t`` rows
NaN, for growing ``t``, tells where a field begins, and the last ``t`` rows where it ends; ``t`` is
found by bisection, for all places at once, since what one forward tells about one place it tells
about all. Convolutions by transforms (Winograd, FFT) spread NaN over their tiles, so the libraries
that choose those (cuDNN, NNPACK) are switched off meanwhile; oneDNN is asked for direct
convolutions by PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import numpy.typing as npt
import torch

from layerlens.errors import RecordingError
from layerlens.recording.calling import Recall, without_call
from layerlens.recording.recorded import Output

__all__ = ["Spoiler"]

_PROBES = 16  # inputs in one forward

Side = tuple[int, bool]
"""An axis of the input and whether it is entered from its end."""


class Spoiler:
    """Finds the receptive fields of one layer's places, as far as NaN tells."""

    def __init__(self, recall: Recall, layer: str) -> None:
        self._recall = recall
        self._layer = layer
        self._size = tuple(recall.given.shape[2:])
        # per side, for each row of the grid: the farthest in known not to reach it, and the
        # nearest known to
        self._known: dict[Side, dict[int, list[int]]] = {}
        self._rows: tuple[int, ...] = ()

    def fields(self, places: Sequence[Sequence[int]]) -> list[list[tuple[int, int]]]:
        """Return for each place and axis of the input its first row, and the one after its last.

        A place that sees nothing, as one that only padding comes to, has all of them. Along each
        axis of the input the field of a place is taken to be that of all places in the same row of
        the grid, which it is for everything that slides a window.
        """
        axes = range(len(self._size))
        if len({len(place) for place in places} | {len(self._size)}) != 1:
            # a grid of another kind than the input's: what a place sees is not told apart
            return [[(0, length) for length in self._size] for _ in places]
        for axis in axes:
            for side in ((axis, False), (axis, True)):
                table = self._known.setdefault(side, {})
                for row in {int(place[axis]) for place in places} - table.keys():
                    table[row] = [-1, self._size[axis] - 1]
        self._search()
        return [[self._span(axis, int(row)) for axis, row in enumerate(place)] for place in places]

    def _span(self, axis: int, row: int) -> tuple[int, int]:
        first = self._known[axis, False][row][1]
        stop = self._size[axis] - self._known[axis, True][row][1]
        # what sees nothing is reached from no side
        return (first, stop) if first < stop else (0, self._size[axis])

    def _search(self) -> None:
        first = True
        while True:
            asked = {
                (side, t)
                for side, table in self._known.items()
                for t in self._next(side, table, first=first)
            }
            if not asked:
                return
            first = False
            probes = sorted(asked)
            for start in range(0, len(probes), _PROBES):
                self._look(probes[start : start + _PROBES])

    def _next(self, side: Side, table: dict[int, list[int]], *, first: bool) -> set[int]:
        """Return how far in to go next: half-way, or about where a known neighbour says."""
        open_rows = {row: span for row, span in table.items() if span[1] - span[0] > 1}
        if not open_rows:
            return set()
        if first and any(low < 0 for low, _ in open_rows.values()):
            return {0}  # most late layers see the whole input, which this tells at once
        closed = {row: span[1] for row, span in table.items() if span[1] - span[0] <= 1}
        inner = {row: reach for row, reach in closed.items() if reach > 0}
        asked = set()
        middle = sorted(open_rows)[len(open_rows) // 2]
        for row, (low, high) in open_rows.items():
            guess = (low + high) // 2
            if inner:
                near = min(inner, key=lambda known: abs(known - row))
                step = self._size[side[0]] / max(1, self._rows[side[0]])
                guess = round(inner[near] + (row - near) * step * (-1 if side[1] else 1))
                asked |= {t for t in (guess - 1, guess) if low < t < high}
                if not any(low < t < high for t in (guess - 1, guess)):
                    asked.add((low + high) // 2)
            elif row == middle:
                asked.add(guess)
        return asked

    def _look(self, probes: list[tuple[Side, int]]) -> None:
        """Go into the input from these sides and note which rows of the grid are reached."""
        batch = self._recall.given[:1].detach().clone()
        batch = batch.repeat(len(probes), *[1] * (batch.ndim - 1))
        # what is no number already would be seen everywhere
        batch = torch.nan_to_num(batch, nan=0.0, posinf=0.0, neginf=0.0)
        for number, ((axis, end), t) in enumerate(probes):
            length = self._size[axis]
            part = slice(length - 1 - t, None) if end else slice(0, t + 1)
            batch[(number, slice(None), *[slice(None)] * axis, part)] = torch.nan
        reached = self._reached(batch)
        self._rows = reached.shape[1:]
        for number, (side, t) in enumerate(probes):
            others = tuple(i for i in range(len(self._rows)) if i != side[0])
            rows = reached[number].any(axis=others)
            for row, span in self._known[side].items():
                if rows[row]:
                    span[1] = min(span[1], t)
                else:
                    span[0] = max(span[0], t)

    def _reached(self, batch: torch.Tensor) -> npt.NDArray[np.bool_]:
        found: dict[str, npt.NDArray[np.bool_]] = {}

        def take(layer: str, output: Output) -> None:
            found[layer] = self._recall.read(layer, output).maps.isnan().any(1).cpu().numpy()

        with ExitStack() as stack:
            stack.enter_context(torch.backends.nnpack.flags(enabled=False))
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            name = without_call(self._layer)
            skipped = self._recall.send(name, batch, take, last=self._layer)
        if self._layer not in found:
            why = skipped.get(self._layer, "it was not called")
            raise RecordingError(f"the box of a place of {self._layer!r} cannot be found: {why}")
        return found[self._layer]
