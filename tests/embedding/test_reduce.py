import json

import numpy as np
import pytest
import sklearn.decomposition
import sklearn.preprocessing

import layerlens as ll
from layerlens.embedding import neighbors
from layerlens.embedding.align import motion, rms_radius
from layerlens.embedding.neighbors import nearest_neighbors
from layerlens.embedding.reduce import reduce
from layerlens.errors import ArgumentError, DataError, PluginError
from layerlens.records import LayerInfo, RunInfo


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(80, 30)) * np.linspace(3, 0.1, 30)
    return {"input": wide, "relu": np.maximum(wide, 0), "out": wide @ rng.normal(size=(30, 4))}


class Mean:
    """A reducer that is no estimator: two columns of means, and a note of what it got."""

    def __init__(self, n_components=2, random_state=None):
        self.n_components = n_components
        self.random_state = random_state

    def fit_transform(self, X, y=None):
        self.notes_ = [f"seed {self.random_state}"]
        self.metrics_ = {"rows": len(X)}
        self.labels_ = (X[:, 0] > 0).astype(int)
        columns = np.array_split(X, self.n_components, axis=1)
        return np.stack([column.mean(axis=1) for column in columns], axis=1)


def test_every_layer_has_a_picture_in_order(layers):
    pictures = reduce(layers)
    assert list(pictures) == ["input", "relu", "out"]
    for index, (name, picture) in enumerate(pictures.items()):
        assert picture.index == index
        assert picture.layer == name
        assert picture.reducer == "pca"
        assert picture.coordinates.shape == (80, 2)
        assert picture.coordinates.dtype == np.float32


def test_a_first_picture_is_what_the_reducer_made(layers):
    expected = sklearn.decomposition.PCA(2).fit_transform(layers["input"])
    found = reduce(layers)["input"].coordinates
    assert motion(found, expected) == pytest.approx(0, abs=1e-4)
    assert rms_radius(found) == pytest.approx(rms_radius(expected), rel=1e-4)


def test_pictures_are_laid_on_the_one_before(layers):
    turned = layers["input"][:, ::-1] * -5 + 3
    pictures = reduce({"a": layers["input"], "b": turned})
    assert pictures["b"].coordinates == pytest.approx(pictures["a"].coordinates, abs=1e-3)
    assert pictures["b"].params["alignment"]["to"] == "a"
    assert pictures["b"].params["alignment"]["scale"] == pytest.approx(0.2, rel=1e-3)
    alone = reduce({"a": layers["input"], "b": turned}, align=False)
    assert rms_radius(alone["b"].coordinates) == pytest.approx(
        5 * rms_radius(alone["a"].coordinates), rel=1e-3
    )


def test_a_dot_between_two_layers_does_not_break_the_chain(layers):
    chain = {"a": layers["input"], "dot": np.ones((80, 3)), "b": layers["input"] * 2}
    pictures = reduce(chain)
    assert rms_radius(pictures["dot"].coordinates) == 0
    assert pictures["dot"].notes == ("all samples are the same point",)
    assert pictures["b"].params["alignment"]["to"] == "a"
    assert pictures["b"].coordinates == pytest.approx(pictures["a"].coordinates, abs=1e-3)


@pytest.mark.parametrize("given", ["class", "instance", "registered"])
def test_a_reducer_of_ones_own_is_taken_in_every_form(layers, given):
    if given == "registered":
        ll.reducers.register("test.mean", Mean)
    try:
        reducer = {"class": Mean, "instance": Mean(2, 7), "registered": "test.mean"}[given]
        picture = reduce(layers, reducer, random_state=3)["input"]
    finally:
        ll.reducers.unregister("test.mean")
    seed = 7 if given == "instance" else 3
    assert picture.notes == (f"seed {seed}",)
    assert picture.metrics["rows"] == 80
    assert picture.clusters.tolist() == (layers["input"][:, 0] > 0).astype(int).tolist()
    assert picture.params["parameters"] == {"n_components": 2, "random_state": seed}


def test_a_ready_reducer_is_cloned_and_stays_as_it_was(layers):
    given = sklearn.decomposition.PCA(3)
    pictures = reduce(layers, given)
    assert pictures["out"].coordinates.shape == (80, 3)
    assert not hasattr(given, "components_")


def test_a_transformer_without_n_components_may_have_any_width(layers):
    pictures = reduce(layers, sklearn.preprocessing.StandardScaler, layers="out")
    assert pictures["out"].coordinates.shape == (80, 4)


def test_an_unknown_parameter_is_answered_with_what_there_is(layers):
    with pytest.raises(ArgumentError, match=r"takes no 'perplexty'\. Did you mean 'perplexity'"):
        reduce(layers, "tsne", perplexty=3)
    with pytest.raises(ArgumentError, match=r"'PCA' takes no 'perplexity'"):
        reduce(layers, sklearn.decomposition.PCA(2), perplexity=3)
    with pytest.raises(ArgumentError, match="set depth where you make it"):
        reduce(layers, Mean(), depth=3)


@pytest.mark.parametrize("value", [0, -1, 2.5, "2"])
def test_n_components_is_a_whole_number_from_one(layers, value):
    with pytest.raises(ArgumentError, match="n_components"):
        reduce(layers, n_components=value)


def test_align_is_one_of_three(layers):
    with pytest.raises(ArgumentError, match="'procrustes'"):
        reduce(layers, align="best")


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda X: X[:-1, :2], r"shape \(79, 2\) for layer 'input'; it must be \(80, 2\)"),
        (lambda X: X[:, :3], r"shape \(80, 3\)"),
        (lambda X: X[:, 0], r"shape \(80,\)"),
        (lambda X: X[:, :2] * np.nan, r"NaN or infinity for 80 of 80 samples of layer 'input'"),
        (lambda X: X[:, :2].astype(str), r"coordinates are real numbers"),
    ],
)
def test_a_picture_that_is_none_is_blamed_on_the_reducer(layers, returned, message):
    class Broken(Mean):
        def fit_transform(self, X, y=None):
            return returned(X)

    with pytest.raises(PluginError, match=message):
        reduce(layers, Broken)


def test_what_is_no_reducer_is_refused(layers):
    with pytest.raises(PluginError, match="there is no reducer called 'tnse'"):
        reduce(layers, "tnse")
    with pytest.raises(PluginError, match="a reducer is a name"):
        reduce(layers, 3)
    with pytest.raises(PluginError, match="has no fit_transform"):
        reduce(layers, dict)


def test_an_error_of_the_reducer_says_which_layer_it_was(layers):
    class Failing(Mean):
        def fit_transform(self, X, y=None):
            raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck") as caught:
        reduce(layers, Failing)
    assert "while reducing layer 'input'" in caught.value.__notes__[0]


def test_nan_in_a_layer_is_blamed_on_the_layer(layers):
    layers["relu"][::10] = np.nan
    with pytest.raises(DataError, match=r"'relu' has NaN or infinity in 8 of 80 samples"):
        reduce(layers)


def test_a_series_reducer_gets_all_layers_at_once(layers):
    class Series(Mean):
        def fit_transform_series(self, layers, y=None):
            self.series_notes_ = [[f"layer {at}"] for at in range(len(layers))]
            self.series_metrics_ = [{"width": X.shape[1]} for X in layers]
            return [X[:, :2] for X in layers]

    pictures = reduce(layers, Series)
    assert pictures["out"].notes == ("layer 2",)
    assert pictures["out"].metrics["width"] == 4
    assert pictures["out"].params["alignment"]["started_from"] == "series"
    assert reduce(layers, Series, align="procrustes")["out"].notes == ("seed 0",)


def test_a_series_reducer_that_loses_a_layer_is_blamed(layers):
    class Series(Mean):
        def fit_transform_series(self, layers, y=None):
            return [layers[0][:, :2]]

    with pytest.raises(PluginError, match="1 pictures for 3 layers"):
        reduce(layers, Series)


def test_a_reducer_that_takes_a_start_gets_the_picture_before(layers):
    starts = []

    class Warm(Mean):
        def fit_transform(self, X, y=None, *, init=None):
            starts.append(init)
            return X[:, :2]

    reduce(layers, Warm)
    assert starts[0] is None
    assert starts[1] == pytest.approx(layers["input"][:, :2], abs=1e-5)
    starts.clear()
    reduce(layers, Warm, align="procrustes")
    assert starts == [None, None, None]


def test_a_reducer_that_takes_neighbours_gets_them(layers):
    class Near(Mean):
        def n_neighbors_needed(self, n_samples):
            return 7

        def fit_transform(self, X, y=None, *, neighbors=None):
            indices, distances = neighbors
            true = np.linalg.norm(X[indices[0]] - X[0], axis=1)
            assert distances[0] == pytest.approx(true, rel=1e-4)
            return indices[:, :2]

    assert reduce(layers, Near)["input"].coordinates.shape == (80, 2)


def test_layers_of_other_samples_are_aligned_by_those_in_common(layers):
    rows = np.arange(10, 70, 2)

    class Layer:
        def __init__(self, array, rows=None):
            self.array, self.rows, self.shape, self.cache = array, rows, array.shape, {}

        def __array__(self, dtype=None, copy=None):
            return self.array

    class Recorded(dict):
        run = RunInfo(layers={name: LayerInfo(name) for name in ("a", "b", "c")}, ids=np.arange(80))

    X = layers["input"]
    pictures = reduce(Recorded(a=Layer(X), b=Layer(X[rows] * -3, rows), c=Layer(X)))
    assert pictures["b"].coordinates.shape == (30, 2)
    assert pictures["b"].rows.tolist() == rows.tolist()
    assert pictures["b"].params["alignment"]["samples"] == 30
    assert pictures["c"].params["alignment"]["samples"] == 30
    assert "motion_previous" not in pictures["b"].metrics


def test_provenance_is_plain_json(layers):
    class Odd(Mean):
        def __init__(self, n_components=2, table=None, how=None, much=np.inf):
            super().__init__(n_components)
            self.table, self.how, self.much = table, how, much

    picture = reduce(layers, Odd, table=np.ones(3), how=np.mean)["input"]
    written = json.loads(json.dumps(dict(picture.params), allow_nan=False))
    assert written["parameters"]["how"] == "mean"
    assert written["parameters"]["much"] == "inf"
    assert written["versions"]["numpy"] == np.__version__
    assert written["random_state"] == 0


@pytest.mark.parametrize("reducer", ["pca", "umap", "series-tsne"])
@pytest.mark.parametrize("k", [3, 15, 20])
def test_native_neighbours_are_kept_and_searched_for_once(layers, reducer, k, monkeypatch):
    searched = []

    def counting(X, *args, **kwargs):
        searched.append(len(X))
        return nearest_neighbors(X, *args, **kwargs)

    monkeypatch.setattr(neighbors, "nearest_neighbors", counting)
    pictures = reduce(layers, reducer, keep_neighbors=k)
    assert searched == [80] * 3
    for name, X in layers.items():
        near = pictures[name].neighbors
        assert near.dtype == np.int32
        squared = ((X[:, None] - X[None]) ** 2).sum(-1)
        np.fill_diagonal(squared, np.inf)
        np.testing.assert_array_equal(near, squared.argsort(axis=1)[:, :k])


def test_neighbours_are_left_out_where_none_are_wanted_known_or_meant(layers):
    assert reduce(layers, keep_neighbors=0)["relu"].neighbors is None
    assert reduce(layers, metrics=False)["relu"].neighbors is None
    assert reduce(layers, "umap", metrics=False)["relu"].neighbors.shape == (80, 15)
    assert reduce({"dead": np.ones((20, 3))})["dead"].neighbors is None
    assert reduce({"few": np.eye(4)})["few"].neighbors.shape == (4, 3)
    with pytest.raises(ArgumentError, match="keep_neighbors is a whole number from 0, got -1"):
        reduce(layers, keep_neighbors=-1)


def test_metrics_can_be_left_out(layers):
    picture = reduce(layers, metrics=False)["input"]
    assert set(picture.metrics) == {"explained_variance"}
    assert picture.stress is None


def test_measures_of_a_layer_beside_the_one_before_are_there(layers):
    figures = reduce(layers)["relu"].metrics
    assert {"motion_previous", "cka_previous", "neighbor_overlap_previous"} <= set(figures)
    assert "motion_previous" not in reduce(layers)["input"].metrics


def test_progress_goes_to_standard_error(layers, capsys):
    reduce(layers, progress=True)
    captured = capsys.readouterr()
    assert "reducing" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("reducer", ["pca", "kmeans", "tsne", "series-tsne"])
def test_the_same_seed_gives_the_same_pictures(layers, reducer):
    once, again = (reduce(layers, reducer, random_state=5, n_jobs=n) for n in (1, 2))
    for name in layers:
        assert once[name].coordinates.tobytes() == again[name].coordinates.tobytes()
