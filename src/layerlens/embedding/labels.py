"""What neighbours say of labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["label_accuracy", "label_purity", "label_targets"]

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int32]

_BLOCK = 4096


def label_accuracy(labels: Array, neighbors: Indices) -> float | None:
    """How often most neighbours of a sample have its label, each sample left out in turn.

    Of classes with as many votes the first in order wins, as in scikit-learn. Samples whose
    label is not known are neither asked nor vote.

    `labels`: (n_samples,), integers, bools or strings. -1 and ``""`` stand for unknown.
    `neighbors`: (n_samples, k), int32.
    Returned: None where labels are not classes (floats), or there are fewer than two classes.
    """
    if not _are_classes(labels):
        return None
    classes, codes = np.unique(labels, return_inverse=True)
    correct = total = 0
    for some, near, known in _asked(labels, neighbors):
        votes = np.zeros((len(some), len(classes)), np.int32)
        line = np.broadcast_to(np.arange(len(some))[:, None], near.shape)
        np.add.at(votes, (line, codes[near]), known)
        correct += int((votes.argmax(axis=1) == codes[some]).sum())
        total += len(some)
    return correct / total


def label_purity(labels: Array, neighbors: Indices) -> float | None:
    """Share of a sample's neighbours that have its label, in the mean over samples.

    `labels`: (n_samples,), integers, bools or strings. -1 and ``""`` stand for unknown.
    `neighbors`: (n_samples, k), int32.
    Returned: None where labels are not classes (floats), or there are fewer than two classes.
    """
    if not _are_classes(labels):
        return None
    same = total = 0
    for some, near, known in _asked(labels, neighbors):
        same += int(((labels[near] == labels[some, None]) & known).sum())
        total += int(known.sum())
    return same / total if total else None


def label_targets(labels: Array) -> Array:
    """Return labels as what a reducer is told: class numbers, or values.

    `labels`: (n_samples,), integers, bools, strings or floats. -1 and ``""`` stand for unknown.
    Returned: (n_samples,), int64 or float64. Integers and floats as they are; strings as numbers of
    the classes in order, from 0, with -1 for unknown.
    """
    if labels.dtype.kind == "f":
        return labels.astype(np.float64)
    if labels.dtype.kind in "iub":
        return labels.astype(np.int64)
    labels = labels.astype(str)
    known = ~_unknown(labels)
    targets = np.full(len(labels), -1, np.int64)
    targets[known] = np.unique(labels[known], return_inverse=True)[1]
    return targets


def _asked(labels: Array, neighbors: Indices) -> Iterator[tuple[Array, Indices, Array]]:
    """Yield samples whose label is known, their neighbours, and whether these are labelled."""
    unknown = _unknown(labels)
    for start in range(0, len(labels), _BLOCK):
        some = np.flatnonzero(~unknown[start : start + _BLOCK]) + start
        near = neighbors[some]
        yield some, near, ~unknown[near]


def _are_classes(labels: Array) -> bool:
    if labels.dtype.kind not in "iubUS":
        return False
    return len(np.unique(labels[~_unknown(labels)])) >= 2


def _unknown(labels: Array) -> Array:
    if labels.dtype.kind == "i":
        return np.asarray(labels == -1)
    if labels.dtype.kind in "US":
        return np.asarray(np.char.str_len(labels) == 0)
    return np.zeros(len(labels), bool)
