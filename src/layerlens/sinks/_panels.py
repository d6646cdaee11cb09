"""From coordinates to what is drawn in a panel: where each point goes, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.records import LayerEmbedding
from layerlens.sinks._coloring import Coloring

__all__ = ["Frame", "Placed", "place", "places_for_names"]

Array = npt.NDArray[Any]
Limits = tuple[float, float]

AZIMUTH, ELEVATION = -60.0, 25.0
"""From where three-dimensional pictures are seen, in degrees."""

_MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Frame:
    """What a panel shows: the limits of its axes.

    `box`: (12, 2, 2). For three dimensions, the edges of the common box as seen.
    """

    x: Limits
    y: Limits
    box: Array | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A layer's points as they go to the panel.

    `xy`: (n_rows, 2). Where they lie.
    `order`: (n_rows,). In which order they are drawn.
    `nearness`: (n_rows,). For three dimensions, from 0 at the far end to 1 at the near one.
    """

    xy: Array
    order: Array
    nearness: Array | None = None


def place(
    layers: Sequence[LayerEmbedding], colors: Coloring, scale: str
) -> tuple[list[Placed], list[Frame]]:
    """Lay out every layer's points.

    Points are drawn in one random order, the same in all layers, so that no class lies on top
    for being last; those whose class is not known lie below all others. In three dimensions the
    near ones come last.

    `scale`: {"shared", "layer"}. Whether all panels have the same limits, or each its own.
    """
    # seeded by a constant: the picture is the same each time
    rank = np.random.default_rng(0).permutation(layers[0].run.n_samples)
    clouds = [np.asarray(layer.coordinates, dtype=float) for layer in layers]
    n_components = [cloud.shape[1] for cloud in clouds]
    centers = _bounds(clouds, n_components, scale)
    placed, corners = [], []
    for layer, cloud, codes, (low, high) in zip(
        layers, clouds, colors.per_layer, centers, strict=True
    ):
        order = np.argsort(layer.of_rows(rank))
        nearness = None
        if cloud.shape[1] == 1:
            xy = np.column_stack([cloud[:, 0], _strips(codes, colors, layer.of_rows(rank))])
        elif cloud.shape[1] == 3:
            center = (low + high) / 2
            xy, depth = _project(cloud - center)
            order = np.argsort(depth, kind="stable")
            reach = np.linalg.norm(high - low) / 2 or 1.0
            nearness = np.clip(depth / reach, -1, 1) / 2 + 0.5
        else:
            xy = cloud[:, :2]
        if colors.kind != "plain" and cloud.shape[1] != 3:
            known = codes[order] >= 0 if colors.kind == "classes" else np.isfinite(codes[order])
            order = np.concatenate([order[~known], order[known]])
        placed.append(Placed(xy, order, nearness))
        corners.append((low, high))
    return placed, [_frame(low, high) for low, high in corners]


def _bounds(clouds: list[Array], n_components: list[int], scale: str) -> list[tuple[Array, Array]]:
    lows = [cloud.min(axis=0) for cloud in clouds]
    highs = [cloud.max(axis=0) for cloud in clouds]
    if scale == "layer":
        return list(zip(lows, highs, strict=True))
    shared = {}
    for c in set(n_components):  # layers of one run mostly have the same; if not, each kind its own
        same = [i for i, n in enumerate(n_components) if n == c]
        shared[c] = (
            np.min([lows[i] for i in same], axis=0),
            np.max([highs[i] for i in same], axis=0),
        )
    return [shared[c] for c in n_components]


def _frame(low: Array, high: Array) -> Frame:
    if len(low) == 1:
        return Frame(_padded(low[0], high[0]), (-0.02, 1.02))
    if len(low) == 3:
        box = np.array([low, high]) - (low + high) / 2
        corners = np.array([[box[i, 0], box[j, 1], box[k, 2]] for i, j, k in np.ndindex(2, 2, 2)])
        seen, _ = _project(corners)
        edges = [
            (a, b)
            for a, b in combinations(range(8), 2)
            if (a ^ b).bit_count() == 1  # corners that differ along one axis
        ]
        x, y = _square(seen.min(axis=0), seen.max(axis=0))
        return Frame(x, y, np.array([[seen[a], seen[b]] for a, b in edges]))
    return Frame(*_square(low[:2], high[:2]))


def _square(low: Array, high: Array) -> tuple[Limits, Limits]:
    """Return limits of equal length around the box: one unit is as long in x as in y."""
    half = float((high - low).max()) / 2 * (1 + 2 * _MARGIN) or 1.0
    middle = (low + high) / 2
    x, y = ((float(m) - half, float(m) + half) for m in middle)
    return x, y


def _padded(low: float, high: float) -> Limits:
    pad = (high - low) * _MARGIN or 1.0
    return float(low) - pad, float(high) + pad


def _project(points: Array) -> tuple[Array, Array]:
    """Return where points of three dimensions are seen, and how near; no perspective."""
    azimuth, elevation = np.radians(AZIMUTH), np.radians(ELEVATION)
    toward = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    up = np.cross(toward, right)
    return points @ np.column_stack([right, up]), points @ toward


def _strips(codes: Array, colors: Coloring, rank: Array) -> Array:
    """Return heights for points of one dimension: each class a strip, scattered within it."""
    n_classes = len(colors.names)
    # the scatter of a sample is the same in all layers
    scatter: Array = (rank + 0.5) / (rank.max() + 1)
    if colors.kind != "classes" or not 1 < n_classes <= 30:
        return scatter
    n_strips = n_classes + colors.unknown
    strip: Array = np.where(codes < 0, n_classes, codes)
    return 1 - (strip + 0.15 + 0.7 * scatter) / n_strips  # the first class on top


def places_for_names(xy: Array, codes: Array, frame: Frame, n_classes: int) -> dict[int, Array]:
    """Find for each class the place where it is densest, if it has one to itself.

    `xy`: (n_rows, 2). Where the points lie.
    `codes`: (n_rows,). Their classes.
    Returned: each (2,). The middle of the class's nearest points there. Classes that are nowhere
    among themselves, or are spread all over, are left out: their name would mislead.
    """
    cells = 16
    edges = [np.linspace(*limits, cells + 1) for limits in (frame.x, frame.y)]
    counts = np.zeros((n_classes, cells, cells))
    for c in range(n_classes):
        x, y = xy[codes == c].T
        counts[c] = np.histogram2d(x, y, bins=edges)[0]
    padded = np.pad(counts, ((0, 0), (1, 1), (1, 1)))
    around = np.zeros_like(counts)  # in three by three cells
    for i, j in np.ndindex(3, 3):
        around += padded[:, i : i + cells, j : j + cells]
    every = around.sum(axis=0)
    places = {}
    for c in range(n_classes):
        own = around[c]
        best = np.unravel_index(np.argmax(own), own.shape)
        pure = own[best] / max(every[best], 1) >= 0.75
        together = own[best] >= 0.2 * max((codes == c).sum(), 1)
        if not (pure and together):
            continue
        center = np.array([(edges[d][best[d]] + edges[d][best[d] + 1]) / 2 for d in range(2)])
        members = xy[codes == c]
        reach = 1.5 * (frame.x[1] - frame.x[0]) / cells
        near = members[np.abs(members - center).max(axis=1) <= reach]
        if len(near):
            places[c] = np.median(near, axis=0)
    return places
