"""What is known of the samples, as the page has it: categories, numbers and texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from layerlens.records import RunInfo

__all__ = ["CLIPPED", "Column", "clip", "columns_of"]

Array = npt.NDArray[Any]

CLIPPED = 300
"""Characters that a string has in the page at most."""

_MOST_NUMBERED = 100  # integers with more distinct values are numbers, not categories
_MOST_CLASSES = 1_000  # and labels without names, which are classes more often
_MOST_LEVELS = 65_534  # codes are uint16, and one stands for missing values
_EXACT = 2**24  # float32 has every integer up to here
_PREDICTIONS = ("prediction", "predicted")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A fact of each sample.

    `kind`: {"category", "number", "text"}. How it is stored: see `values`.
    `values`: (n_samples,), or list of str. Codes of levels, `len(levels)` where there is no value;
    float32, NaN where there is none; or strings.
    `role`: ``"label"``, ``"prediction"``, ``"correct"``, ``"id"``, or nothing.
    """

    name: str
    kind: Literal["category", "number", "text"]
    values: Array | list[str]
    levels: tuple[str, ...] = ()
    role: str = ""

    def taken(self, rows: Array) -> Array | list[str]:
        """Return the values of some samples, codes in the smallest type that holds them."""
        if isinstance(self.values, list):
            return [self.values[row] for row in rows.tolist()]
        values = self.values[rows]
        if self.kind == "number":
            return values.astype("<f4")
        return values.astype(np.uint8 if len(self.levels) <= 255 else "<u2")

    @property
    def missing(self) -> bool:
        """Whether it is a category of which some samples have no value."""
        return self.kind == "category" and bool(np.any(self.values == len(self.levels)))


def columns_of(run: RunInfo) -> list[Column]:
    """Return a run's columns in the page's order: label, prediction, correct, others, id.

    A column called ``prediction`` or ``predicted`` is what the model said; with labels, there is a
    column of who is right.
    """
    others = dict(run.columns)
    label = None if run.labels is None else _named(run.labels)
    name = next((name for name in _PREDICTIONS if name in others), None)
    prediction = None if name is None else _named(others.pop(name))
    found: list[Column] = []
    if label is not None and name is not None and prediction is not None:
        found += _judged(label, prediction, run.label_names, name)
    elif label is not None:
        found.append(_classes("label", label, run.label_names))
    elif name is not None and prediction is not None:
        found.append(_classes("prediction", prediction, run.label_names, name))
    taken = {"id", *(column.name for column in found)}
    for other, values in others.items():
        free = other
        while free in taken:
            free = f"column_{free}"
        taken.add(free)
        found.append(_column(free, np.asarray(values)))
    found.append(Column("id", "text", _texts(np.asarray(run.ids)), role="id"))
    return found


def clip(text: str) -> str:
    """Return the text, or its beginning where it is long; half characters are replaced.

    A surrogate without its other half is no text to a browser's address or to a notebook's
    messages, which both would stop at it.
    """
    text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    return text if len(text) <= CLIPPED else f"{text[: CLIPPED - 1]}…"


def _judged(
    label: Array, prediction: Array, names: tuple[str, ...] | None, name: str
) -> list[Column]:
    """Return label and prediction with one set of levels, hence of colours, and who errs."""
    if label.dtype.kind in "iu" and prediction.dtype.kind == "f":
        known = np.isfinite(prediction)
        if np.array_equal(prediction[known], np.round(prediction[known])):
            prediction = np.where(known, prediction, -1).astype(np.int64)
    if label.dtype.kind in "iu" and prediction.dtype.kind in "iu":
        levels: list[Any] = [
            level for level in np.union1d(label, prediction).tolist() if level >= 0
        ]
        most = _MOST_LEVELS if names else _MOST_CLASSES
        shown = [_class_name(level, names) for level in levels]
    elif "f" in (label.dtype.kind, prediction.dtype.kind):
        levels, shown, most = [], [], -1
    else:
        label, prediction = _shown(label, names), _shown(prediction, names)
        first = sorted({*label.tolist()} - {""})
        levels = [*first, *sorted({*prediction.tolist()} - {"", *first})]
        shown, most = levels, _MOST_LEVELS
    if len(levels) > most:
        return [_classes("label", label, names), _classes("prediction", prediction, names, name)]
    place = {level: code for code, level in enumerate(levels)}
    none = len(levels)
    said, true = (
        np.array([place.get(value, none) for value in values.tolist()], dtype=np.int64)
        for values in (prediction, label)
    )
    right = np.where((said == none) | (true == none), 2, said == true)
    shown = [clip(level) for level in shown]
    return [
        Column("label", "category", true, tuple(shown), "label"),
        Column(name, "category", said, tuple(shown), "prediction"),
        Column("correct", "category", right, ("wrong", "right"), "correct"),
    ]


def _named(values: Any) -> Array:
    """Return labels as they are, those of yes and no by these names."""
    values = np.asarray(values)
    return np.where(values, "true", "false") if values.dtype.kind == "b" else values


def _shown(values: Array, names: tuple[str, ...] | None) -> Array:
    if values.dtype.kind in "iu":
        texts = ["" if value < 0 else _class_name(value, names) for value in values.tolist()]
    else:
        texts = list(_strings(values))
    return np.array(texts, dtype=object)


def _class_name(level: int, names: tuple[str, ...] | None) -> str:
    return names[level] if names and level < len(names) else str(level)


def _classes(
    role: str, values: Array, names: tuple[str, ...] | None = None, name: str | None = None
) -> Column:
    """Return labels or predictions: classes wherever they can be."""
    name = role if name is None else name
    if values.dtype.kind in "iu":
        known = values >= 0
        levels = np.unique(values[known])
        if names or len(levels) <= _MOST_CLASSES:
            shown = [_class_name(level, names) for level in levels.tolist()]
            return _category(name, values, levels, known, shown, role)
        return _column(name, values, role)
    if values.dtype.kind in "OSTU":
        texts = np.array(_strings(values), dtype=object)
        known = texts != ""
        levels = np.array(sorted(set(texts[known])), dtype=object)
        if len(levels) <= _MOST_LEVELS:
            return _category(name, texts, levels, known, levels.tolist(), role)
    return _column(name, values, role)


def _column(name: str, values: Array, role: str = "") -> Column:
    name = clip(name)
    if values.ndim != 1:
        return Column(name, "text", [clip(str(row)) for row in values.tolist()], role=role)
    kind = values.dtype.kind
    if kind == "b":
        levels = np.array([False, True])
        return _category(name, values, levels, np.ones(len(values), bool), ["false", "true"], role)
    if kind in "iu":
        levels = np.unique(values)
        if len(levels) <= _MOST_NUMBERED:
            known = np.ones(len(values), dtype=bool)
            return _category(name, values, levels, known, map(str, levels.tolist()), role)
        if max(abs(int(levels[0])), abs(int(levels[-1]))) <= _EXACT:
            return Column(name, "number", values.astype(np.float32), role=role)
        return Column(name, "text", _texts(values), role=role)
    if kind == "f":
        with np.errstate(over="ignore"):
            numbers = values.astype(np.float32)
        # infinity has no place on a scale
        return Column(
            name, "number", np.where(np.isfinite(numbers), numbers, np.float32(np.nan)), role=role
        )
    if kind == "m":
        seconds = values / np.timedelta64(1, "s")
        return Column(f"{name} (s)", "number", seconds.astype(np.float32), role=role)
    texts = np.array(_strings(values), dtype=object)
    known = texts != ""
    levels = np.array(sorted(set(texts[known])), dtype=object)
    if len(levels) <= max(20, min(_MOST_CLASSES, len(values) // 4)):
        return _category(name, texts, levels, known, levels.tolist(), role)
    return Column(name, "text", [clip(text) for text in texts], role=role)


def _category(
    name: str, values: Array, levels: Array, known: Array, shown: Iterable[str], role: str
) -> Column:
    codes = np.full(len(values), len(levels), dtype=np.int64)
    codes[known] = np.searchsorted(levels, values[known])
    return Column(name, "category", codes, tuple(map(clip, shown)), role)


def _texts(values: Array) -> list[str]:
    return [clip(text) for text in _strings(values)]


def _strings(values: Array) -> Sequence[str]:
    """Return each value as a string, nothing where it is missing."""
    if values.dtype.kind == "M":
        return ["" if text == "NaT" else text for text in np.datetime_as_string(values).tolist()]
    if values.dtype.kind == "S":
        return [value.decode("utf-8", "replace") for value in values.tolist()]
    return ["" if value is None or value != value else str(value) for value in values.tolist()]
