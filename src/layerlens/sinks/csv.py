"""One table of all layers, one row a sample and layer, for spreadsheets and data frames."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from layerlens.embedding.table import label_names, layer_table
from layerlens.errors import StoreError
from layerlens.records import LayerEmbedding, RunInfo
from layerlens.sinks._atomic import AtomicFile, writing
from layerlens.sinks._whole import AtomicSink

__all__ = ["CsvSink"]


class CsvSink(AtomicSink[AtomicFile]):
    """Write all layers to one table of comma-separated values.

    UTF-8, a header line, and the standard quoting of RFC 4180. The columns are ``layer``,
    ``index``, ``id``, ``label``, ``label_name``, the coordinates (``x``, ``y``, ``z``, or
    ``c0``, ``c1``, … where there are more than three), ``cluster``, ``stress``, ``spread`` and the
    run's own columns. A layer that has no clusters, say, leaves the field empty.

    Parameters
    ----------
    path : str or path-like
        Where the table goes.

    Examples
    --------
    >>> emb.save("lenet.csv")                                          # doctest: +SKIP
    >>> pandas.read_csv("lenet.csv", keep_default_na=False)            # doctest: +SKIP
    """

    suffixes: ClassVar[tuple[str, ...]] = (".csv",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, AtomicFile(path))
        self._text: io.TextIOWrapper | None = None
        self._header: list[str] = []
        self._run: RunInfo | None = None
        self._names: npt.NDArray[Any] | None = None

    def __enter__(self) -> Self:
        """Make the temporary file."""
        # newline="": the csv module ends the lines itself
        self._text = io.TextIOWrapper(
            self._file.open(), encoding="utf-8", errors="backslashreplace", newline=""
        )
        self._header = []
        self._run = None
        return self

    def write(self, embedding: LayerEmbedding, /) -> None:
        """Append a layer's rows.

        Raises
        ------
        StoreError
            Outside of the ``with`` block, if the layer has other columns than the first, or if
            the file cannot be written to, for want of space say.
        """
        if self._text is None:
            raise self._outside()
        if embedding.run is not self._run:
            self._run, self._names = embedding.run, label_names(embedding.run)
        table = layer_table(embedding, self._names)
        writer = csv.writer(self._text)
        if not self._header:
            self._header = list(table)
            writer.writerow(self._header)
        elif list(table) != self._header:
            raise StoreError(
                f"the layer {embedding.layer!r} has the columns {list(table)}, the layers before "
                f"it have {self._header}: one table holds one set of columns. Write them to two."
            )
        n_rows = len(embedding.coordinates)
        with writing(self.path):
            writer.writerows(zip(*(_fields(c, n_rows) for c in table.values()), strict=True))

    def _finish(self) -> None:
        if self._text is not None:
            self._text.detach()  # flushes

    def _release(self) -> None:
        text, self._text = self._text, None
        if text is not None:
            # else it would close the file when it is collected; it fails where it is done already
            with contextlib.suppress(OSError, ValueError):
                text.detach()


def _fields(column: npt.NDArray[Any] | None, n_rows: int) -> list[Any]:
    if column is None:
        return [""] * n_rows
    column = np.asarray(column)
    if column.dtype == np.float32:
        # the shortest digits that give the same float32 back: 0.1, not 0.10000000149011612
        return list(column.astype(str).tolist())
    if column.dtype.kind in "mM":
        return list(column.astype(str).tolist())  # tolist would make bare numbers of nanoseconds
    return list(column.tolist())
