import numpy as np
import pytest
from sklearn.manifold._t_sne import _joint_probabilities_nn
from sklearn.neighbors import NearestNeighbors

from layerlens.embedding import affinities as module
from layerlens.embedding.affinities import affinities
from layerlens.embedding.neighbors import nearest_neighbors


def _dense(joint):
    table = np.zeros((len(joint), len(joint)))
    table[joint.rows, joint.columns] = joint.values
    return table


def test_joint_probabilities_are_those_of_scikit_learn():
    X = np.random.default_rng(0).normal(size=(400, 10)).astype(np.float32)
    joint = _dense(affinities(nearest_neighbors(X, 60), 20.0))
    graph = NearestNeighbors(n_neighbors=60).fit(X).kneighbors_graph(mode="distance")
    graph.data **= 2
    expected = _joint_probabilities_nn(graph, 20.0, 0).toarray()
    assert joint == pytest.approx(expected, abs=2e-3 * expected.max())
    assert joint.sum() == pytest.approx(1, abs=1e-5)
    assert joint == pytest.approx(joint.T, abs=1e-6 * joint.max())


def test_perplexity_is_what_was_asked_for_whatever_the_scale():
    X = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    for scale in (1e-8, 1.0, 1e8):
        near = nearest_neighbors(X * np.float32(scale), 50)
        joint = affinities(near, 12.0)
        assert _dense(joint) == pytest.approx(
            _dense(affinities(nearest_neighbors(X, 50), 12.0)), abs=1e-6
        )


def test_neighbours_at_one_distance_share_alike():
    near = nearest_neighbors(np.eye(12, dtype=np.float32), 11)
    joint = _dense(affinities(near, 5.0))
    off = joint[~np.eye(12, dtype=bool)]
    assert off == pytest.approx(1 / 132, rel=1e-4)


def test_a_perplexity_beyond_the_neighbours_is_cut():
    near = nearest_neighbors(np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32), 5)
    joint = affinities(near, 300.0)
    assert joint.perplexity == pytest.approx(4.5)
    assert np.isfinite(joint.values).all()


def test_divergence_is_the_sum_over_pairs(divergence):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 10)).astype(np.float32)
    Y = rng.normal(size=(300, 2))
    apart = ((Y[:, None] - Y) ** 2).sum(-1)
    normalizer = (1 / (1 + apart)).sum() - len(Y)
    found = module.divergence(affinities(nearest_neighbors(X, 91), 30.0), Y, normalizer)
    assert found == pytest.approx(divergence(X, Y), rel=1e-3)
