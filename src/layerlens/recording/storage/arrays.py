"""Arrays of a store, read chunk by chunk, each checked against its sum."""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.recording.storage.bucket import Source
from layerlens.recording.storage.crc32c import crc32c
from layerlens.recording.storage.files import DamagedStoreError
from layerlens.recording.storage.tree import TEXT, Entry

__all__ = ["ChunkCache", "StoredArray", "encode_text"]

Array = npt.NDArray[Any]

_CACHE_BYTES = 64 << 20


class ChunkCache:
    """The chunks that were read last, of all arrays of a store together."""

    def __init__(self, limit: int = _CACHE_BYTES) -> None:
        self._limit = limit
        self._chunks: OrderedDict[str, Array] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> Array | None:
        """Return a chunk that is kept."""
        with self._lock:
            chunk = self._chunks.get(name)
            if chunk is not None:
                self._chunks.move_to_end(name)
            return chunk

    def put(self, name: str, chunk: Array) -> None:
        """Keep a chunk, and let go of those that were not read for longest."""
        with self._lock:
            if name in self._chunks or chunk.nbytes > self._limit:
                return
            self._chunks[name] = chunk
            self._bytes += chunk.nbytes
            while self._bytes > self._limit:
                _, old = self._chunks.popitem(last=False)
                self._bytes -= old.nbytes


class StoredArray:
    """One array of a store, as it was when the commit was read."""

    def __init__(self, folder: Source, entry: Entry, cache: ChunkCache | None = None) -> None:
        self.folder = folder
        self.entry = entry
        self._cache = ChunkCache() if cache is None else cache

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredArray, (self.folder, self.entry)  # the other process reads for itself

    def chunk(self, number: int, *, keep: bool = True) -> Array:
        """Return the rows of one chunk that count.

        Raises
        ------
        DamagedStoreError
            If its file is missing, has another size, or does not fit its checksum.
        """
        entry = self.entry
        name = entry.chunk_name(number)
        found = self._cache.get(name)
        if found is None:
            count = min(entry.chunk, entry.rows - number * entry.chunk)
            found = self._decode(name, _checked(self.folder, entry, name))[:count]
            if keep:
                self._cache.put(name, found)
        return found

    def _decode(self, name: str, data: memoryview) -> Array:
        entry = self.entry
        if entry.dtype != TEXT:
            return np.frombuffer(data, entry.numpy_dtype).reshape(entry.chunk, *entry.shape)
        try:
            return np.array(list(_texts(data)), dtype=str)
        except (ValueError, struct.error) as error:
            raise self.folder.damaged(name, f"it holds no text: {error}") from error

    def read(self, start: int, stop: int) -> Array:
        """Return rows `start` to `stop`, reading only the chunks that hold them."""
        entry = self.entry
        size = entry.chunk
        spans = [
            (k, max(start, k * size), min(stop, (k + 1) * size))
            for k in range(start // size, -(-stop // size) if stop > start else 0)
        ]
        # rows that are asked for alone may be asked for again; a whole array is not kept
        keep = len(spans) <= 2
        if entry.dtype == TEXT:
            parts = [self.chunk(k, keep=keep)[a - k * size : b - k * size] for k, a, b in spans]
            return np.concatenate(parts) if parts else np.empty((0,), "<U1")
        rows = np.empty((max(0, stop - start), *entry.shape), np.dtype(entry.dtype))
        for k, a, b in spans:
            rows[a - start : b - start] = self.chunk(k, keep=keep)[a - k * size : b - k * size]
        return rows

    def take(self, places: npt.NDArray[np.int64]) -> Array:
        """Return the rows at some places, in that order; each chunk is read once."""
        entry = self.entry
        if entry.dtype == TEXT:
            return self.read(0, entry.rows)[places]
        rows = np.empty((len(places), *entry.shape), np.dtype(entry.dtype))
        order = np.argsort(places, kind="stable")
        numbers = places[order] // entry.chunk
        edges = np.flatnonzero(np.diff(numbers)) + 1
        for group in np.split(order, edges):
            if len(group):
                k = int(places[group[0]] // entry.chunk)
                rows[group] = self.chunk(k)[places[group] - k * entry.chunk]
        return rows

    def damage(self) -> Iterator[tuple[int, DamagedStoreError]]:
        """Read every chunk and yield the number of each that is damaged, with what it has."""
        for number in range(self.entry.n_chunks):
            try:
                name = self.entry.chunk_name(number)
                self._decode(name, _checked(self.folder, self.entry, name))
            except DamagedStoreError as error:
                yield number, error


def _checked(folder: Source, entry: Entry, name: str) -> memoryview:
    """Return what a chunk's file holds before its checksum."""
    size = None if entry.dtype == TEXT else entry.chunk * entry.row_bytes + 4
    raw = memoryview(folder.read(name, size=size))
    if len(raw) < 4 or crc32c(raw[:-4]) != int.from_bytes(raw[-4:], "little"):
        raise folder.damaged(name, "its checksum does not fit what it holds")
    return raw[:-4]


def encode_text(texts: list[str], count: int) -> bytes:
    """Return a chunk of texts in the ``vlen-utf8`` form, filled up with empty ones."""
    parts = [struct.pack("<I", count)]
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        parts += [struct.pack("<I", len(data)), data]
    parts.append(bytes(4 * (count - len(texts))))
    return b"".join(parts)


def _texts(data: memoryview) -> Iterator[str]:
    (count,) = struct.unpack_from("<I", data)
    place = 4
    for _ in range(count):
        (length,) = struct.unpack_from("<I", data, place)
        place += 4
        if length > len(data) - place:
            raise ValueError("it is cut off")
        yield bytes(data[place : place + length]).decode("utf-8", "surrogatepass")
        place += length
