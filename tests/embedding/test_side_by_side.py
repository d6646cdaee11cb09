"""Layers that need nothing of each other are drawn side by side, here or by a cluster's workers."""

from __future__ import annotations

import os
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator

import layerlens as ll
from layerlens.embedding.clouds import layer_clouds


class WhereAmI(BaseEstimator):
    """Tells by its note in which process it ran."""

    def __init__(self, n_components: int = 2, broken: bool = False) -> None:
        self.n_components = n_components
        self.broken = broken

    def fit_transform(self, X, y=None):
        if self.broken:
            raise ValueError("this cannot be drawn")
        self.notes_ = [str(os.getpid())]
        self.labels_ = (X[:, 0] > 0).astype(int)
        return X[:, : self.n_components]


# joblib ends workers that have grown, and says so in a thread of its own: as an error that would
# leave the test waiting for ever
pytestmark = pytest.mark.filterwarnings("ignore:A worker stopped while some jobs:UserWarning")


@pytest.fixture
def acts():
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(60, 8)).astype(np.float32) for name in "abc"}
    return ll.Activations.of(arrays, labels=np.arange(60) % 3)


def processes(emb):
    return {int(note) for layer in emb.values() for note in layer.notes}


def same(one, other):
    for layer in one:
        assert np.array_equal(one[layer].coordinates, other[layer].coordinates), layer
        # sums over threads are taken in another order: float32's last digits
        assert one[layer].metrics == pytest.approx(other[layer].metrics, rel=1e-5)
        assert np.array_equal(one[layer].neighbors, other[layer].neighbors)


def test_without_being_told_everything_is_drawn_here(acts):
    assert processes(ll.reduce(acts, WhereAmI)) == {os.getpid()}


def test_n_jobs_draws_layers_in_processes_of_their_own(acts):
    emb = ll.reduce(acts, WhereAmI, n_jobs=2)
    assert os.getpid() not in processes(emb)
    assert list(emb) == ["a", "b", "c"]
    assert emb["a"].clusters is not None


@pytest.mark.parametrize("reducer", ["pca", "kmeans"])
def test_side_by_side_gives_the_same_pictures(acts, reducer):
    alone = ll.reduce(acts, reducer, align="procrustes", n_jobs=1)
    same(alone, ll.reduce(acts, reducer, align="procrustes", n_jobs=2))


def test_a_layer_that_starts_from_the_one_before_waits_for_it(acts, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("spread although each layer needs the one before")

    monkeypatch.setattr("layerlens.embedding.drawing.Parallel", refuse)
    emb = ll.reduce(acts, "umap", n_jobs=2, n_neighbors=5)
    assert emb["b"].params["alignment"]["started_from"] == "a"


def test_an_error_elsewhere_names_the_layer(acts):
    with pytest.raises(ValueError, match="cannot be drawn") as caught:
        ll.reduce(acts, WhereAmI, n_jobs=2, broken=True)
    # all of them fail; whichever process was the first to say so is heard
    assert any(f"layer {layer!r}" in note for layer in "abc" for note in caught.value.__notes__)


def test_what_is_sent_has_no_pictures(acts):
    (cloud, *_) = layer_clouds(acts)
    sent = cloud.to_send()
    assert sent.run.thumbnails is None
    assert not sent.run.columns
    assert np.array_equal(sent.labels, cloud.labels)


@pytest.mark.slow
def test_a_cluster_of_dask_draws_from_the_record_on_disk(tmp_path):
    distributed = pytest.importorskip("distributed")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    acts = ll.Probe(model, store=tmp_path / "run.zarr").run(torch.randn(80, 8))
    alone = ll.reduce(acts, WhereAmI)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        spread = ll.reduce(acts, WhereAmI)
    workers = processes(spread)
    assert os.getpid() not in workers
    for layer in alone:
        assert np.array_equal(alone[layer].coordinates, spread[layer].coordinates)


@pytest.mark.slow
# of its own way to start processes, and of files that it leaves open
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ray_draws_from_the_record_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    acts = ll.Probe(model, store=tmp_path / "run.zarr").run(torch.randn(80, 8))
    alone = ll.reduce(acts, WhereAmI)
    root = str(Path(__file__).parents[2])  # where the workers find this module's reducer
    ray.init(
        num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": root}},
    )  # fmt: skip
    try:
        register_ray()
        with joblib.parallel_config("ray", n_jobs=-1):
            spread = ll.reduce(acts, WhereAmI)
        with joblib.parallel_config("ray"):
            asked = ll.reduce(acts, "pca", align="procrustes", n_jobs=2)
    finally:
        ray.shutdown()
    assert os.getpid() not in processes(spread)
    for layer in alone:
        assert np.array_equal(alone[layer].coordinates, spread[layer].coordinates)
    here = ll.reduce(acts, "pca", align="procrustes")
    for layer in here:
        np.testing.assert_allclose(
            here[layer].coordinates, asked[layer].coordinates, rtol=1e-4, atol=1e-5
        )


def test_rows_on_disk_are_not_sent(tmp_path):
    import pickle

    model = torch.nn.Linear(8, 2_000)
    acts = ll.Probe(model, store=tmp_path / "run.zarr").run(torch.randn(500, 8))
    (cloud,) = layer_clouds(acts)
    assert len(pickle.dumps(cloud.to_send())) < 20_000 < acts[""].shape[0] * acts[""].shape[1]
