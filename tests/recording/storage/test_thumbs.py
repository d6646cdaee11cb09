"""Thumbnails of a record on disk are read when they are asked for."""

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll
from layerlens.embedding import clouds
from layerlens.recording.storage.arrays import StoredArray
from layerlens.recording.thumbs import Thumbnails


def images(n, seed=0, channels=1, side=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, channels, side, side, generator=generator)


def recorded(path, parts, ids=None):
    net = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    with torch.no_grad():
        net(parts[0])
    with ll.Probe(net, "1", store=path and ll.Store(path, buffer=2**20), sketch=None) as probe:
        start = 0
        for x in parts:
            if ids is not None:
                probe.annotate(ids=ids[start : start + len(x)])
            probe.annotate(inputs=x)
            net(x)
            start += len(x)
    return probe.activations


@pytest.fixture
def pair(tmp_path):
    parts = list(images(50).split(8))
    return recorded(tmp_path / "a", parts).thumbnails, recorded(None, parts).thumbnails


def test_opening_reads_none_of_them(tmp_path, monkeypatch):
    recorded(tmp_path / "a", [images(20)])

    def refuse(self, number, **how):
        assert self.entry.name != "thumbnails"
        return original(self, number, **how)

    original = StoredArray.chunk
    monkeypatch.setattr(StoredArray, "chunk", refuse)
    acts = ll.Activations.open(tmp_path / "a")
    assert acts.thumbnails.shape == (20, 6, 6, 1)
    assert acts.thumbnails.nbytes == 20 * 36
    with pytest.raises(AssertionError):
        acts.thumbnails[3]


@pytest.mark.parametrize(
    "key",
    [
        3, -1, slice(5, 9), slice(None, None, -7), [4, 2, 2], np.array([], int),
        (slice(None), slice(None, None, 2)), (3, 2), ([1, 9], 4, slice(2)), (Ellipsis, 0),
        np.arange(50) % 7 == 0, np.array([[1, 2], [3, 4]]), (7, slice(1, 3), 4, 0),
    ],
    ids=str,
)  # fmt: skip
def test_they_are_indexed_as_an_array_is(pair, key):
    there, here = pair
    assert isinstance(there, Thumbnails)
    assert isinstance(here, np.ndarray)
    np.testing.assert_array_equal(there[key], here[key], strict=True)


def test_they_read_as_an_array_does(pair):
    there, here = pair
    np.testing.assert_array_equal(np.asarray(there), here, strict=True)
    np.testing.assert_array_equal(np.stack(list(there)), here)
    assert (len(there), there.ndim, there.size, there.dtype) == (50, 4, here.size, here.dtype)
    assert np.asarray(there, np.float32).dtype == np.float32
    with pytest.raises(IndexError):
        there[50]


def test_merged_ones_lie_where_their_samples_do(tmp_path):
    """Grey among coloured ones, small among large ones, and a part that has none."""
    ids = [[0, 3, 6], [1, 4], [2, 5]]
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Identity())
    inputs = [images(3), images(2, 1, 3, 4), images(2, 2)]

    def record(n, disk):
        with ll.Probe(net, "2", store=tmp_path / str(n) if disk else None) as probe:
            probe.annotate(ids=ids[n], **({} if n == 2 else {"inputs": inputs[n]}))
            net(inputs[n][:, :1])
        return probe.activations

    there = ll.Activations.merge([record(n, True) for n in range(3)])
    here = ll.Activations.merge([record(n, False) for n in range(3)])
    assert isinstance(there.thumbnails, Thumbnails)
    assert isinstance(here.thumbnails, np.ndarray)
    np.testing.assert_array_equal(np.asarray(there.thumbnails), here.thumbnails, strict=True)
    np.testing.assert_array_equal(there.thumbnails[[5, 1]], here.thumbnails[[5, 1]])
    assert here.thumbnails.shape == (7, 6, 6, 3)
    assert not here.thumbnails[[2, 5]].any()
    assert here.thumbnails[1].any()


@pytest.mark.parametrize("limit", [0, 2**20])
def test_results_and_their_files_have_them(tmp_path, limit, monkeypatch):
    """Few are taken into the result, which outlives the store; many stay where they are."""
    monkeypatch.setattr(clouds, "_KEPT_BYTES", limit)
    parts = list(images(40).split(8))
    there = ll.reduce(recorded(tmp_path / "a", parts), "pca")
    here = ll.reduce(recorded(None, parts), "pca")
    assert isinstance(there.thumbnails, np.ndarray) == (limit > 0)
    there.save(tmp_path / "a.npz")
    again = ll.Embeddings.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.thumbnails, here.thumbnails, strict=True)
    for suffix in ("html", "parquet", "safetensors", "h5ad"):
        try:
            first = there.save(tmp_path / f"there.{suffix}")
        except ll.PluginError:
            continue  # its package is not here
        assert first.stat().st_size > 1_000
