"""Layers larger than memory go to a reducer in blocks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import IncrementalPCA

import layerlens as ll
from layerlens.embedding import blocks, clouds, placing
from layerlens.embedding.blocks import mixed_blocks, rows_of
from layerlens.embedding.clouds import layer_clouds, lies_on_disk
from layerlens.embedding.principal import principal_axes
from layerlens.embedding.principal_blocks import AxesFromBlocks
from layerlens.errors import ArgumentError, DataError, ShapeError


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 64 rows, the fewest that there are."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)


def sheet(n=1_000, width=30, seed=0):
    """Return rows with one wide, one narrower and many weak directions, off the origin."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(width, width)))[0]
    lengths = np.r_[10.0, 4.0, np.full(width - 2, 0.5)]
    return (rng.normal(size=(n, width)) * lengths @ axes + 100).astype(np.float32)


def blobs(n=1_200, width=10, k=6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(0, k, n))  # one class after the other
    centres = rng.normal(size=(k, width)) * 20
    return (centres[labels] + rng.normal(size=(n, width))).astype(np.float32), labels


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A layer of 96 MiB on disk, and another, narrow one."""
    path = tmp_path_factory.mktemp("blocks") / "run.zarr"
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 1024), torch.nn.Tanh(), torch.nn.Linear(1024, 4))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(24_576, 8, generator=generator)
    batches = [(part, (part[:, 0] > 0).long()) for part in x.split(256)]
    store = ll.Store(path, buffer="2 MiB")
    return ll.Probe(model, ["1", "2"], store=store, sketch=None).run(batches)


def peak_of(call):
    tracemalloc.start()
    try:
        result = call()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reducer", "options"),
    [
        ("pca", {}),
        ("kmeans", {"n_clusters": 4}),
        (IncrementalPCA, {}),
        (MiniBatchKMeans, {"n_clusters": 2, "batch_size": 256}),
    ],
)
def test_a_layer_on_disk_takes_the_memory_of_its_blocks(stored, monkeypatch, reducer, options):
    """NumPy tells tracemalloc of every array; the rows alone would be more than the cap."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2 * 2**20)
    monkeypatch.setattr(placing, "MEASURED", 500)
    monkeypatch.setattr(blocks, "IN_BLOCKS_ABOVE", 32 * 2**20)
    acts = ll.Activations.open(stored.meta["store"])
    whole = acts["1"].nbytes
    assert whole == 96 * 2**20
    acts["1"].source._array._cache._limit = 2**20  # of chunks that were read last: 64 MiB else
    emb, peak = peak_of(lambda: ll.reduce(acts, reducer, **options))
    assert any("learnt from 48 blocks" in note for note in emb["1"].notes)
    assert not any("learnt" in note for note in emb["2"].notes)
    assert peak < whole / 3, f"{peak / 2**20:.0f} MiB"
    # the cap says something: drawn whole, the same layer goes above it
    _, at_once = peak_of(lambda: ll.reduce(acts, "pca", layers="1", in_blocks=False, metrics=False))
    assert at_once > whole


def test_every_row_is_in_one_block_and_blocks_are_equal(small_blocks):
    (cloud,) = layer_clouds({"a": np.zeros((1_003, 7), np.float32)})
    found = list(mixed_blocks(cloud, np.random.default_rng(0)))
    assert len(found) == 16
    assert np.array_equal(np.sort(np.concatenate(found)), np.arange(1_003))
    # runs of 8 rows, of which a block has 7 or 8
    assert {len(one) for one in found} <= {51, 56, 59, 64}
    assert all(np.ptp(one) > 300 for one in found)


def test_blocks_are_made_of_whole_chunks(stored, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4 * 2**20)
    cloud = layer_clouds(stored)[0]
    chunk = stored["1"].source.chunk_rows
    assert 1 < chunk <= 512
    found = list(mixed_blocks(cloud, np.random.default_rng(0)))
    assert len(found) == 24
    for numbers in found:
        assert set(np.bincount(numbers // chunk)) == {0, chunk}


def test_rows_of_a_block_are_the_rows(small_blocks):
    X = sheet()
    (cloud,) = layer_clouds({"a": X})
    for numbers in mixed_blocks(cloud, np.random.default_rng(0)):
        assert np.array_equal(rows_of(cloud, numbers), X[numbers])


@pytest.mark.parametrize("width", [30, 3_000])
def test_axes_learnt_from_blocks_are_those_of_the_whole(width):
    """Exact up to 2,048 features; above, the two strong directions are followed from the start."""
    X = sheet(700, width)
    learnt = AxesFromBlocks(width, 2)
    for start in range(0, 700, 90):
        learnt.add(X[start : start + 90])
    mean, components, variance, total = learnt.axes(2)
    whole = principal_axes(X, 2, solver="full")
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-5)
    cosines = (components * whole.components).sum(axis=1)
    assert cosines.min() > (1 - 1e-5 if width <= 2_048 else 0.999)
    np.testing.assert_allclose(variance, whole.variance, rtol=1e-4 if width <= 2_048 else 0.02)
    np.testing.assert_allclose(total, whole.total_variance, rtol=1e-4)


def test_a_drift_from_block_to_block_is_seen():
    """The variance that lies between the blocks' means counts."""
    X = sheet(640, 3_000)
    X[:, 7] += np.repeat(np.arange(10), 64).astype(np.float32) * 50
    learnt = AxesFromBlocks(3_000, 1)
    for part in np.split(X, 10):
        learnt.add(part)
    _, components, variance, _ = learnt.axes(1)
    assert np.abs(components[0]).argmax() == 7
    assert variance[0] == pytest.approx(principal_axes(X, 1).variance[0], rel=1e-3)


def test_pca_in_blocks_draws_what_pca_draws(small_blocks):
    X = sheet()
    whole = ll.reduce({"a": X}, "pca")["a"]
    parts = ll.reduce({"a": X}, "pca", in_blocks=True)["a"]
    np.testing.assert_allclose(parts.coordinates, whole.coordinates, atol=1e-3)  # signs too
    assert parts.metrics["explained_variance"] == pytest.approx(
        whole.metrics["explained_variance"], abs=1e-5
    )
    assert parts.notes == ("learnt from 16 blocks of at most 63 rows",)


@pytest.mark.parametrize("reducer", ["kmeans", MiniBatchKMeans])
def test_clusters_come_block_by_block(small_blocks, reducer):
    """Even where the classes come one after the other: a block is of all places."""
    X, labels = blobs()
    found = ll.reduce({"a": X}, reducer, n_clusters=6, in_blocks=True)["a"].clusters
    assert found.shape == (1_200,)
    if reducer == "kmeans":
        assert len({*zip(found.tolist(), labels.tolist(), strict=True)}) == 6


def test_figures_are_of_a_subsample_the_same_in_every_layer(small_blocks, monkeypatch):
    monkeypatch.setattr(placing, "MEASURED", 300)
    X, labels = blobs()
    acts = ll.Activations.of({"a": X, "b": np.tanh(X / 20)}, labels=labels)
    emb = ll.reduce(acts, "pca", in_blocks=True)
    drawn = placing.subsample(labels, len(X), 300, 0)
    part = ll.reduce(
        ll.Activations.of({n: np.asarray(acts[n])[drawn] for n in acts}, labels=labels[drawn]),
        "pca",
        in_blocks=False,
    )
    for name, layer in emb.items():
        assert "the figures are of 300 of 1,200 samples" in layer.notes
        assert layer.stress is None
        assert layer.neighbors is None
        # native figures do not depend on the picture
        assert layer.metrics["knn_accuracy_native"] == part[name].metrics["knn_accuracy_native"]
    assert "motion_previous" in emb["b"].metrics


def test_auto_is_for_what_lies_on_disk_and_is_large(stored, monkeypatch):
    monkeypatch.setattr(blocks, "IN_BLOCKS_ABOVE", 2**20)
    clouds = layer_clouds(stored)
    pca = ll.reducers.get("pca")
    assert blocks.in_blocks(clouds, pca, "pca", "auto") == {"1"}
    assert blocks.in_blocks(clouds, pca, "pca", True) == {"1", "2"}
    assert not blocks.in_blocks(clouds, pca, "pca", False)
    assert not blocks.in_blocks(clouds, ll.reducers.get("tsne"), "tsne", "auto")
    in_memory = layer_clouds({"a": np.zeros((5_000, 100), np.float32)})
    assert not blocks.in_blocks(in_memory, pca, "pca", "auto")


def test_what_lies_on_disk(stored, tmp_path):
    assert lies_on_disk(stored["1"])
    assert lies_on_disk(np.lib.format.open_memmap(tmp_path / "a.npy", "w+", shape=(3, 2)))
    assert not lies_on_disk(np.zeros((3, 2)))
    assert not lies_on_disk(torch.zeros(3, 2))
    assert not lies_on_disk(ll.Activations.of({"a": np.zeros((3, 2))})["a"])
    model = torch.nn.Linear(2, 2)
    parts = []
    for n in range(2):
        with ll.Probe(model, store=tmp_path / str(n)) as probe:
            probe.annotate(ids=[2 * n, 2 * n + 1])
            model(torch.zeros(2, 2))
        parts.append(ll.Activations.open(tmp_path / str(n)))
    assert lies_on_disk(ll.Activations.merge(parts)[""])


def test_a_layer_larger_than_memory_is_refused_with_the_remedies(stored, monkeypatch):
    monkeypatch.setattr(clouds, "available_memory", lambda: 50 * 2**20)
    monkeypatch.setattr(placing, "MEASURED", 200)
    with pytest.raises(DataError, match=r"'1' take 0\.1 GiB.*max_samples=.*in_blocks=True"):
        ll.reduce(stored, "pca", layers="1")
    for options in ({"in_blocks": True}, {"max_samples": 500}):
        emb = ll.reduce(stored, "pca", layers="1", **options)
        assert emb["1"].coordinates.shape == (24_576, 2)


def test_labels_go_with_their_rows(small_blocks):
    seen = []

    class Told(BaseEstimator):
        def __init__(self, n_components=2):
            self.n_components = n_components

        def partial_fit(self, X, y=None):
            seen.append((X[:, 0].copy(), y))
            return self

        def transform(self, X):
            return X[:, :2]

        def fit_transform(self, X, y=None):
            return X[:, :2]

    labels = np.random.default_rng(0).permutation(500)
    X = np.repeat(labels[:, None], 4, axis=1).astype(np.float32)
    acts = ll.Activations.of({"a": X}, labels=labels)
    emb = ll.reduce(acts, Told, supervised=True, in_blocks=True, align=False)
    assert all(np.array_equal(row, told) for row, told in seen)
    assert np.array_equal(emb["a"].coordinates, X[:, :2])


def test_a_reducer_that_writes_into_its_block_spoils_nothing(small_blocks):
    class Writes(IncrementalPCA):
        def transform(self, X):
            coordinates = super().transform(X)
            X[:] = 0
            return coordinates

    X = sheet(300)
    before = X.copy()
    ll.reduce({"a": X}, Writes, in_blocks=True, metrics=False)
    assert np.array_equal(X, before)


# joblib's warning, in a thread of its own: as an error it would leave the test waiting for ever
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs:UserWarning")
def test_layers_in_blocks_are_drawn_side_by_side_too(small_blocks):
    X = sheet(300)
    acts = {"a": X, "b": X[:, ::-1].copy()}
    alone = ll.reduce(acts, "pca", in_blocks=True)
    spread = ll.reduce(acts, "pca", in_blocks=True, n_jobs=2)
    for name in acts:
        # the other process has blocks of its own size, which moves float32's last digits
        assert any("learnt from" in note for note in spread[name].notes)
        np.testing.assert_allclose(alone[name].coordinates, spread[name].coordinates, atol=1e-3)


def test_a_layer_with_rows_of_its_own(small_blocks):
    class Sometimes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.again = torch.nn.Linear(4, 3)

        def forward(self, x):
            y = self.again(x)
            return self.again(x) if x[0, 0] > 0 else y

    x = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    acts = ll.Probe(Sometimes()).run(list(x.split(8)))
    layer = ll.reduce(acts, "pca", layers="again*", in_blocks=True)["again:1"]
    assert 64 < len(layer.coordinates) == len(layer.rows) < 400


def test_nan_in_a_block_is_named(small_blocks):
    X = sheet(300)
    X[203, 4] = np.nan
    with pytest.raises(DataError, match=r"'a' has NaN or infinity in 1 .*ids 203") as caught:
        ll.reduce({"a": X}, "pca", in_blocks=True)
    assert "in blocks with 'pca'" in caught.value.__notes__[0]


def test_what_cannot_be_done_in_blocks_says_so():
    acts = {"a": sheet(100)}
    for reducer, options in [("tsne", {}), ("pca", {"basis": "common"})]:
        with pytest.raises(ArgumentError, match="has no partial_fit and transform"):
            ll.reduce(acts, reducer, in_blocks=True, **options)
    with pytest.raises(ArgumentError, match="in_blocks is True, False or 'auto'"):
        ll.reduce(acts, "pca", in_blocks="yes")
    with pytest.raises(ArgumentError, match="max_samples=50 leaves most out"):
        ll.reduce(acts, "pca", in_blocks=True, max_samples=50)
    pca = ll.reducers.get("pca").partial_fit(np.zeros((4, 3)))
    with pytest.raises(ShapeError, match="5 features came after rows of 3"):
        pca.partial_fit(np.zeros((4, 5)))


def test_fitting_whole_forgets_what_was_learnt_from_blocks():
    X, other = sheet(200), sheet(200, seed=1)
    for name in ("pca", "kmeans"):
        reducer = ll.reducers.get(name, random_state=0).partial_fit(other)
        reducer.transform(other)
        fresh = ll.reducers.get(name, random_state=0)
        assert np.array_equal(reducer.fit_transform(X), fresh.fit_transform(X))
        assert np.array_equal(reducer.transform(X), fresh.transform(X))
        learnt = ll.reducers.get(name, random_state=0).partial_fit(other)
        assert np.array_equal(reducer.partial_fit(other).transform(X), learnt.transform(X))


def test_few_and_poor_rows_are_drawn_in_blocks():
    for X in (np.ones((5, 3), np.float32), sheet(3, 3), sheet(2, 2)[:, :1], sheet(4, 2_500)):
        for name in ("pca", "kmeans"):
            layer = ll.reduce({"a": X}, name, in_blocks=True)["a"]
            assert np.isfinite(layer.coordinates).all()
            assert layer.coordinates.shape == (len(X), 2)
