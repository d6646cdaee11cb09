"""Reducers that other people wrote, and what they may do wrong."""

import numpy as np
import pytest
import torch
from sklearn.cluster import FeatureAgglomeration
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import layerlens as ll

X = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


@pytest.mark.parametrize(
    "reducer",
    [PCA(n_components=2, copy=False), make_pipeline(StandardScaler(copy=False), PCA(2))],
    ids=["pca", "pipeline"],
)
def test_reducer_that_works_in_place_changes_nothing_of_the_users(reducer):
    mine = X.copy()
    acts = ll.Activations.of({"a": mine})
    ll.reduce(acts, reducer)
    np.testing.assert_array_equal(mine, X)


def test_labels_of_features_are_no_clusters_and_a_note_says_so():
    picture = ll.reduce({"a": X}, FeatureAgglomeration(n_clusters=2))["a"]
    assert picture.clusters is None
    assert "labels_ of shape (6,)" in picture.notes[0]


@pytest.mark.parametrize(
    ("reducer", "remedy"),
    [
        (PCA(n_components=2), "set it where you make it"),
        (make_pipeline(StandardScaler(), PCA(2)), "set it where you make it"),
        (lambda: make_pipeline(PCA(2)), "set it in what makes '<lambda>'"),
    ],
    ids=["ready", "pipeline", "factory"],
)
def test_n_components_that_a_reducer_does_not_draw_is_refused(reducer, remedy):
    with pytest.raises(ll.ArgumentError, match="n_components=3.* draws 2; .*" + remedy):
        ll.reduce({"a": X}, reducer, n_components=3)


def test_ready_reducer_keeps_its_own_n_components():
    pipeline = make_pipeline(StandardScaler(), PCA(3))
    for given in ({}, {"n_components": 3}):
        assert ll.reduce({"a": X}, pipeline, **given)["a"].coordinates.shape == (40, 3)
    asked = ll.reduce({"a": X}, make_pipeline(PCA(2)), n_components=3, pca__n_components=3)
    assert asked["a"].coordinates.shape == (40, 3)


class Odd:
    def __init__(self, returned=None, **left):
        self.returned, self.left = returned, left

    def fit_transform(self, X, y=None):
        for name, value in self.left.items():
            setattr(self, name, value)
        return X[:, :2] if self.returned is None else self.returned(X)


def test_one_note_is_one_note():
    assert ll.reduce({"a": X}, Odd(notes_="clipped"))["a"].notes == ("clipped",)
    assert ll.reduce({"a": X}, Odd(notes_=None, metrics_=None))["a"].notes == ()


def test_metrics_that_are_no_numbers_name_reducer_and_layer():
    with pytest.raises(ll.PluginError, match=r"Odd.*'a'"):
        ll.reduce({"a": X}, Odd(metrics_={"quality": "high"}))


@pytest.mark.parametrize(
    "returned",
    [
        lambda x: torch.tensor(x[:, :2], requires_grad=True),
        lambda x: torch.tensor(x[:, :2]).bfloat16(),
        lambda x: x[:, :2].tolist(),
        lambda x: x[:, :2].astype(np.float64),
    ],
)
def test_coordinates_of_any_array_type_are_taken(returned):
    coordinates = ll.reduce({"a": X}, Odd(returned), align=False)["a"].coordinates
    assert coordinates.dtype == np.float32 and coordinates.shape == (40, 2)


def test_ragged_coordinates_name_reducer_and_layer():
    with pytest.raises(ll.PluginError, match=r"Odd.*'a'"):
        ll.reduce({"a": X}, Odd(lambda x: [[1, 2], [3]] * 20))
