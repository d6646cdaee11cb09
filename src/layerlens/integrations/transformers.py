"""A timeline in a training by transformers: ``Trainer(callbacks=[TimelineCallback(timeline)])``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlens.errors import PluginError

if TYPE_CHECKING:
    from layerlens.recording.timeline import Timeline

__all__ = ["TimelineCallback"]

_FILE = "timeline.pt"


def _callback_class() -> Any:
    try:
        return importlib.import_module("transformers").TrainerCallback
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise PluginError(
            "layerlens.integrations.transformers needs transformers and accelerate: "
            "pip install 'torch-layerlens[trainer]'"
        ) from error


class TimelineCallback(_callback_class()):  # type: ignore[misc]
    """Steps a `Timeline` with the optimiser's steps, and keeps it in the checkpoints.

    It records before the first step too, if that is due. What is recorded is written into each
    checkpoint's folder as ``timeline.pt``, and read again where training is resumed from one.

    Parameters
    ----------
    timeline : Timeline
        Of the model that is trained, or a part of it.
    every_process : bool, default False
        Record in each process, and not in the first alone: needed where a forward takes all of
        them (FSDP).
    """

    def __init__(self, timeline: Timeline, *, every_process: bool = False) -> None:
        self.timeline = timeline
        self._every_process = every_process

    def _records(self, state: Any) -> bool:
        return self._every_process or bool(state.is_world_process_zero)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Record the untrained model where step 0 is due, or go on from a checkpoint."""
        kept = _checkpoint(args, state) / _FILE
        if state.global_step and kept.exists():
            self.timeline.load(kept)
        elif not state.global_step and self.timeline.is_due(0) and self._records(state):
            self.timeline.record()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count a step of the optimiser."""
        if self._records(state):
            self.timeline.step(state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the timeline beside the checkpoint."""
        folder = _checkpoint(args, state)
        if state.is_world_process_zero and folder.is_dir():
            self.timeline.save(folder / _FILE)


def _checkpoint(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"
