"""Laying one picture on another without changing what it shows, and how far two then differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import ShapeError

__all__ = ["Similarity", "motion", "procrustes", "rms_radius", "seed_metrics", "seed_spread"]

Array = npt.NDArray[np.floating]
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """A shift, a rotation or reflection, and one scale: ``(x - source) @ turn * scale + target``.

    `source`, `target`: (n_components,). Centre of the picture that is moved and of the one that it
    is laid on.
    `turn`: (n_components, n_components). Orthogonal.
    """

    source: Array
    target: Array
    turn: Array
    scale: float

    def __call__(self, coordinates: Array) -> npt.NDArray[np.float32]:
        """Move a picture, or any further points of its plane."""
        moved = (np.asarray(coordinates, np.float64) - self.source) @ self.turn
        return (moved * self.scale + self.target).astype(np.float32)

    @property
    def reflects(self) -> bool:
        """Whether the picture is turned over."""
        return bool(np.linalg.det(self.turn) < 0)


def procrustes(moving: Array, fixed: Array) -> Similarity:
    """Find the similarity transform that lays `moving` on `fixed`.

    Shift and rotation (or reflection) are those of least squares [1]_. The scale is the ratio of
    the RMS radii and not the least-squares one: that is the ratio times the correlation of the
    two pictures, so that a picture which has little in common with the one before would be
    shrunk towards a dot, and the picture after it in turn. Matching the radii keeps every
    picture the same size, so that a distance on the page means the same in all of them, and
    makes the transform symmetric: from B to A is the inverse of from A to B.

    `moving`, `fixed`: (n_samples, n_components). The same samples in the same order.
    Returned: of scale 1 and without a turn where either picture is a dot.

    Raises
    ------
    ShapeError
        If the shapes differ.

    References
    ----------
    .. [1] P. H. Schoenemann, A generalized solution of the orthogonal Procrustes problem,
       Psychometrika 31 (1966); with a reflection allowed.
    """
    moving = np.asarray(moving, np.float64)
    fixed = np.asarray(fixed, np.float64)
    if moving.shape != fixed.shape or moving.ndim != 2:
        raise ShapeError(
            f"pictures that are laid on each other have one shape (n_samples, n_components), "
            f"got {moving.shape} and {fixed.shape}: pick the samples that both have"
        )
    n_components = moving.shape[1]
    if len(moving) == 0:
        origin = np.zeros(n_components)
        return Similarity(origin, origin, np.eye(n_components), 1.0)
    source, target = moving.mean(axis=0), fixed.mean(axis=0)
    a, b = moving - source, fixed - target
    radius_a, radius_b = rms_radius(moving), rms_radius(fixed)
    if radius_a == 0 or radius_b == 0:
        return Similarity(source, target, np.eye(n_components), 1.0)
    left, _, right = np.linalg.svd((a / radius_a).T @ (b / radius_b))
    return Similarity(source, target, left @ right, radius_b / radius_a)


def rms_radius(coordinates: Array) -> float:
    """Root of the mean squared distance of the points from their centre."""
    centred = np.asarray(coordinates, np.float64)
    centred = centred - centred.mean(axis=0)
    largest = float(np.abs(centred).max(initial=0.0))
    if largest == 0:
        return 0.0
    # scaled, so that the squares of tiny pictures do not vanish
    return largest * float(np.sqrt(((centred / largest) ** 2).sum(axis=1).mean()))


def motion(moving: Array, fixed: Array) -> float:
    """How far points move from one picture to the other, in units of the picture's size.

    The mean displacement over the RMS radius of `fixed`, after the best similarity transform.
    0 where the pictures are the same; about 1.25 where two round clouds have nothing in common
    (the mean distance of two independent points of a plane Gaussian of RMS radius 1).

    `moving`, `fixed`: (n_samples, n_components). The same samples in the same order.
    """
    radius = rms_radius(fixed)
    if radius == 0 or rms_radius(moving) == 0:
        return float("nan")
    laid = procrustes(moving, fixed)(moving).astype(np.float64)
    return float(np.linalg.norm(laid - fixed, axis=1).mean() / radius)


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
