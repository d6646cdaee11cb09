import numpy as np
import pytest

from layerlens.embedding.distances import fold
from layerlens.embedding.knowledge import (
    intrinsic_dimension,
    layer_facts,
    linear_cka,
    search_recall,
)
from layerlens.embedding.neighbors import nearest_neighbors


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_intrinsic_dimension_is_that_of_the_plane_that_a_cloud_lies_in(dimension):
    rng = np.random.default_rng(0)
    flat = rng.uniform(size=(3000, dimension))
    X = (flat @ rng.normal(size=(dimension, 20))).astype(np.float32)
    found = intrinsic_dimension(nearest_neighbors(X, 2))
    # the estimator's standard deviation at 3,000 samples is 2 %; edges pull it down a little
    assert found == pytest.approx(dimension, rel=0.12)


def test_intrinsic_dimension_needs_neighbours_that_differ():
    X = np.repeat(np.arange(5.0), 4)[:, None].astype(np.float32)
    assert intrinsic_dimension(nearest_neighbors(X, 2)) is None


def test_cka_is_one_for_a_rotated_layer_and_zero_for_an_unrelated_one():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 40)).astype(np.float32)
    turn = np.linalg.qr(rng.normal(size=(40, 40)))[0].astype(np.float32)
    assert linear_cka(X, 5 * X @ turn + 3) == pytest.approx(1, abs=1e-4)
    others = [linear_cka(X, rng.normal(size=(300, 900)).astype(np.float32)) for _ in range(10)]
    # the usual, biased estimate would be .75 here
    assert np.abs(np.mean(others)) < 0.02


def test_cka_tends_to_the_usual_one_for_many_samples():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3)).astype(np.float32)
    Y = (X @ rng.normal(size=(3, 4)) + rng.normal(size=(2000, 4))).astype(np.float32)
    x, y = X - X.mean(0), Y - Y.mean(0)
    usual = (np.linalg.norm(y.T @ x) ** 2) / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert linear_cka(X, Y) == pytest.approx(usual, abs=5e-3)


def test_search_recall_says_what_a_sketch_cost():
    X = np.random.default_rng(0).normal(size=(400, 3000)).astype(np.float32)
    assert search_recall(X, nearest_neighbors(X, 15)) == 1
    coarse = nearest_neighbors(fold(X, 100), 15)
    true = nearest_neighbors(X, 15)
    everywhere = np.mean(
        [
            len(set(a) & set(b)) / 15
            for a, b in zip(true.indices.tolist(), coarse.indices.tolist(), strict=True)
        ]
    )
    assert search_recall(X, coarse) == pytest.approx(everywhere, abs=0.06)


def test_a_layer_beside_itself_overlaps_wholly_and_shuffled_not():
    X = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    mixed = X[np.random.default_rng(1).permutation(500)]
    facts = [layer_facts(x, x, nearest_neighbors(x, 15), None) for x in (X, X.copy(), mixed)]
    same, other = facts[1].beside(facts[0]), facts[2].beside(facts[0])
    assert same["neighbor_overlap_previous"] == 1
    assert same["cka_previous"] == pytest.approx(1)
    assert other["neighbor_overlap_previous"] < 0.06
    assert abs(other["cka_previous"]) < 0.1


def test_a_constant_layer_knows_nothing():
    X = np.ones((50, 4), np.float32)
    facts = layer_facts(X, X, nearest_neighbors(X, 15), np.arange(50) % 2)
    assert facts.metrics == {}
    assert facts.gram is None
