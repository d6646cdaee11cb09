"""Training time as an axis: the same samples through the model, every so many steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import nn

from layerlens.errors import ArgumentError, RecordingError, ShapeError, StoreError
from layerlens.recording import feeding
from layerlens.recording.activations import Activations, LayerActivations
from layerlens.recording.probe import Probe
from layerlens.recording.rows import Rows
from layerlens.recording.steps import StepFolder, of_state, plain, to_state, whole_file
from layerlens.records import RunInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layerlens.recording.readout import ReadoutSpec
    from layerlens.recording.selection import Selector

__all__ = ["Timeline"]

_FORMAT = 1


class Timeline:
    """Record the same samples again and again while a model is trained.

    A recording changes nothing of the training: it runs without gradients, in eval mode, and the
    random state is put back. A layer of step 100 is called ``conv1@100``; `reduce` keeps the
    pictures comparable along the depth and along the steps.

    Parameters
    ----------
    model : torch.nn.Module
        The model that is trained. Of a model wrapped in DDP, the one inside (``ddp.module``).
    samples : iterable, Tensor, (X, y), or Dataset
        Batches, as `Probe.run` takes them. They are read once, now, and kept, so that every
        recording is of the same samples in the same order.
    layers : str, type, module, callable, or iterable of these
        See `Probe`.
    every : int or collection of int, default 1
        Record when the count of steps is a multiple of it, or one of these.
    readout, sketch, call, dtype, random_state
        See `Probe`. Sketches are the same in all steps, so that distances are comparable; only
        the directions of ``"pca:W"`` are fitted in each step anew.
    store : str, path-like or None, default None
        A folder to record to, in place of memory; a checkpoint then holds the count alone. What
        lies there from before a break is taken up. A new training wants a new folder, and one
        process alone records to it.
    forward : callable, optional
        See `Probe.run`.

    Attributes
    ----------
    count : int
        How many steps were counted.
    steps : list of int
        Steps that are recorded.
    activations : Activations
        What was recorded, all layers of the first step, then those of the next.

    Raises
    ------
    ArgumentError
        If `every` is neither, or an argument of `Probe`'s is wrong.
    RecordingError
        If there are no samples.
    StoreError
        If something else lies where `store` is, or a timeline recorded in another way.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> timeline = Timeline(model, torch.zeros(6, 4), layers=nn.Linear, every=10)
    >>> timeline.record()  # before the first step
    >>> for _ in range(20):
    ...     _ = timeline.step()  # after each
    >>> timeline.steps
    [0, 10, 20]
    >>> list(timeline.activations)
    ['0@0', '2@0', '0@10', '2@10', '0@20', '2@20']
    """

    def __init__(
        self,
        model: nn.Module,
        samples: Any,
        layers: Selector = "*",
        *,
        every: int | Collection[int] = 1,
        readout: ReadoutSpec = "flatten",
        sketch: str | int | None = "auto",
        call: str = "each",
        dtype: str = "float32",
        forward: Callable[[nn.Module, Any], Any] | None = None,
        store: str | os.PathLike[str] | None = None,
        random_state: int = 0,
    ) -> None:
        if isinstance(every, int | np.integer) and not isinstance(every, bool):
            if every < 1:
                raise ArgumentError(f"every is a number of steps, 1 or more; got {every}")
            self._period, self._chosen = int(every), frozenset[int]()
        elif isinstance(every, Collection) and all(isinstance(one, int) for one in every):
            self._period, self._chosen = 0, frozenset(every)
        else:
            raise ArgumentError(
                f"every is a number of steps, or a collection of steps to record; got {every!r}"
            )
        self._options: dict[str, Any] = {
            "layers": layers,
            "readout": readout,
            "sketch": sketch,
            "call": call,
            "dtype": dtype,
            "random_state": random_state,
        }
        Probe(model, **self._options)  # a mistyped name fails here and not in the training
        self.model = model
        self._forward = forward
        self._label_names = feeding.class_names(samples)
        with _random_state_kept(model):
            self._batches = list(feeding.as_batches(samples))
        if not self._batches:
            raise RecordingError("samples is empty: a timeline is of at least one batch")
        self.count = 0
        self._recorded: dict[int, dict[str, LayerActivations]] = {}
        self._run: RunInfo | None = None
        self._meta: dict[str, Any] = {}
        self._store: StepFolder | None = None
        if store is not None:
            self._store = StepFolder(store)
            self._store.agree(
                {
                    "model": type(model).__name__,
                    **{name: str(self._options[name]) for name in ("sketch", "call", "dtype")},
                    "readout": readout if isinstance(readout, str) else "of your own",
                    "random_state": random_state,
                }
            )
            self._take_up(self._store.open())
            self.count = max(self.steps, default=0)

    @staticmethod
    def open(path: str | os.PathLike[str]) -> Activations:
        """Return what a timeline recorded to a folder, without its model.

        Parameters
        ----------
        path : str or path-like
            What was given as ``store=``.

        Returns
        -------
        Activations
            As `activations`; rows are read when they are asked for.

        Raises
        ------
        StoreError
            If there is no timeline, or a damaged one.
        RecordingError
            If nothing is recorded yet.
        """
        if not Path(path).is_dir():
            raise StoreError(f"there is no timeline at {str(path)!r}")
        folder = StepFolder(path)
        opened = folder.open()
        first = next(iter(opened.values()), None)
        run = None if first is None else first.run
        meta = {} if first is None else plain(first.meta)
        recorded = {step: dict(acts) for step, acts in opened.items()}
        return _series(recorded, run, meta, folder)

    @property
    def steps(self) -> list[int]:
        """Steps that are recorded, in order."""
        return sorted(self._recorded)

    def is_due(self, step: int) -> bool:
        """Tell whether a step is one to record."""
        return step % self._period == 0 if self._period else step in self._chosen

    def step(self, step: int | None = None) -> bool:
        """Count one step of the training, and record where it is due.

        Parameters
        ----------
        step : int, optional
            The number of steps that are done, where somebody else counts them.

        Returns
        -------
        bool
            Whether it was recorded.
        """
        self.count = self.count + 1 if step is None else int(step)
        if not self.is_due(self.count):
            return False
        self.record()
        return True

    def record(self) -> None:
        """Record now, whatever the step; a second time at one step replaces the first.

        Raises
        ------
        ShapeError
            If there are other samples than at the first step.
        """
        options = dict(self._options)
        if self._store is not None:
            # of a training by many processes one records, and its record is the whole one
            options |= {"store": self._store.begin(self.count), "rank": 0, "world_size": 1}
        probe = Probe(self.model, **options)
        with _random_state_kept(self.model, seed=int(self._options["random_state"])):
            acts = probe.run(self._batches, forward=self._forward)
        run = replace(acts.run, layers={}, label_names=self._label_names)
        if self._run is None:
            self._run, self._meta = run, dict(acts.meta)
        elif not np.array_equal(run.ids, self._run.ids):
            raise ShapeError(
                f"step {self.count} has {run.n_samples} samples and the first recorded step "
                f"{self._run.n_samples}, or other ids: a timeline is of the same samples throughout"
            )
        if self._store is not None:
            acts = self._store.finish(self.count)
        self._recorded[self.count] = dict(acts)

    def _take_up(self, opened: Mapping[int, Activations]) -> None:
        """Go on from steps that lie on disk."""
        self._recorded = {step: dict(acts) for step, acts in opened.items()}
        first = next(iter(opened.values()), None)
        if first is None:
            self._run, self._meta = None, {}
        else:
            self._run = replace(first.run, layers={}, label_names=self._label_names)
            self._meta = plain(first.meta)

    @property
    def activations(self) -> Activations:
        """What was recorded, with names such as ``conv1@100``, step after step.

        Raises
        ------
        RecordingError
            If nothing is recorded yet.
        """
        return _series(self._recorded, self._run, self._meta, self._store)

    def __repr__(self) -> str:
        steps = ", ".join(map(str, self.steps[:8])) + (", ..." if len(self.steps) > 8 else "")
        return (
            f"Timeline of {type(self.model).__name__}: at step {self.count}, recorded "
            f"{len(self.steps)} ({steps or 'none'})"
        )

    # --- going on after a break --------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed training needs, of tensors and plain types only.

        It goes into the training's checkpoint; ``torch.load(..., weights_only=True)`` reads it.
        With a store it holds no records: which steps there were, and the count.
        """
        if self._store is not None:
            return {"format": _FORMAT, "count": self.count, "stored": self.steps, "recorded": {}}
        state = to_state(self._recorded, self._run, self._meta)
        return {"format": _FORMAT, "count": self.count, **state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: its count and its records in place of those that are here.

        With a store, steps that were recorded after the state are forgotten, and are recorded
        again when training comes to them.

        Raises
        ------
        StoreError
            If it is no state of a timeline, of a newer layerlens, or its records lie elsewhere.
        """
        if not isinstance(state, Mapping) or "recorded" not in state:
            raise StoreError("this is no state of a Timeline: it has no entry 'recorded'")
        if state["format"] > _FORMAT:
            raise StoreError(
                f"this state of a Timeline has format {state['format']}, and this layerlens reads "
                f"up to {_FORMAT}: update it"
            )
        if ("stored" in state) != (self._store is not None):
            raise StoreError(
                "the records of this state lie in a store: make the Timeline with store=, the "
                "folder that they lie in"
                if self._store is None
                else "this state holds its records itself: make the Timeline without store="
            )
        if self._store is not None:
            self._go_back(self._store, state)
            return
        recorded, run, meta = of_state(state)
        self.count = int(state["count"])
        self._run, self._recorded, self._meta = run, recorded, meta

    def _go_back(self, store: StepFolder, state: Mapping[str, Any]) -> None:
        wanted = [int(step) for step in state["stored"]]
        missing = [step for step in wanted if step not in store.steps]
        if missing:
            raise StoreError(
                f"{str(store.root)!r} does not hold the steps {missing[:8]} of this state: it is "
                "another timeline's, or files were lost"
            )
        if wanted != store.steps:
            store.keep(wanted)
        self._take_up(store.open())
        self.count = int(state["count"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file, which appears whole or not at all."""
        with whole_file(Path(path)) as file:
            torch.save(self.state_dict(), file)

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Read a state that `save` wrote, and return this timeline.

        Raises
        ------
        StoreError
            If the file is no state of a timeline.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise StoreError(
                f"{path} cannot be read as the state of a Timeline: {error}"
            ) from error
        self.load_state_dict(state)
        return self


def _series(
    recorded: Mapping[int, Mapping[str, LayerActivations]],
    run: RunInfo | None,
    meta: Mapping[str, Any],
    folder: StepFolder | None,
) -> Activations:
    """Return all layers of the first step, then those of the next."""
    if run is None:
        raise RecordingError(
            "nothing is recorded yet: call timeline.record(), or timeline.step() as often as "
            "every= says"
        )
    layers = {}
    for step in sorted(recorded):
        for name, layer in recorded[step].items():
            titled = f"{name}@{step}"
            source = layer.source
            layers[titled] = LayerActivations(
                replace(layer.info, name=titled, step=step),
                source if source.on_disk else Rows.of(np.asarray(layer)),
                ids=layer.ids,
                rows=layer.rows,
                sketch=layer.sketch,
                pairs=layer.pairs,
            )
    told = {**meta, "steps": sorted(recorded)}
    if folder is not None:
        told["store"] = str(folder.root)
        told["stores"] = [str(folder.place(step)) for step in sorted(recorded)]
    return Activations(layers, run, told)


@contextmanager
def _random_state_kept(model: nn.Module, seed: int | None = None) -> Iterator[None]:
    """Put the random state of the CPU, and of the devices of a model, back afterwards.

    With a seed, a model that draws in eval mode too draws the same every time.
    """
    devices = {p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(devices)):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
            for device in devices:
                torch.cuda.default_generators[device].manual_seed(seed)
        yield
