import numpy as np
import pytest
import sklearn.decomposition

import layerlens as ll
from layerlens.embedding.align import seed_metrics, seed_spread
from layerlens.errors import ArgumentError


def _cloud(seed=0):
    return np.random.default_rng(seed).normal(size=(300, 2))


def test_a_picture_that_is_only_turned_has_no_spread():
    X = _cloud()
    assert seed_spread([X, X[:, ::-1] * 3 + 1]) == pytest.approx(np.zeros(300), abs=1e-5)
    assert seed_metrics([X, X * -2])["seed_motion"] == pytest.approx(0, abs=1e-5)


def test_spread_is_that_of_the_point_that_moved():
    X = _cloud()
    moved = X.copy()
    moved[5] += [0.4, 0]
    spread = seed_spread([X, moved])
    radius = np.sqrt(((X - X.mean(0)) ** 2).sum(1).mean())
    # two places .4 apart are .2 from their mean
    assert spread[5] == pytest.approx(0.2 / radius, rel=0.02)
    assert np.delete(spread, 5).max() < 0.02


def test_a_dot_has_no_spread_and_no_motion():
    dot = np.ones((4, 2))
    assert seed_metrics([dot, dot]) == {"seed_spread": 0.0}


def test_reduce_draws_with_several_seeds():
    layers = {"a": _cloud(0), "b": _cloud(1)}
    once = ll.reduce(layers, "series-tsne")
    thrice = ll.reduce(layers, "series-tsne", n_seeds=3)
    for name in layers:
        assert (once[name].coordinates == thrice[name].coordinates).all()
        assert 0 < thrice[name].metrics["seed_spread"] < 1
        assert 0 < thrice[name].metrics["seed_motion"] < 1.3
        mean = thrice[name].spread.mean(dtype=np.float64)
        assert mean == pytest.approx(thrice[name].metrics["seed_spread"])
        assert thrice[name].spread.shape == (300,)
        assert once[name].spread is None
        assert "seed_motion" not in once[name].metrics


def test_several_seeds_need_a_reducer_that_takes_them():
    layers = {"a": _cloud()}
    with pytest.raises(ArgumentError, match="given ready-made or takes no random_state"):
        ll.reduce(layers, sklearn.decomposition.PCA(2), n_seeds=2)
    with pytest.raises(ArgumentError, match="give an int"):
        ll.reduce(layers, "pca", n_seeds=2, random_state=None)
    with pytest.raises(ArgumentError, match="n_seeds is a whole number from 1, got 0"):
        ll.reduce(layers, "pca", n_seeds=0)
