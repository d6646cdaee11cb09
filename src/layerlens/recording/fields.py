"""Receptive fields: what of the input a place of a layer sees, found from the network itself.

The operations of one forward are followed (`layerlens.recording.reach`), which tells the fields of
all places of all layers by arithmetic. Where an operation is not known, the network is asked by
spoiling parts of the input (`layerlens.recording.spoiling`), which needs dozens of forwards.

The field is that of the network as built. How much of it matters is another question: where it is
the whole input (attention, squeeze and excitation, late layers of deep networks), the box is that
which holds 95 % of the gradient's magnitude, and is called so.

References
----------
W. Luo, Y. Li, R. Urtasun, R. Zemel. Understanding the effective receptive field in deep
convolutional neural networks. NeurIPS 2016. (That the field's middle has most of the gradient.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from layerlens.recording.boxes import FIELD, GRADIENT, Box
from layerlens.recording.calling import Recall, without_call
from layerlens.recording.reach import Follower
from layerlens.recording.readout import NotApplicableError
from layerlens.recording.recorded import Output
from layerlens.recording.selection import INPUT
from layerlens.recording.spoiling import Spoiler

__all__ = ["FieldFinder", "Seer"]

_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Seer:
    """A place in a layer's maps of one sample.

    `channel`, `sample`: at which channel, and for which sample of the batch, where a gradient is
    needed.
    """

    layer: str
    place: tuple[int, ...]
    channel: int
    sample: int


class FieldFinder:
    """Finds the boxes of places, for inputs of one shape.

    `x`: (B, C, ...), (x, y), or mapping. A batch that can go into it; gradients are taken at these
    samples.

    Raises
    ------
    ShapeError
        If what goes in has no places, as token numbers have not.
    """

    def __init__(
        self,
        model: nn.Module,
        x: Any,
        *,
        grid: Sequence[int] | None = None,
        layout: str = "auto",
    ) -> None:
        self._recall = Recall(model, x, grid, layout)
        self.size = tuple(self._recall.given.shape[2:])
        # per layer, for each side of the input what its places reach: (sides, *grid)
        self._reaches: dict[str, npt.NDArray[np.int64] | None] = {}
        self._spoilers: dict[str, Spoiler] = {}

    def boxes(self, seers: Sequence[Seer]) -> list[Box]:
        """Return what of the input each place sees: its field, or where its gradient is."""
        found: dict[Seer, Box] = {}
        layers = dict.fromkeys(seer.layer for seer in seers)
        for layer in layers:
            mine = [seer for seer in seers if seer.layer == layer]
            fields = self.fields(layer, [seer.place for seer in mine])
            found.update(zip(mine, fields, strict=True))
        whole = [seer for seer, box in found.items() if box.shape == self.size]
        for sample in sorted({seer.sample for seer in whole}):
            found.update(self._gradients(sample, [s for s in whole if s.sample == sample]))
        return [found[seer] for seer in seers]

    def fields(self, layer: str, places: Sequence[Sequence[int]]) -> list[Box]:
        """Return the receptive field of each place: nothing outside of it has any influence."""
        if layer not in self._reaches:
            self._follow(lambda name, module: True)
        if layer not in self._reaches:  # a part of a module's output that is asked for by its name
            self._follow(without_call(layer))
            self._reaches.setdefault(layer, None)
        reach = self._reaches[layer]
        if reach is None:
            spoiler = self._spoilers.setdefault(layer, Spoiler(self._recall, layer))
            spans = spoiler.fields(places)
        else:
            sides = np.moveaxis(reach, 0, -1)  # (*grid, sides)
            at = [sides[tuple(map(int, place))].reshape(-1, 2).tolist() for place in places]
            spans = [[(first, stop) for first, stop in one] for one in at]
        return [
            Box(tuple(int(a) for a, _ in axes), tuple(int(b) for _, b in axes), FIELD)
            for axes in spans
        ]

    def _follow(self, layers: Any) -> None:
        """Follow one sample and note what each place of each layer reaches."""
        batch = self._recall.given[:1].detach().clone()
        follower = Follower(batch)

        def take(layer: str, output: Output) -> None:
            shadows = follower.shadows(output.tensor)
            if shadows is None:
                self._reaches.setdefault(layer, None)
                return
            try:
                maps = [self._recall.read(layer, replace(output, tensor=s)).maps for s in shadows]
            except NotApplicableError:
                return
            least = torch.stack([one.amin((0, 1)) for one in maps]).double().cpu().numpy()
            self._reaches[layer] = self._spans(least)

        self._recall.send([layers, INPUT], batch, take, around=follower)

    def _spans(self, least: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return first rows and those after the last, of places without any all of them."""
        nowhere = np.isinf(least)
        least[1::2] = 1 - least[1::2]
        for axis, length in enumerate(self.size):
            least[2 * axis][nowhere[2 * axis]] = 0
            least[2 * axis + 1][nowhere[2 * axis + 1]] = length
        return least.astype(np.int64)

    def _gradients(self, sample: int, seers: Sequence[Seer]) -> dict[Seer, Box]:
        given = self._recall.given[sample : sample + 1].detach().clone().requires_grad_()
        maps = self._recall.graph(list(dict.fromkeys(seer.layer for seer in seers)), given)
        found = {}
        for seer in seers:
            value = maps[seer.layer][(0, seer.channel, *seer.place)]
            (gradient,) = torch.autograd.grad(value, given, retain_graph=True)
            found[seer] = _middle(gradient[0], self.size)
        return found


def _middle(gradient: torch.Tensor, size: tuple[int, ...]) -> Box:
    """Return the box that is left when little enough weight is cut off at every side."""
    weight = gradient.abs().double().sum(0)
    total = float(weight.sum())
    if not total > 0 or not np.isfinite(total):
        return Box((0,) * len(size), size, FIELD)
    cut = (1 - _SHARE) / (2 * len(size)) * total
    starts, stops = [], []
    for axis in range(len(size)):
        profile = weight.sum([i for i in range(len(size)) if i != axis]).cpu().numpy()
        starts.append(int((np.cumsum(profile) <= cut).sum()))
        stops.append(len(profile) - int((np.cumsum(profile[::-1]) <= cut).sum()))
    return Box(tuple(starts), tuple(stops), GRADIENT)
