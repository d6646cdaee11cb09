"""What is written on a figure: its heading, each layer's three lines, and the foot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layerlens.records import LayerEmbedding
from layerlens.sinks._coloring import Coloring
from layerlens.sinks._panels import AZIMUTH, ELEVATION
from layerlens.sinks._text import printable

__all__ = ["Caption", "captions", "footer", "heading"]

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_MOST_NOTES = 8

# short names of the metrics that layerlens measures itself, and what the foot says of them
_SHORT = {
    "trustworthiness": ("trust", "trustworthiness of the picture"),
    "neighbor_recall": (
        "recall",
        "share of a point's nearest neighbours in the layer that the picture shows",
    ),
    "knn_accuracy": ("knn", "share of points whose neighbours in the picture are of their class"),
    "knn_accuracy_native": ("native", "the same in the layer itself"),
    "motion_previous": ("motion", "how far points went since the layer before, in radii"),
}


@dataclass(frozen=True, slots=True)
class Caption:
    """What stands above a panel."""

    name: str
    mark: str
    place: str
    facts: tuple[str, ...]
    metrics: tuple[str, ...]


def heading(layers: Sequence[LayerEmbedding], title: str | None) -> str:
    """Return the figure's heading: the user's, or what there is to see."""
    if title is not None:
        return printable(title)
    n_layers, n_samples = len(layers), layers[0].run.n_samples
    what = f"{n_layers:,} {'layer' if n_layers == 1 else 'layers'}"
    samples = f"{n_samples:,} {'sample' if n_samples == 1 else 'samples'}"
    reducers = ", ".join(dict.fromkeys(layer.reducer for layer in layers if layer.reducer))
    return printable(", ".join(part for part in (what, samples, reducers) if part))


def captions(layers: Sequence[LayerEmbedding], marks: Mapping[str, str]) -> list[Caption]:
    """Return what stands above each panel; `marks` is from `footer`."""
    found = []
    for layer in layers:
        info = layer.info
        facts = [printable(info.module_type)] if info.module_type != layer.layer else []
        if info.dim:
            kept = f" \N{RIGHTWARDS ARROW} {info.width:,}" if info.sketched else ""
            facts.append(f"{info.dim:,}{kept}")
            if "neighbor_recall_sketch" in layer.metrics:
                facts.append(f"sketch {_number(layer.metrics['neighbor_recall_sketch'])}")
        if layer.rows is not None:
            facts.append(f"{len(layer.rows):,} of {layer.run.n_samples:,} samples")
        found.append(
            Caption(
                printable(info.title),
                marks.get(layer.layer, ""),
                str(layer.index),
                tuple(fact for fact in facts if fact),
                tuple(_metrics(layer.metrics)),
            )
        )
    return found


def _metrics(metrics: Mapping[str, float]) -> list[str]:
    texts = []
    # there is room for the main figures; only where there are none of them, any others
    for name in [name for name in _SHORT if name in metrics] or metrics:
        if name == "knn_accuracy_native" and "knn_accuracy" in metrics:
            continue  # stands behind knn_accuracy
        value = metrics[name]
        text = f"{_SHORT[name][0] if name in _SHORT else printable(name)} {_number(value)}"
        if name == "knn_accuracy" and "knn_accuracy_native" in metrics:
            text += f"|{_number(metrics['knn_accuracy_native'])}"
        texts.append(text)
    return texts


def _number(value: float) -> str:
    """Return two digits behind the point, without the nought before it: ``.97``."""
    if not math.isfinite(value):
        return "\N{EN DASH}"
    if not 0 <= value < 1:
        return f"{value:.3g}"
    text = f"{value:.2f}"
    return text.removeprefix("0")


def footer(
    layers: Sequence[LayerEmbedding], colors: Coloring, scale: str
) -> tuple[dict[str, str], list[str]]:
    """Return the mark of each layer that has notes, and the lines of the foot."""
    lines = []
    explained = _explained({name for layer in layers for name in layer.metrics})
    if explained:
        lines.append(explained)
    lines += _about_axes(layers, colors, scale)
    notes: dict[tuple[str, ...], list[str]] = {}
    for layer in layers:
        if layer.notes:
            notes.setdefault(layer.notes, []).append(layer.layer)
    marks = {}
    for number, (texts, names) in enumerate(notes.items(), start=1):
        mark = "".join(_SUPERSCRIPTS[int(digit)] for digit in str(number))
        marks.update(dict.fromkeys(names, mark))
        if number <= _MOST_NOTES:
            lines.append(f"{mark} {printable('; '.join(texts))}")
    if len(notes) > _MOST_NOTES:
        lines.append(f"and {len(notes) - _MOST_NOTES} more notes, in the layers' `notes`")
    return marks, lines


def _explained(names: set[str]) -> str:
    texts = []
    for name, (short, meaning) in _SHORT.items():
        if name == "knn_accuracy" and {name, "knn_accuracy_native"} <= names:
            texts.append(
                f"{short}: share of points whose neighbours are of their class, "
                f"in the picture | in the layer"
            )
        elif name == "knn_accuracy_native" and "knn_accuracy" in names:
            continue
        elif name in names:
            texts.append(f"{short}: {meaning}")
    return ". ".join(texts) + "." if texts else ""


def _about_axes(layers: Sequence[LayerEmbedding], colors: Coloring, scale: str) -> list[str]:
    widths = {layer.coordinates.shape[1] for layer in layers}
    lines = []
    if scale == "layer":
        lines.append("Each panel has a scale of its own: sizes do not compare between panels.")
    if 1 in widths:
        strips = colors.kind == "classes" and 1 < len(colors.names) <= 30
        what = "a strip for each class" if strips else "scattered"
        lines.append(
            f"One dimension, from left to right; up and down is {what}, to see the points."
        )
    if 3 in widths:
        lines.append(
            f"Three dimensions, seen from azimuth {AZIMUTH:.0f} and elevation {ELEVATION:.0f} "
            f"degrees, without perspective; near points are larger."
        )
    lines += [f"Dimensions 1 and 2 of {n} are shown." for n in sorted(widths) if n > 3]
    return lines
