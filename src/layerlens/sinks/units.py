"""What drives a unit: its strongest samples, its map across images, all units on one sheet."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from layerlens import _options
from layerlens.errors import ArgumentError
from layerlens.sinks._canvas import (
    DIVERGING,
    GREY,
    SEQUENTIAL,
    Canvas,
    Picture,
    number,
)
from layerlens.sinks._sheet import SHEET_CHECKS, draw_sheet
from layerlens.sinks._tiles import about_boxes, cropped, fitted, outline, plane_of, seen_in

__all__ = ["across", "draw_across", "draw_sheet", "draw_top", "sheet", "top"]

Array = npt.NDArray[Any]

_EDGE = 0.35  # inches
_GAP = 0.1
_HEAD = 0.82
_SMALL = 6.5


def draw_top(unit: Any, *, columns: int = 9, tile: float = 1.1, title: str | None = None) -> Figure:
    """Draw the samples that drive one unit most: input with its box, map, and the box enlarged.

    Parameters
    ----------
    unit : TopUnit
        The samples, strongest first.
    columns : int
        Samples in a row.
    tile : float
        Width of a tile in inches.
    title : str, optional
        Heading in place of layer and channel.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        If the inputs were not kept.
    """
    if unit.inputs is None or unit.maps is None:
        raise ArgumentError(
            "the inputs and maps of these samples were not kept; ask top_samples for them with "
            "keep=True, which keeps inputs that are tensors with places"
        )
    captions = [f"id {one}" for one in unit.ids]
    rows = ["input", "map", "crop"] if unit.boxes is not None else ["input", "map"]
    foot = [f"Strongest of {unit.n_samples} samples, by the {unit.reduce} of the map. "]
    foot += about_boxes(unit)
    foot.extend(f"{note}. " for note in unit.notes)
    heading = title or f"What drives {unit.title}"
    return _columns(unit, captions, rows, heading, "".join(foot), columns, tile)


def draw_across(
    unit: Any, *, columns: int = 8, tile: float = 1.1, title: str | None = None
) -> Figure:
    """Draw one unit's map beside each image, all at one scale.

    Parameters
    ----------
    unit : UnitAcross
        The maps.
    columns : int
        Images in a row.
    tile : float
        Width of a tile in inches.
    title : str, optional
        Heading in place of layer and channel.

    Returns
    -------
    matplotlib.figure.Figure
    """
    captions = [str(name) for name in unit.names]
    heading = title or f"{unit.title} across {len(captions)} images"
    foot = "".join(about_boxes(unit))
    return _columns(unit, captions, ["input", "map"], heading, foot, columns, tile)


def _columns(
    unit: Any, captions: list[str], rows: list[str], heading: str, foot: str, columns: int,
    tile: float,
) -> Figure:  # fmt: skip
    boxes = unit.boxes or [None] * len(unit.inputs)
    images = [seen_in(one, box) for one, box in zip(unit.inputs, boxes, strict=True)]
    maps = [plane_of(one) for one in unit.maps]
    signed = any((one < 0).any() for one in maps)
    cmap = DIVERGING if signed else SEQUENTIAL
    most = max((float(np.nanmax(np.abs(one), initial=0.0)) for one in maps), default=0.0)
    high = tile * max(float(np.clip(i.shape[0] / i.shape[1], 0.3, 1.6)) for i in images)
    across = min(columns, len(images))
    down = -(-len(images) // across)
    label = 0.55
    width = max(2 * _EDGE + label + across * (tile + _GAP) - _GAP, 4.6)
    block = 0.32 + len(rows) * (high + 0.06) + 0.12
    scale = "White is zero, red above" + (", blue below" if signed else "")
    foot = f"{scale}; full colour is {number(most)} in every map. {foot}"
    lines = Canvas(width, 1).ruler.wrap(foot, width - 2 * _EDGE - 0.4, 7)
    canvas = Canvas(width, _HEAD + down * block + len(lines) * 0.15 + 0.3)
    canvas.text(_EDGE, 0.42, heading, 13, bold=True, room=width - 2 * _EDGE)
    canvas.text(_EDGE, 0.62, unit.subtitle, 8, color=GREY, room=width - 2 * _EDGE)
    for i, (image, plane) in enumerate(zip(images, maps, strict=True)):
        x = _EDGE + label + i % across * (tile + _GAP)
        y = _HEAD + i // across * block
        canvas.text(x, y + 0.1, captions[i], _SMALL, room=tile)
        canvas.text(x, y + 0.22, number(float(unit.values[i])), _SMALL, color=GREY, room=tile)
        for j, row in enumerate(rows):
            at = y + 0.28 + j * (high + 0.06)
            if i % across == 0:
                canvas.text(_EDGE, at + 0.12, row, 8, bold=True)
            box = boxes[i]
            if row == "input":
                fitted(canvas, image, x, at, tile, high)
                if box is not None:
                    outline(canvas, image, box, x, at, tile, high)
            elif row == "map":
                limits = (-(most or 1.0) if signed else 0.0, most or 1.0)
                canvas.image(plane, x, at, tile, high, cmap=cmap, limits=limits)
            elif box is not None:
                fitted(canvas, cropped(unit.inputs[i], box), x, at, tile, high)
    canvas.paragraph(_EDGE, _HEAD + down * block + 0.15, foot, 7, width - 2 * _EDGE - 0.4)
    return canvas.figure


_CHECKS: dict[str, _options.Check] = {
    "columns": _options.whole(),
    "tile": _options.number(0.2, 10, what="a width", unit="inches"),
    "title": _options.text,
}

top = Picture(draw_top, checks=_CHECKS)
across = Picture(draw_across, checks=_CHECKS)
sheet = Picture(draw_sheet, checks=SHEET_CHECKS)
