"""The steps of a timeline, kept: in a folder, or as tensors in a training's checkpoint.

A folder has a store for each step, and a list of those that count:

    timeline/timeline.json      which steps there are, and how they were recorded
    timeline/000000100.zarr     a store as `Probe` writes it

A step is written beside its place, moved there when it is whole, and then listed: a step that was
broken off is none.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch

from layerlens.errors import StoreError
from layerlens.recording.activations import Activations, LayerActivations
from layerlens.recording.loss import PairSums
from layerlens.recording.rows import Rows
from layerlens.records import LayerInfo, RunInfo

__all__ = ["StepFolder", "of_state", "plain", "to_state", "whole_file"]

Array = npt.NDArray[Any]
Steps = dict[int, dict[str, LayerActivations]]

_FORMAT = 1
_LIST = "timeline.json"


class StepFolder:
    """A folder of steps.

    `how`: how they were recorded, as far as two steps must agree in it.

    Raises
    ------
    StoreError
        If something else lies there, or what a newer layerlens wrote.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.steps: list[int] = []
        self.how: dict[str, Any] = {}
        listed = self.root / _LIST
        if listed.is_file():
            self._read(listed)
        elif self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise StoreError(
                f"{str(self.root)!r} is no timeline: it has no {_LIST}. A timeline makes its "
                "folder itself; name one that is not there yet"
            )

    def _read(self, listed: Path) -> None:
        try:
            told = json.loads(listed.read_text(encoding="utf-8"))
            form, steps, how = told["format"], [int(step) for step in told["steps"]], told["how"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{str(listed)!r} is damaged: {error}") from error
        if form > _FORMAT:
            raise StoreError(
                f"{str(self.root)!r} has format {form}, and this layerlens reads up to {_FORMAT}: "
                "update it"
            )
        self.steps, self.how = sorted(steps), dict(how)

    def agree(self, how: Mapping[str, Any]) -> None:
        """Take up how steps are recorded.

        Raises
        ------
        StoreError
            If those that are there were recorded in another way.
        """
        plain = json.loads(json.dumps(how))
        other = {name for name in plain if self.how.get(name, plain[name]) != plain[name]}
        if self.steps and other:
            shown = "; ".join(
                f"{name} was {self.how[name]!r} and is {plain[name]!r}" for name in sorted(other)
            )
            raise StoreError(
                f"{str(self.root)!r} holds a timeline that was recorded in another way: {shown}. "
                "Give what was given then, or another folder"
            )
        self.how = plain

    def place(self, step: int) -> Path:
        """Return where a step lies."""
        return self.root / f"{step:09d}.zarr"

    def begin(self, step: int) -> Path:
        """Return where to write a step; what was broken off there before is removed."""
        self.root.mkdir(parents=True, exist_ok=True)
        beside = self.place(step).with_suffix(".part")
        if beside.exists():
            shutil.rmtree(beside)
        return beside

    def finish(self, step: int) -> Activations:
        """Put a step that is whole in its place, where another may be, and list it."""
        place = self.place(step)
        if place.exists():
            self.keep(one for one in self.steps if one != step)
            shutil.rmtree(place)
        place.with_suffix(".part").replace(place)
        self.keep({*self.steps, step})
        return Activations.open(place)

    def keep(self, steps: Iterable[int]) -> None:
        """List these steps and no others; the list appears whole."""
        self.steps = sorted(steps)
        told = {"format": _FORMAT, "steps": self.steps, "how": self.how}
        with whole_file(self.root / _LIST) as file:
            file.write(json.dumps(told, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())

    def open(self) -> dict[int, Activations]:
        """Return what the steps hold; rows are read when they are asked for."""
        return {step: Activations.open(self.place(step)) for step in self.steps}


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """Open a file to write, which appears under its name whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def to_state(recorded: Steps, run: RunInfo | None, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was recorded as ``torch.load(..., weights_only=True)`` reads it."""
    steps = {
        step: {name: _of_layer(layer) for name, layer in layers.items()}
        for step, layers in recorded.items()
    }
    facts: dict[str, Any] = {}
    if run is not None:
        facts = {
            "ids": _packed(run.ids),
            "labels": _packed(run.labels),
            "label_names": run.label_names and list(run.label_names),
            "thumbnails": _packed(run.thumbnails),
            "columns": {name: _packed(values) for name, values in run.columns.items()},
            "created": run.created,
            "versions": {str(k): str(v) for k, v in run.versions.items()},
        }
    return {"recorded": steps, "run": facts, "meta": plain(meta)}


def of_state(state: Mapping[str, Any]) -> tuple[Steps, RunInfo | None, dict[str, Any]]:
    """Return what `to_state` was given."""
    facts = state["run"]
    run = None
    if facts:
        run = RunInfo(
            layers={},
            ids=_unpacked(facts["ids"]),
            labels=_unpacked(facts["labels"]),
            label_names=facts["label_names"] and tuple(facts["label_names"]),
            thumbnails=_unpacked(facts["thumbnails"]),
            columns={name: _unpacked(values) for name, values in facts["columns"].items()},
            created=facts["created"],
            versions=facts["versions"],
        )
    recorded = {
        int(step): {name: _to_layer(one, run) for name, one in layers.items()}
        for step, layers in state["recorded"].items()
    }
    return recorded, run, dict(state["meta"])


def plain(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that are of plain types."""
    return {name: value for name, value in meta.items() if _is_plain(value)}


def _of_layer(layer: LayerActivations) -> dict[str, Any]:
    return {
        "info": {**asdict(layer.info), "output_shape": list(layer.info.output_shape)},
        "values": torch.from_numpy(np.array(layer)),
        "rows": _packed(layer.rows),
        "sketch": layer.sketch,
        "pairs": layer.pairs and layer.pairs.as_json(),
    }


def _to_layer(one: Mapping[str, Any], run: RunInfo | None) -> LayerActivations:
    rows = _unpacked(one["rows"])
    ids = run.ids if run is not None else np.arange(len(one["values"]))
    return LayerActivations(
        LayerInfo(**{**one["info"], "output_shape": tuple(one["info"]["output_shape"])}),
        Rows.of(one["values"].numpy()),
        ids=ids if rows is None else ids[rows],
        rows=rows,
        sketch=one["sketch"],
        pairs=PairSums.of_json(one["pairs"]) if one.get("pairs") else None,
    )


def _packed(values: Array | None) -> Any:
    """Return an array as a tensor, or a list where it holds text."""
    if values is None:
        return None
    return torch.from_numpy(values.copy()) if values.dtype.kind in "biuf" else values.tolist()


def _unpacked(values: Any) -> Any:
    if isinstance(values, torch.Tensor):
        return values.numpy()
    return None if values is None else np.asarray(values)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, str | int | float | bool)
