"""Inputs, their boxes and their crops as tiles of a page."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from layerlens._pixels import liveliest, plane_of, seen_in
from layerlens.sinks._canvas import Canvas

__all__ = ["about_boxes", "cropped", "fitted", "liveliest", "outline", "plane_of", "seen_in"]

Array = npt.NDArray[Any]


def about_boxes(unit: Any) -> list[str]:
    """Return what the boxes of a unit are, a sentence a kind."""
    kinds = {box.how for box in unit.boxes or ()}
    said = []
    if "receptive field" in kinds:
        said.append("Green: the receptive field of the strongest place. ")
    if kinds - {"receptive field"}:
        said.append(
            "Dashed: where the gradient of the strongest place has 95 % of its weight, for its "
            "receptive field is the whole input. "
        )
    if unit.inputs is not None and any(one.ndim == 4 for one in unit.inputs):
        said.append(
            "Of volumes there is one plane: of inputs the one that varies most in the box, of maps "
            "that of the strongest place. "
        )
    return said


def cropped(values: Array, box: Any) -> Array:
    """Return what of an input's picture lies in a box, at the brightness of the whole."""
    image = seen_in(values, box)
    across = box.slices[-1]
    return image[box.slices[-2], across] if len(box.start) > 1 else image[:, across]


def fitted(canvas: Canvas, image: Array, x: float, y: float, wide: float, high: float) -> None:
    """Draw an image as large as it goes without stretching, in the middle of its tile.

    A line has no height of its own and fills the tile.
    """
    left, upper, across, down = _lies(image, x, y, wide, high)
    rows, columns = image.shape[:2]
    canvas.image(image, left, upper, columns * across, rows * down)


def outline(
    canvas: Canvas, image: Array, box: Any, x: float, y: float, wide: float, high: float
) -> None:
    """Draw a box over an image that `fitted` drew."""
    left, upper, across, down = _lies(image, x, y, wide, high)
    first, rows = (box.start[-2], box.shape[-2]) if len(box.start) > 1 else (0, 1)
    canvas.box(
        left + box.start[-1] * across, upper + first * down, box.shape[-1] * across, rows * down,
        dashed=box.how != "receptive field",
    )  # fmt: skip


def _lies(
    image: Array, x: float, y: float, wide: float, high: float
) -> tuple[float, float, float, float]:
    """Return an image's corner in its tile, and the width and height of a pixel."""
    rows, columns = image.shape[:2]
    if rows == 1:
        return x, y, wide / columns, high
    unit = min(wide / columns, high / rows)
    return x + (wide - columns * unit) / 2, y + (high - rows * unit) / 2, unit, unit
