"""Clouds that have no picture of the usual kind, and the picture that they get instead."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from layerlens.embedding.principal import principal_axes

__all__ = ["distinct_points", "plain_picture"]

Matrix = npt.NDArray[np.float32]


def plain_picture(
    X: Matrix, n_components: int, method: str, at_least: int
) -> tuple[Matrix, str] | None:
    """Return a picture and a note for a cloud with too few distinct points, else None.

    A cloud that is one point gives one dot: there is nothing to show, and nothing is invented.

    `X`: (n_samples, n_features), float32.
    """
    if (X.max(axis=0) == X.min(axis=0)).all():
        return np.zeros((len(X), n_components), np.float32), "all samples are the same point"
    if distinct_points(X, at_least) >= at_least:
        return None
    coordinates = principal_axes(X, n_components).coordinates
    return (
        coordinates,
        f"fewer than {at_least} distinct points: principal axes in place of {method}",
    )


def distinct_points(X: Matrix, at_most: int) -> int:
    """Count the distinct points of a cloud, up to a number."""
    seen: set[bytes] = set()
    for row in X:
        # + 0.0 makes one of the two zeros
        seen.add((row + np.float32(0)).tobytes())
        if len(seen) >= at_most:
            break
    return len(seen)
