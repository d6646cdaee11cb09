"""A small cloud to draw."""

import numpy as np
import pytest


@pytest.fixture
def cloud():
    """Three groups of samples, side by side."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(150, 8)) + rng.integers(0, 3, (150, 1)) * 8).astype(np.float32)
