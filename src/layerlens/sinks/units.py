"""What drives a unit: its strongest samples, its map across images, all units on one sheet."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from layerlens.errors import ArgumentError
from layerlens.sinks._canvas import (
    DIVERGING,
    GREY,
    SEQUENTIAL,
    Canvas,
    Picture,
    as_image,
    number,
)

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
            "keep=True"
        )
    captions = [f"id {one}" for one in unit.ids]
    rows = ["input", "map", "crop"] if unit.boxes is not None else ["input", "map"]
    foot = [f"Strongest of {unit.n_samples} samples, by the {unit.reduce} of the map. "]
    foot += _about_boxes(unit)
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
    foot = "".join(_about_boxes(unit))
    return _columns(unit, captions, ["input", "map"], heading, foot, columns, tile)


def _about_boxes(unit: Any) -> list[str]:
    kinds = {box.how for box in unit.boxes or ()}
    said = []
    if "receptive field" in kinds:
        said.append("Green: the receptive field of the strongest place. ")
    if kinds - {"receptive field"}:
        said.append(
            "Dashed: where the gradient of the strongest place has 95 % of its weight, for its "
            "receptive field is the whole input. "
        )
    return said


def _columns(
    unit: Any, captions: list[str], rows: list[str], heading: str, foot: str, columns: int,
    tile: float,
) -> Figure:  # fmt: skip
    if columns < 1 or not 0.2 <= tile <= 10:
        raise ArgumentError(f"columns is 1 or more and tile 0.2 to 10; got {columns}, {tile}")
    images = [as_image(one) for one in unit.inputs]
    maps = [_plane(one) for one in unit.maps]
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
            box = unit.boxes[i] if unit.boxes is not None else None
            if row == "input":
                _fitted(canvas, image, x, at, tile, high)
                if box is not None and len(box.start) == 2:
                    _outline(canvas, image, box, x, at, tile, high)
            elif row == "map":
                limits = (-(most or 1.0) if signed else 0.0, most or 1.0)
                canvas.image(plane, x, at, tile, high, cmap=cmap, limits=limits)
            elif box is not None and len(box.start) == 2:
                _fitted(canvas, image[box.slices], x, at, tile, high)
    canvas.paragraph(_EDGE, _HEAD + down * block + 0.15, foot, 7, width - 2 * _EDGE - 0.4)
    return canvas.figure


def _fitted(canvas: Canvas, image: Array, x: float, y: float, wide: float, high: float) -> None:
    """Draw an image as large as it goes without stretching, in the middle of its tile."""
    rows, columns = image.shape[:2]
    unit = min(wide / columns, high / rows)
    width, height = columns * unit, rows * unit
    canvas.image(image, x + (wide - width) / 2, y + (high - height) / 2, width, height)


def _outline(
    canvas: Canvas, image: Array, box: Any, x: float, y: float, wide: float, high: float
) -> None:
    rows, columns = image.shape[:2]
    unit = min(wide / columns, high / rows)
    left, upper = x + (wide - columns * unit) / 2, y + (high - rows * unit) / 2
    canvas.box(
        left + box.start[1] * unit, upper + box.start[0] * unit,
        box.shape[1] * unit, box.shape[0] * unit, dashed=box.how != "receptive field",
    )  # fmt: skip


def _plane(values: Array) -> Array:
    values = values.astype(np.float32)
    if values.ndim == 1:
        return values[None]
    while values.ndim > 2:  # the plane in which it is strongest
        values = values[
            np.nan_to_num(values, nan=-np.inf).max(tuple(range(1, values.ndim))).argmax()
        ]
    return values


def draw_sheet(
    layer: Any,
    *,
    sample: int = 0,
    scale: str = "layer",
    gamma: float = 1.0,
    width: float = 6.0,
    title: str | None = None,
) -> Figure:
    """Draw all maps of a layer on one sheet.

    Parameters
    ----------
    layer : LayerMaps
        The maps.
    sample : int
        Which sample.
    scale, gamma
        As for `LayerMaps.sheet`.
    width : float
        Of the page, in inches.
    title : str, optional
        Heading in place of the layer's name.

    Returns
    -------
    matplotlib.figure.Figure
    """
    values = layer.sheet(sample, scale=scale, gamma=gamma)
    signed = bool((np.nan_to_num(values) < 0).any())
    cmap: Colormap = (DIVERGING if signed else SEQUENTIAL).with_extremes(bad="#3a3a40")  # the gaps
    inner = width - 2 * _EDGE
    high = inner * values.shape[0] / values.shape[1]
    most = float(np.nanmax(np.abs(layer.values[sample].astype(np.float32))))
    what = "the largest magnitude of the layer, " + number(most)
    what = what if scale == "layer" else "each map's own largest magnitude"
    foot = (
        "White is zero, red above" + (", blue below" if signed else "") + f". Full colour is {what}"
        + (f", and magnitudes are raised to {gamma:g}" if gamma != 1 else "")
        + ". Channels run from the left to the right, line by line, from "
        + f"{layer.channels[0]} to {layer.channels[-1]}."
    )  # fmt: skip
    lines = Canvas(width, 1).ruler.wrap(foot, inner, 7)
    canvas = Canvas(width, _HEAD + high + 0.15 * len(lines) + 0.3)
    canvas.text(_EDGE, 0.42, title or layer.info.title, 13, bold=True, room=inner)
    grid = " \N{MULTIPLICATION SIGN} ".join(map(str, layer.grid))
    canvas.text(
        _EDGE, 0.62,
        f"{len(layer.channels)} of {layer.n_channels} channels, {grid} each", 8, color=GREY,
    )  # fmt: skip
    limits = (-1.0 if signed else 0.0, 1.0)
    canvas.image(values, _EDGE, _HEAD, inner, high, cmap=cmap, limits=limits, frame=False)
    canvas.paragraph(_EDGE, _HEAD + high + 0.18, foot, 7, inner)
    return canvas.figure


top = Picture(draw_top)
across = Picture(draw_across)
sheet = Picture(draw_sheet)
