"""What the series t-SNE promises: quality, comparable pictures, and no invented agreement."""

import itertools

import numpy as np
import pytest
import sklearn.manifold

from layerlens.embedding.align import motion
from layerlens.embedding.descent import Phase
from layerlens.embedding.series import SCHEDULE, SCHEDULE_OF_FEW, Link, schedule_for
from layerlens.reducers.series_tsne import SeriesTSNE


@pytest.fixture(scope="module")
def series(lenet_layers):
    layers, _ = lenet_layers
    reducer = SeriesTSNE()
    pictures = reducer.fit_transform_series(list(layers.values()))
    return dict(zip(layers, pictures, strict=True)), reducer


def _scikit_learn(X):
    return sklearn.manifold.TSNE(random_state=0, max_iter=1000).fit_transform(X)


@pytest.mark.slow
@pytest.mark.parametrize("data", ["swiss_roll", "digits", "gaussian"])
def test_divergence_and_trust_are_those_of_scikit_learn(data, divergence, request):
    X = request.getfixturevalue(data)
    X = X[0] if isinstance(X, tuple) else X
    ours, theirs = SeriesTSNE().fit_transform(X), _scikit_learn(X)
    assert divergence(X, ours) < 1.02 * divergence(X, theirs)
    trust = sklearn.manifold.trustworthiness
    assert trust(X, ours, n_neighbors=15) > trust(X, theirs, n_neighbors=15) - 0.002


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["input", "conv2", "fc2"])
def test_layers_of_a_series_are_as_good_as_scikit_learns_alone(
    layer, lenet_layers, series, divergence
):
    X = lenet_layers[0][layer]
    ours, theirs = series[0][layer], _scikit_learn(X)
    assert divergence(X, ours) < 1.02 * divergence(X, theirs)
    trust = sklearn.manifold.trustworthiness
    # among four seeds of scikit-learn's own it lies between .9565 and .9593 for the input
    assert trust(X, ours, n_neighbors=15) > trust(X, theirs, n_neighbors=15) - 0.004


def test_the_divergence_that_is_reported_is_the_pictures(lenet_layers, series, divergence):
    layers, (pictures, reducer) = lenet_layers[0], series
    for at, (name, picture) in enumerate(pictures.items()):
        reported = reducer.series_metrics_[at]["kl_divergence"]
        # conv1 is wide enough to be sketched, which moves its divergence by 1 %
        assert reported == pytest.approx(divergence(layers[name], picture, k=60), rel=0.02)


def test_points_keep_their_place_from_layer_to_layer(lenet_layers, series):
    moved = [motion(b, a) for a, b in itertools.pairwise(series[0].values())]
    alone = [
        SeriesTSNE(random_state=seed).fit_transform(X)
        for seed, X in enumerate(lenet_layers[0].values())
    ]
    moved_alone = [motion(b, a) for a, b in itertools.pairwise(alone)]
    assert max(moved) < 0.45
    assert np.mean(moved) < 0.6 * np.mean(moved_alone)


def test_a_layer_that_does_not_change_stays_where_it_was(lenet_layers):
    X = lenet_layers[0]["conv2"]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(X.shape[1],) * 2))[0]
    first, second, third = SeriesTSNE().fit_transform_series(
        [X, X.copy(), (3 * X @ turn + 1).astype(np.float32)]
    )
    assert motion(second, first) < 0.03
    assert motion(third, second) < 0.05


def test_a_layer_whose_rows_are_shuffled_does_not_look_aligned(lenet_layers):
    X = lenet_layers[0]["conv2"]
    mixed = X[np.random.default_rng(0).permutation(len(X))]
    first, second, last = SeriesTSNE().fit_transform_series([X, mixed, X])
    # two pictures that have nothing in common move by 1.25; what shows less is invented
    assert motion(second, first) > 1.15
    assert motion(last, second) > 1.15


@pytest.mark.parametrize("strength", [1.0, 10.0])
def test_no_strength_of_coupling_makes_shuffled_layers_agree(lenet_layers, strength):
    X = lenet_layers[0]["fc1"][:800]
    mixed = X[np.random.default_rng(0).permutation(len(X))]
    reducer = SeriesTSNE(coupling=strength, hold_on=strength)
    first, second = reducer.fit_transform_series([X, mixed])
    assert motion(second, first) > 1.15


def test_a_shuffled_layer_costs_its_neighbours_no_quality(lenet_layers, divergence):
    X = lenet_layers[0]["conv2"]
    mixed = X[np.random.default_rng(0).permutation(len(X))]
    beside, _ = SeriesTSNE().fit_transform_series([X, mixed])
    alone = SeriesTSNE().fit_transform(X)
    assert divergence(X, beside) < 1.02 * divergence(X, alone)


def test_holding_on_moves_points_less(lenet_layers, series):
    held = SeriesTSNE(hold_on=10).fit_transform_series(list(lenet_layers[0].values()))
    free = list(series[0].values())
    moved_held = np.mean([motion(b, a) for a, b in itertools.pairwise(held)])
    assert moved_held < np.mean([motion(b, a) for a, b in itertools.pairwise(free)])


def test_without_coupling_a_layer_is_as_it_is_alone_from_the_same_start(lenet_layers):
    layers = list(lenet_layers[0].values())[2:4]
    free = SeriesTSNE(coupling=0).fit_transform_series(layers)
    again = SeriesTSNE(coupling=0).fit_transform_series(layers[::-1])[::-1]
    # the order of depth means nothing then, but for rounding in the common start
    assert motion(free[0], again[0]) < 0.6


def test_points_are_held_by_a_power_of_what_is_shared():
    between = Link(np.array([0, 0.5, 1], np.float32))
    weights = between.weights(Phase(1, 1, 0.8, 1, coupling=0.3, power=4), 2.0)
    assert weights == pytest.approx([0, 0.0125, 0.2])


def test_few_samples_have_a_schedule_of_their_own():
    assert schedule_for(300) is SCHEDULE_OF_FEW
    assert schedule_for(5000) is SCHEDULE
