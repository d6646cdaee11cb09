"""A timeline in a training by Lightning: ``Trainer(callbacks=[TimelineCallback(timeline)])``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from layerlens.errors import PluginError

if TYPE_CHECKING:
    from layerlens.recording.timeline import Timeline

__all__ = ["TimelineCallback"]


def _callback_class() -> Any:
    for package in ("lightning.pytorch", "pytorch_lightning"):
        try:
            return importlib.import_module(package).Callback
        except ModuleNotFoundError as error:
            if error.name is None or not package.startswith(error.name):
                raise
    raise PluginError(
        "layerlens.integrations.lightning needs Lightning: pip install 'torch-layerlens[lightning]'"
    )


class TimelineCallback(_callback_class()):  # type: ignore[misc]
    """Steps a `Timeline` with the optimiser's steps, and keeps it in the checkpoints.

    It records before the first step too, if that is due. What is recorded goes into each
    checkpoint, and comes back where training is resumed from one.

    Parameters
    ----------
    timeline : Timeline
        Of the network, which is the `LightningModule` or a part of it.
    every_process : bool, default False
        Record in each process, and not in the first alone: needed where a forward takes all of
        them (FSDP).
    """

    def __init__(self, timeline: Timeline, *, every_process: bool = False) -> None:
        super().__init__()
        self.timeline = timeline
        self._every_process = every_process

    def _records(self, trainer: Any) -> bool:
        return self._every_process or bool(trainer.is_global_zero)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Record the untrained network, where step 0 is due."""
        first = trainer.global_step == 0 and not self.timeline.steps
        if first and self._records(trainer) and self.timeline.is_due(0):
            self.timeline.record()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a step, where the optimiser took one."""
        if trainer.global_step != self.timeline.count and self._records(trainer):
            self.timeline.step(trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """Return what goes into a checkpoint."""
        return self.timeline.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.timeline.load_state_dict(state_dict)
