"""Clouds that have no picture of the usual kind, and the picture that they get instead."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from layerlens.embedding.principal import principal_axes

__all__ = ["distinct_points", "plain_picture"]

Matrix = npt.NDArray[np.float32]


def plain_picture(
    X: Matrix, n_components: int, method: str, notes: list[str], at_least: int = 5
) -> Matrix | None:
    """Return a picture of a cloud with too few distinct points, and note it; None for others.

    A cloud that is one point gives one dot: there is nothing to show, and nothing is invented.

    `X`: (n_samples, n_features), float32.
    `at_least`: four points are four corners whatever they are.
    """
    if (X.max(axis=0) == X.min(axis=0)).all():
        notes.append("all samples are the same point")
        return np.zeros((len(X), n_components), np.float32)
    if distinct_points(X, at_least) >= at_least:
        return None
    notes.append(f"fewer than {at_least} distinct points: principal axes in place of {method}")
    return principal_axes(X, n_components).coordinates


def distinct_points(X: Matrix, at_most: int) -> int:
    """Count the distinct points of a cloud, up to a number."""
    seen: set[bytes] = set()
    for row in X:
        # + 0.0 makes one of the two zeros
        seen.add((row + np.float32(0)).tobytes())
        if len(seen) >= at_most:
            break
    return len(seen)
