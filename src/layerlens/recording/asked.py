"""What a probe is asked to record: checked, looked for in the model, and what of it is missing."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from layerlens.errors import ArgumentError, LayerlensWarning, RecordingError
from layerlens.recording.arguments import dtype_name, one_of, seed
from layerlens.recording.capture import Capture
from layerlens.recording.fingerprint import fingerprint, identity
from layerlens.recording.readout import ReadoutSpec, readouts_for
from layerlens.recording.record import Recording
from layerlens.recording.selection import (
    INPUT,
    Selection,
    Selector,
    as_selector,
    is_scripted,
    original,
    select,
)
from layerlens.recording.sketch import check_sketch
from layerlens.recording.structure import format_path

__all__ = ["Asked", "Found", "say_what_is_left_out"]


@dataclass(frozen=True, slots=True)
class Found:
    """What of a model is selected, and which of that takes no hooks."""

    selection: Selection
    scripted: list[str]

    @property
    def layers(self) -> list[str]:
        """Names of what is recorded."""
        layers = [
            target.name + ("" if path is None else format_path(path))
            for target in self.selection.targets
            for path in target.paths
        ]
        layers += [INPUT] * self.selection.model_input
        return layers + [f"op:{one}" for one in self.selection.operations]


class Asked:
    """What is recorded of which model; for the parameters see `Probe`.

    Raises
    ------
    ArgumentError
        If an argument is not one of those allowed.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Selector,
        *,
        readout: ReadoutSpec,
        sketch: str | int | None,
        call: str,
        capture: str,
        dtype: str,
        random_state: int,
    ) -> None:
        check_sketch(sketch)
        self.model = original(model)
        self._selector: Selector = as_selector(layers)
        self._readout = readout
        self._call = one_of("call", call, ("each", "last"))
        self.what = one_of("capture", capture, ("output", "input"))
        self.of_rows: dict[str, Any] = {
            "sketch": sketch,
            "dtype": one_of("dtype", dtype_name(dtype), ("float32", "float16", "float64")),
            "random_state": seed(random_state),
        }
        """What makes one record's rows other than another's."""

    def find(self) -> Found:
        """Find what is selected, so that a mistyped name fails here and not in the forward.

        Raises
        ------
        LayerSelectionError
            If a selector matches nothing.
        ArgumentError
            If operations are to be recorded by what goes in.
        RecordingError
            If nothing that is selected takes hooks.
        """
        found = select(self.model, self._selector)
        scripted = [t.name for t in found.targets if is_scripted(t.module)]
        targets = tuple(
            target
            for target in found.targets
            if target.name not in scripted
            # a block's input is the input of its first layer, which is recorded
            and not (self.what == "input" and target.only_new and any(target.module.children()))
        )
        if found.operations and self.what == "input":
            raise ArgumentError(
                f"capture='input' records what goes into modules, and {found.operations[0]!r} is "
                "an operation; open a second probe for operations"
            )
        if scripted and not targets and not found.model_input and not found.operations:
            raise RecordingError(
                f"{', '.join(map(repr, scripted))} of {type(self.model).__name__} is "
                "TorchScript, which takes no hooks; probe the module that it was made from"
            )
        return Found(replace(found, targets=targets), scripted)

    def capture(self, found: Found, record: Recording[Any]) -> Capture:
        """Return what takes all that was found into a record."""
        selection = found.selection
        names = [target.name for target in selection.targets] + [INPUT] * selection.model_input
        return Capture(
            self.model,
            selection,
            readouts_for(self._readout, names, selection.operations),
            record,
            last_call_only=self._call == "last",
        )

    def identity(self) -> dict[str, Any]:
        """Return what was asked for, in JSON's types."""
        return identity(
            self.model,
            layers=self._selector,
            readout=self._readout,
            sketch=self.of_rows["sketch"],
            call=self._call,
            capture=self.what,
            dtype=self.of_rows["dtype"],
            random_state=self.of_rows["random_state"],
        )

    def spec(self, found: Found) -> dict[str, Any]:
        """Return what must be the same for a store to go on; this hashes all weights."""
        return {
            **self.identity(), "weights": fingerprint(self.model), "selected": found.layers
        }  # fmt: skip


def say_what_is_left_out(capture: Capture, found: Found, model: nn.Module) -> None:
    """Warn of layers without a record, of calls that were not taken, and of a record of nothing.

    `capture`: the recording that ended; what was left out is noted in its `skipped`.
    """
    skipped = capture.skipped
    # a layer that has rows of other calls is no layer without a record
    partly = {n: why for n, why in capture.ignored.items() if n in capture.record.layers}
    skipped |= {n: why for n, why in capture.ignored.items() if n not in {*skipped, *partly}}
    for name in found.scripted:
        skipped.setdefault(name, "it is TorchScript, which takes no hooks")
    samples = capture.record.n_taken
    for name in sorted(found.selection.named - capture.called() - {INPUT}) if samples else ():
        skipped.setdefault(name, "it was never called")
    skipped |= capture.operations.unused() if samples else {}
    said = []
    if partly:
        said.append(f"without a record in some calls: {_listed(partly)}")
    if skipped:
        said.append(f"without a record: {_listed(skipped)}")
    if capture.doubtful:
        said.append(f"samples may be steps: {_listed(capture.doubtful)}")
    if capture.foreign_calls:
        said.append(
            f"{capture.foreign_calls} calls came from other threads than the one that opened "
            "the probe and were not recorded; open a probe in each thread"
        )
    elif not samples and not skipped and capture.was_traced:
        said.append(
            f"nothing was recorded: {type(model).__name__} was called by a tracer only "
            "(torch.jit.trace, torch.fx, torch.export), which is not recorded; call it itself"
        )
    elif not samples and not skipped:
        said.append(
            f"nothing was recorded: {type(model).__name__} was not called while the probe was open"
        )
    elif capture.next_annotation is not None and len(capture.next_annotation):
        said.append("the last annotate was followed by no forward")
    for text in said:
        # at the end of the user's with block
        warnings.warn(text, LayerlensWarning, stacklevel=3)


def _listed(reasons: dict[str, str]) -> str:
    return "; ".join(f"{name!r} ({why})" for name, why in reasons.items())
