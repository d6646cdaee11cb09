"""The folded sketch of `layerlens.recording.sketch`, for arrays that came without one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["fold"]

Matrix = npt.NDArray[np.float32]

_ROWS = 256


def fold(X: Matrix, width: int, *, random_state: int = 0) -> Matrix:
    """Sketch rows to at most `width` values, keeping distances in expectation.

    Each value is multiplied by a random sign, the row is cut into segments of one length, and
    the segments are added up: a CountSketch [1]_ whose bucket is the place in the segment, so
    that the buckets are equally full and memory is read in order.

    `X`: (n_samples, n_features), float32.
    `width`: rows that are no wider are returned as they are, not copied.
    Returned: (n_samples, width or a little less), float32. The width is such that the segments are
    nearly of one length.

    References
    ----------
    .. [1] M. Charikar, K. Chen, M. Farach-Colton, Finding frequent items in data streams,
       ICALP 2002; as feature hashing, K. Weinberger et al., ICML 2009.
    """
    n, features = X.shape
    if features <= width:
        return X
    segments = -(-features // width)
    kept = -(-features // segments)
    signs = np.random.default_rng(random_state).integers(0, 2, features) * 2 - 1
    signs = signs.astype(np.float32)
    sketch = np.zeros((n, kept), np.float32)
    # few rows at a time, so that the sketch's rows stay in the cache between segments
    for top in range(0, n, _ROWS):
        rows = sketch[top : top + _ROWS]
        for left in range(0, features, kept):
            right = min(features, left + kept)
            rows[:, : right - left] += X[top : top + _ROWS, left:right] * signs[left:right]
    return sketch
