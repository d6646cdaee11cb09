"""Labels reach a reducer when they are asked to, and never else."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NeighborhoodComponentsAnalysis

import layerlens as ll
from layerlens.embedding.labels import label_accuracy, label_targets
from layerlens.embedding.metrics import neighbors_in_picture
from layerlens.errors import ArgumentError

rng = np.random.default_rng(0)
X = rng.normal(size=(90, 8)).astype(np.float32)
Y = np.arange(90) % 3


def _of(labels, **layers):
    return ll.Activations.of(layers or {"a": X}, labels=labels)


class Watching:
    """A reducer that keeps what it was told."""

    told = None

    def fit_transform(self, X, y=None):
        Watching.told = y
        return X[:, :2].copy()


class WatchingSeries(Watching):
    def fit_transform_series(self, layers, y=None):
        return [self.fit_transform(X, y) for X in layers]


@pytest.fixture(autouse=True)
def nothing_told():
    Watching.told = None


@pytest.mark.parametrize("reducer", [Watching, WatchingSeries])
def test_a_reducer_that_could_use_labels_sees_none_unless_asked(reducer):
    picture = ll.reduce(_of(Y), reducer)["a"]
    assert Watching.told is None
    assert picture.notes == ()
    assert "supervised" not in picture.params
    picture = ll.reduce(_of(Y), reducer, supervised=True)["a"]
    np.testing.assert_array_equal(Watching.told, Y)
    assert "told the labels" in picture.notes[0]
    assert picture.params["supervised"] is True


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["b", "", "a", "b"], [1, -1, 0, 1]),
        (np.array(["b", "", "a", "b"], object), [1, -1, 0, 1]),
        (np.array([7, -1, 3, 7], np.int8), [7, -1, 3, 7]),
        ([True, False, True, True], [1, 0, 1, 1]),
        (np.array([0.5, 1, 2, 3], np.float32), [0.5, 1, 2, 3]),
    ],
)
def test_labels_are_told_as_numbers(labels, told):
    targets = label_targets(np.asarray(labels))
    assert targets.tolist() == told
    assert targets.dtype == (np.float64 if isinstance(told[0], float) else np.int64)


def test_what_a_reducer_writes_into_its_labels_stays_there():
    class Careless(Watching):
        def fit_transform(self, X, y=None):
            y[:] = 0
            return super().fit_transform(X, y)

    acts = _of(Y.copy(), a=X, b=X)
    result = ll.reduce(acts, Careless, supervised=True)
    np.testing.assert_array_equal(result.labels, Y)


class Part:
    def __init__(self, array, rows):
        self.array, self.rows, self.shape, self.cache = array, rows, array.shape, {}

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_a_layer_of_some_samples_is_told_their_labels():
    class Recorded(dict):
        run = ll.RunInfo(
            layers={"a": ll.LayerInfo("a")},
            ids=np.arange(90),
            labels=np.array(["x", "y", "z"])[Y],
        )

    rows = np.array([7, 2, 4, 31])
    ll.reduce(Recorded(a=Part(X[rows], rows)), Watching, supervised=True)
    # numbered as in the run, whichever classes the layer has
    np.testing.assert_array_equal(Watching.told, Y[rows])


def _accuracy(picture):
    return label_accuracy(Y, neighbors_in_picture(picture.coordinates, 10))


def test_umap_brings_classes_of_noise_together_only_when_told():
    plain = ll.reduce(_of(Y), "umap")["a"]
    told = ll.reduce(_of(Y), "umap", supervised=True)["a"]
    assert _accuracy(plain) < 0.6
    assert _accuracy(told) > 0.95


def test_umap_takes_strings_unknown_labels_and_numbers():
    names = np.array(["x", "y", "z"])[Y]
    names[:10] = ""
    told = ll.reduce(_of(names), "umap", supervised=True)["a"]
    numbers = np.where(np.arange(90) < 10, -1, Y)
    same = ll.reduce(_of(numbers), "umap", supervised=True)["a"]
    np.testing.assert_array_equal(told.coordinates, same.coordinates)
    values = _of(X[:, 0].astype(float))
    with pytest.raises(ArgumentError, match="target_metric='l2'"):
        ll.reduce(values, "umap", supervised=True)
    ll.reduce(values, "umap", supervised=True, target_metric="l2")


@pytest.mark.parametrize("reducer", [LinearDiscriminantAnalysis, NeighborhoodComponentsAnalysis])
def test_a_reducer_that_needs_labels_asks_for_them(reducer):
    with pytest.raises(ArgumentError, match="draws with the labels: pass supervised=True$"):
        ll.reduce(_of(Y), reducer)
    with pytest.raises(ArgumentError, match="supervised=True, and labels, of which there are none"):
        ll.reduce({"a": X}, reducer)
    assert ll.reduce(_of(Y), reducer, supervised=True)["a"].coordinates.shape == (90, 2)


def test_discriminants_are_scikit_learns():
    made = ll.reduce(_of(Y), LinearDiscriminantAnalysis(n_components=2), supervised=True)["a"]
    expected = LinearDiscriminantAnalysis(n_components=2).fit_transform(X, Y)
    np.testing.assert_allclose(made.coordinates, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["pca", "kmeans", "tsne", "series-tsne", "aligned-umap"])
def test_a_reducer_that_uses_no_labels_says_so(name):
    with pytest.raises(ArgumentError, match=rf"'{name}' uses none.*'umap'"):
        ll.reduce(_of(Y), name, supervised=True)


def test_supervision_without_labels_says_where_they_come_from():
    with pytest.raises(ArgumentError, match=r"there are none: record with .*labels=y"):
        ll.reduce({"a": X}, "umap", supervised=True)


def test_others_reducers_that_take_a_y_are_given_it():
    with_y = ll.reduce(_of(Y), PCA(n_components=2), supervised=True)["a"]
    without = ll.reduce(_of(Y), PCA(n_components=2))["a"]
    np.testing.assert_array_equal(with_y.coordinates, without.coordinates)


def test_pictures_of_further_seeds_are_told_too():
    class Seeded(Watching):
        times = 0

        def __init__(self, random_state=0):
            self.random_state = random_state

        def fit_transform(self, X, y=None):
            Seeded.times += y is not None
            return super().fit_transform(X, y)

    ll.reduce(_of(Y), Seeded, supervised=True, n_seeds=3)
    assert Seeded.times == 3
