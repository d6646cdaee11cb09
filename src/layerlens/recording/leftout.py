"""What a recording has not recorded, said once when it ends."""

from __future__ import annotations

import warnings
from collections.abc import Collection

from torch import nn

from layerlens.errors import LayerlensWarning
from layerlens.recording.capture import Capture
from layerlens.recording.selection import INPUT

__all__ = ["say_what_is_left_out"]


def say_what_is_left_out(
    capture: Capture, model: nn.Module, named: Collection[str], scripted: Collection[str]
) -> None:
    """Warn of layers without a record, of calls that were not taken, and of a record of nothing.

    `capture`: the recording that ended; what was left out is noted in its `skipped`.
    """
    skipped = capture.skipped
    # a layer that has rows of other calls is no layer without a record
    partly = {n: why for n, why in capture.ignored.items() if n in capture.record.layers}
    skipped |= {n: why for n, why in capture.ignored.items() if n not in {*skipped, *partly}}
    for name in scripted:
        skipped.setdefault(name, "it is TorchScript, which takes no hooks")
    samples = capture.record.n_taken
    for name in sorted({*named} - capture.called() - {INPUT}) if samples else ():
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
