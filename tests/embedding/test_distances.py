import numpy as np
import pytest

from layerlens.embedding.distances import fold


def test_narrow_rows_are_returned_as_they_are():
    X = np.ones((3, 10), np.float32)
    assert fold(X, 10) is X


def test_a_fold_is_a_sum_of_signed_values_of_each_bucket():
    X = np.random.default_rng(0).normal(size=(4, 23)).astype(np.float32)
    sketch = fold(X, 8, random_state=3)
    signs = np.random.default_rng(3).integers(0, 2, 23) * 2 - 1
    expected = np.zeros((4, 8))
    for value in range(23):
        expected[:, value % 8] += X[:, value] * signs[value]
    assert sketch == pytest.approx(expected, abs=1e-5)


def test_squared_distances_are_kept_in_expectation():
    X = np.random.default_rng(0).normal(size=(2, 4000)).astype(np.float32)
    true = float(((X[0] - X[1]) ** 2).sum())
    folded = [fold(X, 256, random_state=s) for s in range(60)]
    mean = np.mean([((f[0] - f[1]) ** 2).sum() for f in folded])
    # one estimate has a relative deviation of sqrt(2 / 256) = .09; sixty of them .011
    assert mean == pytest.approx(true, rel=0.04)
