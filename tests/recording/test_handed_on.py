"""Layers that hand on another's tensor have its very rows, and cost no second fold."""

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll
from layerlens.recording.sketch import FoldedSketch


class Block(nn.Module):
    """Its last module makes its output; `same` hands on what it is given."""

    def __init__(self, edit=None):
        super().__init__()
        self.same = nn.Identity()
        self.conv = nn.Conv2d(2, 8, 3, padding=1)
        self.tail = nn.Identity()
        self.edit = edit

    def forward(self, x):
        made = self.conv(self.same(x))
        if self.edit is not None:
            made = self.edit(made)
        return self.tail(made)


def images(n=40, seed=0):
    return torch.randn(n, 2, 12, 12, generator=torch.Generator().manual_seed(seed))


def recorded(block, x, batch=10, **options):
    options = {"sketch": 64, **options}
    return ll.Probe(block, ["input", "same", "conv", "tail", ""], **options).run(x.split(batch))


def made_by(layer, x, batch=10):
    """Return what a layer puts out, batch by batch: another size may be rounded otherwise."""
    with torch.no_grad():
        return torch.cat([layer(part) for part in x.split(batch)])


def folded(layer, values):
    return FoldedSketch(layer, values[0].numel(), 64)(values.flatten(1)).detach().numpy()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_what_is_handed_on_has_the_rows_of_its_maker(mode):
    block, x = Block(), images()
    with mode():
        acts = recorded(block, x)
    assert np.array_equal(acts["conv"], folded("conv", made_by(block.conv, x)))
    for name in ("tail", ""):
        assert np.array_equal(acts[name], acts["conv"]), name
        assert acts[name].sketch == acts["conv"].sketch + ", signs of 'conv'"
    assert np.array_equal(acts["input"], folded("input", x))
    assert np.array_equal(acts["same"], acts["input"])
    assert acts["same"].sketch_loss == acts["input"].sketch_loss
    assert acts["tail"].pairs.as_json() == acts["conv"].pairs.as_json()


def test_it_is_folded_once(monkeypatch):
    calls = []
    fold = FoldedSketch.__call__

    def counted(self, rows):
        calls.append(self.layer)
        return fold(self, rows)

    monkeypatch.setattr(FoldedSketch, "__call__", counted)
    recorded(Block(), images())
    assert sorted(calls) == ["conv"] * 4 + ["input"] * 4


@pytest.mark.parametrize(
    "edit",
    [
        lambda made: made.mul_(-3),
        lambda made: made * 2,
        lambda made: (made.data.add_(1), made)[1],
        lambda made: made.flip(0),
        lambda made: made[:],
    ],
    ids=["in place", "anew", "through .data", "another order", "a view"],
)
def test_what_was_changed_since_is_another_tensor(edit):
    block, x = Block(edit), images()
    with torch.no_grad():
        acts = recorded(block, x)
        wanted = made_by(block, x)
    assert np.array_equal(acts["tail"], folded("tail", wanted))
    assert "signs of" not in acts["tail"].sketch
    assert np.array_equal(acts[""], acts["tail"])


def test_without_versions_what_is_handed_on_is_folded_again():
    """In inference mode a write into a few values cannot be seen."""

    def edit(made):
        made[:, 5, 7, 7] = 100
        return made

    block, x = Block(edit), images()
    with torch.inference_mode():
        acts = recorded(block, x)
        wanted = made_by(block, x)
    layer = "conv" if "signs of 'conv'" in acts["tail"].sketch else "tail"
    assert np.array_equal(acts["tail"], folded(layer, wanted))


def test_a_layer_that_stops_handing_on_keeps_the_signs_it_had():
    double = []
    block, x = Block(lambda made: made * 2 if double else made), images()

    def parts():
        for number, part in enumerate(x.split(10)):
            double[:] = [True] * (number >= 2)
            yield part

    with torch.no_grad():
        probe = ll.Probe(block, ["conv", "tail"], sketch=64)
        acts = probe.run(parts())
    made = made_by(block.conv, x)
    made[20:] *= 2
    assert np.array_equal(acts["tail"], folded("conv", made))


def test_only_whole_folded_values_are_handed_on():
    block, x = Block(), images()
    acts = recorded(block, x, readout={"tail": "pool", "*": "flatten"})
    assert acts["tail"].sketch is None and acts["tail"].shape == (40, 8)
    assert np.array_equal(acts[""], acts["conv"])
    acts = recorded(block, x, sketch=None)
    assert np.array_equal(acts["tail"], made_by(block.conv, x).flatten(1))
    acts = recorded(block, x, call="last")
    assert "signs of" not in acts["tail"].sketch


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rows_of_any_type(dtype):
    acts = recorded(Block().double(), images().double(), dtype=dtype)
    assert acts["tail"].dtype == acts["conv"].dtype == dtype
    assert np.array_equal(acts["tail"], acts["conv"])


def test_steps_first_is_turned_in_each_layer_by_itself():
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(3, 40)
            self.same = nn.Identity()

        def forward(self, x):
            return self.same(self.rnn(x)[0])

    x = torch.randn(6, 6, 3)  # as many steps as samples
    model = Steps()
    with ll.Probe(model, ["rnn", "same"], sketch=64) as probe, torch.no_grad():
        probe.annotate(labels=range(6))
        wanted = model(x)
    turned = wanted.transpose(0, 1).flatten(1)
    assert np.array_equal(probe.activations["rnn"], FoldedSketch("rnn", 240, 64)(turned).numpy())
    same = FoldedSketch("same", 240, 64)
    assert np.array_equal(probe.activations["same"], same(wanted.flatten(1)).numpy())


def test_a_killed_recording_goes_on_with_the_same_signs(tmp_path):
    block, x = Block(), images()
    whole = recorded(block, x, store=tmp_path / "whole.zarr")
    probe = ll.Probe(
        block, ["input", "same", "conv", "tail", ""], sketch=64, store=tmp_path / "cut.zarr"
    )

    def cut():
        yield from x.split(10)[:2]
        raise OSError("the disk of the data is gone")

    with pytest.raises(OSError, match="gone"):
        probe.run(cut())
    block.edit = lambda made: made.clone()  # hands on no more
    probe.run(x.split(10))
    again = ll.Activations.open(tmp_path / "cut.zarr")
    for name, layer in whole.items():
        assert np.array_equal(again[name], layer), name
        assert again[name].sketch == layer.sketch


def test_shards_merge(tmp_path):
    block, x = Block(), images()
    parts = []
    for number in range(2):
        store = tmp_path / f"{number}.zarr"
        with torch.no_grad(), ll.Probe(block, ["conv", "tail"], sketch=64, store=store) as probe:
            for first in (20 * number, 20 * number + 10):
                probe.annotate(ids=range(first, first + 10))
                block(x[first : first + 10])
        parts.append(probe.activations)
    merged = ll.Activations.merge(parts)
    assert np.array_equal(merged["tail"], recorded(block, x)["conv"])


def test_shared_signs_are_told_where_layers_are_compared():
    block = Block()
    acts = recorded(block, images(200), sketch=32)
    figures = ll.compare(acts, acts, layers=["conv", "tail"])
    assert figures.cka == pytest.approx(np.ones((2, 2)), abs=1e-6)
