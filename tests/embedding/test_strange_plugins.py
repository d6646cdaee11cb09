"""Reducers and sinks that keep the contract badly: each is told what is wrong, by name."""

import numpy as np
import pytest

import layerlens as ll

RNG = np.random.default_rng(0)
CLOUDS = {name: RNG.normal(size=(40, 6)).astype(np.float32) for name in ("wide", "deep")}


class First:
    """The first two features."""

    def fit_transform(self, X, y=None):
        return X[:, :2]


class NeedsFolder(First):
    def __init__(self, folder):
        self.folder = folder


class OnlyTransform:
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X[:, :2]


class Clusterer:
    def fit_predict(self, X, y=None):
        return np.zeros(len(X), int)


def rows(X):
    return X[:, :2]


class ListedMetrics(First):
    metrics_ = (1.0,)


class SeriesOfNothing(First):
    def fit_transform_series(self, layers, y=None):
        return None


class SeriesByName(First):
    def fit_transform_series(self, layers, y=None):
        return {"wide": layers[0][:, :2], "deep": layers[1][:, :2]}


class NeighborsByName(First):
    def fit_transform(self, X, y=None, neighbors=None):
        return X[:, :2]

    def n_neighbors_needed(self, n_samples):
        return "many"


@pytest.mark.parametrize(
    ("reducer", "said"),
    [
        (NeedsFolder, "'NeedsFolder' needs 'folder' to be made: pass it to reduce"),
        (rows, "'rows' needs 'X' to be made.*a function of the rows is none"),
        (OnlyTransform, "no fit_transform.*has fit and transform.*TransformerMixin"),
        (Clusterer, "no fit_transform.*it finds clusters and no coordinates: take 'kmeans'"),
        (ListedMetrics, "'ListedMetrics' left metrics_ of type tuple; they are a mapping"),
        (SeriesOfNothing, "'SeriesOfNothing' returned NoneType for the series of 2 layers"),
        (SeriesByName, "'SeriesByName' returned dict for the series of 2 layers"),
        (NeighborsByName, "needs 'many' neighbours for layer 'wide'; n_neighbors_needed returns"),
    ],
)
def test_what_a_reducer_lacks_is_said(reducer, said):
    with pytest.raises(ll.PluginError, match=said):
        ll.reduce(CLOUDS, reducer)


def test_what_a_reducer_needs_can_be_passed():
    assert list(ll.reduce(CLOUDS, NeedsFolder, folder="here")) == ["wide", "deep"]


class Silent:
    """A sink that writes nothing."""

    suffixes = ()

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self

    def write(self, embedding):
        pass

    def __exit__(self, *error):
        return None


class Swallowing(Silent):
    def write(self, embedding):
        raise ZeroDivisionError("in write")

    def __exit__(self, *error):
        return True


class EntersNothing(Silent):
    def __enter__(self):
        return None


class NoContext:
    def __init__(self, path):
        pass


@pytest.fixture(scope="module")
def embeddings():
    return ll.reduce(CLOUDS, "pca")


def test_an_error_that_a_sink_swallows_is_raised(embeddings, tmp_path):
    with pytest.raises(ZeroDivisionError, match="in write") as caught:
        embeddings.save(tmp_path / "a.txt", sink=Swallowing)
    assert "would have swallowed: Swallowing" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        (EntersNothing, "'EntersNothing' does not.*__enter__ gave NoneType, which has no write"),
        (NoContext, "'NoContext' does not.*NoContext is no context manager.*check_sink"),
        (Silent("a.txt"), r"a class or another callable.*made already goes into a list: save\("),
        (3, "sink is a name, a class or another callable that makes one; got 3"),
    ],
)
def test_what_is_no_sink_is_said(embeddings, tmp_path, sink, said):
    with pytest.raises(ll.PluginError, match=said):
        embeddings.save(tmp_path / "a.txt", sink=sink)


@pytest.mark.parametrize("suffixes", [None, 3, ".odd", [".odd", None]])
def test_suffixes_of_a_wrong_type_stand_in_nobody_s_way(embeddings, tmp_path, suffixes):
    odd = type("Odd", (Silent,), {"suffixes": suffixes})
    ll.sinks.register("acme.odd", odd)
    try:
        with pytest.raises(ll.PluginError, match=r"'\.nowhere'.*Use one of \.csv"):
            embeddings.save(tmp_path / "a.nowhere")
        if suffixes not in (None, 3):
            assert embeddings.save(tmp_path / "a.odd") == tmp_path / "a.odd"
    finally:
        ll.sinks.unregister("acme.odd")


@pytest.mark.parametrize("seed", [-1, "a", 1.5, True, 2**32])
def test_what_is_no_seed_is_said(seed):
    with pytest.raises(ll.ArgumentError, match="random_state is an int from 0 to"):
        ll.reduce(CLOUDS, "pca", random_state=seed)
