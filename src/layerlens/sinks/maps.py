"""Activation maps on a page: a row a layer, a column a channel, the input first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from layerlens import _options
from layerlens.errors import ArgumentError
from layerlens.sinks._canvas import (
    DIVERGING,
    FAINT,
    GREY,
    SEQUENTIAL,
    Canvas,
    Picture,
    as_image,
    number,
    over,
)
from layerlens.sinks._text import Ruler
from layerlens.sinks._tiles import liveliest

__all__ = ["draw_maps", "maps", "pages"]

Array = npt.NDArray[Any]

_EDGE = 0.35  # inches, all of these
_LABEL = 1.85
_GAP = 0.09
_CAPTION = 0.155
_BETWEEN = 0.11
_HEAD = 0.82
_SMALL = 6.5  # points
_NAME = 8.5

_ORDER = "in the order of their calls"

_SCALES = {
    "layer": "the largest magnitude among the layer's tiles, which its bar shows",
    "channel": "the tile's own largest magnitude, which stands under it",
    "shared": "the largest magnitude on the page, which the bars show",
}


@dataclass(frozen=True, slots=True)
class _Options:
    sample: int
    scale: str
    overlay: bool
    tile: float
    columns: int
    title: str | None
    first_row: Mapping[str, Any] | None


def draw_maps(
    result: Any,
    *,
    sample: int = 0,
    scale: str = "layer",
    rows: int = 20,
    page: int | None = None,
    stride: int | None = None,
    columns: int = 8,
    overlay: bool = False,
    tile: float = 0.8,
    title: str | None = None,
    first_row: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw maps of one sample.

    White is zero on every tile, red is above and blue below; layers without negative values use
    the upper half of the same scale. Pixels are the layer's own places, not smoothed.

    Parameters
    ----------
    result : ActivationMaps
        What to draw.
    sample : int
        Which sample of the batch.
    scale : {"layer", "channel", "shared"}
        What the full colour stands for: the largest magnitude of the layer, of each tile, or of
        the page. The foot of the page says which.
    rows : int
        Layers on a page.
    page : int, optional
        Which page of all layers, from 0. Without it, where there are more layers than rows, the
        page shows layers at even steps through the depth, the first and the last among them.
    stride : int, optional
        Every how many layers there is one, in place of what fits on the page.
    columns : int
        The most tiles in a row.
    overlay : bool
        Lay each map over the input at the same place, and draw the box of what its strongest
        place sees, where `activation_maps` was asked for boxes.
    tile : float
        Width of a tile in inches.
    title : str, optional
        Heading in place of the model's class.
    first_row : mapping of str to array of shape (H, W), (1, H, W) or (3, H, W), optional
        Pictures to show in the first row in place of the input, and what they are called: an input
        of several kinds of channels one by one, say, and what the model made of it.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        If an option is out of what is allowed.
    """
    options = _Options(sample, scale, overlay, tile, columns, title, first_row)
    _check(result, options)
    names = list(result)
    if page is not None:
        chosen = names[page * rows : (page + 1) * rows]
        if not chosen:
            raise ArgumentError(f"page {page} of {-(-len(names) // rows)}, counted from 0")
        first = page * rows
        which = f"layers {first + 1} to {first + len(chosen)} of {len(names)}, {_ORDER}"
    else:
        chosen = names[::stride] if stride else _spread(names, rows)
        steps = f"in steps of {stride}" if stride else "at even steps"
        which = f"{len(chosen)} of {len(names)} layers {steps}, {_ORDER}"
    if len(chosen) == len(names):
        which = f"{len(names)} layer{'s' * (len(names) != 1)} {_ORDER}, from the input down"
    return _draw(result, chosen, which, options)


def pages(
    result: Any, *, rows: int = 20, page: int | None = None, stride: int | None = None,
    **options: Any,
) -> list[Figure]:  # fmt: skip
    """Draw all layers, on as many pages as they need; the options are those of `draw_maps`."""
    if page is not None or stride is not None:
        return [draw_maps(result, rows=rows, page=page, stride=stride, **options)]
    count = -(-len(result) // rows)
    return [draw_maps(result, rows=rows, page=number, **options) for number in range(count)]


def _pictures(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise _options.refused(name, "a mapping of names to pictures, or None", value)


maps = Picture(
    draw_maps,
    pages,
    checks={
        "sample": _options.whole(None),
        "scale": _options.one_of(*_SCALES),
        "rows": _options.whole(),
        "page": _options.whole(0, or_none=True),
        "stride": _options.whole(or_none=True),
        "columns": _options.whole(),
        "overlay": _options.flag,
        "tile": _options.number(0.2, 10, what="a width", unit="inches"),
        "title": _options.text,
        "first_row": _pictures,
    },
)


def _check(result: Any, options: _Options) -> None:
    if not -result.n_samples <= options.sample < result.n_samples:
        raise ArgumentError(f"sample {options.sample} of {result.n_samples}, counted from 0")
    if options.overlay and result.inputs is None:
        raise ArgumentError("there is no input to lay maps over; leave overlay out")


def _spread(names: list[str], rows: int) -> list[str]:
    if len(names) <= rows:
        return names
    return [names[i] for i in np.linspace(0, len(names) - 1, rows).round().astype(int)]


def _draw(result: Any, names: Sequence[str], which: str, options: _Options) -> Figure:
    layers = [result[name] for name in names]
    count = min(options.columns, max(len(layer.channels) for layer in layers))
    image = None if result.inputs is None else result.inputs[options.sample]
    tiles = _first_tiles(image, options.first_row)
    heights = [_tile_height(layer, image, options) for layer in layers]
    first = _image_height(tiles[0][1], options.tile * 1.5) if tiles else 0.0
    width = 2 * _EDGE + _LABEL + count * options.tile + (count - 1) * _GAP
    width = max(width, 5.2)
    body = sum(heights) + len(layers) * (_CAPTION + _BETWEEN)
    body += first + _CAPTION + _BETWEEN if first else 0.0
    foot = _foot(layers, options, count)
    lines = len(Ruler().wrap(foot, width - 2 * _EDGE - 0.4, 7))
    canvas = Canvas(width, _HEAD + body + 0.16 + lines * 7 * 1.45 / 72 + 0.2)
    _heading(canvas, result, which, options)
    y = _HEAD
    if tiles:
        _draw_first(canvas, tiles, y, first, options, image)
        y += first + _CAPTION + _BETWEEN
    most = max(_most(layer, options.sample, count) for layer in layers)
    for layer, high in zip(layers, heights, strict=True):
        _draw_layer(canvas, layer, image, y, high, count, most, options)
        y += high + _CAPTION + _BETWEEN
    canvas.paragraph(_EDGE, y + 0.16, foot, 7, width - 2 * _EDGE - 0.4)
    return canvas.figure


def _heading(canvas: Canvas, result: Any, which: str, options: _Options) -> None:
    room = canvas.width - 2 * _EDGE
    title = options.title or f"Activation maps of {result.model}"
    canvas.text(_EDGE, 0.42, title, 13, bold=True, room=room)
    sample = f"sample {options.sample % result.n_samples} of {result.n_samples}, "
    sample = sample if result.n_samples > 1 else ""
    canvas.text(_EDGE, 0.62, f"{sample}{which}", 8, color=GREY, room=room)


def _foot(layers: Sequence[Any], options: _Options, count: int) -> str:
    signed = any(layer.is_signed for layer in layers)
    parts = [
        "White is zero, red above" + (", blue below. " if signed else ". "),
        f"Full colour is {_SCALES[options.scale]}. ",
        "The number under a tile is its channel. ",
    ]
    if any(len(layer.channels) > count for layer in layers):
        parts.append(f"The first {count} of the channels at hand are shown. ")
    if any(layer.dead[options.sample].any() for layer in layers):
        parts.append("Hatched: zero everywhere for this input. ")
    if any(len(layer.grid) == 3 for layer in layers):
        parts.append(
            "Of volumes, the plane z of the strongest place is shown, of the input the one that "
            "varies most. "
        )
    if options.overlay:
        parts.append("Maps lie over the grey input at the same place. ")
        kinds = {box.how for layer in layers if layer.boxes for box in layer.boxes[options.sample]}
        if "receptive field" in kinds:
            parts.append("Green: the receptive field of the strongest place. ")
        if len(kinds) > 1 or (kinds and "receptive field" not in kinds):
            parts.append(
                "Green, dashed: where the gradient of the strongest place has 95 % of its weight, "
                "for its receptive field is the whole input. "
            )
    return "".join(parts)


# --- the input -------------------------------------------------------------------------------


def _first_tiles(image: Array | None, given: Mapping[str, Any] | None) -> list[tuple[str, Array]]:
    """Return what the first row shows: each picture's name and (H, W, 3) pixels."""
    if given is not None:
        return [(name, as_image(_picture(name, np.asarray(one)))) for name, one in given.items()]
    if image is None:
        return []
    name = ""
    if image.ndim == 4:
        plane = liveliest(image)
        image, name = image[:, plane], f"z={plane}"
    if len(image) in (1, 3):
        return [(name, as_image(image))]
    names = [f"{i} {name}".rstrip() for i in range(min(8, len(image)))]
    return [(name, as_image(image[i : i + 1])) for i, name in enumerate(names)]


def _picture(name: str, values: Array) -> Array:
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or len(values) not in (1, 3):
        raise ArgumentError(
            f"first_row[{name!r}] is a picture of shape (H, W), (1, H, W) or (3, H, W); got "
            f"{values.shape}"
        )
    return values


def _image_height(image: Array, width: float) -> float:
    return width * float(np.clip(image.shape[0] / image.shape[1], 0.3, 1.6))


def _draw_first(
    canvas: Canvas, tiles: list[tuple[str, Array]], y: float, high: float, options: _Options,
    image: Array | None,
) -> None:  # fmt: skip
    canvas.text(_EDGE, y + 0.13, "input", _NAME, bold=True)
    if image is not None:
        canvas.text(_EDGE, y + 0.28, _times(image.shape), 7, color=GREY)
        low, top = number(float(image.min())), number(float(image.max()))
        canvas.text(_EDGE, y + 0.42, f"{low} to {top}", 7, color=GREY)
    x, wide = _EDGE + _LABEL, options.tile * 1.5
    for name, tile in tiles:
        canvas.image(tile, x, y, wide, high)
        canvas.text(x + wide / 2, y + high + 0.11, name, _SMALL, color=GREY, align="center")
        x += wide + _GAP


# --- a layer ---------------------------------------------------------------------------------


def _times(shape: Sequence[int]) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(map(str, shape))


def _tile_height(layer: Any, image: Array | None, options: _Options) -> float:
    if options.overlay and image is not None and _fits(layer, image):
        return _image_height(as_image(image), options.tile)
    grid = layer.grid[-2:]
    if len(layer.grid) == 1:
        return options.tile * 0.35
    return options.tile * float(np.clip(grid[0] / grid[1], 0.3, 1.6))


def _fits(layer: Any, image: Array) -> bool:
    return len(layer.grid) == 2 and image.ndim == 3


def _most(layer: Any, sample: int, count: int) -> float:
    values = np.abs(layer.values[sample, :count].astype(np.float32))
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else 0.0


def _plane(layer: Any, sample: int, place: int) -> tuple[Array, str]:
    """Return a map as rows and columns, and which plane of it that is."""
    values = layer.values[sample, place]
    if values.ndim == 1:
        return values[None], ""
    if values.ndim == 2:
        return values, ""
    deep = layer.strongest(sample, place)[:-2]
    return values[deep], f" z={','.join(map(str, deep))}"


def _draw_layer(
    canvas: Canvas, layer: Any, image: Array | None, y: float, high: float, count: int,
    page_most: float, options: _Options,
) -> None:  # fmt: skip
    info = layer.info
    room = _LABEL - 0.15
    canvas.text(_EDGE, y + 0.13, info.title, _NAME, bold=True, room=room)
    shape = _times((layer.n_channels, *layer.grid))
    kind = canvas.ruler.shorten(info.module_type, room - canvas.ruler.width(f"  {shape}", 7), 7)
    canvas.text(_EDGE, y + 0.28, f"{kind}  {shape}", 7, color=GREY, room=room)
    values = layer.values[options.sample, :count]
    signed = bool((values < 0).any())
    cmap = DIVERGING if signed else SEQUENTIAL
    layer_most = page_most if options.scale == "shared" else _most(layer, options.sample, count)
    if options.scale != "channel" and layer_most > 0:
        _bar(canvas, y + 0.36, layer_most, signed, cmap)
    dead = layer.dead[options.sample]
    for place in range(min(count, len(layer.channels))):
        x = _EDGE + _LABEL + place * (options.tile + _GAP)
        plane, note = _plane(layer, options.sample, place)
        peak = float(np.nanmax(np.abs(plane.astype(np.float32)), initial=0.0))
        most = peak if options.scale == "channel" else layer_most
        tail = f"{layer.channels[place]}{note}"
        if options.scale == "channel" and not dead[place]:
            tail += ("  \N{PLUS-MINUS SIGN}" if signed else "  ") + number(peak)
        if options.overlay and image is not None and _fits(layer, image):
            shown = over(as_image(image), plane, most, cmap, signed)
            canvas.image(shown, x, y, options.tile, high)
            _draw_box(canvas, layer, image, place, x, y, high, options)
        elif not dead[place]:
            limits = (-(most or 1.0) if signed else 0.0, most or 1.0)
            canvas.image(
                plane.astype(np.float32), x, y, options.tile, high, cmap=cmap, limits=limits
            )
        if dead[place]:
            canvas.box(x, y, options.tile, high, color=FAINT, line=0.5, hatch="////")
            tail += "  dead"
        middle = x + options.tile / 2
        canvas.text(middle, y + high + 0.11, tail, _SMALL, color=GREY, align="center")


def _bar(canvas: Canvas, y: float, most: float, signed: bool, cmap: Colormap) -> None:
    low = number(-most) if signed else "0"
    canvas.text(_EDGE, y + 0.075, low, _SMALL, color=GREY)
    x = _EDGE + canvas.ruler.width(low, _SMALL) + 0.05
    canvas.image(
        np.linspace(-1 if signed else 0, 1, 64)[None], x, y, 0.55, 0.08, cmap=cmap,
        limits=(-1 if signed else 0, 1),
    )  # fmt: skip
    canvas.text(x + 0.6, y + 0.075, number(most), _SMALL, color=GREY)


def _draw_box(
    canvas: Canvas, layer: Any, image: Array, place: int, x: float, y: float, high: float,
    options: _Options,
) -> None:  # fmt: skip
    if layer.boxes is None or layer.dead[options.sample, place]:
        return
    box = layer.boxes[options.sample][place]
    height, width = image.shape[-2:]
    wide = options.tile
    canvas.box(
        x + box.start[1] / width * wide,
        y + box.start[0] / height * high,
        box.shape[1] / width * wide,
        box.shape[0] / height * high,
        dashed=box.how != "receptive field",
    )
