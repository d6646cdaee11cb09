"""Several recordings of one kind, seen as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import ArgumentError
from layerlens.recording.activations import Activations, LayerActivations
from layerlens.recording.loss import PairSums
from layerlens.recording.rows import RowSource
from layerlens.recording.samples import Annotation, Samples
from layerlens.recording.storage.resume import differences
from layerlens.recording.thumbs import JoinedThumbnails, Thumbnails
from layerlens.records import RunInfo

__all__ = ["merged"]

Array = npt.NDArray[Any]
Places = npt.NDArray[np.int64]

_SAME = ("model", "n_parameters", "weights", "layers", "readout", "sketch", "call", "capture",
         "dtype", "random_state")  # fmt: skip


class MergedRows:
    """Rows of one layer that lie in several places.

    `parts`, `places`: (n_rows,), int64. In which of these each row is, and where there.
    """

    def __init__(self, sources: Sequence[RowSource], parts: Places, places: Places) -> None:
        self._sources = list(sources)
        self._parts = parts
        self._places = places

    @property
    def width(self) -> int:
        """Values in a row."""
        return self._sources[0].width

    @property
    def dtype(self) -> np.dtype[Any]:
        """Their dtype."""
        return self._sources[0].dtype

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self._places)

    @property
    def on_disk(self) -> bool:
        """Whether any of them are read from somewhere each time."""
        return any(source.on_disk for source in self._sources)

    def array(self, start: int, stop: int) -> Array:
        """Return rows as one array."""
        return self.take(np.arange(start, stop))

    def take(self, places: Places) -> Array:
        """Return the rows at some places, in that order."""
        rows = np.empty((len(places), self.width), self.dtype)
        parts, inside = self._parts[places], self._places[places]
        for part in np.unique(parts):
            here = parts == part
            rows[here] = self._sources[part].take(inside[here])
        return rows

    def consolidate(self) -> None:
        """Do nothing: rows stay where they are."""

    def watch(self, reader: Any) -> None:
        """Tell all sources of an object that reads from here."""
        for source in self._sources:
            source.watch(reader)

    def portable(self) -> Any:
        """Return what another process can read the rows from."""
        if any(isinstance(source.portable(), np.ndarray) for source in self._sources):
            return self.array(0, self.count)
        return self


def merged(
    parts: Sequence[Activations], *, ids_are_known: bool = False, complete: bool = True
) -> Activations:
    """Return several activations as one; see `Activations.merge`."""
    _check(parts, ids_are_known=ids_are_known)
    samples = Samples()
    for part in parts:
        samples.add(part.n_samples, Annotation(_facts(part)))
    facts = samples.facts()
    _, first = np.unique(facts["ids"], return_index=True)
    shown = [(part.n_samples, part.thumbnails) for part in parts]
    thumbnails: Any = None
    if any(pictures is not None for _, pictures in shown):
        thumbnails = JoinedThumbnails(shown, first)
        if not any(isinstance(pictures, Thumbnails) for _, pictures in shown):
            thumbnails = np.asarray(thumbnails)
    # where the sample of each row of all parts is in the whole; -1 where another part has it
    position = np.full(samples.count, -1)
    position[first] = np.arange(len(first))
    starts = np.cumsum([0, *(part.n_samples for part in parts)])
    skipped = {k: v for part in parts for k, v in dict(part.meta.get("skipped", {})).items()}
    names = dict.fromkeys(name for part in parts for name in part)
    ids = facts.pop("ids")[first]
    layers = {
        name: _layer(name, parts, starts, position, ids) for name in names if name not in skipped
    }
    run = parts[0].run
    labels = facts.pop("labels", None)
    whole = RunInfo(
        layers={},
        ids=ids,
        labels=None if labels is None else labels[first],
        label_names=run.label_names,
        thumbnails=thumbnails,
        columns={k.removeprefix("column:"): v[first] for k, v in facts.items()},
        created=min(part.run.created for part in parts),
        versions=run.versions,
    )
    meta = {k: v for k, v in parts[0].meta.items() if k not in ("rank", "store")}
    meta["skipped"] = skipped
    meta["stores"] = [store for part in parts for store in part.meta.get("stores", ())]
    meta["complete"] = complete and all(part.meta.get("complete", True) for part in parts)
    return Activations(layers, whole, meta)


def _facts(part: Activations) -> dict[str, Array]:
    facts = {"ids": part.ids}
    if part.labels is not None:
        facts["labels"] = part.labels
    return facts | {f"column:{name}": values for name, values in part.columns.items()}


def _layer(
    name: str, parts: Sequence[Activations], starts: Array, position: Array, ids: Array
) -> LayerActivations:
    """Return one layer of all parts, in the order of the whole."""
    have = [(number, part[name]) for number, part in enumerate(parts) if name in part]
    owner, inside, where = [], [], []
    for place, (number, layer) in enumerate(have):
        rows = np.arange(len(layer)) if layer.rows is None else layer.rows
        there = position[starts[number] + rows]
        kept = np.flatnonzero(there >= 0)
        owner.append(np.full(len(kept), place))
        inside.append(kept)
        where.append(there[kept])
    order = np.argsort(np.concatenate(where), kind="stable")
    rows = np.concatenate(where)[order]
    source = MergedRows(
        [layer.source for _, layer in have],
        np.concatenate(owner)[order],
        np.concatenate(inside)[order],
    )
    is_whole = len(rows) == len(ids)
    first = have[0][1]
    return LayerActivations(
        replace(first.info),
        source,
        ids=ids if is_whole else ids[rows],
        rows=None if is_whole else rows,
        sketch=first.sketch,
        pairs=_pairs([layer for _, layer in have]),
    )


def _pairs(layers: Sequence[LayerActivations]) -> PairSums | None:
    """Return the sums over all parts, for those that have any."""
    known = [layer.pairs for layer in layers if layer.pairs is not None]
    return sum(known, PairSums()) if known else None


def _check(parts: Sequence[Activations], *, ids_are_known: bool) -> None:
    if not parts:
        raise ArgumentError("merge: there are no parts; pass a list of activations")
    first = _spec(parts[0])
    for number, part in enumerate(parts[1:], 2):
        here = _spec(part)
        common = first.keys() & here.keys()
        differ = differences(
            {k: first[k] for k in first if k in common}, {k: here[k] for k in first if k in common}
        )
        if differ:
            raise ArgumentError(
                f"merge: part {number} does not go with part 1: it differs in {'; '.join(differ)}"
            )
        for name in part:
            if name in parts[0]:
                _check_layer(name, number, parts[0][name], part[name])
    kinds = {"text" if part.ids.dtype.kind == "U" else "numbers" for part in parts}
    if len(kinds) > 1:
        raise ArgumentError("merge: ids are text in some parts and numbers in others")
    numbered = [_is_numbered(part) for part in parts]
    if not ids_are_known and len(parts) > 1 and any(numbered):
        raise ArgumentError(
            f"merge: the samples of part {numbered.index(True) + 1} have no ids of their own, only "
            "numbers in the order of its run, so nothing tells them from other parts' samples. "
            "Pass ids in the batches (or to annotate), or record with rank= and world_size="
        )


def _spec(part: Activations) -> dict[str, Any]:
    return {name: part.meta[name] for name in _SAME if name in part.meta}


def _is_numbered(part: Activations) -> bool:
    how = part.meta.get("ids")
    if how is not None:
        return bool(how != "given")
    return part.ids.dtype.kind in "iu" and np.array_equal(part.ids, np.arange(part.n_samples))


def _check_layer(name: str, number: int, first: LayerActivations, here: LayerActivations) -> None:
    def said(layer: LayerActivations) -> Mapping[str, Any]:
        return {"width": layer.dim, "kept": layer.shape[1], "sketch": layer.sketch,
                "dtype": str(layer.dtype)}  # fmt: skip

    differ = differences(said(first), said(here))
    if differ:
        raise ArgumentError(
            f"merge: layer {name!r} of part {number} differs from part 1's in {'; '.join(differ)}"
        )
