"""Reducers of other packages: their pictures, what they leave alone, and where they are missing."""

import importlib
import logging
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone

import layerlens as ll
from layerlens.embedding.align import motion
from layerlens.embedding.neighbors import nearest_neighbors
from layerlens.errors import ArgumentError, PluginError

PACKAGES = {"opentsne": "openTSNE", "pacmap": "pacmap", "torchdr": "torchdr"}


def reducer(name, **params):
    pytest.importorskip(PACKAGES[name])
    return ll.reducers.get(name, random_state=0, **params)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_told_with_the_command_that_brings_it(name, monkeypatch):
    module = f"layerlens.reducers.{name}"
    # as if it had never been imported: the package is found missing when it is
    for loaded in [m for m in sys.modules if m.partition(".")[0] == PACKAGES[name]]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    with pytest.raises(PluginError) as caught:
        ll.reduce({"a": np.eye(6, dtype=np.float32)}, name)
    message = str(caught.value)
    assert message.endswith(f'pip install "torch-layerlens[{name}]"') and "\n" not in message


def test_opentsnes_picture_is_its_own(cloud):
    openTSNE = pytest.importorskip("openTSNE")
    rng = np.random.default_rng(1)
    start = rng.normal(0, 1e-4, (150, 2))
    theirs = openTSNE.TSNE(perplexity=20, random_state=0).fit(cloud, initialization=start.copy())
    ours = reducer("opentsne", perplexity=20).fit_transform(cloud, init=start.astype(np.float32))
    # one start, one divergence; trajectories of t-SNE part at the last bit
    assert ll.reducers.get("opentsne").get_params() == openTSNE.TSNE().get_params()
    assert motion(ours, np.asarray(theirs, np.float32)) < 0.3


def test_opentsne_takes_neighbours_that_were_found(cloud):
    instance = reducer("opentsne", perplexity=10)
    k = instance.n_neighbors_needed(len(cloud))
    assert k == 30
    found = nearest_neighbors(cloud, k)
    given = instance.fit_transform(cloud, neighbors=(found.indices, found.distances))
    own = reducer("opentsne", perplexity=10)
    alone = own.fit_transform(cloud)
    # exact neighbours both times; blobs may turn on their spot as the last bits have it
    assert instance.kl_divergence_ == pytest.approx(own.kl_divergence_, rel=0.05)
    assert motion(given, alone) < 0.5


def test_pacmaps_picture_is_its_own(cloud):
    pacmap = pytest.importorskip("pacmap")
    ours = reducer("pacmap").fit_transform(cloud)
    theirs = pacmap.PaCMAP(random_state=0, verbose=False).fit_transform(cloud.copy())
    assert ours == pytest.approx(theirs, abs=1e-3)


def test_pacmap_says_nothing_and_leaves_threads_as_they_were(cloud, caplog):
    instance = reducer("pacmap")
    faiss = importlib.import_module("faiss")
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    try:
        with caplog.at_level(logging.WARNING):
            instance.fit_transform(cloud)
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(before)
    assert not caplog.records


@pytest.mark.parametrize("method", ["umap", "tsne", "infotsne", "largevis", "pacmap"])
def test_every_method_of_torchdr_tells_blobs_apart(cloud, method):
    picture = reducer("torchdr", method=method, device="cpu").fit_transform(cloud)
    near = nearest_neighbors(picture, 5).indices
    blob = np.round(cloud.mean(axis=1) / 8)
    assert (blob[near] == blob[:, None]).mean() > 0.95


def test_torchdr_leaves_every_random_state_alone(cloud):
    instance = reducer("torchdr", device="cpu", params={"max_iter": 5})
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    instance.fit_transform(cloud)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_torchdr_passes_parameters_on_and_names_unknown_methods(cloud):
    instance = reducer("torchdr", params={"n_neighbors": 500, "max_iter": 5}, device="cpu")
    assert clone(instance).get_params() == instance.get_params()
    instance.fit_transform(cloud)
    assert instance.notes_ == ["n_neighbors 148: 150 samples allow no more"]
    with pytest.raises(TypeError, match="UMAP has no parameter no_such"):
        reducer("torchdr", params={"no_such": 1}).fit_transform(cloud)
    with pytest.raises(ArgumentError, match="no method 'isomap' here; there are: infotsne"):
        reducer("torchdr", method="isomap").fit_transform(cloud)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_torchdr_draws_on_the_gpu_what_it_draws_on_the_cpu(cloud):
    pictures = [reducer("torchdr", device=d).fit_transform(cloud) for d in ("cpu", "cuda")]
    for picture in pictures:
        blob = np.round(cloud.mean(axis=1) / 8)
        near = nearest_neighbors(picture, 5).indices
        assert (blob[near] == blob[:, None]).mean() > 0.95


@pytest.mark.parametrize("name", ["opentsne", "pacmap"])
def test_a_series_starts_each_layer_from_the_one_before(cloud, name):
    pytest.importorskip(PACKAGES[name])
    clouds = {"a": cloud, "b": cloud + np.float32(0.01) * cloud[::-1]}
    result = ll.reduce(clouds, name, random_state=0)
    assert result["b"].metrics["motion_previous"] < 0.3
