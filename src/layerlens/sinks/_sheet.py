"""All maps of a layer on one sheet, and beside it what drives one of its units."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from layerlens import _options
from layerlens.errors import ArgumentError
from layerlens.sinks._canvas import DIVERGING, GREY, MARK, SEQUENTIAL, Canvas, number
from layerlens.sinks._tiles import cropped, fitted, seen_in

__all__ = ["draw_sheet"]

Array = npt.NDArray[Any]

_EDGE = 0.35  # inches, all of these
_HEAD = 0.82
_BETWEEN = 0.3
_GAP = 0.1
_TILE = 0.95
_SIDE = 3 * _TILE + 2 * _GAP
_CAPTIONS = 0.28
_GAPS = "#3a3a40"
_SMALL = 6.5  # points
_LOW = 0.4  # height of a crop of one axis
_FLAT = 0.5  # height of a line on the sheet, as a share of its width


def draw_sheet(
    layer: Any,
    *,
    sample: int = 0,
    scale: str = "layer",
    gamma: float = 1.0,
    top: Any = None,
    width: float = 6.0,
    title: str | None = None,
) -> Figure:
    """Draw all maps of a layer on one sheet, and what drives one unit beside it.

    Parameters
    ----------
    layer : LayerMaps
        The maps.
    sample : int
        Which sample.
    scale, gamma
        As for `LayerMaps.sheet`.
    top : TopUnit, optional
        A unit of the layer. Its map is framed in the sheet and drawn large beside it, above the
        crops of its strongest samples.
    width : float
        Of the page, in inches, without what stands beside the sheet.
    title : str, optional
        Heading in place of the layer's name.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        If an option is out of what is allowed; if `top` is a unit of another layer, one whose map
        is not at hand, or was found without keeping its inputs.
    """
    place = None if top is None else _place(layer, top)
    values = layer.sheet(sample, scale=scale, gamma=gamma)
    tile = layer.grid if len(layer.grid) == 2 else (1, layer.grid[0])
    if len(layer.grid) == 1:
        tile = (max(1, round(_FLAT * tile[1])), tile[1])
        values = np.repeat(values, np.resize([tile[0], 1], len(values)), axis=0)
    signed = bool((np.nan_to_num(values) < 0).any())
    cmap: Colormap = (DIVERGING if signed else SEQUENTIAL).with_extremes(bad=_GAPS)
    limits = (-1.0 if signed else 0.0, 1.0)
    inner = width - 2 * _EDGE
    pixel = inner / values.shape[1]
    high = pixel * values.shape[0]
    foot = _foot(layer, sample, scale, gamma, signed) + ("" if top is None else _about(top))
    page = width if top is None else width + _BETWEEN + _SIDE
    room = page - 2 * _EDGE
    body = high if top is None else max(high, _beside(top, tile))
    lines = Canvas(page, 1).ruler.wrap(foot, room, 7)
    canvas = Canvas(page, _HEAD + body + 0.15 * len(lines) + 0.4)
    canvas.text(_EDGE, 0.42, title or layer.info.title, 13, bold=True, room=room)
    grid = " \N{MULTIPLICATION SIGN} ".join(map(str, layer.grid))
    canvas.text(
        _EDGE, 0.62,
        f"{len(layer.channels)} of {layer.n_channels} channels, {grid} each", 8, color=GREY,
    )  # fmt: skip
    canvas.image(values, _EDGE, _HEAD, inner, high, cmap=cmap, limits=limits, frame=False)
    _keep_gaps(canvas, values.shape, tile, pixel)
    if place is not None:
        down, right = divmod(place, int(np.ceil(np.sqrt(len(layer.channels)))))
        upper, left = down * (tile[0] + 1), right * (tile[1] + 1)
        shown = values[upper : upper + tile[0], left : left + tile[1]]
        # the frame runs in the middle of the gaps, beside the map's own pixels
        canvas.box(
            _EDGE + (left - 0.5) * pixel, _HEAD + (upper - 0.5) * pixel,
            (tile[1] + 1) * pixel, (tile[0] + 1) * pixel, line=2.0,
        )  # fmt: skip
        x = _EDGE + inner + _BETWEEN
        y = _draw_map(canvas, top, shown, x, cmap, limits)
        _draw_crops(canvas, top, x, y)
    canvas.paragraph(_EDGE, _HEAD + body + 0.26, foot, 7, room)
    return canvas.figure


def _unit(name: str, value: Any) -> None:
    if value is not None and not hasattr(value, "channel"):
        raise _options.refused(name, "a TopUnit, as top_samples finds it, or None", value)


SHEET_CHECKS: dict[str, _options.Check] = {
    "sample": _options.whole(None),
    "top": _unit,
    "width": _options.number(1, 100, what="a width", unit="inches"),
    "title": _options.text,
}
"""What the options of `draw_sheet` may be, but for those that `LayerMaps.sheet` checks."""


def _keep_gaps(canvas: Canvas, shape: tuple[int, ...], tile: tuple[int, ...], pixel: float) -> None:
    """Draw the gaps as lines where a pixel of the sheet is finer than one that is seen."""
    if pixel * 72 > 0.8:
        return
    rows, columns = shape
    for row in range(tile[0], rows, tile[0] + 1):
        at = _HEAD + (row + 0.5) * pixel
        canvas.box(_EDGE, at, columns * pixel, 0, color=_GAPS, line=0.7)
    for column in range(tile[1], columns, tile[1] + 1):
        at = _EDGE + (column + 0.5) * pixel
        canvas.box(at, _HEAD, 0, rows * pixel, color=_GAPS, line=0.7)


def _place(layer: Any, top: Any) -> int:
    """Return where among the layer's maps the unit's is."""
    if top.info.name != layer.info.name:
        raise ArgumentError(
            f"top is a unit of layer {top.info.title!r} and the sheet is of {layer.info.title!r}; "
            "ask top_samples for a unit of this layer"
        )
    found = np.flatnonzero(layer.channels == top.channel)
    if not found.size:
        raise ArgumentError(
            f"channel {top.channel} is not among the {len(layer.channels)} maps at hand of "
            f"{layer.info.title!r}; ask activation_maps for channels='all'"
        )
    if top.inputs is None:
        raise ArgumentError(
            "the inputs of these samples were not kept; ask top_samples for them with keep=True"
        )
    return int(found[0])


def _foot(layer: Any, sample: int, scale: str, gamma: float, signed: bool) -> str:
    most = float(np.nanmax(np.abs(layer.values[sample].astype(np.float32))))
    what = "the largest magnitude of the layer, " + number(most)
    what = what if scale == "layer" else "each map's own largest magnitude"
    return (
        "White is zero, red above" + (", blue below" if signed else "") + f". Full colour is {what}"
        + (f", and magnitudes are raised to {gamma:g}" if gamma != 1 else "")
        + ". Channels run from the left to the right, line by line, from "
        + f"{layer.channels[0]} to {layer.channels[-1]}."
    )  # fmt: skip


def _about(top: Any) -> str:
    kinds = {box.how for box in top.boxes or ()}
    said = f" Framed, and large beside the sheet: channel {top.channel}."
    if not kinds:
        return said + " What a place sees is not known here: whole inputs are shown."
    if "receptive field" in kinds:
        said += " Crops: the receptive field of the strongest place."
    if kinds - {"receptive field"}:
        said += (
            " Crops" + (", dashed" if len(kinds) > 1 else "") + ": where the gradient of the "
            "strongest place has 95 % of its weight, for its receptive field is the whole input."
        )
    return said


# --- beside the sheet ------------------------------------------------------------------------


def _map_size(tile: tuple[int, ...]) -> tuple[float, float]:
    ratio = float(np.clip(tile[0] / tile[1], 0.2, 4))
    high = min(1.35, _SIDE * ratio)
    return min(high / ratio, _SIDE), high


def _beside(top: Any, tile: tuple[int, ...]) -> float:
    down = -(-len(top) // 3)
    return 0.34 + _map_size(tile)[1] + 0.48 + down * (_CAPTIONS + _tall(top) + _GAP) - _GAP


def _tall(top: Any) -> float:
    return _LOW if all(one.ndim == 2 for one in top.inputs) else _TILE


def _draw_map(
    canvas: Canvas, top: Any, shown: Array, x: float, cmap: Colormap, limits: tuple[float, float]
) -> float:
    """Draw the unit's map for this input; return where what drives it begins."""
    canvas.text(x, _HEAD + 0.1, f"channel {top.channel}", 9, bold=True, room=_SIDE)
    canvas.text(x, _HEAD + 0.24, "for this input", 7, color=GREY)
    wide, high = _map_size(shown.shape)
    canvas.image(shown, x, _HEAD + 0.34, wide, high, cmap=cmap, limits=limits)
    canvas.box(x, _HEAD + 0.34, wide, high, line=2.0, color=MARK)
    return _HEAD + 0.34 + high + 0.24


def _draw_crops(canvas: Canvas, top: Any, x: float, y: float) -> None:
    canvas.text(x, y, "what drives it", 9, bold=True)
    said = f"strongest {len(top)} of {top.n_samples} samples, by the {top.reduce} of the map"
    canvas.text(x, y + 0.14, said, 7, color=GREY, room=_SIDE)
    boxes = top.boxes or [None] * len(top)
    several = len({box.how for box in boxes if box is not None}) > 1
    y += 0.24
    tall = _tall(top)
    for i, (values, box) in enumerate(zip(top.inputs, boxes, strict=True)):
        left = x + i % 3 * (_TILE + _GAP)
        upper = y + i // 3 * (_CAPTIONS + tall + _GAP)
        canvas.text(left, upper + 0.1, f"id {top.ids[i]}", _SMALL, room=_TILE)
        canvas.text(left, upper + 0.22, number(float(top.values[i])), _SMALL, color=GREY)
        image = seen_in(values, None) if box is None else cropped(values, box)
        at = upper + _CAPTIONS
        fitted(canvas, image, left, at, _TILE, tall)
        if several and box.how != "receptive field":
            canvas.box(left, at, _TILE, tall, dashed=True)
