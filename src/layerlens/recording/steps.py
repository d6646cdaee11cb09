"""The steps of a timeline on disk: a store for each, and a list of those that count.

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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from layerlens.errors import StoreError
from layerlens.recording.activations import Activations

__all__ = ["StepFolder"]

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
        handle, name = tempfile.mkstemp(prefix=f".{_LIST}-", dir=self.root)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(told, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.root / _LIST)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def open(self) -> dict[int, Activations]:
        """Return what the steps hold; rows are read when they are asked for."""
        return {step: Activations.open(self.place(step)) for step in self.steps}
