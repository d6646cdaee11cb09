"""How much of a picture is the reducer's chance and not the layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding.align import motion, procrustes, rms_radius

__all__ = ["seed_metrics", "seed_spread"]

Matrix = npt.NDArray[np.float32]


def seed_spread(pictures: Sequence[npt.NDArray[Any]]) -> Matrix:
    """Return how far each point lies from its mean place over several pictures of one layer.

    `pictures`: each (n_samples, n_components). One a seed; each is laid on the first.
    Returned: (n_samples,), float32. The root of the mean squared distance, in units of the first
    picture's RMS radius; 0 for a dot.
    """
    first = np.asarray(pictures[0], np.float64)
    radius = rms_radius(first)
    if radius == 0:
        return np.zeros(len(first), np.float32)
    laid = np.stack([first, *(procrustes(other, first)(other) for other in pictures[1:])])
    away = ((laid - laid.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0)
    return np.asarray(np.sqrt(away) / radius, np.float32)


def seed_metrics(
    pictures: Sequence[npt.NDArray[Any]], spread: Matrix | None = None
) -> dict[str, float]:
    """Return ``seed_spread``, its mean over points, and ``seed_motion``.

    `spread` is that of `seed_spread`, where it is at hand already. The motion between two seeds
    is what a layer moves by without any reason of the network's: the motion from one layer to
    the next is to be read beside it.
    """
    if spread is None:
        spread = seed_spread(pictures)
    figures = {"seed_spread": float(spread.mean(dtype=np.float64))}
    moved = [motion(other, pictures[0]) for other in pictures[1:]]
    if np.isfinite(moved).all():
        figures["seed_motion"] = float(np.mean(moved))
    return figures
