"""Two models beside each other: how alike each layer of one is to each of the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from layerlens import _options
from layerlens.sinks._canvas import FAINT, GREY, INK, MARK, SEQUENTIAL, Canvas, Picture

__all__ = ["comparison", "draw_comparison"]

Array = npt.NDArray[Any]

_EDGE = 0.35  # inches, all of these
_BETWEEN = 0.45
_HEAD = 0.95
_PANEL_HEAD = 0.42
_LEAST_PANEL = 2.6
_NAME_ROOM = 1.9
_NAME = 7.5  # points
_SMALL = 6.5

_WORTH_A_FRAME = 0.1
"""Below this share of the scale, which value of a row is its highest is chance."""


def draw_comparison(result: Any, *, title: str | None = None) -> Figure:
    """Draw the linear CKA and the overlap of neighbours of all pairs of layers.

    White is 0, or what chance gives, and the full colour 1 in every picture. A green frame is a
    row's highest value, where that is more than chance. Figures stand in the cells where there is
    room.

    Parameters
    ----------
    result : Comparison
        What to draw.
    title : str, optional
        Heading in place of the models' names.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows, columns = ([name or "(model)" for name in names] for names in result.layers)
    cell = float(np.clip(3.4 / max(len(rows), len(columns)), 0.13, 0.46))
    wide, high = cell * len(columns), cell * len(rows)
    ruler = Canvas(1, 1).ruler
    size = float(np.clip(cell * 72 * 0.75, 4.5, _NAME))
    left = min(_NAME_ROOM, max(ruler.width(name, size) for name in rows)) + 0.08
    top = min(_NAME_ROOM, max(ruler.width(name, size) for name in columns)) + 0.1
    panel = max(wide, _LEAST_PANEL)
    width = max(2 * _EDGE + left + 2 * panel + _BETWEEN, 6.4)
    captions = _captions(result)
    room = width - 2 * _EDGE
    foot = sum(0.16 * len(ruler.wrap(line, room, 7)) for line in captions) + 0.2
    canvas = Canvas(width, _HEAD + _PANEL_HEAD + top + high + 0.3 + foot + 0.2)
    heading = title or f"{result.names[0]} beside {result.names[1]}"
    canvas.text(_EDGE, 0.5, heading, 14, bold=True, room=room)
    said = (
        f"{len(rows)} layers of {result.names[0]} down, {len(columns)} of {result.names[1]} "
        f"across, {result.n_samples} samples"
    )
    canvas.text(_EDGE, 0.72, said, 8, color=GREY, room=room)
    y = _HEAD + _PANEL_HEAD + top
    for row, name in enumerate(rows):
        baseline = y + (row + 0.5) * cell + size * 0.36 / 72
        canvas.text(_EDGE + left - 0.08, baseline, name, size, align="right", room=left - 0.06)
    chance = result.chance
    panels = (
        ("linear CKA", "the shape of the whole cloud", result.cka, result.cka_error, 0.0),
        ("shared neighbours", f"of the {result.k} nearest", result.overlap, None, chance),
    )
    for place, (name, what, values, error, low) in enumerate(panels):
        x = _EDGE + left + place * (panel + _BETWEEN)
        canvas.text(x, _HEAD + 0.12, name, 10, bold=True)
        canvas.text(x, _HEAD + 0.28, what, 7, color=GREY)
        _scale(canvas, x + panel, _HEAD + 0.05, low)
        for column, one in enumerate(columns):
            middle = x + (column + 0.5) * cell + size * 0.36 / 72
            canvas.text(middle, y - 0.07, one, size, room=top - 0.06, turn=90)
        _heat(canvas, values, x, y, cell, low, error)
    y += high + 0.3
    for line in captions:
        y = canvas.paragraph(_EDGE, y, line, 7, room)
    return canvas.figure


def _heat(
    canvas: Canvas, values: Array, x: float, y: float, cell: float, low: float, error: Array | None
) -> None:
    n_rows, n_columns = values.shape
    shown = np.clip((np.nan_to_num(values, nan=low) - low) / (1 - low), 0, 1)
    canvas.image(shown, x, y, cell * n_columns, cell * n_rows, cmap=SEQUENTIAL)
    figures = cell >= 0.3
    for row in range(n_rows):
        known = np.isfinite(values[row])
        best = int(np.nanargmax(values[row])) if known.any() else -1
        for column in range(n_columns):
            left, above = x + column * cell, y + row * cell
            if not known[column]:
                canvas.box(left, above, cell, cell, color=FAINT, line=0.4, hatch="////")
            elif figures:
                dark = shown[row, column] > 0.62
                color = "white" if dark else INK
                loose = error is not None and error[row, column] >= 0.005
                middle = above + cell / 2 + (0.005 if loose else _SMALL * 0.36 / 72)
                text = _short(values[row, column])
                canvas.text(left + cell / 2, middle, text, _SMALL, color=color, align="center")
                if loose and error is not None:
                    tail = "\N{PLUS-MINUS SIGN}" + _short(error[row, column])
                    canvas.text(
                        left + cell / 2, middle + 0.09, tail, 4.8, color=color, align="center"
                    )
        if n_columns > 1 and best >= 0 and shown[row, best] >= _WORTH_A_FRAME:
            inset = min(0.012, cell * 0.08)
            canvas.box(
                x + best * cell + inset, y + row * cell + inset, cell - 2 * inset,
                cell - 2 * inset, color=MARK, line=1.1 if cell > 0.2 else 0.7,
            )  # fmt: skip


def _scale(canvas: Canvas, right: float, y: float, low: float) -> None:
    """Draw what the colours stand for."""
    canvas.text(right, y + 0.075, "1", _SMALL, color=GREY, align="right")
    canvas.image(np.linspace(0, 1, 64)[None], right - 0.67, y, 0.55, 0.08, cmap=SEQUENTIAL)
    said = _short(low) if low else "0"
    canvas.text(right - 0.71, y + 0.075, said, _SMALL, color=GREY, align="right")


def _short(value: float) -> str:
    if value >= 0.995:
        return f"{value:.1f}"
    text = f"{abs(value):.2f}"
    return ("\N{MINUS SIGN}" if value < -0.005 else "") + text.removeprefix("0")


def _captions(result: Any) -> list[str]:
    measures = (
        "Linear CKA, debiased: 1 where two layers are alike up to rotation and scale. Shared "
        f"neighbours: the mean share of a sample's {result.k} nearest that it has in both; by "
        f"chance {_short(result.chance)}, which is white. Green: the highest of a row, unless it "
        "is about chance."
    )
    lines = [measures]
    if result.cka_error.any():
        lines.append(
            f"Sketches leave a standard error of {_most(result.cka_error)} at most in CKA "
            f"(\N{PLUS-MINUS SIGN} in its cell from .005 up), and make shared neighbours fewer, by "
            f"about {_most(result.overlap_error)} at most."
        )
    lines += [f"{note[0].upper()}{note[1:]}." for note in result.notes]
    if np.isnan(result.cka).any():
        lines.append("Hatched: all samples of a layer lie at one point.")
    return lines


def _most(errors: Array) -> str:
    most = float(np.nanmax(errors))
    return f"{most:.3f}".removeprefix("0") if most < 0.1 else f"{most:.2f}".removeprefix("0")


comparison = Picture(draw_comparison, checks={"title": _options.text})
