import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from layerlens.embedding import neighbors as module
from layerlens.embedding.clouds import layer_clouds
from layerlens.embedding.neighbors import nearest_neighbors, neighbors_of, shared_neighbors


def _true(X, k):
    search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(X.astype(np.float64))
    distances, indices = search.kneighbors(X.astype(np.float64))
    return indices[:, 1:], distances[:, 1:]


@pytest.fixture
def cloud():
    return np.random.default_rng(0).normal(size=(1300, 40)).astype(np.float32)


@pytest.fixture(params=["sorting", "heaps", "blocks of heaps"])
def way(request, monkeypatch):
    monkeypatch.setattr(module, "_PLAIN_UP_TO", 10_000 if request.param == "sorting" else 0)
    if request.param == "blocks of heaps":
        monkeypatch.setattr(module, "_WHOLE_UP_TO", 0)
        monkeypatch.setattr(module, "_BLOCK", 500)
    return request.param


def test_exact_neighbours_are_those_of_scikit_learn(cloud, way):
    found = nearest_neighbors(cloud, 20)
    indices, distances = _true(cloud, 20)
    assert (found.indices == indices).mean() > 0.9999  # but for ties in float32
    assert found.distances == pytest.approx(distances, abs=1e-3)
    assert found.indices.dtype == np.int32
    assert found.distances.dtype == np.float32


def test_threads_change_nothing(cloud, way):
    one, many = nearest_neighbors(cloud, 15, n_jobs=1), nearest_neighbors(cloud, 15, n_jobs=3)
    assert (one.indices == many.indices).all()
    assert (one.distances == many.distances).all()


def test_no_sample_is_its_own_neighbour_even_among_duplicates(way):
    X = np.repeat(np.random.default_rng(0).normal(size=(30, 4)), 20, axis=0).astype(np.float32)
    found = nearest_neighbors(X, 15)
    assert not (found.indices == np.arange(len(X))[:, None]).any()
    assert (found.distances == 0).all()
    assert all(len(set(row)) == 15 for row in found.indices.tolist())


def test_clusters_far_apart_keep_their_neighbours(way):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 5)) + 3e4 * (np.arange(600) % 2)[:, None]
    X = X.astype(np.float32)
    indices, _ = _true(X, 10)
    assert (nearest_neighbors(X, 10).indices == indices).mean() > 0.99


def test_one_far_outlier_spoils_nothing(way):
    X = np.random.default_rng(0).normal(size=(600, 5)).astype(np.float32)
    X[0] = 1e6
    indices, _ = _true(X, 10)
    assert (nearest_neighbors(X, 10).indices[1:] == indices[1:]).mean() > 0.99


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_few_samples_have_as_many_neighbours_as_there_are(n, way):
    X = np.arange(n, dtype=np.float32)[:, None] ** 2
    found = nearest_neighbors(X, 15)
    assert found.indices.shape == (n, n - 1)
    if n > 1:
        assert (found.indices == _true(X, n - 1)[0]).all()


def test_the_approximate_search_finds_most_neighbours(cloud):
    found = nearest_neighbors(cloud[:, :10], 15, method="approximate")
    indices, _ = _true(cloud[:, :10], 15)
    assert not found.exact
    assert not (found.indices == np.arange(len(cloud))[:, None]).any()
    assert shared_neighbors(found.indices, indices.astype(np.int32)).mean() > 0.9


def test_neighbours_are_kept_with_the_layer(cloud, monkeypatch):
    (layer,) = layer_clouds({"layer": cloud})
    first = neighbors_of(layer, 20)

    def fail(*_, **__):
        raise AssertionError("searched again")

    monkeypatch.setattr(module, "nearest_neighbors", fail)
    again = neighbors_of(layer, 12)
    assert (again.indices == first.indices[:, :12]).all()
    with pytest.raises(AssertionError, match="searched again"):
        neighbors_of(layer, 21)


def test_shared_neighbours_are_counted_in_any_order():
    a = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.int32)
    b = np.array([[4, 3, 9, 9], [8, 7, 6, 5]], np.int32)
    assert shared_neighbors(a, b).tolist() == [0.5, 1.0]
