import numpy as np
import pytest
import sklearn.decomposition

from layerlens.embedding.principal import common_axes, principal_axes, start_from_axes
from layerlens.embedding.principal_blocks import AxesFromBlocks


def _cloud(n, d, seed=0):
    rng = np.random.default_rng(seed)
    scales = 3.0 ** -np.arange(min(n, d, 8))
    low = rng.normal(size=(n, len(scales))) * scales
    return (low @ rng.normal(size=(len(scales), d)) + 5).astype(np.float32)


@pytest.mark.parametrize("shape", [(300, 20), (40, 700), (900, 800)])
def test_axes_are_those_of_scikit_learn_up_to_sign(shape):
    X = _cloud(*shape)
    found = principal_axes(X, 3)
    expected = sklearn.decomposition.PCA(3, svd_solver="full").fit(X.astype(np.float64))
    for ours, theirs in zip(found.components, expected.components_, strict=True):
        assert abs(float(ours @ theirs)) == pytest.approx(1, abs=1e-4)
    assert found.variance == pytest.approx(expected.explained_variance_, rel=1e-3)
    assert found.total_variance == pytest.approx(X.astype(float).var(0, ddof=1).sum(), rel=1e-4)


@pytest.mark.parametrize("shape", [(300, 20), (40, 700), (900, 800)])
def test_the_largest_entry_of_each_axis_is_positive_whole_and_in_blocks(shape):
    X = _cloud(*shape)
    in_blocks = AxesFromBlocks(X.shape[1], 3)
    for rows in (X[:13], X[13:]):
        in_blocks.add(rows)
    for each in (X, -X):  # one of the two would have to be turned
        found = principal_axes(each, 3)
        largest = np.abs(found.components).argmax(axis=1)
        assert (found.components[np.arange(3), largest] > 0).all()
        centred = each - found.mean
        np.testing.assert_allclose(found.coordinates, centred @ found.components.T, atol=1e-4)
    np.testing.assert_allclose(in_blocks.axes(3)[1], found.components, atol=1e-3)
    np.testing.assert_allclose(common_axes([X], 3), found.components, atol=1e-3)


def test_missing_axes_are_zero():
    found = principal_axes(_cloud(50, 1), 3)
    assert found.coordinates.shape == (50, 3)
    assert (found.coordinates[:, 1:] == 0).all()
    assert found.coordinates[:, 0].std() > 0


def test_the_cloud_is_not_changed():
    X = _cloud(600, 600)
    before = X.copy()
    X.setflags(write=False)
    principal_axes(X, 2)
    assert (before == X).all()


def test_randomised_axes_are_the_same_for_the_same_seed():
    X = np.random.default_rng(0).normal(size=(700, 700)).astype(np.float32)
    a, b, c = (principal_axes(X, 2, random_state=s).coordinates for s in (1, 1, 2))
    assert (a == b).all()
    assert not (a == c).all()


def test_a_start_has_its_first_axis_at_the_given_deviation():
    start = start_from_axes(principal_axes(_cloud(100, 10), 2).coordinates)
    assert start[:, 0].std() == pytest.approx(1e-4, rel=1e-4)
    assert start.dtype == np.float32
    assert (start_from_axes(np.zeros((4, 2), np.float32)) == 0).all()
