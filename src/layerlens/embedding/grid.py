"""A series with two axes: depth, and the steps of a training run.

The layers of a step follow each other, and so do the steps of a layer. A picture of such a series
is kept comparable with two others: that of the layer before, and that of the same layer a step
before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding.align import procrustes, rms_radius
from layerlens.embedding.clouds import LayerCloud

__all__ = ["Chain", "Grid", "Place"]

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture of a series is.

    `step`: of the training run; None where the series has depth alone.
    """

    step: int | None
    layer: str


class Grid:
    """Which pictures of a series are next to each other.

    `clouds`: in the order of the series: all layers of a step, then those of the next.
    """

    def __init__(self, clouds: Sequence[LayerCloud]) -> None:
        self.places = [_place(cloud) for cloud in clouds]
        self._at = {place: at for at, place in enumerate(self.places)}
        known = {place.step for place in self.places if place.step is not None}
        self.steps = sorted(known)
        self._before = {step: earlier for earlier, step in zip(self.steps, self.steps[1:])}  # noqa: B905

    @property
    def has_steps(self) -> bool:
        """Whether there is more than one step."""
        return len(self.steps) > 1

    def layer_before(self, at: int) -> int | None:
        """Return the place in the series of the layer before, at the same step."""
        if at == 0 or self.places[at - 1].step != self.places[at].step:
            return None
        return at - 1

    def step_before(self, at: int) -> int | None:
        """Return the place in the series of the same layer, a step before."""
        place = self.places[at]
        if place.step is None or place.step not in self._before:
            return None
        return self._at.get(Place(self._before[place.step], place.layer))

    def pairs(self) -> list[tuple[int, int]]:
        """Return which pictures are next to each other, along the depth and along the steps."""
        before = (self.layer_before, self.step_before)
        found = ((find(at), at) for at in range(len(self.places)) for find in before)
        return [(earlier, at) for earlier, at in found if earlier is not None]

    def path(self) -> list[int]:
        """Return an order in which every two neighbours of the series are next to each other.

        Down the layers of a step and up those of the next: for a reducer that couples each picture
        to the one before and after it, and not to others.
        """
        order: list[int] = []
        row: list[int] = []
        rows: list[list[int]] = []
        for at, place in enumerate(self.places):
            if row and place.step != self.places[row[-1]].step:
                rows.append(row)
                row = []
            row.append(at)
        rows.append(row)
        for number, one in enumerate(rows):
            order += one if number % 2 == 0 else one[::-1]
        return order


class Chain:
    """The pictures so far, and those that the next is laid on."""

    def __init__(self, grid: Grid, *, enabled: bool) -> None:
        self.enabled = enabled
        self._grid = grid
        self._laid: dict[int, tuple[LayerCloud, Matrix]] = {}
        self._last: int | None = None

    def append(self, index: int, cloud: LayerCloud, coordinates: Matrix) -> None:
        """Take the next picture."""
        # a dot has no direction to turn the next picture by: the one before it stays
        if self.enabled and rms_radius(coordinates) > 0:
            if not self._grid.has_steps:
                self._laid.clear()
            self._laid[index] = cloud, coordinates
            self._last = index

    def step_before(self, index: int) -> Matrix | None:
        """Return the picture of the same layer, a step before."""
        at = self._grid.step_before(index)
        return self._laid[at][1] if at is not None and at in self._laid else None

    def _fixed(self, index: int) -> list[tuple[LayerCloud, Matrix]]:
        """Return what a picture is laid on: of the layer before, and of the step before."""
        if self._last is None:
            return []
        near = [self._grid.step_before(index), self._grid.layer_before(index)]
        found = [at for at in near if at is not None and at in self._laid]
        if not self._grid.has_steps or not found:
            found = [self._last]
        return [self._laid[at] for at in found]

    def align(
        self, index: int, cloud: LayerCloud, coordinates: Matrix
    ) -> tuple[Matrix, dict[str, Any]]:
        """Lay a picture on those before, by the samples that they have in common."""
        if not self.enabled:
            return coordinates, {"method": "none"}
        fixed = self._fixed(index)
        if not fixed:
            return coordinates, {"method": "first"}
        pairs = []
        for other, picture in fixed:
            here, there = cloud.common_rows(other)
            if len(here) >= 2 and coordinates.shape[1] == picture.shape[1]:
                pairs.append((coordinates[here], picture[there], other.name))
        if not pairs:
            return coordinates, {"method": "none", "reason": "too few samples in common"}
        moving = np.concatenate([one for one, _, _ in pairs])
        transform = procrustes(moving, np.concatenate([one for _, one, _ in pairs]))
        names = [name for _, _, name in pairs]
        return transform(coordinates), {
            "method": "procrustes",
            "to": names[0] if len(names) == 1 else names,
            "samples": len(pairs[0][0]),
            "scale": transform.scale,
            "reflected": transform.reflects,
        }


def _place(cloud: LayerCloud) -> Place:
    info = cloud.run.layers.get(cloud.name)
    step = None if info is None else info.step
    if step is None:
        return Place(None, cloud.name)
    return Place(step, cloud.name.rpartition("@")[0])
