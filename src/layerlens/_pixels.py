"""Arrays as pixels: pictures of inputs and of maps, and PNG files by the standard library alone."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "as_image",
    "data_uri",
    "encode_png",
    "liveliest",
    "map_pixels",
    "number",
    "plane_of",
    "seen_in",
    "shrunk",
    "sprite",
]

Array = npt.NDArray[Any]

_COLOR_TYPES = {1: 0, 3: 2}  # samples a pixel -> PNG's number for grey, RGB
_INDEXED = 3

# ColorBrewer's RdBu with 11 classes, from blue to red: the middle is zero
_STOPS = (
    "053061", "2166ac", "4393c3", "92c5de", "d1e5f0", "f7f7f7",
    "fddbc7", "f4a582", "d6604d", "b2182b", "67001f",
)  # fmt: skip
_NO_NUMBER = (0x8A, 0x84, 0x6A)


def encode_png(image: Array, palette: Array | None = None) -> bytes:
    """Return an image as a PNG file.

    `image`: (height, width, 1 or 3), uint8.
    `palette`: (n_colors, 3), uint8. Of an image with one sample a pixel: the colours that the
    samples are the numbers of.
    Returned: the file: eight bits a sample, not interlaced. The same image gives the same bytes.

    References
    ----------
    Portable Network Graphics (PNG) Specification, 2nd edition, ISO/IEC 15948:2003.
    """
    height, width, samples = image.shape
    kind = _COLOR_TYPES[samples] if palette is None else _INDEXED
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    flat = image.reshape(height, width * samples)
    left = np.zeros_like(flat)
    left[:, samples:] = flat[:, :-samples]
    above = np.zeros_like(flat)
    above[1:] = flat[:-1]
    filtered = {0: flat, 1: flat - left, 2: flat - above}  # bytes wrap round, as PNG has it
    # each line begins with the number of its filter
    lines = [
        np.concatenate([np.full((height, 1), filter_, np.uint8), rows], axis=1).tobytes()
        for filter_, rows in filtered.items()
    ]
    best = min(lines, key=lambda line: len(zlib.compress(line, 1)))
    colors = b"" if palette is None else _chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    chunks = (
        _chunk(b"IHDR", header),
        colors,
        _chunk(b"IDAT", zlib.compress(best, 9)),
        _chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def sprite(thumbnails: Array, most: int) -> tuple[Array, tuple[int, int]]:
    """Lay thumbnails out row by row in one square image.

    `thumbnails`: (n, height, width, 1 or 3), uint8.
    `most`: the most pixels that the image may have along a side. Thumbnails that are too many for
    it are thinned to every second pixel, every third, and so on.
    Returned `image`: (side * h, side * w, 1 or 3), uint8. `side` is the square root of `n`, rounded
    up; the places left over are black.
    """
    n = len(thumbnails)
    side = max(1, math.isqrt(max(n, 1) - 1) + 1)
    step = max(1, math.ceil(max(thumbnails.shape[1:3]) * side / most))
    small = thumbnails[:, ::step, ::step]
    _, h, w, samples = small.shape
    grid = np.zeros((side * side, h, w, samples), np.uint8)
    grid[:n] = small
    image = grid.reshape(side, side, h, w, samples).swapaxes(1, 2)
    return image.reshape(side * h, side * w, samples), (h, w)


def as_image(values: Array) -> Array:
    """Return one input as something to look at.

    `values`: (C, ...). One or three channels, two axes of places (of three, the middle plane; of
    one, a line).
    Returned: (H, W, 3), from 0 to 1. Scaled from its own minimum and maximum; of channels other
    than three, the mean.
    """
    image = np.nan_to_num(values.astype(np.float32))
    if image.ndim == 2:
        image = image[:, None]
    while image.ndim > 3:
        image = image[:, image.shape[1] // 2]
    if len(image) != 3:
        image = np.repeat(image.mean(0, keepdims=True), 3, axis=0)
    low, high = float(image.min()), float(image.max())
    return np.moveaxis((image - low) / (high - low or 1.0), 0, -1)


def seen_in(values: Array, box: Any | None) -> Array:
    """Return an input as a picture; of a volume, the plane that varies most in the box.

    `values`: (C, ...). The input.
    Returned: (H, W, 3). As `as_image` does.
    """
    if values.ndim == 4:
        start = 0 if box is None else box.start[0]
        part = values if box is None else values[:, *box.slices]
        values = values[:, start + liveliest(part)]
    return as_image(values)


def liveliest(volume: Array) -> int:
    """Return which plane of an array of shape (C, D, H, W) varies most; the first of equals."""
    planes = np.nan_to_num(volume.astype(np.float32)).swapaxes(0, 1)
    return int(planes.reshape(len(planes), -1).std(1).argmax())


def plane_of(values: Array) -> Array:
    """Return a map as rows and columns; of a volume, the plane in which it is strongest."""
    values = values.astype(np.float32)
    if values.ndim == 1:
        return values[None]
    while values.ndim > 2:
        values = values[
            np.nan_to_num(values, nan=-np.inf).max(tuple(range(1, values.ndim))).argmax()
        ]
    return values


def shrunk(values: Array, most: int) -> Array:
    """Return an array with at most so many rows and columns, by the means of blocks.

    `values`: (rows, columns, ...).
    """
    values = values.astype(np.float32)
    for axis in (0, 1):
        length = values.shape[axis]
        starts = np.arange(0, length, -(-length // most))
        if len(starts) < length:
            sums = np.add.reduceat(values, starts, axis=axis)
            counts = np.diff([*starts, length]).astype(np.float32)
            values = sums / counts.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    return values


def _ramp() -> npt.NDArray[np.uint8]:
    """Return 256 colours: 0 for what is no number, 1 to 255 from blue over white to red."""
    stops = np.array([list(bytes.fromhex(stop)) for stop in _STOPS], np.float64)
    at = np.linspace(0, len(stops) - 1, 255)
    ramp = np.stack([np.interp(at, np.arange(len(stops)), column) for column in stops.T], axis=1)
    colors: npt.NDArray[np.uint8] = np.concatenate([[_NO_NUMBER], ramp]).round().astype(np.uint8)
    return colors


_RAMP = _ramp()


def map_pixels(values: Array, most: float) -> bytes:
    """Return a map as a PNG file: white is zero, red is above and blue below.

    `values`: (rows, columns).
    """
    with np.errstate(invalid="ignore"):
        level = np.clip(values.astype(np.float32) / (most or 1.0), -1, 1) * 127 + 128
    numbers = np.where(np.isnan(level), 0, np.nan_to_num(level).round())
    return encode_png(numbers.astype(np.uint8)[..., None], _RAMP)


def data_uri(png: bytes) -> str:
    """Return a PNG file as the address of itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def number(value: float) -> str:
    """Write a number in few characters."""
    if not np.isfinite(value):
        return str(value)
    text = f"{value:.3g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "\N{MINUS SIGN}")
