"""Going on with batches of other sizes, which would put rows in the wrong places."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import layerlens as ll

NET, X = nn.Linear(4, 2), torch.arange(160.0).view(40, 4)


def pairs(size):
    return [(part, list(range(len(part)))) for part in X.split(size)]


FORMS = {
    "tensors": lambda size: list(X.split(size)),
    "pairs": pairs,
    "mappings": lambda size: [{"input": part} for part in X.split(size)],
    "mappings in pairs": lambda size: [({"input": part},) for part in X.split(size)],
    "arrays": lambda size: [part.numpy() for part in X.split(size)],
    "rows": lambda size: [[{"input": row} for row in part] for part in X.split(size)],
    "loader": lambda size: DataLoader(TensorDataset(X), size),
}


def killed(batches, path, after):
    def until():
        for number, batch in enumerate(batches):
            if number == after:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        ll.Probe(NET, store=path).run(until())


@pytest.mark.parametrize("form", FORMS)
def test_batches_of_another_size_are_refused_and_the_same_ones_go_on(tmp_path, form):
    make, path = FORMS[form], tmp_path / "run.zarr"
    if form == "loader":
        with pytest.raises(ZeroDivisionError):
            ll.Probe(NET, store=path).run(
                make(8), forward=lambda net, batch: net(batch[0]) if batch[0][0, 0] < 64 else 1 / 0
            )
    else:
        killed(make(8), path, 2)
    assert ll.Activations.open(path).n_samples == 16
    with pytest.raises(ll.StoreError, match=r"batch 1 had 8 samples .* now there are .*5"):
        ll.Probe(NET, store=path).run(make(5))
    acts = ll.Probe(NET, store=path).run(make(8))
    assert np.array_equal(acts[""], ll.Probe(NET).run(make(8))[""])


def test_a_loop_of_ones_own_goes_on_with_a_loader_of_another_size_no_more(tmp_path):
    def record(size, stop=None):
        with ll.Probe(NET, store=tmp_path / "run.zarr") as probe, torch.no_grad():
            for (part,) in probe.remaining(DataLoader(TensorDataset(X), size)):
                NET(part)
                if stop:
                    raise KeyboardInterrupt
        return probe.activations

    with pytest.raises(KeyboardInterrupt):
        record(8, stop=True)
    assert record(8).n_samples == 40


def test_sizes_are_not_asked_where_the_caller_feeds_the_model(tmp_path):
    def halves(net, batch):
        return net(batch.view(-1, 4))

    parts = [part.view(-1, 2, 4) for part in X.split(8)]  # four samples a batch, two rows each
    with pytest.raises(ZeroDivisionError):
        ll.Probe(NET, store=tmp_path / "run.zarr").run(
            parts, forward=lambda net, batch: halves(net, batch) if batch[0, 0, 0] < 32 else 1 / 0
        )
    acts = ll.Probe(NET, store=tmp_path / "run.zarr").run(parts, forward=halves)
    assert np.array_equal(acts[""], ll.Probe(NET).run(parts, forward=halves)[""])


def test_sync_is_true_or_false():
    with pytest.raises(ll.ArgumentError, match="sync is True or False, got 'no'"):
        ll.Store("run.zarr", sync="no")


def test_a_relative_path_is_of_the_folder_in_which_the_probe_was_made(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    probe = ll.Probe(NET, store="run.zarr")
    monkeypatch.chdir("elsewhere")
    assert probe.run([X]).n_samples == 40
    assert sorted(one.name for one in tmp_path.iterdir()) == ["elsewhere", "run.zarr"]
    assert not any((tmp_path / "elsewhere").iterdir())
