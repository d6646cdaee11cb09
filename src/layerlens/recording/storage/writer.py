"""The writer of a store: it takes rows, has whole chunks written, and commits.

A commit is in this order: the chunks that hold its rows are written; the root's ``zarr.json`` is
replaced, which alone is the commit; then the arrays' own ``zarr.json``, which other readers go by,
so that they never see a row that does not count; then what nothing refers to any more is removed.
All of it happens in order on one thread, so whatever is interrupted, the last commit is whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import ArgumentError, LayerlensWarning, StoreError
from layerlens.recording.storage import resume
from layerlens.recording.storage.background import Background
from layerlens.recording.storage.columns import Columns
from layerlens.recording.storage.crc32c import crc32c
from layerlens.recording.storage.files import Folder
from layerlens.recording.storage.growing import GrowingArray
from layerlens.recording.storage.lock import WriterLock
from layerlens.recording.storage.sizes import BUFFER, chunk_rows_for, n_files, rows_of_chunk
from layerlens.recording.storage.tree import ROOT, Entry, Manifest, dump

__all__ = ["LayerRows", "LayerState", "StoreWriter"]

Array = npt.NDArray[Any]
Spans = Sequence[tuple[int, int]]

MANY_FILES = 200_000
"""A recording that would write more files than this says so."""


class LayerRows:
    """The rows of one layer on their way to disk.

    Until the first batch counts, nobody knows how wide all layers are together, and so how many
    rows a chunk has: the first rows wait.
    """

    def __init__(self, width: int, dtype: np.dtype[Any]) -> None:
        self.width = width
        self.dtype = dtype
        self.array: GrowingArray | None = None
        self._staged: Array | None = None

    @property
    def count(self) -> int:
        """How many rows were taken."""
        return 0 if self.array is None else self.array.rows

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.width * self.dtype.itemsize

    def reserve(self, n_rows: int) -> Array:
        """Return memory for the next rows."""
        if self.array is not None:
            return self.array.reserve(n_rows)
        self._staged = np.empty((n_rows, self.width), self.dtype)
        return self._staged

    def commit(self, n_rows: int, start: int = 0) -> None:
        """Keep the rows `start` to `n_rows` of what was last reserved, if any."""
        if self.array is not None:
            self.array.keep(start, n_rows)
        elif n_rows > start:
            raise RuntimeError("rows came before their array")
        self._staged = None

    def begin(self, array: GrowingArray, start: int, stop: int) -> None:
        """Take the array, and give it the rows that waited."""
        self.array = array
        if self._staged is not None:
            array.append(self._staged[start:stop])
            self._staged = None


@dataclass(frozen=True, slots=True)
class LayerState:
    """What a commit needs to know of a layer."""

    rows: LayerRows
    spans: Spans
    facts: Mapping[str, Any]


class StoreWriter:
    """Writes one store, from the lock to the last commit.

    `spec`: what is recorded and how. A store that is there must have an equal one.
    `created`: the time; of a store that goes on, the first one counts.
    `manifest`: the last commit; right after opening, where the recording goes on.

    Raises
    ------
    StoreError
        If the folder cannot be written to, holds something else, is damaged beyond what can be
        recorded again, or another recording has it.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        spec: Mapping[str, Any],
        about: Mapping[str, Any],
        created: str,
        limit: int | None = None,
        buffer: int = BUFFER,
    ) -> None:
        self.folder = folder
        self.expected: int | None = None
        self.rows = 0
        """Samples that were taken."""
        self._buffer = buffer
        self._background = Background(buffer // 2)
        self._columns = Columns(self._new_column, self._retire)
        self._retired: list[str] = []
        self._written: dict[str, bytes] = {}
        folder.make()
        if not folder.holds(ROOT):
            resume.refuse_foreign(folder)  # before a lock lies there
        self._lock = WriterLock(folder.root)
        try:
            self.manifest = resume.begin(folder, spec, about, created, limit)
            self.rows = self.manifest.rows
            self._chunk_rows = self.manifest.chunk_rows
            self._n_layers, self._n_columns = self.manifest.counters
            self._sketches = list(self.manifest.sketches)
            for entry in self.manifest.samples:
                self._columns.restore(GrowingArray(self, entry), entry.facts)
        except BaseException:
            self._lock.release()
            raise

    # --- what grows ------------------------------------------------------------------------

    def restored(self, entry: Entry) -> LayerRows:
        """Return the rows of a layer that was recorded before, to go on with them."""
        rows = LayerRows(entry.shape[0], np.dtype(entry.dtype))
        rows.array = GrowingArray(self, entry)
        return rows

    def begin_layers(
        self, layers: Sequence[tuple[str, LayerRows]], start: int, stop: Mapping[str, int]
    ) -> None:
        """Give arrays to layers that came for the first time.

        `layers`: name and rows of each; rows before `start` and from ``stop[name]`` on do not
        count.
        """
        new = [(name, rows) for name, rows in layers if rows.array is None]
        if not self._chunk_rows and new:
            sizes = [rows.row_bytes for _, rows in new]
            self._chunk_rows = chunk_rows_for(sizes, self.expected, self._buffer)
        for name, rows in new:
            key = f"layers/L{self._n_layers:05d}"
            self._n_layers += 1
            array = self._new_array(key, name, rows.dtype.name, (rows.width,), layer=True)
            rows.begin(array, start, stop[name])

    def _new_column(self, name: str, dtype: str, shape: tuple[int, ...]) -> GrowingArray:
        key = f"samples/C{self._n_columns:05d}"
        self._n_columns += 1
        return self._new_array(key, name, dtype, shape, layer=False)

    def _new_array(
        self, key: str, name: str, dtype: str, shape: tuple[int, ...], *, layer: bool
    ) -> GrowingArray:
        entry = Entry(key, name, dtype, shape, 1, 0)
        chunk = rows_of_chunk(
            dtype, entry.row_bytes, self._chunk_rows or 1, self.expected, layer=layer
        )
        entry = replace(entry, chunk=chunk)
        try:
            entry.check()
        except ValueError:
            raise ArgumentError(
                f"layer {name!r}: a row has {entry.row_bytes / 2**30:.1f} GiB, more than a store "
                "takes; pass sketch= or readout='pool'"
            ) from None
        self._submit(0, partial(self.folder.make, key))
        return GrowingArray(self, entry)

    def _retire(self, array: GrowingArray) -> None:
        self._retired.append(array.key)

    def put_sketch(self, name: str, matrix: Array, n_fitted: int) -> None:
        """Keep what a layer's rows are multiplied by, with the next commit."""
        key = f"layers/L{self._n_layers:05d}"
        self._n_layers += 1
        entry = Entry(key, name, matrix.dtype.name, matrix.shape[1:], len(matrix), 0)
        entry.check()
        self._submit(0, partial(self.folder.make, key))
        array = GrowingArray(self, entry)
        array.append(matrix)
        self._sketches.append(array.entry(len(matrix), {"fitted": n_fitted}))

    def add_samples(self, count: int, facts: Mapping[str, Array]) -> None:
        """Take so many more samples, and what is known of them."""
        self._columns.add(self.rows, count, facts)
        self.rows += count

    # --- the thread that writes --------------------------------------------------------------

    def put(self, name: str, data: Any, then: Callable[[], None] | None = None) -> None:
        """Have a chunk written, with its checksum behind it."""

        def write() -> None:
            self.folder.write(name, data, crc32c(data).to_bytes(4, "little"))
            if then is not None:
                then()

        self._submit(memoryview(data).nbytes, write)

    def drain(self) -> None:
        """Wait until all that was put is written."""
        try:
            self._background.drain()
        except StoreError as error:
            raise StoreError(*error.args) from error

    def _submit(self, size: int, job: Callable[[], None]) -> None:
        try:
            self._background.submit(size, job)
        except StoreError as error:  # the same failure, told where it is noticed
            raise StoreError(*error.args) from error

    # --- commits -----------------------------------------------------------------------------

    @property
    def is_due(self) -> bool:
        """Whether there are enough samples for the next commit."""
        step = self._chunk_rows
        return bool(step) and self.rows - self.rows % step > self.manifest.rows

    def commit(
        self,
        layers: Sequence[LayerState],
        *,
        about: Mapping[str, Any],
        batches: Sequence[tuple[int, int, int]],
        dropped: Sequence[LayerRows] = (),
        everything: bool = False,
        complete: bool = False,
        limit: int | None = None,
    ) -> None:
        """Have the samples taken so far count: up to the last whole chunk, or all of them."""
        step = self._chunk_rows or 1
        rows = self.rows if everything else self.rows - self.rows % step
        entries = []
        for state in layers:
            if state.rows.array is None:
                continue
            spans = [(a, min(b, rows)) for a, b in state.spans if a < rows]
            count = sum(b - a for a, b in spans)
            state.rows.array.flush(count)
            facts = dict(state.facts)
            if spans != [(0, rows)] and rows:
                facts["spans"] = [list(span) for span in spans]
            entries.append(state.rows.array.entry(count, facts))
        self._columns.flush(rows)
        for gone in dropped:
            if gone.array is not None:
                self._retire(gone.array)
        manifest = replace(
            self.manifest,
            rows=rows,
            complete=complete,
            limit=limit,
            chunk_rows=self._chunk_rows,
            about=dict(about),
            batches=_batches_of(batches, rows),
            counters=(self._n_layers, self._n_columns),
            layers=tuple(entries),
            samples=self._columns.entries(rows),
            sketches=tuple(self._sketches),
        )
        self._say_files(manifest)
        retired, self._retired = self._retired, []
        self._submit(0, partial(self._write_commit, manifest, retired))
        self.manifest = manifest

    def _write_commit(self, manifest: Manifest, retired: Sequence[str]) -> None:
        for entry in manifest.entries:
            self.folder.settle(entry.key)
        # only a store in which all is in its place says that it is complete
        almost = replace(manifest, complete=False, limit=None)
        self.folder.write(ROOT, dump(almost.document()))
        self.folder.settle()
        for entry in manifest.entries:
            described = dump(entry.zarr(manifest.rows))
            if self._written.get(entry.key) != described:
                self.folder.write(f"{entry.key}/{ROOT}", described)
                self._written[entry.key] = described
        for key in retired:
            resume.remove_array(self.folder, key)
            self._written.pop(key, None)
        if manifest.complete:
            self.folder.write(ROOT, dump(manifest.document()))
            self.folder.settle()

    def _say_files(self, manifest: Manifest) -> None:
        first = not self.manifest.chunk_rows and manifest.chunk_rows
        if not first or self.expected is None:
            return
        count = n_files(manifest.entries, self.expected)
        if count > MANY_FILES:
            warnings.warn(
                f"{str(self.folder.root)!r} will have about {count:,} files: "
                f"{len(manifest.layers)} layers, {self.expected:,} samples, {manifest.chunk_rows} "
                "between two commits. A larger buffer (store=Store(path, buffer=...)), a narrower "
                "sketch or fewer layers make fewer files",
                LayerlensWarning,
                stacklevel=2,
            )

    def close(self) -> None:
        """Wait for what is being written, and let the store go.

        Raises
        ------
        StoreError
            If something could not be written.
        """
        try:
            self.drain()
        finally:
            self._background.close()
            self._lock.release()


def _batches_of(
    batches: Sequence[tuple[int, int, int]], rows: int
) -> tuple[tuple[int, int, int], ...]:
    """Return the batches that begin before a number of samples."""
    found: list[tuple[int, int, int]] = []
    start = 0
    for size, given, times in batches:
        if start >= rows:
            break
        kept = min(times, -(-(rows - start) // size)) if size else times
        found.append((size, given, kept))
        start += size * times
    return tuple(found)
