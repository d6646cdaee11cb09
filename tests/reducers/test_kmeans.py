import numpy as np
import pytest
import sklearn.cluster

from layerlens.reducers.kmeans import KMeans


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 6)) * 20
    labels = rng.integers(0, 4, 200)
    return (centres[labels] + rng.normal(size=(200, 6))).astype(np.float32), labels


def test_clusters_are_those_of_scikit_learn(blobs):
    X, _ = blobs
    reducer = KMeans(n_clusters=4, random_state=0)
    reducer.fit_transform(X)
    expected = sklearn.cluster.KMeans(4, random_state=0).fit(X)
    assert (reducer.labels_ == expected.labels_).all()
    assert reducer.inertia_ == pytest.approx(expected.inertia_)
    assert reducer.cluster_centers_ == pytest.approx(expected.cluster_centers_)


def test_coordinates_are_in_the_plane_of_the_centroids(blobs):
    X, _ = blobs
    reducer = KMeans(3, n_clusters=4, random_state=0)
    coordinates = reducer.fit_transform(X)
    # four centroids span three axes: projected, they are as far apart as they were
    means = np.stack([coordinates[reducer.labels_ == c].mean(0) for c in range(4)])
    projected = np.linalg.norm(means[:, None] - means, axis=-1)
    native = reducer.cluster_centers_
    assert projected == pytest.approx(np.linalg.norm(native[:, None] - native, axis=-1), rel=1e-3)


def test_more_clusters_than_points_are_cut_and_said():
    reducer = KMeans(n_clusters=8, random_state=0)
    X = np.repeat(np.arange(3.0), 4)[:, None].astype(np.float32)
    assert reducer.fit_transform(X).shape == (12, 2)
    assert sorted(set(reducer.labels_.tolist())) == [0, 1, 2]
    assert reducer.notes_[0] == "3 clusters: there are no more distinct points"
    assert "3 centroids span 1 of 2 axes" in reducer.notes_[1]


def test_points_that_float32_cannot_tell_apart_leave_clusters_empty_without_a_warning():
    X = np.r_[np.zeros((20, 2)), np.ones((1, 2)) * 1e7].astype(np.float32)
    X[:20, 0] = np.arange(20) * 1e-3
    reducer = KMeans(n_clusters=8, random_state=0)
    assert np.isfinite(reducer.fit_transform(X)).all()


def test_inertia_is_a_share_of_the_whole(blobs):
    X, _ = blobs
    reducer = KMeans(n_clusters=1, random_state=0)
    reducer.fit_transform(X)
    assert reducer.metrics_["inertia"] == pytest.approx(1, rel=1e-4)
