"""The facts of the samples on disk: arrays that take what comes later in another dtype or size.

In memory, what a run says of its samples is put together at the end: labels that were missing for
a while, numbers that become text, thumbnails of other sizes. On disk a fact has one dtype from its
first batch on. When a batch does not fit, the fact moves to a new array that holds both, and the
old one is removed once a commit names the new one.

What is read is what memory would have, but for numbers that became others before they became text:
whole numbers that met fractions read "1.0" here, where memory still knows the "1".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import ArgumentError
from layerlens.recording.storage.growing import GrowingArray
from layerlens.recording.storage.tree import DTYPES, TEXT, Entry

__all__ = ["THUMBNAILS", "Columns", "decoded"]

Array = npt.NDArray[Any]
Make = Callable[[str, str, tuple[int, ...]], GrowingArray]

THUMBNAILS = "thumbnails"


@dataclass(slots=True)
class _Column:
    """One fact.

    `first`: NumPy's kind of its first batch, which decides what stands for a missing number.
    `unit`: NumPy's dtype of a date or a span of time, which is stored as whole numbers.
    `given`: dtype of what was given alone, without what stands for missing numbers.
    `missing`: spans of samples of which it is not known.
    """

    array: GrowingArray
    first: str
    unit: str = ""
    given: str = ""
    missing: list[list[int]] = field(default_factory=list)

    def facts(self, rows: int) -> dict[str, Any]:
        spans = [[a, min(b, rows)] for a, b in self.missing if a < rows]
        return {"first": self.first, "unit": self.unit, "given": self.given, "missing": spans}

    def note_missing(self, start: int, stop: int) -> None:
        if self.missing and self.missing[-1][1] == start:
            self.missing[-1][1] = stop
        elif stop > start:
            self.missing.append([start, stop])


class Columns:
    """All facts of a run's samples.

    `make`: ``(name, dtype, shape) -> GrowingArray``.
    """

    def __init__(self, make: Make, retire: Callable[[GrowingArray], None]) -> None:
        self._make = make
        self._retire = retire
        self._columns: dict[str, _Column] = {}

    def restore(self, array: GrowingArray, facts: Mapping[str, Any]) -> None:
        """Go on with an array of an earlier recording."""
        missing = [list(span) for span in facts["missing"]]
        self._columns[array.name] = _Column(
            array, facts["first"], facts["unit"], facts["given"], missing
        )

    def entries(self, rows: int) -> tuple[Entry, ...]:
        """Return what a commit of so many samples says of them."""
        return tuple(one.array.entry(rows, one.facts(rows)) for one in self._columns.values())

    def flush(self, rows: int) -> None:
        """Have what so many samples need written."""
        for column in self._columns.values():
            column.array.flush(rows)

    def add(self, start: int, count: int, facts: Mapping[str, Array]) -> None:
        """Take what is known of `count` samples, of which the first is number `start`."""
        for name, values in facts.items():
            if name in self._columns:
                self._note_given(self._columns[name], values)
                self._append(self._columns[name], values)
            else:
                self._begin(name, start, values)
        for name, column in self._columns.items():
            if name not in facts:
                self._append_missing(column, count)

    def _note_given(self, column: _Column, values: Array) -> None:
        dtype = _stored_dtype(column.array.name, values)
        if TEXT not in (dtype, column.given):
            both = np.result_type(np.dtype(column.given), np.dtype(dtype))
            column.given = both.name

    def _begin(self, name: str, start: int, values: Array) -> None:
        kind = values.dtype.kind
        unit = values.dtype.str if kind in "mM" else ""
        dtype = _stored_dtype(name, values)
        column = _Column(self._make(name, dtype, values.shape[1:]), kind, unit, dtype)
        self._columns[name] = column
        if start:
            self._append_missing(column, start)
        self._append(column, values)

    def _append(self, column: _Column, values: Array) -> None:
        array = column.array
        if column.unit and array.dtype != TEXT:
            if values.dtype.kind == column.unit[1]:
                unit = np.promote_types(column.unit, values.dtype).str
                if unit != column.unit:
                    self._move(column, "int64", (), unit)
                values = values.astype(unit).view(np.int64)
            else:
                self._move(column, TEXT, ())
        if values.dtype.kind in "mM":
            values = values.astype(str)
        dtype = _stored_dtype(array.name, values)
        shape = tuple(map(max, column.array.shape, values.shape[1:]))
        self._fit(column, dtype, shape)
        if column.array.dtype == TEXT:
            values = values.astype(str)
        elif values.shape[1:] != shape:
            values = _padded(values, shape)
        column.array.append(values)

    def _append_missing(self, column: _Column, count: int) -> None:
        name, start = column.array.name, column.array.rows
        column.note_missing(start, start + count)
        if name == "ids":
            values = np.arange(start, start + count)
        elif column.array.dtype == TEXT:
            values = np.full(count, "")
        elif name == THUMBNAILS:
            values = np.zeros((count, *column.array.shape), np.uint8)
        elif column.unit:
            values = np.full(count, "NaT", column.unit)
        elif name in ("labels", "index") and column.first in "iu":
            if np.dtype(column.array.dtype).kind in "iu":
                self._fit(column, "int64", (), exactly=True)
            values = np.full(count, -1)
        else:
            values = np.full(count, np.nan)
        self._append(column, values)

    def _fit(
        self, column: _Column, dtype: str, shape: tuple[int, ...], *, exactly: bool = False
    ) -> None:
        """Have an array that holds what it has, and values of that dtype and shape."""
        has = column.array.dtype
        wanted = dtype
        if TEXT in (has, dtype):
            wanted = TEXT
        elif not exactly:
            wanted = np.result_type(np.dtype(has), np.dtype(dtype)).name
        if wanted != has or shape != column.array.shape:
            self._move(column, wanted, shape)

    def _move(
        self, column: _Column, dtype: str, shape: tuple[int, ...], unit: str | None = None
    ) -> None:
        old = column.array
        new = self._make(old.name, dtype, shape)
        start = 0
        for piece in old.pieces():
            if dtype == TEXT and old.dtype != TEXT:
                values = piece.view(column.unit) if column.unit else piece
                gaps = np.zeros(len(values), bool)
                for a, b in column.missing if old.name != "ids" else ():
                    gaps[max(0, a - start) : max(0, b - start)] = True
                if not column.unit:
                    values = np.where(gaps, 0, values).astype(column.given)
                texts = values.astype(str)
                texts[gaps] = ""
                new.append(texts)
            elif unit is not None:
                new.append(piece.view(column.unit).astype(unit).view(np.int64))
            else:
                new.append(_padded(piece, shape))
            start += len(piece)
        column.array = new
        column.unit = unit or column.unit
        self._retire(old)


def decoded(values: Array, facts: Mapping[str, Any]) -> Array:
    """Return values as they were given: dates as dates."""
    unit = facts.get("unit")
    if unit and values.dtype == np.int64:
        dtype = np.dtype(str(unit))
        if dtype.kind in "mM":
            return values.view(dtype)
    return values


def _stored_dtype(name: str, values: Array) -> str:
    kind = values.dtype.kind
    if kind in "US":
        return TEXT
    if kind in "mM":
        return "int64"
    if values.dtype.name not in DTYPES:
        raise ArgumentError(
            f"annotate: {name.removeprefix('column:')} has dtype {values.dtype}, which a store "
            "does not take; pass numbers, text or dates"
        )
    return str(values.dtype.name)


def _padded(values: Array, shape: tuple[int, ...]) -> Array:
    if values.shape[1:] == shape:
        return values
    padded = np.zeros((len(values), *shape), values.dtype)
    # a grey thumbnail among coloured ones has its one channel three times
    padded[tuple(map(slice, values.shape[:-1]))] = values
    return padded
