"""Arrays of a store as they grow: rows fill a chunk, and whole chunks go to be written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from layerlens.recording.storage.arrays import StoredArray, encode_text
from layerlens.recording.storage.files import Folder
from layerlens.recording.storage.tree import TEXT, Entry

__all__ = ["ChunkWriter", "GrowingArray"]

Array = npt.NDArray[Any]


class ChunkWriter(Protocol):
    """Who writes chunks, later and in order."""

    folder: Folder

    def put(self, name: str, data: Any, then: Callable[[], None] | None = None) -> None:
        """Take a chunk to be written; it must not change until `then` is called."""
        ...

    def drain(self) -> None:
        """Wait until all that was put is written."""
        ...


class GrowingArray:
    """One array that rows are appended to.

    `entry`: key, name, dtype, shape and chunk; with rows, the array goes on behind them, and a last
    chunk that is not full is read again.
    """

    def __init__(self, writer: ChunkWriter, entry: Entry) -> None:
        self.key = entry.key
        self.name = entry.name
        self.dtype = entry.dtype
        self.shape = entry.shape
        self.chunk = entry.chunk
        self.rows = entry.rows
        self._writer = writer
        self._buffer: Array | None = None
        self._free: deque[Array] = deque()  # buffers that were written, to be filled again
        self._texts: list[str] = []
        self._staged: Array | None = None
        self._is_staged = False
        self._is_dirty = False
        if entry.rows % entry.chunk:
            last = StoredArray(writer.folder, entry).chunk(entry.rows // entry.chunk)
            if entry.dtype == TEXT:
                self._texts = last.tolist()
            else:
                self._space()[: len(last)] = last
            # what lies behind the last row may be of the recording that ended here
            self._is_dirty = True

    def entry(self, rows: int, facts: dict[str, Any]) -> Entry:
        """Return what a commit of so many rows says of it."""
        return Entry(self.key, self.name, self.dtype, self.shape, self.chunk, rows, facts)

    def _space(self) -> Array:
        if self._buffer is None:
            try:
                self._buffer = self._free.pop()
            except IndexError:
                dtype = np.dtype(self.dtype).newbyteorder("<")
                self._buffer = np.empty((self.chunk, *self.shape), dtype)
        return self._buffer

    def reserve(self, n_rows: int) -> Array:
        """Return memory for the next rows, which count once `keep` says so."""
        fill = self.rows % self.chunk
        self._is_staged = fill + n_rows > self.chunk
        if not self._is_staged:
            return self._space()[fill : fill + n_rows]
        if self._staged is None or len(self._staged) < n_rows:
            self._staged = np.empty((n_rows, *self.shape), np.dtype(self.dtype))
        return self._staged[:n_rows]

    def keep(self, start: int, stop: int) -> None:
        """Count the rows `start` to `stop` of what was last reserved."""
        if stop <= start:
            return
        if self._is_staged and self._staged is not None:
            self.append(self._staged[start:stop])
            return
        if start:
            space, fill = self._space(), self.rows % self.chunk
            space[fill : fill + stop - start] = space[fill + start : fill + stop]
        self._advance(stop - start)

    def append(self, values: Array) -> None:
        """Append rows, which are copied."""
        start = 0
        while start < len(values):
            fill = self.rows % self.chunk
            piece = values[start : start + self.chunk - fill]
            if self.dtype == TEXT:
                self._texts.extend(map(str, piece.tolist()))
            else:
                self._space()[fill : fill + len(piece)] = piece
            self._advance(len(piece))
            start += len(piece)

    def _advance(self, n_rows: int) -> None:
        self.rows += n_rows
        self._is_dirty = True
        if self.rows % self.chunk == 0:
            self._put(self.rows // self.chunk - 1)

    def _put(self, number: int) -> None:
        """Hand over a full chunk."""
        name = self.entry(0, {}).chunk_name(number)
        self._is_dirty = False
        if self.dtype == TEXT:
            texts, self._texts = self._texts, []
            self._writer.put(name, encode_text(texts, self.chunk))
            return
        full, self._buffer = self._space(), None
        self._writer.put(name, full, lambda: self._free.append(full))

    def flush(self, rows: int) -> None:
        """Have the chunk that is being filled written as it is, if one of `rows` rows is in it."""
        fill = self.rows % self.chunk
        if not self._is_dirty or not fill or rows <= self.rows - fill:
            return
        name = self.entry(0, {}).chunk_name(self.rows // self.chunk)
        self._is_dirty = False
        if self.dtype == TEXT:
            self._writer.put(name, encode_text(self._texts, self.chunk))
            return
        copy = np.zeros_like(self._space())
        copy[:fill] = self._space()[:fill]
        self._writer.put(name, copy)

    def pieces(self) -> Iterator[Array]:
        """Yield all rows, chunk by chunk, those on disk first."""
        self._writer.drain()
        fill = self.rows % self.chunk
        stored = StoredArray(self._writer.folder, self.entry(self.rows - fill, {}))
        for number in range(stored.entry.n_chunks):
            yield stored.chunk(number, keep=False)
        if fill:
            yield np.array(self._texts) if self.dtype == TEXT else self._space()[:fill]
