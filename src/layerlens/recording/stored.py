"""The record of a run as it grows on disk.

The same as the record in memory, but for where rows go. A record that goes on knows the layers that
it had, and drops the samples that it has when they come by again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import StoreError
from layerlens.recording.directions import DirectionSketch
from layerlens.recording.loss import PairSums
from layerlens.recording.meter import PairMeter
from layerlens.recording.record import Recording
from layerlens.recording.recorded import RecordedLayer
from layerlens.recording.samples import Annotation
from layerlens.recording.storage.arrays import StoredArray
from layerlens.recording.storage.columns import THUMBNAILS
from layerlens.recording.storage.tree import Entry
from layerlens.recording.storage.writer import LayerRows, LayerState, StoreWriter
from layerlens.records import LayerInfo

__all__ = ["StoredRecord", "info_of", "pairs_of"]

Array = npt.NDArray[Any]


class StoredRecord(Recording[LayerRows]):
    """Rows of all layers of one run, on disk."""

    def __init__(
        self, writer: StoreWriter, *, sketch: str | int | None, dtype: str, random_state: int
    ) -> None:
        super().__init__(sketch=sketch, dtype=dtype, random_state=random_state)
        self.writer = writer
        self.about: dict[str, Any] = dict(writer.manifest.about)
        self.skipped: Mapping[str, str] = dict(self.about.get("skipped", {}))
        """Layers that are left out, and why; the owner may put a growing mapping here."""
        self.samples.count = writer.rows
        self._position = 0
        self._batches = [list(run) for run in writer.manifest.batches]
        matrices = {entry.name: entry for entry in writer.manifest.sketches}
        if writer.manifest.rows or matrices:
            self._waiting = None  # directions are known
        else:
            self.about.pop("fitted", None)
        for entry in writer.manifest.layers:
            info = info_of(entry)
            made = self._sketch_of(info, entry.facts.get("signs"))
            if isinstance(made, DirectionSketch):
                there = matrices[entry.name]
                matrix = StoredArray(writer.folder, there).read(0, there.rows)
                made.load(matrix, int(there.facts["fitted"]))
            spans = entry.facts.get("spans", [[0, entry.rows]] if entry.rows else [])
            self.layers[entry.name] = RecordedLayer(
                info,
                writer.restored(entry),
                made,
                order=len(self.layers),
                spans=[(a, b) for a, b in spans],
                meter=PairMeter(entry.facts.get("pairs")),
            )

    def _new_rows(self, name: str, width: int) -> LayerRows:
        self.writer.expected = self.expected
        return LayerRows(width, np.dtype(self._dtype))

    @property
    def position(self) -> int:
        """How many samples of the stream of batches have gone by, those skipped among them."""
        return self._position + sum(one.batch for one in self._waiting or ())

    def settle(self) -> None:
        """Fit directions on the rows that wait, however few, and let all of them count."""
        if self._waiting and self.bytes_waiting:
            self.about["fitted"] = self.n_waiting
        super().settle()

    def _check_fit(self, rows: int) -> None:
        """Refuse rows behind those that directions were fitted on, where these were too few."""
        fitted = self.about.get("fitted", self._to_fit)
        if fitted < min(rows, self._to_fit):
            raise StoreError(
                f"{str(self.writer.folder.root)!r} ended with {fitted} samples, on which "
                f"sketch={self._sketch!r} fitted its directions; with more samples it would have "
                f"taken {self._to_fit}. Record all of them to another path"
            )

    def whole_batches(self) -> int:
        """Return how many of the first batches are recorded whole."""
        found = start = 0
        for size, _, times in self._batches:
            fit = min(times, (self.writer.rows - start) // size) if size else times
            found += fit
            start += size * fit
            if fit < times:
                break
        return found

    def known_indices(self) -> npt.NDArray[np.int64] | None:
        """Return the places in the data set of the samples that are recorded, where known."""
        manifest = self.writer.manifest
        for entry in manifest.samples:
            if entry.name == "index" and entry.rows:
                return StoredArray(self.writer.folder, entry).read(0, entry.rows)
        return None

    def skip(self, n_batches: int) -> list[int]:
        """Note that so many of the first batches will not come by; return how much each gave."""
        position = 0
        given: list[int] = []
        for size, of, times in self._batches:
            passed = min(times, n_batches - len(given))
            position += size * passed
            given += [of] * passed
        self._position = position
        return given

    def _commit(self, batch: int, annotation: Annotation | None, keep: int) -> None:
        """Count the batch under way, or its first `keep` samples, but for those recorded before."""
        base = self._position
        self._note_batch(base, batch)
        front = min(max(0, self.writer.rows - base), keep)
        self._arrivals.land()
        self._count_looked(keep)
        indices, self.indices = self.indices, None
        if front == keep:
            self.drop()
            self._position += batch
            return
        self._check_fit(base + keep)
        stops = {name: min(len(rows), keep) for name, rows in self._arrivals.rows.items()}
        old = [name for name in stops if self.layers[name].rows.array is not None]
        new = [(name, self.layers[name].rows) for name in stops if name not in old]
        self.writer.expected = self.expected
        self.writer.begin_layers(new, front, stops)
        for name, _ in new:
            made = self.layers[name].sketch
            if isinstance(made, DirectionSketch) and made.matrix is not None:
                self.writer.put_sketch(name, made.matrix, made.n_fitted)
        for name in old:
            self.layers[name].rows.commit(stops[name], front)
        for name, stop in stops.items():
            self.layers[name].note_span(base + front, base + stop)
        self._arrivals.clear()
        facts = _facts(annotation, indices, batch)
        self.writer.add_samples(keep - front, {k: v[front:keep] for k, v in facts.items()})
        self.samples.count = self.writer.rows
        self._position += batch
        if self.writer.is_due:
            self.save()

    def _note_batch(self, base: int, size: int) -> None:
        """Note a batch's size; where it was recorded before, it must be the same."""
        start = 0
        for known, _, times in self._batches:
            if base < start + known * times:
                if size == known and (base - start) % known == 0:
                    return
                raise StoreError(
                    f"{str(self.writer.folder.root)!r}: the batch from sample {base} on had "
                    f"{known} samples when it was recorded, and now has {size}. To go on, pass the "
                    "same batches"
                )
            start += known * times
        given = size if self.given is None else self.given
        if self._batches and self._batches[-1][:2] == [size, given]:
            self._batches[-1][2] += 1
        else:
            self._batches.append([size, given, 1])

    def save(
        self,
        *,
        everything: bool = False,
        complete: bool = False,
        limit: int | None = None,
    ) -> None:
        """Commit; for the parameters see `StoreWriter.commit`."""
        gone = [self.layers.pop(name).rows for name in self.skipped if name in self.layers]
        self.about["skipped"] = dict(self.skipped)
        ordered = sorted(self.layers.values(), key=lambda layer: layer.order)
        self.writer.commit(
            [LayerState(layer.rows, layer.spans, _layer_facts(layer)) for layer in ordered],
            about=self.about,
            batches=[(size, given, times) for size, given, times in self._batches],
            dropped=gone,
            everything=everything,
            complete=complete,
            limit=limit,
        )

    def finish(self, limit: int | None) -> None:
        """Commit all, as complete, and let the store go.

        Raises
        ------
        StoreError
            If something could not be written.
        """
        try:
            self.settle()
            self.save(everything=True, complete=True, limit=limit)
        finally:
            self.writer.close()

    def abandon(self, error: BaseException | None) -> None:
        """Keep what whole batches there are, after a failure, and let the store go."""
        try:
            try:
                if self.writer.rows > self.writer.manifest.rows:
                    self.save(everything=True)
            finally:
                self.writer.close()
        except Exception as further:
            if error is None:
                raise
            if further.args != error.args:  # else it is the failed write that ended the recording
                error.add_note(f"the store, too, could not be brought to an end: {further}")


def _facts(
    annotation: Annotation | None, indices: list[int] | None, batch: int
) -> dict[str, Array]:
    """Return what is known of a batch's samples, by the names that a store has for it."""
    facts = {} if annotation is None else dict(annotation.facts)
    if annotation is not None and annotation.thumbnails is not None:
        facts[THUMBNAILS] = annotation.thumbnails
    if indices is not None and len(indices) == batch:
        facts["index"] = np.array(indices, np.int64)
    return facts


def _layer_facts(layer: RecordedLayer[LayerRows]) -> dict[str, Any]:
    info = layer.info
    measured = {} if layer.sketch is None else {"pairs": layer.meter.as_json()}
    handed = {} if layer.signs in (None, info.name) else {"signs": layer.signs}
    return {
        **measured,
        **handed,
        "module_type": info.module_type,
        "dim": info.dim,
        "output_shape": list(info.output_shape),
        "output_path": info.output_path,
        "readout": info.readout,
        "sketch": layer.sketch_text,
    }


def info_of(entry: Entry) -> LayerInfo:
    """Return what a store says of a layer."""
    facts = entry.facts
    return LayerInfo(
        entry.name,
        module_type=str(facts["module_type"]),
        dim=int(facts["dim"]),
        width=entry.shape[0],
        output_shape=tuple(int(side) for side in facts["output_shape"]),
        output_path=str(facts["output_path"]),
        readout=str(facts["readout"]),
    )


def pairs_of(entry: Entry) -> PairSums | None:
    """Return what a store says of a sketch's pairs; None without a sketch, or in older stores."""
    pairs = entry.facts.get("pairs")
    return None if pairs is None else PairMeter(pairs).of_rows(entry.rows)
