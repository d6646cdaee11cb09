"""What a point's colour means: its class, a number, its cluster, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import ArgumentError
from layerlens.records import LayerEmbedding
from layerlens.sinks._palette import PLAIN, UNKNOWN, ClassStyle, class_styles

__all__ = ["Coloring", "coloring"]

Array = npt.NDArray[Any]

_MOST_CLASSES = 100  # more integers than this are taken for numbers, not for classes


@dataclass(frozen=True, slots=True)
class Coloring:
    """What the points' colours mean, the same for all layers.

    `kind`: {"classes", "values", "plain"}. Whether points have classes, numbers, or neither.
    `per_layer`: each (n_rows,). For each layer the points' classes (-1 where not known) or numbers
    (NaN where not known).
    `unknown`: whether there are points whose class or number is not known.
    """

    kind: str
    title: str
    per_layer: list[Array]
    names: list[str] = field(default_factory=list)
    styles: list[ClassStyle] = field(default_factory=list)
    limits: tuple[float, float] = (0.0, 1.0)
    unknown: bool = False


def coloring(layers: Sequence[LayerEmbedding], color: str | None) -> Coloring:
    """Choose what the colours mean.

    `color`: ``"auto"`` (labels, else clusters, else nothing), ``"label"``, ``"cluster"``,
    ``"stress"``, ``"spread"``, the name of one of the run's columns, or None for one colour.

    Raises
    ------
    ArgumentError
        If there is nothing of that name.
    """
    run = layers[0].run
    clustered = any(layer.clusters is not None for layer in layers)
    measured = [
        name
        for name in ("stress", "spread")
        if any(getattr(layer, name) is not None for layer in layers)
    ]
    if color == "auto":
        color = "label" if run.labels is not None else "cluster" if clustered else None
    if color is None:
        # codes of -1: all points are alike
        nothing = [np.full(len(layer.coordinates), -1) for layer in layers]
        return Coloring("plain", "", nothing, styles=[ClassStyle(PLAIN)])
    if color == "label" and run.labels is not None:
        return _of_run(layers, "label", np.asarray(run.labels), run.label_names)
    if color == "cluster" and clustered:
        return _clusters(layers)
    if color in measured:
        return _values(color, [_or_missing(getattr(layer, color), layer) for layer in layers])
    if color in run.columns:
        return _of_run(layers, color, np.asarray(run.columns[color]), None)
    there = [
        *(["label"] if run.labels is not None else []),
        *(["cluster"] if clustered else []),
        *measured,
        *run.columns,
    ]
    raise ArgumentError(
        f"nothing to colour the points by is called {color!r}; there are: "
        f"{', '.join(map(repr, ['auto', *there]))}, or None for one colour"
    )


def _of_run(
    layers: Sequence[LayerEmbedding],
    title: str,
    values: Array,
    label_names: tuple[str, ...] | None,
) -> Coloring:
    """Colour by something that each sample of the run has."""
    if values.dtype.kind == "b":
        values = values.astype(str)
    numeric = values.dtype.kind == "f" or (
        values.dtype.kind in "iu" and not label_names and len(np.unique(values)) > _MOST_CLASSES
    )
    if numeric:
        numbers = values.astype(float)
        return _values(title, [layer.of_rows(numbers) for layer in layers])
    if values.dtype.kind in "iu":
        missing = values < 0
    else:
        values = values.astype(str)
        missing = values == ""
    classes, codes = np.unique(values, return_inverse=True)
    known = np.setdiff1d(np.arange(len(classes)), np.unique(codes[missing]))
    number = np.full(len(classes), -1)
    number[known] = np.arange(len(known))
    names = [_class_name(classes[i], label_names) for i in known]
    codes = number[codes]
    return Coloring(
        "classes",
        title,
        [layer.of_rows(codes) for layer in layers],
        names,
        class_styles(len(names)),
        unknown=bool((codes < 0).any()),
    )


def _class_name(label: Any, label_names: tuple[str, ...] | None) -> str:
    if label_names and isinstance(label, np.integer) and label < len(label_names):
        return label_names[label]
    return str(label)


def _clusters(layers: Sequence[LayerEmbedding]) -> Coloring:
    per_layer = [
        np.full(len(layer.coordinates), -1) if layer.clusters is None else layer.clusters
        for layer in layers
    ]
    numbers = np.unique(np.concatenate(per_layer))
    numbers = numbers[numbers >= 0]  # -1 is noise, in scikit-learn's words
    codes = [np.where(c < 0, -1, np.searchsorted(numbers, c)) for c in per_layer]
    return Coloring(
        "classes",
        "cluster",
        codes,
        [str(n) for n in numbers],
        class_styles(len(numbers)),
        unknown=any(bool((c < 0).any()) for c in codes),
    )


def _values(title: str, values: list[Array]) -> Coloring:
    every = np.concatenate(values)
    finite = every[np.isfinite(every)]
    limits = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if limits[0] == limits[1]:
        limits = (limits[0] - 0.5, limits[1] + 0.5)
    per_layer = [np.where(np.isfinite(v), v, np.nan) for v in values]
    return Coloring("values", title, per_layer, limits=limits, unknown=len(finite) < len(every))


def _or_missing(values: Array | None, layer: LayerEmbedding) -> Array:
    if values is None:
        return np.full(len(layer.coordinates), np.nan)
    return np.asarray(values, dtype=float)


UNKNOWN_STYLE = ClassStyle(UNKNOWN)
