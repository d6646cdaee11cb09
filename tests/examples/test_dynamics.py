"""The dynamics example learns something in a minute part of its time, and draws it."""

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")


def test_it_trains_reports_and_draws(run, monkeypatch, tmp_path, capsys, example):
    dynamics = example("dynamics")
    small = dynamics.Sizes(pixels=12, bodies=2, train=64, validation=32, channels=3, epochs=2)
    monkeypatch.setattr(dynamics, "Sizes", lambda **more: small)
    run("dynamics", "--out", "d.png", "--weights", "d.pt")
    assert (tmp_path / "d.png").read_bytes()[:4] == b"\x89PNG"
    out = capsys.readouterr().out
    assert "epoch  2 of 2" in out
    assert "the start image would give" in out
    assert "module8.first" in out
    run("dynamics", "--out", "e.png", "--weights", "d.pt")  # read this time
    assert "epoch" not in capsys.readouterr().out
    assert (tmp_path / "d.png").read_bytes() == (tmp_path / "e.png").read_bytes()


def test_the_network_is_the_paper_s(example):
    dynamics = example("dynamics")
    network = dynamics.Dynamics(16)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == len(network.layers) == 18
    assert {tuple(m.kernel_size) for m in convolutions} == {(5, 5)}
    assert {m.out_channels for m in convolutions[:-1]} == {16}
    assert network.eval()(torch.zeros(1, 2, 64, 64)).shape == (1, 1, 64, 64)
    assert (dynamics.PAPER.pixels, dynamics.PAPER.bodies, dynamics.PAPER.train) == (64, 10, 32_768)


def test_a_channel_that_marks_the_grasped_shape_is_told_apart(example):
    dynamics = example("dynamics")

    class Marks(torch.nn.Sequential):
        layers = ("0",)

    network = Marks(torch.nn.Conv2d(2, 3, 1, bias=False))
    with torch.no_grad():  # channel 1 is the second image alone
        network[0].weight[:] = torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]]).view(3, 2, 1, 1)
    of = dynamics.samples(8, 24)
    of.inputs[:, 1] = of.pulled  # in place of the dot, all of the shape
    best = dynamics.told_apart(network, of)
    assert best["0"] == (1, pytest.approx(1, abs=0.02))
    of.inputs[:, 1] = np.random.default_rng(0).random(of.pulled.shape)
    assert dynamics.told_apart(network, of)["0"][1] < 0.6
