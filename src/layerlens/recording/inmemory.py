"""The record of a run as it grows in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from layerlens.errors import RecordingError
from layerlens.recording.activations import Activations, LayerActivations
from layerlens.recording.record import Recording
from layerlens.recording.rows import Rows
from layerlens.recording.samples import Annotation
from layerlens.records import RunInfo

__all__ = ["Record"]


class Record(Recording[Rows]):
    """Rows of all layers of one run, in memory.

    Parameters
    ----------
    sketch, dtype, random_state
        See `Recording`.
    previous : Record or None
        An earlier record; its memory is written again where nobody looks at it any more.
    memory_limit : int or None
        How many bytes the rows may take.
    """

    def __init__(
        self,
        *,
        sketch: str | int | None,
        dtype: str,
        random_state: int,
        previous: Record | None = None,
        memory_limit: int | None = None,
    ) -> None:
        super().__init__(sketch=sketch, dtype=dtype, random_state=random_state)
        self._memory_limit = memory_limit
        # other threads may read at any time: they see a batch in all layers or in none
        self._whole = threading.Lock()
        self._created = datetime.now(UTC).isoformat(timespec="seconds")
        self._spare = (
            {}
            if previous is None
            else {name: layer.rows.recycle() for name, layer in previous.layers.items()}
        )

    def _check_size(self, count: int) -> None:
        """Raise `RecordingError` where the record will be larger than it may, or has become so."""
        if self._memory_limit is None:
            return
        layers = [self.layers[name] for name in self._arrivals.rows]
        per_sample = sum(one.info.width * one.rows.dtype.itemsize for one in layers)
        total = max(self.samples.count + count, self.expected or 0)
        size = total * per_sample
        if size <= self._memory_limit:
            return
        wide = max(layers, key=lambda layer: layer.info.width)
        known = "will have" if self.expected else "has by now"
        raise RecordingError(
            f"the record {known} {total:,} samples of {len(layers)} layers, "
            f"{size / 2**30:,.1f} GiB, and memory_limit is {self._memory_limit / 2**30:,.1f} GiB. "
            'Make rows narrower (sketch="auto" or a smaller width, or readout="pool"; '
            f"{wide.info.title!r} keeps {wide.info.width:,} values), record to disk "
            '(store="run.zarr"), or record fewer layers (layers=); or pass a larger memory_limit'
        )

    def _new_rows(self, name: str, width: int) -> Rows:
        expected = None if self.expected is None else max(0, self.expected - self.samples.count)
        rows = Rows(width, np.dtype(self._dtype), expected)
        rows.adopt(self._spare.pop(name, []))
        return rows

    def _check_waiting(self) -> None:
        if self._memory_limit is not None and self.bytes_waiting > self._memory_limit:
            raise RecordingError(
                f"sketch={self._sketch!r} keeps the first {self._to_fit:,} rows back to fit its "
                f"directions, {self.bytes_waiting / 2**30:,.1f} GiB for the layers so far, and "
                f"memory_limit is {self._memory_limit / 2**30:,.1f} GiB. Record fewer layers "
                "(layers=), or pass a width (sketch=2048), which keeps nothing back"
            )

    def _commit(self, batch: int, annotation: Annotation | None, keep: int) -> None:
        try:
            self._check_size(keep)
        except RecordingError:
            self.drop()
            raise
        self._arrivals.land()
        with self._whole:
            self._count_looked(keep)
            self._count(keep, annotation)

    def _count(self, keep: int, annotation: Annotation | None) -> None:
        start = self.samples.count
        for name, rows in self._arrivals.rows.items():
            layer = self.layers[name]
            count = min(len(rows), keep)
            layer.rows.commit(count)
            layer.note_span(start, start + count)
        self._arrivals.clear()
        self.samples.add(keep, annotation)

    def activations(
        self,
        meta: dict[str, Any],
        label_names: tuple[str, ...] | None = None,
        without: Collection[str] = (),
    ) -> Activations:
        """Return what was recorded up to now, without some layers."""
        with self._whole:
            facts = self.samples.facts()
            ids = facts.pop("ids")
            labels = facts.pop("labels", None)
            whole = [(0, self.samples.count)]
            layers = {}
            for name, layer in sorted(self.layers.items(), key=lambda item: item[1].order):
                if not layer.rows.count or name in without:
                    continue
                spans = [np.arange(*span) for span in layer.spans]
                rows = None if layer.spans == whole else np.concatenate(spans)
                layers[name] = LayerActivations(
                    layer.info,
                    layer.rows,
                    ids=ids if rows is None else ids[rows],
                    rows=rows,
                    sketch=layer.sketch_text,
                    pairs=layer.pairs,
                )
            run = RunInfo(
                layers={},
                ids=ids,
                labels=labels,
                label_names=label_names,
                thumbnails=self.samples.thumbnails(),
                columns={name.removeprefix("column:"): values for name, values in facts.items()},
                created=self._created,
                versions={"torch": torch.__version__, "numpy": np.__version__},
            )
            how = "given" if self.samples.have_ids else "order"
            return Activations(layers, run, {**meta, "ids": how})
