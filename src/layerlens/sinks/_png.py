"""PNG images from arrays, by the standard library alone."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["encode_png", "sprite"]

Array = npt.NDArray[Any]

_COLOR_TYPES = {1: 0, 3: 2}  # samples a pixel -> PNG's number for grey, RGB


def encode_png(image: Array) -> bytes:
    """Return an image as a PNG file.

    Parameters
    ----------
    image : ndarray of shape (height, width, 1 or 3), uint8

    Returns
    -------
    bytes
        The file: eight bits a sample, not interlaced. The same image gives the same bytes.

    References
    ----------
    Portable Network Graphics (PNG) Specification, 2nd edition, ISO/IEC 15948:2003.
    """
    height, width, samples = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[samples], 0, 0, 0)
    flat = image.reshape(height, width * samples)
    left = np.zeros_like(flat)
    left[:, samples:] = flat[:, :-samples]
    above = np.zeros_like(flat)
    above[1:] = flat[:-1]
    filtered = {0: flat, 1: flat - left, 2: flat - above}  # bytes wrap round, as PNG has it
    # each line begins with the number of its filter
    lines = [
        np.concatenate([np.full((height, 1), kind, np.uint8), rows], axis=1).tobytes()
        for kind, rows in filtered.items()
    ]
    best = min(lines, key=lambda line: len(zlib.compress(line, 1)))
    chunks = (
        _chunk(b"IHDR", header),
        _chunk(b"IDAT", zlib.compress(best, 9)),
        _chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def sprite(thumbnails: Array, most: int) -> tuple[Array, tuple[int, int]]:
    """Lay thumbnails out row by row in one square image.

    Parameters
    ----------
    thumbnails : ndarray of shape (n, height, width, 1 or 3), uint8
    most : int
        The most pixels that the image may have along a side. Thumbnails that are too many for it
        are thinned to every second pixel, every third, and so on.

    Returns
    -------
    image : ndarray of shape (side * h, side * w, 1 or 3), uint8
        `side` is the square root of `n`, rounded up; the places left over are black.
    size : tuple of int
        Height h and width w of one thumbnail in it.
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
