"""``layerlens show run.zarr``: what a store holds by now, and whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layerlens.cli.text import table

if TYPE_CHECKING:
    from layerlens.recording.activations import Activations

__all__ = ["show_store"]


def show_store(path: Path | str, *, verify: bool) -> int:
    """Print what a store holds, in a folder or at a URL; with `verify`, read all files first."""
    from layerlens.recording.activations import Activations

    activations = Activations.open(path)
    print("\n".join(_head(path, activations)))
    print("\n".join(["", *_layers(activations)]))
    if verify:
        count = activations.verify()
        print(f"\nverified: all {count:,} files are whole")
    return 0


def _head(path: Path | str, activations: Activations) -> list[str]:
    meta, run = activations.meta, activations.run
    if meta["complete"]:
        state = f"complete, {run.n_samples:,} samples"
    else:
        state = (
            f"unfinished, {run.n_samples:,} samples committed; the same recording into this store "
            "goes on from there"
        )
    made = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    parameters = meta.get("n_parameters")
    size = "" if parameters is None else f", {parameters:,} parameters"
    recorded = ("layers", "readout", "sketch", "random_state")
    lines = [
        f"{path}: {state}",
        f"{meta.get('model', 'a model')}{size}, weights {meta.get('weights', 'not known')}",
        f"made {run.created or 'at an unknown time'} with {made or 'unknown versions'}",
        ", ".join(f"{name} {_said(meta.get(name))}" for name in recorded),
    ]
    facts = {"labels": run.labels, "ids": run.ids, **run.columns}
    for name, values in facts.items():
        if values is not None:
            distinct = len(np.unique(values))
            lines.append(f"{name}: {_dtype(values)}, {distinct:,} distinct values")
    if run.thumbnails is not None:
        lines.append("thumbnails: " + " x ".join(map(str, run.thumbnails.shape[1:])))
    return lines


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_said(one)}" for name, one in value.items())
    return "none" if value is None else str(value)


def _dtype(values: Any) -> str:
    return "text" if values.dtype.kind == "U" else str(values.dtype)


def _layers(activations: Activations) -> list[str]:
    from layerlens.recording.loss import loss_to_show

    losses = {name: loss_to_show(layer) for name, layer in activations.items()}
    known = [loss for loss in losses.values() if loss is not None]
    rows = [["layer", "type", "rows", "width", "kept", "dtype", "size", *["keeps"] * bool(known)]]
    for name, layer in activations.items():
        info = layer.info
        kept = f"{layer.shape[1]:,}" if layer.sketch else "all"
        numbers = [f"{len(layer):,}", f"{layer.dim:,}", kept]
        size = size_text(layer.nbytes)
        loss = losses[name]
        keeps = ["" if loss is None else loss.short] if known else []
        rows.append([info.title, info.module_type, *numbers, str(layer.dtype), size, *keeps])
    lines = table(rows, right=[2, 3, 4, 6])
    total = size_text(activations.nbytes)
    skipped = activations.meta.get("skipped", {})
    left_out = [f"left out: {name!r} ({why})" for name, why in skipped.items()]
    if known:
        ratios = [loss.distance_ratio for loss in known]
        spread = max(loss.distance_spread for loss in known)
        left_out.insert(
            0,
            f"keeps: share of the {known[0].k} nearest that sketches keep, and where it lies 19 "
            f"times in 20, estimated from {sum(loss.n_pairs for loss in known):,} pairs; their "
            f"squared distances are {min(ratios):.3f} to {max(ratios):.3f} of the native ones, "
            f"spread by {spread:.3f} at most",
        )
    return [*lines, f"{len(activations)} layers, {total}", *left_out]


def size_text(size: float) -> str:
    """Return a size in bytes, to read."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
