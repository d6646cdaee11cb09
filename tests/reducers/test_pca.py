import numpy as np
import pytest
import sklearn.decomposition
from sklearn.base import clone

import layerlens as ll
from layerlens.errors import ArgumentError, ShapeError
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


# -- one basis for all layers


@pytest.fixture
def stream():
    """Four layers that write into one space, the last much larger, as residual networks' are."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(150, 40)) * np.linspace(3, 0.1, 40)
    layers = [start]
    for _ in range(3):
        layers.append(layers[-1] * 3 + np.tanh(layers[-1] @ rng.normal(size=(40, 40))) + 5)
    return {f"block{i}": X.astype(np.float32) for i, X in enumerate(layers)}


def _pooled(layers):
    total = 0
    for X in layers:
        centred = X.astype(float) - X.astype(float).mean(axis=0)
        total = total + centred.T @ centred / (centred**2).sum()
    return np.linalg.eigh(total)[1][:, ::-1].T


@pytest.mark.parametrize("solver", ["full", "randomized"])
def test_common_axes_are_those_of_the_pooled_covariance(stream, solver):
    result = ll.reduce(stream, "pca", basis="common", solver=solver)
    axes = _pooled(list(stream.values()))[:2]
    for name, X in stream.items():
        expected = (X - X.mean(axis=0)).astype(float) @ axes.T
        np.testing.assert_allclose(
            np.abs(result[name].coordinates), np.abs(expected), atol=2e-3 * np.abs(expected).max()
        )
        centred = X - X.mean(axis=0)
        share = (expected**2).sum() / (centred.astype(float) ** 2).sum()
        assert result[name].metrics["explained_variance"] == pytest.approx(share, rel=1e-2)
        assert result[name].notes == ("axes in common for all 4 layers",)
        assert result[name].params["parameters"]["basis"] == "common"
        assert result[name].params["alignment"]["method"] == "one frame"


@pytest.mark.parametrize("align", [True, False, "procrustes"])
def test_one_linear_map_places_all_layers_whatever_align_says(stream, align):
    result = ll.reduce(stream, "pca", basis="common", align=align)
    reducer = PCA(basis="common")
    reducer.fit_transform_series(list(stream.values()))
    for name, X in stream.items():
        placed = (X - X.mean(axis=0)) @ reducer.components_.T
        np.testing.assert_allclose(result[name].coordinates, placed, rtol=1e-4, atol=1e-3)


def test_in_one_basis_the_same_layers_lie_on_each_other_and_shuffled_rows_do_not(stream):
    X = stream["block0"]
    shuffled = X[np.random.default_rng(1).permutation(len(X))]
    result = ll.reduce({"a": X, "same": X.copy(), "shuffled": shuffled}, "pca", basis="common")
    np.testing.assert_array_equal(result["a"].coordinates, result["same"].coordinates)
    assert result["shuffled"].metrics["motion_previous"] > 1.1


def test_layers_without_one_space_are_refused_and_told_why(stream):
    narrow = {**stream, "head": stream["block0"][:, :10]}
    with pytest.raises(ShapeError, match=r"one width.*'block0': 40.*basis='layer'"):
        ll.reduce(narrow, "pca", basis="common")
    infos = {name: ll.LayerInfo(name, dim=900, width=40) for name in stream}

    class Recorded(dict):
        run = ll.RunInfo(layers=infos, ids=np.arange(150))

    with pytest.raises(ShapeError, match=r"sketch of 'block0'.*sketch=None"):
        ll.reduce(Recorded(stream), "pca", basis="common")
    with pytest.raises(ArgumentError, match="basis is 'layer' or 'common', got 'both'"):
        ll.reduce(stream, "pca", basis="both")


def test_a_dead_layer_in_one_basis_is_a_dot(stream):
    layers = {**stream, "dead": np.ones((150, 40), np.float32)}
    result = ll.reduce(layers, "pca", basis="common", n_components=3)
    assert (result["dead"].coordinates == 0).all()
    assert "all samples are the same point" in result["dead"].notes
    assert all(
        (X.coordinates == 0).all()
        for X in ll.reduce(
            {"a": layers["dead"], "b": layers["dead"]}, "pca", basis="common"
        ).values()
    )


def test_its_own_axes_are_best_for_a_layer_and_a_series_is_only_of_the_common_ones(stream):
    assert not hasattr(PCA(), "fit_transform_series")
    own, common = (ll.reduce(stream, "pca", basis=basis) for basis in ("layer", "common"))
    for name in stream:
        shares = [one[name].metrics["explained_variance"] for one in (common, own)]
        assert shares[0] <= shares[1] + 1e-6
    assert own["block1"].params["alignment"]["method"] == "procrustes"
