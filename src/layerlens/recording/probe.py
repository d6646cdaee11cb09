"""The probe: hooks on, records out, hooks off."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, cast

import torch
from torch import nn

from layerlens import _options
from layerlens.errors import ArgumentError, RecordingError
from layerlens.progress import Progress
from layerlens.recording import feeding
from layerlens.recording.activations import Activations
from layerlens.recording.arguments import parse_size
from layerlens.recording.asked import Asked, say_what_is_left_out
from layerlens.recording.fingerprint import versions
from layerlens.recording.hooks import hooked
from layerlens.recording.inmemory import Record
from layerlens.recording.loading import traced
from layerlens.recording.memory import budget
from layerlens.recording.opening import open_store
from layerlens.recording.passes import Forward, drive
from layerlens.recording.readout import ReadoutSpec
from layerlens.recording.record import Recording
from layerlens.recording.samples import Annotation
from layerlens.recording.selection import Selector
from layerlens.recording.sketch import directions_of
from layerlens.recording.stored import StoredRecord
from layerlens.recording.storing import Store, StoredRun, ranks_of

__all__ = ["Probe"]

_RUN: dict[str, _options.Check] = {
    "progress": _options.flag,
    "limit": _options.whole(or_none=True),
    "forward": _options.function,
    "stop_early": _options.flag,
}


class Probe:
    """Record what the layers of a model put out, one row a sample.

    The model runs as it always does, in your own loop or through `run`; its outputs, gradients,
    buffers, random state and mode are the same as without a probe. Values are read and copied
    inside the hook, so an operation that changes an output in place afterwards changes nothing
    of what was recorded, and no graph is kept.

    Parameters
    ----------
    model : torch.nn.Module
        Any model, on any device. A model that was compiled runs uncompiled while the probe is
        open, since `torch.compile` ignores hooks that come after it.
    layers : str, type, module, callable, or iterable of these, default "*"
        What to record: a glob over the names of ``model.named_modules()`` (``*`` also matches
        dots), a module type, a module, a predicate ``(name, module) -> bool``, or a list of
        these. ``"*"`` is every leaf module, and every other module that puts out a tensor
        which no module inside of it put out last: residual blocks count, a plain `Sequential`
        does not. ``"input"`` is the model's own input. A further tensor of an output that is a
        structure is reached as ``"name[1]"`` or ``'name["aux"]'``; otherwise the first floating
        one is taken. ``"op:add"`` are operations that are no modules (``x + y``), ``"op:*"`` all
        of them; they are called after the module in which they happen: ``"block/add"``,
        ``"block/add:1"``.
    readout : str, callable, or mapping, default "flatten"
        How an output becomes a row of D values. ``"flatten"``: all values. ``"pool"`` and
        ``"max"``: the mean or maximum over all positions, one value a channel. ``"token:K"``:
        the K-th token of (batch, tokens, channels). ``"mean_token"``, ``"cls"`` and
        ``"last_token"``: the mean over the tokens, the first and the last of them, by the
        attention or padding mask that the model was called with, on whichever side the padding is.
        ``"tokens"`` or a `PerToken`: every token is a sample. A callable ``(Tensor) -> (B, D)``. A
        mapping of globs to these: the first glob that matches a layer's name counts.
    sketch : "auto", int, "pca:W" or None, default "auto"
        ``"auto"``: rows wider than 4,096 are sketched to 2,048 values, which keep distances
        (`layerlens.recording.sketch`). A width: rows wider than it are sketched to it.
        ``"pca:512"``: rows wider than 512 become 512 values along directions that are fitted on
        the first 1,024 rows (or twice the width), which are kept back until then
        (`layerlens.recording.directions`); not for ranks. None: rows as they are.
    call : {"each", "last"}, default "each"
        A module that is called k times in one forward is recorded as ``name``, ``name:1``, …, or
        only its last call is.
    capture : {"output", "input"}, default "output"
        Record what modules put out, or what goes into them (then ``"*"`` is the leaf modules).
    dtype : {"float32", "float16", "float64"}, default "float32"
        Of the rows.
    store : str, path-like, Store or None, default None
        A folder to record to, as a Zarr v3 tree; None keeps records in memory. The same recording
        into the same folder goes on where the last commit ended, and what comes out is byte for
        byte what it would have been. A `Store` has options.
    random_state : int, default 0
        Seed of the sketches. Records of one seed fit together.
    memory_limit : int, str or None, default "auto"
        How large a record in memory may become, such as ``"8 GiB"``; None does not ask. What it
        will have is estimated before the first batch is kept, where the number of samples is
        known. ``"auto"``: half of what is available when the recording begins.
    rank, world_size : int, optional
        Which part of a recording to disk this process makes, of how many; without them the
        environment's ``RANK`` and ``WORLD_SIZE``, which torchrun sets. Each rank writes to a
        folder of its own in the store, and `Activations.open` sees one run: samples in the order
        of their ids, those that a distributed sampler gave twice once. Ids that batches do not
        bring are places in the data set, where a `torch.utils.data.DataLoader` tells them.

    Attributes
    ----------
    layers : list of str
        Names of the layers recorded so far, in the order of the first call.
    activations : Activations
        What was recorded so far.

    Raises
    ------
    LayerSelectionError
        If a selector matches nothing.
    ArgumentError
        If an argument is not one of those above.
    RecordingError
        If the model takes no hooks (TorchScript).
    StoreError
        On entering or running: if the store cannot be written to, holds another recording (the
        message names what differs), is being written by another one, or a write fails. What was
        committed is whole in any case.

    Notes
    -----
    Each ``with`` block starts a new record in memory; with ``store=`` it goes on with the one that
    is there. Calls count in the thread that opened the block, so
    threads that run one model record each its own.

    A batch is one forward of the model. Where only parts of the model are called
    (``model.encoder(x)``), call `annotate` before each batch, without arguments if there is
    nothing to say, or put the probe on that part.

    `torch.nn.TransformerEncoder` has a fused path for inference which PyTorch leaves while any
    hook is on it; its outputs then differ by rounding.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> with Probe(model) as probe:
    ...     for batch in torch.zeros(6, 4).split(3):
    ...         _ = model(batch)
    >>> probe.layers
    ['0', '1', '2']
    >>> probe.activations["0"].shape
    (6, 8)
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Selector = "*",
        *,
        readout: ReadoutSpec = "flatten",
        sketch: str | int | None = "auto",
        call: str = "each",
        capture: str = "output",
        dtype: str = "float32",
        store: str | os.PathLike[str] | Store | None = None,
        random_state: int = 0,
        memory_limit: int | str | None = "auto",
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        self._asked = Asked(
            model, layers, readout=readout, sketch=sketch, call=call, capture=capture, dtype=dtype,
            random_state=random_state,
        )  # fmt: skip
        self._store = Store.of(store)
        self._ranks = ranks_of(self._store, rank, world_size)
        if self._ranks is not None and directions_of(sketch) is not None:
            raise ArgumentError(
                f"sketch={sketch!r} fits directions on the first rows of a recording, and each "
                f"of {self._ranks[1]} ranks would have others, whose rows do not go together; "
                f"pass a width, sketch={directions_of(sketch)}, or record with one process"
            )
        self._memory_is_auto = isinstance(memory_limit, str) and memory_limit == "auto"
        self._memory_limit: int | None = None
        if memory_limit is not None and not self._memory_is_auto:
            self._memory_limit = parse_size("memory_limit", memory_limit)
        self.model = model
        self._stack: ExitStack | None = None
        self._limit: int | None = None
        self._reached_limit = False
        self._run_to_store: StoredRun | None = None
        self._begin(previous=None)

    def _begin(self, previous: Recording[Any] | None) -> None:
        """Make a new record in memory, and what takes the layers into it."""
        self._found = self._asked.find()
        record = Record(
            **self._asked.of_rows,
            previous=previous if isinstance(previous, Record) else None,
            memory_limit=budget() if self._memory_is_auto else self._memory_limit,
        )
        self._capture = self._asked.capture(self._found, record)
        self._label_names: tuple[str, ...] | None = None

    def __enter__(self) -> Self:
        if self._stack is not None:
            raise RecordingError("this probe is open already; to nest probes, make a second one")
        self._begin(previous=self._capture.record)
        if self._store is not None:
            self._go_on(self._store)
        try:
            with ExitStack() as stack:
                hooks = stack.enter_context(hooked(self.model, self._asked.model, hidden=True))
                self._capture.attach(hooks, inputs=self._asked.what == "input")
                self._stack = stack.pop_all()
        except BaseException:
            if self._stored is not None:
                self._stored.writer.close()
            raise
        return self

    def _go_on(self, store: Store) -> None:
        """Open the store, and take up the record that is in it."""
        run = self._run_to_store
        if run is None:
            run = self._stored_run(store)
            run.refuse_complete()
        record = run.begin(self._about(), self._limit, **self._asked.of_rows)
        self._capture.go_on(record, record.skipped)
        record.skipped = self._capture.skipped

    def _stored_run(self, store: Store) -> StoredRun:
        return StoredRun(store, self._asked.spec(self._found), self._ranks)

    @property
    def _stored(self) -> StoredRecord | None:
        record = self._capture.record
        return record if isinstance(record, StoredRecord) else None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        stack, self._stack = self._stack, None
        if stack is None:
            return
        ended_well = False
        try:
            try:
                stack.close()
            finally:
                if exc_type is None:
                    self._capture.end_batch()
                else:
                    self._capture.drop_batch()
            ended_well = exc_type is None
        finally:
            stored = self._stored
            if stored is not None and ended_well:
                stored.finish(self._limit if self._reached_limit else None)
            elif stored is not None:
                stored.abandon(exc)
        if exc_type is None:
            say_what_is_left_out(self._capture, self._found, self._asked.model)

    def annotate(
        self, labels: Any = None, ids: Any = None, inputs: Any = None, **columns: Any
    ) -> None:
        """Say what is known of the samples of the next forward.

        Parameters
        ----------
        labels : array-like of shape (B,), integers or strings, optional
            Classes.
        ids : array-like of shape (B,), integers or strings, optional
            Identifiers. Without them, samples are numbered in the order of the run.
        inputs : Tensor of shape (B, C, H, W) or (B, H, W), optional
            Images; thumbnails of them are kept.
        **columns : array-like of shape (B,)
            Further facts.

        Raises
        ------
        ShapeError
            If something is not one value a sample, or not of the same length as the rest. If the
            next batch has another number of samples, its forward raises, before anything of it
            is recorded.
        RecordingError
            If the probe is not open.
        """
        if self._stack is None:
            raise RecordingError("annotate works while the probe is open: with Probe(...) as probe")
        self._capture.announce(Annotation.of(labels, ids, inputs, columns))

    @property
    def layers(self) -> list[str]:
        """Names of the layers recorded so far, in the order of the first call."""
        skipped = self._capture.skipped
        return [name for name in self._capture.record.layers if name not in skipped]

    @property
    def activations(self) -> Activations:
        """What was recorded up to the last whole batch."""
        stored = self._stored
        if stored is not None:
            if self._stack is not None:
                stored.save(everything=True)
                stored.writer.drain()
            return open_store(stored.writer.folder.root)
        if self._store is not None and not self._capture.record.n_taken:
            return open_store(self._store.path)
        record = cast(Record, self._capture.record)
        record.settle()
        meta = {**self._asked.identity(), **self._about()}
        return record.activations(meta, self._label_names, self._capture.skipped)

    def remaining(self, batches: Iterable[Any]) -> Iterable[Any]:
        """Return the batches of your own loop that a store does not hold yet.

        ``for x, y in probe.remaining(loader)`` in place of ``for x, y in loader`` goes on where the
        last commit ended. Without it, batches that are recorded are sent through the model again,
        and dropped.

        Parameters
        ----------
        batches : iterable
            The same as when the recording began. Of a `torch.utils.data.DataLoader` the recorded
            batches are not loaded; of anything else they are taken and dropped.

        Returns
        -------
        iterable
            All of them where nothing is recorded, or records are kept in memory.

        Raises
        ------
        RecordingError
            If the probe is not open, or a batch went by already.
        StoreError
            If there are fewer batches than are recorded.
        """
        stored = self._stored
        if self._stack is None:
            raise RecordingError("remaining needs an open probe: with Probe(...) as probe")
        if stored is None:
            return batches
        if stored.position:
            raise RecordingError("remaining is called once, before the first batch")
        return self._after(stored, batches, fed=False)[0]

    def _after(
        self, stored: StoredRecord, batches: Iterable[Any], *, fed: bool
    ) -> tuple[Iterable[Any], deque[list[int]]]:
        """Return the batches that a store does not hold whole, and their places in the data."""
        sizes = stored.skip(stored.whole_batches())
        self._capture.text.go_on(sum(sizes))
        return traced(batches, sizes, stored.known_indices(), fed=fed)

    def _about(self) -> dict[str, Any]:
        return {"skipped": dict(self._capture.skipped), "versions": versions()}

    def run(
        self,
        batches: Iterable[Any],
        *,
        progress: bool = False,
        limit: int | None = None,
        forward: Callable[[nn.Module, Any], Any] | None = None,
        stop_early: bool = False,
    ) -> Activations:
        """Send batches through the model and record them.

        The model runs under `torch.no_grad` and in eval mode; every module's own mode is
        restored afterwards.

        Parameters
        ----------
        batches : iterable, Tensor, (X, y), or Dataset
            Yields batches: a tensor, ``(x, y)`` with labels y, a dict or a ``BatchEncoding`` whose
            entries are parameters of the model's ``forward``. Integer or string ``y`` become
            labels; images become thumbnails. Tensors go to the model's device.
        progress : bool, default False
            Show how far it is, on standard error.
        limit : int, optional
            Stop after that many samples (tokens, where each is one).
        forward : callable, optional
            ``forward(model, batch)`` calls the model, in place of what is described above. All
            calls that it makes are one batch, so a module that it calls again is ``name:1``.
        stop_early : bool, default False
            End each forward with the last layer that was asked for, as the first forward, which
            is whole, tells; what comes behind is not computed. For models that call the same
            layers for every batch. The model is whole afterwards; what the layers behind would
            have changed (random numbers they draw, caches they keep) is not changed.

        Returns
        -------
        Activations
            Also in `activations`, with the whole batches up to a failure.

        Raises
        ------
        ArgumentError
            If an option is out of what is allowed.
        RecordingError
            If there is no batch, or one that cannot be fed.
        ShapeError
            If a layer's width changes from batch to batch.
        """
        given = {
            "progress": progress, "limit": limit, "forward": forward, "stop_early": stop_early,
        }  # fmt: skip
        _options.check(_RUN, given)
        totals = [n for n in (feeding.expected_samples(batches), limit) if n is not None]
        total = limit if self._capture.text.counts_tokens else min(totals, default=None)
        self._limit, self._reached_limit = limit, False
        if self._store is not None:
            run = self._stored_run(self._store)
            if run.is_done(total, limit):
                return open_store(run.folder.root)
            self._run_to_store = run
        with ExitStack() as stack:
            stack.callback(setattr, self, "_run_to_store", None)
            stack.enter_context(feeding.evaluation(self.model))
            stack.enter_context(torch.no_grad())
            stack.enter_context(self)
            self._capture.stop_early = stop_early
            shown = stack.enter_context(
                Progress("recording", total, shown=progress, unit="samples")
            )
            self._drive(batches, total, forward, shown)
        return self.activations

    def _drive(
        self, batches: Iterable[Any], total: int | None, forward: Forward | None, shown: Progress
    ) -> None:
        """Send the batches through, but for those that a store holds already."""
        record, stored = self._capture.record, self._stored
        record.expected = total
        self._label_names = feeding.class_names(batches)
        source: Iterable[Any] = feeding.as_batches(batches)
        places: deque[list[int]] = deque()
        if stored is not None:
            stored.about["label_names"] = self._label_names and list(self._label_names)
            source, places = self._after(stored, source, fed=forward is None)
        self._reached_limit = drive(
            self.model, source, self._capture, forward, limit=self._limit, places=places,
            shown=shown,
        )  # fmt: skip
        if not record.n_taken:
            raise RecordingError(
                "nothing was recorded: batches is empty, or none of the selected layers was called"
                + "".join(f"; {name!r}: {why}" for name, why in self._capture.ignored.items())
            )
