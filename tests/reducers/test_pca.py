import numpy as np
import pytest
import sklearn.decomposition
from sklearn.base import clone

from layerlens.errors import ArgumentError
from layerlens.reducers.pca import PCA


@pytest.fixture
def cloud():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(700, 600)) * 2.0 ** -np.arange(600)).astype(np.float32)


@pytest.mark.parametrize("solver", ["auto", "full", "randomized"])
def test_coordinates_are_those_of_scikit_learn_up_to_sign(cloud, solver):
    expected = sklearn.decomposition.PCA(3, svd_solver="full").fit_transform(cloud.astype(float))
    found = PCA(3, solver=solver).fit_transform(cloud)
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-3)


def test_what_it_shows_is_reported_as_a_share(cloud):
    reducer = PCA(2)
    reducer.fit_transform(cloud)
    expected = sklearn.decomposition.PCA(2).fit(cloud).explained_variance_ratio_.sum()
    assert reducer.metrics_["explained_variance"] == pytest.approx(expected, rel=1e-4)
    assert reducer.explained_variance_ratio_.sum() == pytest.approx(expected, rel=1e-4)


def test_new_samples_are_placed_as_the_old_were(cloud):
    reducer = PCA(2)
    coordinates = reducer.fit_transform(cloud)
    assert reducer.transform(cloud[:5]) == pytest.approx(coordinates[:5], abs=1e-4)
    assert reducer.fit(cloud) is reducer


def test_missing_axes_are_zero_and_said():
    reducer = PCA(3)
    coordinates = reducer.fit_transform(np.arange(4, dtype=np.float32)[:, None])
    assert (coordinates[:, 1:] == 0).all()
    assert reducer.notes_ == ["only 1 of 3 axes: the others are zero"]


def test_a_constant_cloud_is_a_dot_and_said():
    reducer = PCA()
    assert (reducer.fit_transform(np.ones((5, 3), np.float32)) == 0).all()
    assert reducer.notes_ == ["all samples are the same point"]


def test_an_unknown_solver_is_refused():
    with pytest.raises(ArgumentError, match="'auto', 'full' or 'randomized', got 'arpack'"):
        PCA(solver="arpack").fit_transform(np.ones((3, 3), np.float32))


def test_it_is_cloned_with_its_parameters():
    assert clone(PCA(3, solver="full")).get_params() == PCA(3, solver="full").get_params()
