"""More samples than a reducer bears: a subsample is embedded and the rest placed by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

import layerlens as ll
from layerlens.embedding import blocks, foreign_neighbors
from layerlens.embedding.clouds import layer_clouds
from layerlens.embedding.foreign_neighbors import ForeignNeighbors
from layerlens.embedding.placing import subsample, subsampled
from layerlens.errors import ArgumentError, DataError


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [400, 200, 100, 20])
    centres = rng.normal(size=(4, 12)) * 8
    near = (centres[labels] + rng.normal(size=(len(labels), 12))).astype(np.float32)
    return near, labels


@pytest.mark.parametrize("seed", [0, 1])
def test_a_subsample_has_of_each_class_its_share(seed):
    labels = np.repeat(["a", "b", "c"], [6000, 3000, 1000])[
        np.random.default_rng(9).permutation(10000)
    ]
    drawn = subsample(labels, 10_000, 1_000, seed)
    assert len(np.unique(drawn)) == 1_000
    assert np.array_equal(drawn, np.sort(drawn))
    _, counts = np.unique(labels[drawn], return_counts=True)
    assert np.abs(counts - [600, 300, 100]).max() <= 1


def test_a_rare_class_is_in_the_subsample():
    labels = np.zeros(5_000, int)
    labels[1234] = 1
    assert 1234 in subsample(labels, 5_000, 10, 0)


def test_more_classes_than_places_still_gives_the_size():
    assert len(subsample(np.arange(100), 100, 7, 0)) == 7


def test_within_a_class_every_sample_has_the_same_chance():
    labels = np.repeat([0, 1], 20)
    drawn = np.zeros(40)
    for seed in range(2_000):
        drawn[subsample(labels, 40, 10, seed)] += 1
    # binomial with p = 1/4: the standard deviation of a share is .01, five of them are allowed
    assert np.abs(drawn / 2_000 - 0.25).max() < 0.05


def test_another_seed_draws_others_and_the_same_seed_the_same():
    first, again, other = (subsample(None, 1_000, 100, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_part_of_a_cloud_is_its_rows_however_it_is_cut_in_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4 * 5 * 7)
    source = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
    samples = np.sort(np.random.default_rng(1).permutation(100)[:30])
    (part,) = subsampled(layer_clouds({"a": source}), samples)
    assert np.array_equal(part.matrix(), source[samples])
    assert np.array_equal(part.rows, samples)


def test_the_embedded_ones_lie_where_they_lie_without_the_others(blobs):
    near, labels = blobs
    acts = ll.Activations.of({"a": near, "b": np.tanh(near)}, labels=labels)
    whole = ll.reduce(acts, "pca", max_samples=200)
    drawn = subsample(labels, len(near), 200, 0)
    part = ll.reduce({"a": near[drawn], "b": np.tanh(near)[drawn]}, "pca")
    for layer in ("a", "b"):
        np.testing.assert_allclose(
            whole[layer].coordinates[drawn], part[layer].coordinates, rtol=1e-5, atol=1e-5
        )
        assert whole[layer].metrics["trustworthiness"] == part[layer].metrics["trustworthiness"]
        assert np.array_equal(whole[layer].stress[drawn], part[layer].stress)


def test_the_others_lie_at_the_weighted_mean_of_their_five_nearest(blobs):
    near, labels = blobs
    layer = ll.reduce(ll.Activations.of({"a": near}, labels=labels), "pca", max_samples=200)["a"]
    drawn = subsample(labels, len(near), 200, 0)
    rest = np.setdiff1d(np.arange(len(near)), drawn)
    distance, index = NearestNeighbors(n_neighbors=5).fit(near[drawn]).kneighbors(near[rest])
    weight = 1 / distance
    expected = (layer.coordinates[drawn][index] * weight[:, :, None]).sum(1) / weight.sum(1)[
        :, None
    ]
    np.testing.assert_allclose(layer.coordinates[rest], expected, rtol=1e-3, atol=1e-3)
    assert np.array_equal(layer.neighbors[rest, :5], drawn[index])
    assert set(np.unique(layer.neighbors)) <= set(drawn.tolist())


def test_a_placed_point_lies_among_its_class(blobs):
    near, labels = blobs
    layer = ll.reduce(
        ll.Activations.of({"a": near}, labels=labels), "series-tsne", max_samples=200
    )["a"]
    drawn = subsample(labels, len(near), 200, 0)
    rest = np.setdiff1d(np.arange(len(near)), drawn)
    _, index = (
        NearestNeighbors(n_neighbors=1)
        .fit(layer.coordinates[drawn])
        .kneighbors(layer.coordinates[rest])
    )
    assert (labels[drawn][index[:, 0]] == labels[rest]).mean() > 0.97


def test_a_duplicate_of_an_embedded_row_lies_on_it():
    near = np.repeat(np.random.default_rng(0).normal(size=(40, 6)), 2, axis=0).astype(np.float32)
    layer = ll.reduce({"a": near}, "pca", max_samples=60)["a"]
    drawn = set(subsample(None, 80, 60, 0).tolist())
    pairs = [(2 * i, 2 * i + 1) for i in range(40) if len({2 * i, 2 * i + 1} & drawn) == 1]
    assert pairs
    for one, other in pairs:
        np.testing.assert_allclose(layer.coordinates[one], layer.coordinates[other], atol=1e-4)


def test_clusters_of_placed_points_are_those_of_their_nearest(blobs):
    near, labels = blobs
    layer = ll.reduce(
        ll.Activations.of({"a": near}, labels=labels), "kmeans", n_clusters=4, max_samples=200
    )["a"]
    assert layer.clusters.shape == (len(near),)
    pairs = {(int(c), int(y)) for c, y in zip(layer.clusters, labels, strict=True)}
    assert len(pairs) <= 6


def test_every_picture_says_so_and_the_file_keeps_it(blobs, tmp_path):
    near, labels = blobs
    emb = ll.reduce(ll.Activations.of({"a": near}, labels=labels), "pca", max_samples=200)
    assert any("200 of 720 samples embedded" in note for note in emb["a"].notes)
    emb.save(tmp_path / "a.npz")
    again = ll.Embeddings.load(tmp_path / "a.npz")
    assert again["a"].notes == emb["a"].notes
    assert again["a"].coordinates.shape == (720, 2)


def test_reducers_name_their_limit_and_none_lifts_it(blobs, monkeypatch):
    near, labels = blobs
    monkeypatch.setattr("layerlens.reducers.tsne.TSNE.n_samples_limit", 100)
    acts = ll.Activations.of({"a": near[:300]}, labels=labels[:300])
    limited = ll.reduce(acts, "tsne", perplexity=10, metrics=False)["a"]
    assert any("100 of 300" in note for note in limited.notes)
    whole = ll.reduce(acts, "tsne", perplexity=10, metrics=False, max_samples=None)["a"]
    assert not whole.notes


def test_so_few_samples_are_all_embedded(blobs):
    near, _ = blobs
    assert not ll.reduce({"a": near}, "pca", max_samples=720)["a"].notes


def test_layers_with_rows_of_their_own_are_placed_within_them():
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU())
    acts = ll.Probe(model).run(torch.randn(90, 4, generator=torch.Generator().manual_seed(0)))
    layer = ll.reduce(acts, "pca", max_samples=30)["1"]
    assert layer.coordinates.shape == (90, 2)
    assert layer.rows is None
    assert np.isfinite(layer.coordinates).all()


def test_wide_rows_and_many_embedded_ones_go_through_descent(blobs, monkeypatch):
    near, labels = blobs
    acts = ll.Activations.of({"a": near}, labels=labels)
    exact = ll.reduce(acts, "pca", max_samples=300)["a"]
    monkeypatch.setattr(foreign_neighbors, "EXACT_UP_TO", 50)
    close = ll.reduce(acts, "pca", max_samples=300)["a"]
    same = (exact.neighbors == close.neighbors).mean()
    assert same > 0.95


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("offset", [0.0, 3e4])
def test_the_nearest_of_others_are_those_of_double_precision(compiled, offset, monkeypatch):
    """In blocks of more than one, by threads; duplicates at no distance, also far from 0."""
    monkeypatch.setattr(foreign_neighbors, "numba_runs", lambda: compiled)
    monkeypatch.setattr(foreign_neighbors, "_ROWS", 100)
    monkeypatch.setattr(foreign_neighbors, "_COLUMNS", 70)
    rng = np.random.default_rng(0)
    far = np.array([0, 1000]).repeat(150)[:, None]  # two clusters: the centre is between them
    rows = (rng.normal(size=(300, 20)) + far + offset).astype(np.float32)
    others = (rng.normal(size=(250, 20)) + rng.permutation(far)[:250] + offset).astype(np.float32)
    others[7] = rows[5]
    indices, distances = ForeignNeighbors(rows, 6)(others)
    apart = np.linalg.norm(others[:, None].astype(float) - rows[None].astype(float), axis=2)
    expected = np.argsort(apart, axis=1)[:, :6]
    # float32's rounding of what is far from 0 may swap two that are nearly as far
    assert (indices == expected).mean() > (0.99 if offset else 0.9999)
    np.testing.assert_allclose(distances, np.take_along_axis(apart, indices, 1), atol=0.02)
    assert (indices[7, 0], distances[7, 0]) == (5, 0)


def test_nan_among_the_placed_is_named(blobs):
    near, labels = blobs
    rest = np.setdiff1d(np.arange(720), subsample(labels, 720, 200, 0))
    near = near.copy()
    near[rest[3], 2] = np.nan
    with pytest.raises(DataError, match=rf"'a' has NaN.*ids {rest[3]}"):
        ll.reduce(ll.Activations.of({"a": near}, labels=labels), "pca", max_samples=200)


@pytest.mark.parametrize("wrong", [1, 0, -5, 2.5, "many"])
def test_a_wrong_max_samples_is_refused(wrong, blobs):
    with pytest.raises(ArgumentError, match="max_samples"):
        ll.reduce({"a": blobs[0]}, "pca", max_samples=wrong)
