"""Thumbnails as sheets of many small images, within a budget of bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerlens._pixels import encode_png

__all__ = ["PER_SHEET", "Sprites", "shrink", "sprites"]

Images = npt.NDArray[np.uint8]

PER_SHEET = 4_096
_COLUMNS = 64
# Longest side in pixels, and WebP's quality (0 to 100; 100 stands for lossless): the first that
# fits the budget is taken, and from the last one a part of the images.
_RUNGS = ((32, 100), (32, 80), (32, 60), (24, 60), (16, 60))


@dataclass(frozen=True, slots=True, eq=False)
class Sprites:
    """Thumbnails, encoded.

    `width`, `height`: of one image, in pixels.
    `columns`: images in a row of a sheet; rows are filled from the left, sheets from the top.
    `mime`: ``"image/webp"`` or ``"image/png"``.
    `rows`: (n_images,). Which of the images that were given these are, ascending.
    """

    width: int
    height: int
    columns: int
    mime: str
    sheets: list[bytes]
    rows: npt.NDArray[np.int64]


def sprites(
    images: Callable[[npt.NDArray[np.int64]], Images],
    n: int,
    budget: int,
    some: Callable[[int], npt.NDArray[np.int64]],
) -> Sprites | None:
    """Pack thumbnails as large and as well as the budget allows.

    `images`: returns the images of some rows: uint8, of shape (len(rows), height, width, 1 or 3).
    `some`: returns which rows to keep, ascending, where only so many can be kept.
    Returned: None where the budget has no room for even a few.
    """
    if not n or budget <= 0:
        return None
    encode, mime, rungs = _encoder()
    every = np.arange(n)
    sample = every[:: max(1, -(-n // PER_SHEET))][:PER_SHEET]
    side = quality = 0
    each = math.inf
    for side, quality in rungs:
        # a sheet of images from all over tells what all of them will need
        each = len(encode(_sheet(shrink(images(sample), side)), quality)) / len(sample)
        if each * n > budget * 1.02:
            continue
        packed = _packed(images, every, side, quality, encode, mime)
        if sum(map(len, packed.sheets)) <= budget:
            return packed
    kept = n
    for _ in range(4):  # a guess, and corrections of it
        kept = min(kept - 1, int(budget / each))
        if kept < 1:
            return None
        packed = _packed(images, some(kept), side, quality, encode, mime)
        size = sum(map(len, packed.sheets))
        if size <= budget:
            return packed
        each = 1.02 * size / kept
    return None


def shrink(images: Images, side: int) -> Images:
    """Return the images with their longest side at most so many pixels, by averages of areas."""
    height, width = images.shape[1:3]
    factor = max(height, width) / side
    if factor <= 1:
        return images
    down = _weights(height, max(1, round(height / factor)))
    across = _weights(width, max(1, round(width / factor)))
    out = np.empty((len(images), len(down), len(across), images.shape[3]), dtype=np.uint8)
    for i, image in enumerate(images):
        channels = np.moveaxis(image.astype(np.float32), 2, 0)
        out[i] = np.moveaxis(np.rint(down @ channels @ across.T), 0, 2)
    return out


def _weights(old: int, new: int) -> npt.NDArray[np.float32]:
    """Return the matrix that averages `old` pixels to `new`: by how much each lies under each."""
    edges = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.clip(overlap, 0, None)
    weights: npt.NDArray[np.float32] = (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)
    return weights


def _packed(
    images: Callable[[npt.NDArray[np.int64]], Images],
    rows: npt.NDArray[np.int64],
    side: int,
    quality: int,
    encode: Callable[[Images, int], bytes],
    mime: str,
) -> Sprites:
    sheets = []
    shape: tuple[int, ...] = ()
    for start in range(0, len(rows), PER_SHEET):
        part = shrink(images(rows[start : start + PER_SHEET]), side)
        shape = part.shape
        sheets.append(encode(_sheet(part, columns=min(_COLUMNS, len(rows))), quality))
    return Sprites(shape[2], shape[1], min(_COLUMNS, len(rows)), mime, sheets, rows)


def _sheet(images: Images, columns: int = _COLUMNS) -> Images:
    n, height, width, channels = images.shape
    down = -(-n // columns)
    sheet = np.zeros((down * columns, height, width, channels), dtype=np.uint8)
    sheet[:n] = images
    sheet = sheet.reshape(down, columns, height, width, channels).swapaxes(1, 2)
    return sheet.reshape(down * height, columns * width, channels)


def _encoder() -> tuple[Callable[[Images, int], bytes], str, tuple[tuple[int, int], ...]]:
    try:
        from PIL import features

        if features.check("webp"):
            return _webp, "image/webp", _RUNGS
    except ImportError:
        pass
    # without Pillow our own PNG, which is larger, so that fewer pixels fit the same budget
    sides = dict.fromkeys(side for side, _ in _RUNGS)
    return (
        lambda sheet, quality: encode_png(sheet),
        "image/png",
        tuple((side, 100) for side in sides),
    )


def _webp(sheet: Images, quality: int) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    image = Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet).convert("RGB")
    if quality == 100:
        image.save(stream, "WEBP", lossless=True, quality=60, method=4)
    else:
        image.save(stream, "WEBP", quality=quality, method=4)
    return stream.getvalue()
