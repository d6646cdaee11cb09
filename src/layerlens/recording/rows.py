"""The rows of one layer as they grow: pieces of memory that are filled and never moved.

A row is written where it stays. Memory that was reserved and not yet written costs nothing,
because the system gives out pages when they are touched; so a piece may be reserved larger than
what is known to come. When a new recording starts and nobody holds the old one's rows any more,
their memory, whose pages are warm, is written again.
"""

from __future__ import annotations

import mmap
import threading
import weakref
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["RowSource", "Rows"]

_MAX_RESERVE = 64 << 20  # bytes that are reserved beyond what is known to come
_MIN_RESERVE = 1 << 16
_FROM_HEAP = 1 << 12


def _reserve(n_rows: int, width: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return memory that is not touched yet, taken from the system rather than from the heap.

    Rows stay while a forward's tensors come and go. Between them on the heap they would keep it
    from joining what is free, and every forward would find a little less room than the last.
    """
    size = n_rows * width * dtype.itemsize
    if size < _FROM_HEAP:
        return np.empty((n_rows, width), dtype)
    return np.frombuffer(mmap.mmap(-1, size), dtype).reshape(n_rows, width)


class RowSource(Protocol):
    """Rows of one width and dtype that can be read, wherever they lie."""

    @property
    def width(self) -> int:
        """Values in a row."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Their dtype."""
        ...

    @property
    def count(self) -> int:
        """How many rows there are."""
        ...

    @property
    def on_disk(self) -> bool:
        """Whether rows are read from somewhere each time, rather than lie in memory."""
        ...

    def array(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows as one array."""
        ...

    def take(self, places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the rows at some places, in that order."""
        ...

    def consolidate(self) -> None:
        """Make it cheap to return all rows at once."""
        ...

    def watch(self, reader: Any) -> None:
        """Take note of an object that reads from here."""
        ...

    def portable(self) -> Any:
        """Return what another process can read the rows from: an array, or such a source."""
        ...


class _Lease:
    """Lends out a piece of memory: alive as long as any array that was made from it is."""

    def __init__(self, memory: npt.NDArray[Any]) -> None:
        self._memory = memory
        self.__array_interface__ = memory.__array_interface__


class Rows:
    """Rows of one width and dtype."""

    def __init__(self, width: int, dtype: np.dtype[Any], expected: int | None = None) -> None:
        self.width = width
        self.dtype = dtype
        self.count = 0
        self.on_disk = False
        self._lock = threading.RLock()
        self._is_open = False
        self.readers: weakref.WeakSet[Any] = weakref.WeakSet()
        self._expected = expected or 0
        self._pieces: list[npt.NDArray[Any]] = []
        self._used: list[int] = []
        self._spare: list[npt.NDArray[Any]] = []
        self._leases: list[weakref.ref[_Lease]] = []

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> Rows:
        """Return rows that lie in a given array already, uncopied."""
        rows = cls(array.shape[1], array.dtype)
        rows._pieces, rows._used, rows.count = [array], [len(array)], len(array)
        return rows

    @property
    def nbytes(self) -> int:
        """Bytes of the rows that there are."""
        return self.count * self.width * self.dtype.itemsize

    def reserve(self, n_rows: int) -> npt.NDArray[Any]:
        """Return memory for the next rows; they count once `commit` says so."""
        with self._lock:
            self._is_open = True
            if not self._pieces or len(self._pieces[-1]) - self._used[-1] < n_rows:
                self._pieces.append(self._new_piece(n_rows))
                self._used.append(0)
            start = self._used[-1]
            return self._pieces[-1][start : start + n_rows]

    def commit(self, n_rows: int) -> None:
        """Keep the first rows of what was last reserved; with 0 it is given up."""
        with self._lock:
            self._is_open = False
            self._used[-1] += n_rows
            self.count += n_rows

    def _new_piece(self, n_rows: int) -> npt.NDArray[Any]:
        for place, memory in enumerate(self._spare):
            if len(memory) >= n_rows:
                return self._spare.pop(place)
        row_bytes = max(1, self.width * self.dtype.itemsize)
        if self._expected > self.count:
            ahead = self._expected - self.count
        else:
            bytes_ahead = min(max(2 * self.nbytes, _MIN_RESERVE), _MAX_RESERVE)
            ahead = bytes_ahead // row_bytes
        try:
            return _reserve(max(n_rows, ahead), self.width, self.dtype)
        except (MemoryError, OSError):  # a system that counts reserved memory as used
            return _reserve(n_rows, self.width, self.dtype)

    def array(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows as one array, without a copy where they lie in one piece.

        Raises
        ------
        IndexError
            If there are no such rows.
        """
        if not 0 <= start <= stop <= self.count:
            raise IndexError(f"rows {start} to {stop} of {self.count}")
        with self._lock:
            return self._read(start, stop)

    def _read(self, start: int, stop: int) -> npt.NDArray[Any]:
        first = 0
        for piece, used in zip(self._pieces, self._used, strict=True):
            if first <= start and stop <= first + used:
                return self._lend(piece)[start - first : stop - first]
            first += used
        result = np.empty((stop - start, self.width), self.dtype)
        first = 0
        for piece, used in zip(self._pieces, self._used, strict=True):
            low, high = max(start, first), min(stop, first + used)
            if low < high:
                result[low - start : high - start] = piece[low - first : high - first]
            first += used
        return result

    def take(self, places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the rows at some places, in that order."""
        self.consolidate()
        taken: npt.NDArray[Any] = self.array(0, self.count)[places]
        return taken

    def watch(self, reader: Any) -> None:
        """Take note of an object that reads from here, as long as it lives."""
        self.readers.add(reader)

    def portable(self) -> npt.NDArray[Any]:
        """Return all rows as an array."""
        self.consolidate()
        return self.array(0, self.count)

    def consolidate(self) -> None:
        """Bring all rows together in one piece, so that `array` copies nothing.

        Nothing is done while rows are on their way in: they would be written to what was left.
        """
        with self._lock:
            if len(self._pieces) < 2 or self._is_open:
                return
            whole = np.empty((self.count, self.width), self.dtype)
            first = 0
            while self._pieces:
                # one piece after the other is let go, so that no second copy of all is held
                piece, used = self._pieces.pop(0), self._used.pop(0)
                whole[first : first + used] = piece[:used]
                first += used
            self._pieces, self._used = [whole], [self.count]

    def _lend(self, piece: npt.NDArray[Any]) -> npt.NDArray[Any]:
        lease = _Lease(piece)
        self._leases = [ref for ref in self._leases if ref() is not None]
        self._leases.append(weakref.ref(lease))
        return np.asarray(lease)

    def recycle(self) -> list[npt.NDArray[Any]]:
        """Return memory that nobody looks at any more, to be written again."""
        if len(self.readers) or any(ref() is not None for ref in self._leases):
            return []
        return self._pieces

    def adopt(self, spare: list[npt.NDArray[Any]]) -> None:
        """Take memory of an earlier recording, to be written before any other."""
        self._spare = [
            piece for piece in spare if piece.shape[1] == self.width and piece.dtype == self.dtype
        ]
