"""The network of the example is the lecture's, and its layers have the numbers that are said."""

import copy

import embed_resnet66 as example
import image_sets
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import layerlens as ll


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = example.ResNet66((1, 4, 4), n_channels=3)
    for module in model.modules():  # as if it had learnt something
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.1, 0.4)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    nn.init.normal_(model.layer(66).weight)
    return model.eval()


@pytest.fixture(scope="module")
def data():
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    y = np.arange(30) % 3
    return image_sets.Images("noise", x, y, x[:20], y[:20], ("a", "b", "c"))


def test_there_are_66_layers_and_nothing_makes_the_maps_smaller(network):
    counted = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(counted) == 66
    convolutions = counted[:-1]
    assert {m.stride for m in convolutions} == {(1, 1)}
    assert {m.out_channels for m in convolutions} == {3}
    assert not any("Pool" in type(m).__name__ for m in network.modules())


def test_layers_of_the_numbers_that_the_lecture_shows_are_the_ends_of_blocks(network):
    x = torch.randn(5, 1, 4, 4)
    with torch.no_grad(), ll.Probe(network, [f"#{k}" for k in range(1, 67)], sketch=None) as probe:
        scores = network(x)
        # the same, written out
        first = network.layer(1)
        y = expected = functional.relu(first.norm(first.conv(x)))
        found = {1: expected}
        for block in range(32):
            one, two = network.layer(2 * block + 2), network.layer(2 * block + 3)
            inside = functional.relu(one.norm(one.conv(y)))
            y = functional.relu(two.norm(two.conv(inside)) + y)
            found |= {2 * block + 2: inside, 2 * block + 3: y}
    assert probe.layers == [f"#{k}" for k in range(1, 67)]
    for k, maps in found.items():
        np.testing.assert_allclose(
            np.asarray(probe.activations[f"#{k}"]), maps.flatten(1), rtol=1e-4, atol=1e-5
        )
    last = network.layer(66)
    with torch.no_grad():
        expected = 0.1 * y.flatten(1) @ last.weight.T + last.bias
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    assert {int(name[1:]) for name in example.SHOWN[1:]} <= set(found) | {66}


def test_every_block_begins_as_the_identity():
    model = example.ResNet66((1, 4, 4), n_channels=3)
    x = torch.randn(6, 1, 4, 4)
    with torch.no_grad(), ll.Probe(model, ["#1", "#65"], sketch=None) as probe:
        model(x)
    assert np.array_equal(probe.activations["#1"], probe.activations["#65"])


def test_the_loss_moves_every_parameter(network, data):
    model = copy.deepcopy(network).train()
    scores = model(example.halved(torch.from_numpy(data.train_x)))
    functional.cross_entropy(scores, torch.from_numpy(data.train_y)).backward()
    assert not [name for name, p in model.named_parameters() if not p.grad.any()]


def test_training_learns():
    y = np.arange(448) % 3
    darker = np.random.default_rng(0).integers(0, 80, (448, 8, 8, 1))
    x = (darker + 80 * y[:, None, None, None]).astype(np.uint8)
    easy = image_sets.Images("brightness", x, y, x[:90], y[:90], ("a", "b", "c"))
    torch.manual_seed(0)
    model = example.ResNet66((1, 4, 4), n_channels=4)
    assert example.accuracy(model, easy) < 0.5
    example.train(model, easy, epochs=8, rate=0.1)
    assert example.accuracy(model, easy) > 0.9


def test_a_checkpoint_is_taken_in_place_of_training(data, tmp_path, capsys):
    path = tmp_path / "kept.pt"
    torch.manual_seed(0)
    first = example.trained(data, epochs=1, rate=0.1, checkpoint=path)
    capsys.readouterr()
    again = example.trained(data, epochs=1, rate=0.1, checkpoint=path)
    assert "not trained again" in capsys.readouterr().out
    x = example.halved(torch.from_numpy(data.test_x))
    with torch.no_grad():
        assert torch.equal(first(x), again(x))
    wider = image_sets.Images(
        "colours", *(np.repeat(x, 3, axis=3) if x.ndim == 4 else x for x in
        (data.train_x, data.train_y, data.test_x, data.test_y)), data.label_names,
    )  # fmt: skip
    with pytest.raises(SystemExit, match="of another network than colours needs"):
        example.trained(wider, epochs=1, rate=0.1, checkpoint=path)


def test_halving_averages_four_pixels_and_puts_channels_first():
    images = torch.tensor([[[[0], [255]], [[255], [255]]]], dtype=torch.uint8)
    assert example.halved(images).shape == (1, 1, 1, 1)
    assert example.halved(images).item() == pytest.approx((0.75 - 0.3) / 0.3, rel=1e-5)


def test_pictures_know_labels_and_images(network, data):
    activations = example.recorded(network, data)
    assert activations.n_samples == 20 and len(activations) == 67
    assert list(activations.labels[:4]) == ["a", "b", "c", "a"]
    assert activations.thumbnails.shape == (20, 8, 8, 1)
    with torch.no_grad():
        scores = network(example.halved(torch.from_numpy(data.test_x)))
    np.testing.assert_allclose(np.asarray(activations["#66"]), scores, rtol=1e-4, atol=1e-5)
