import numpy as np
import pytest
import sklearn.manifold

from layerlens.embedding import metrics as module
from layerlens.embedding.metrics import (
    continuity,
    measure_picture,
    neighbors_in_picture,
    triplet_order,
    trustworthiness,
)
from layerlens.embedding.neighbors import nearest_neighbors


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1900, 12)).astype(np.float32)
    picture = (X[:, :2] + 0.3 * rng.normal(size=(1900, 2))).astype(np.float32)
    return X, picture


def test_trustworthiness_is_that_of_scikit_learn(pair):
    X, picture = pair
    for n in (1900, 33, 8):
        k = min(15, (n - 1) // 2)
        found = trustworthiness(X[:n], neighbors_in_picture(picture[:n], k))
        expected = sklearn.manifold.trustworthiness(X[:n], picture[:n], n_neighbors=k)
        assert found.value == pytest.approx(expected, abs=1e-6)
        assert found.error == 0


def test_continuity_is_trustworthiness_with_the_spaces_exchanged(pair):
    X, picture = pair
    found = continuity(picture, nearest_neighbors(X, 15))
    expected = sklearn.manifold.trustworthiness(picture, X, n_neighbors=15)
    assert found.value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("compiled", [True, False])
def test_drawn_samples_estimate_it_within_their_error(pair, monkeypatch, compiled):
    X, picture = pair
    monkeypatch.setattr(module, "_ALL_UP_TO", 100)
    monkeypatch.setattr(module, "_ROWS", 300)
    monkeypatch.setattr(module, "numba_runs", lambda: compiled)
    shown = neighbors_in_picture(picture, 15)
    true = sklearn.manifold.trustworthiness(X, picture, n_neighbors=15)
    found = [trustworthiness(X, shown, random_state=seed) for seed in range(12)]
    off = np.array([(each.value - true) / each.error for each in found])
    # standardised errors of twelve draws: mean square 1, and below 2.2 in 99.9 % of cases
    assert (off**2).mean() < 2.2
    assert (off**2).mean() > 0.2


def test_neighbours_in_a_picture_leave_the_point_itself_out_among_duplicates():
    picture = np.zeros((20, 2), np.float32)
    found = neighbors_in_picture(picture, 5)
    assert not (found == np.arange(20)[:, None]).any()


def test_triplets_are_all_right_in_the_cloud_itself_and_half_right_by_chance():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2)).astype(np.float32)
    assert triplet_order(X, X * 3 + 1).value == pytest.approx(1, abs=1e-3)
    chance = triplet_order(X, rng.normal(size=(500, 2)).astype(np.float32))
    assert chance.value == pytest.approx(0.5, abs=4 * chance.error)
    assert chance.error == pytest.approx(0.005, rel=0.05)


def test_the_cloud_as_its_own_picture_is_perfect():
    X = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    labels = (X[:, 0] > 0).astype(int)
    quality = measure_picture(X, X, nearest_neighbors(X, 15), labels)
    assert quality.metrics["trustworthiness"] == 1
    assert quality.metrics["continuity"] == 1
    assert quality.metrics["neighbor_recall"] == 1
    assert quality.metrics["knn_accuracy"] > 0.9
    assert (quality.stress == 0).all()


def test_stress_is_the_share_of_neighbours_that_a_point_lost(pair):
    X, picture = pair
    quality = measure_picture(X, picture, nearest_neighbors(X, 15))
    shown = neighbors_in_picture(picture, 15)
    native = nearest_neighbors(X, 15).indices
    for sample in (0, 7, 1899):
        kept = len(set(shown[sample].tolist()) & set(native[sample].tolist()))
        assert quality.stress[sample] == pytest.approx(1 - kept / 15)
    assert quality.metrics["neighbor_recall"] == pytest.approx(1 - quality.stress.mean(), abs=1e-6)


def test_a_dot_has_no_quality():
    X = np.ones((30, 4), np.float32)
    quality = measure_picture(X, X[:, :2], nearest_neighbors(X, 15))
    assert quality.metrics == {}
    assert quality.stress is None


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_few_samples_are_measured_as_far_as_it_means_something(n):
    X = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    quality = measure_picture(X, X[:, :2], nearest_neighbors(X, 15))
    assert all(np.isfinite(value) for value in quality.metrics.values())
    assert ("trustworthiness" in quality.metrics) == (n >= 3)
