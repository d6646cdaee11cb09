"""What a point's colour means: its class, a number, its cluster, or nothing.

Colours and marker shapes tell classes apart also for colour-blind people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import ArgumentError
from layerlens.records import LayerEmbedding

__all__ = ["PLAIN", "UNKNOWN", "ClassStyle", "Coloring", "class_styles", "coloring"]

Array = npt.NDArray[Any]

_MOST_CLASSES = 100  # more integers than this are taken for numbers, not for classes


# The sequences of 6, 8 and 10 colours are those of M. A. Petroff, Accessible Color Sequences for
# Data Visualization, arXiv:2107.02270 (2021), which were optimised for dichromats and for a white
# ground. They were taken on measurement: the least distance in Oklab (times 100) between any two
# colours, over normal vision and Machado et al.'s (2009) simulations of protanopia, deuteranopia
# and tritanopia at full severity, is 11.4, 8.7 and 6.1, where Okabe and Ito's eight have 7.6, Paul
# Tol's muted nine 5.2, his bright seven 3.3 and matplotlib's own ten 0.7. No ten colours are far
# apart for everyone; beyond ten the colours come again with another shape.
_PETROFF = {
    6: ("#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd"),
    8: (
        *("#1845fb", "#ff5e02", "#c91f16", "#c849a9"),
        *("#adad7d", "#86c8dd", "#578dff", "#656364"),
    ),
    10: (
        *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
        *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
    ),
}
_MARKERS = ("o", "^", "s", "X", "D", "v", "P", "<", "*", ">")

PLAIN = "#3f6fb0"
"""Colour of points that nothing is known of."""

UNKNOWN = "#d3d3d3"
"""Colour of points whose class is not known, where that of others is."""


@dataclass(frozen=True, slots=True)
class ClassStyle:
    """How the points of a class are drawn.

    `color`: Hexadecimal, ``"#3f90da"``.
    `marker`: of matplotlib's: ``"o"``, ``"^"``, ….
    """

    color: str
    marker: str = "o"


def class_styles(n_classes: int) -> list[ClassStyle]:
    """Return one style a class: 10 colours, then the same in another shape, and so on.

    A hundred classes are told apart; the next hundred look like the first.
    """
    colors = next((_PETROFF[n] for n in _PETROFF if n_classes <= n), _PETROFF[10])
    return [
        ClassStyle(
            colors[i % len(colors)],
            _MARKERS[i // len(colors) % len(_MARKERS)],
        )
        for i in range(n_classes)
    ]


UNKNOWN_STYLE = ClassStyle(UNKNOWN)


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
