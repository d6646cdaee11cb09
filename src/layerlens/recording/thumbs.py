"""Thumbnails that lie on disk: array-like, read when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.recording.storage.arrays import StoredArray

__all__ = ["JoinedThumbnails", "StoredThumbnails", "Thumbnails"]

Array = npt.NDArray[Any]
Places = npt.NDArray[np.int64]

_ITERATED_BYTES = 16 << 20


class Thumbnails:
    """Array-like of shape (n_samples, height, width, 1 or 3), uint8, of which nothing is kept.

    Indexing reads the samples that are asked for, ``np.asarray`` all of them.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        self.shape = shape

    def _take(self, places: Places) -> Array:
        """Return the thumbnails of some samples, in that order."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How many values there are."""
        return math.prod(self.shape)

    nbytes = size

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        if first is Ellipsis or first is None:
            return np.asarray(self)[key]
        # NumPy knows what picks samples, and what is out of range
        places = np.arange(len(self))[first]
        if places.ndim != 1:
            taken = self._take(places.reshape(-1)).reshape(*places.shape, *self.shape[1:])
            return taken[(..., *rest, *[slice(None)] * (3 - len(rest)))] if rest else taken
        taken = self._take(places)
        return taken[(slice(None), *rest)] if rest else taken

    def __iter__(self) -> Iterator[Array]:
        step = max(1, _ITERATED_BYTES // max(1, math.prod(self.shape[1:])))
        for start in range(0, len(self), step):
            yield from self._take(np.arange(start, min(len(self), start + step)))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("thumbnails on disk cannot be had without a copy")
        found = self._take(np.arange(len(self)))
        return found if dtype is None else found.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"<thumbnails on disk, {' x '.join(map(str, self.shape))}>"


class StoredThumbnails(Thumbnails):
    """Those of one store."""

    def __init__(self, array: StoredArray) -> None:
        height, width, colours = array.entry.shape
        super().__init__((array.entry.rows, height, width, colours))
        self._array = array

    def _take(self, places: Places) -> Array:
        return self._array.take(places)


class JoinedThumbnails(Thumbnails):
    """Those of several recordings, one after the other, in another order.

    `parts`: how many samples each has, and their thumbnails; blank where there are none.
    `order`: (n_samples,), int64. Places in the parts together.
    """

    def __init__(self, parts: Sequence[tuple[int, Any]], order: Places) -> None:
        shapes = [pictures.shape[1:] for _, pictures in parts if pictures is not None]
        height, width, colours = (max(sides) for sides in zip(*shapes, strict=True))
        super().__init__((len(order), height, width, colours))
        self._parts = parts
        self._order = order

    def _take(self, places: Places) -> Array:
        wanted = self._order[places]
        sheet = np.zeros((len(places), *self.shape[1:]), np.uint8)
        start = 0
        for count, pictures in self._parts:
            here = np.flatnonzero((wanted >= start) & (wanted < start + count))
            if pictures is not None and len(here):
                found = np.asarray(pictures[wanted[here] - start])
                # grey among coloured ones has its one channel three times
                sheet[here, : found.shape[1], : found.shape[2]] = found
            start += count
        return sheet
