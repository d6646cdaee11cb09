"""Fields by arithmetic are what the networks themselves say when parts of the input are NaN."""

import numpy as np
import pytest
import torch
from torch import nn

from layerlens.recording.calling import Recall
from layerlens.recording.fields import FieldFinder
from layerlens.recording.reach import Follower
from layerlens.recording.spoiling import Spoiler

transformers = pytest.importorskip("transformers")


class Wild(nn.Module):
    """Slices, joins, shifts, products, and changes in place, none of them in a module."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
        self.two = nn.Conv2d(8, 6, (1, 5), padding=(0, 4), dilation=(1, 2))
        self.out = nn.Identity()

    def forward(self, x):
        x = torch.relu_(self.one(x))
        a, b = x.chunk(2, 1)
        a = a.roll(1, 2) * b[..., :1]
        x = torch.cat([a, b, torch.zeros_like(a), x[:, 2:].flip(3)], 1)
        x = self.two(torch.nn.functional.pad(x, (0, 1)))
        x += torch.nn.functional.avg_pool2d(x, (3, 1), 1, (1, 0), ceil_mode=True)
        x = torch.nn.functional.pixel_shuffle(x[:, :4], 2)
        return self.out(torch.nn.functional.interpolate(x, scale_factor=2))


def _efficientnet():
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    model = lite.EfficientNet.from_name("efficientnet-lite0")
    return model, ["_blocks.1._depthwise_conv"]


def _mixed():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU(inplace=True),
        nn.AvgPool2d(3, 2, ceil_mode=True), nn.GroupNorm(2, 4), nn.Hardswish(inplace=True),
    )  # fmt: skip
    return model, list("01234")


def _plain():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, dilation=2), nn.BatchNorm2d(4), nn.PReLU(), nn.MaxPool2d(3, 2, 1),
        nn.Dropout(), nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(5), nn.Softmax(1),
    )  # fmt: skip
    return model, list("01234567")


def _resnet():
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    return transformers.ResNetModel(config), [
        "encoder.stages.1.layers.0.layer.1",
    ]  # fmt: skip


def _convnext():
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)
    return transformers.ConvNextModel(config), [
        "embeddings", "encoder.stages.0.layers.0.pwconv1", "encoder.stages.1.layers.0.dwconv",
    ]  # fmt: skip


def _swin():
    config = transformers.SwinConfig(
        image_size=64, patch_size=4, embed_dim=12, depths=[2, 1], num_heads=[2, 2], window_size=4
    )
    model = transformers.SwinModel(config, add_pooling_layer=False)
    return model, ["embeddings.norm", "encoder.layers.0.blocks.0.layernorm_before"]


def _vit():
    config = transformers.ViTConfig(
        image_size=64, patch_size=8, hidden_size=24, num_hidden_layers=1, num_attention_heads=3,
        intermediate_size=48,
    )  # fmt: skip
    return transformers.ViTModel(config, add_pooling_layer=False), ["layernorm"]


NETS = {
    "efficientnet": _efficientnet, "mixed": _mixed, "plain": _plain, "resnet": _resnet,
    "convnext": _convnext, "swin": _swin, "vit": _vit, "wild": lambda: (Wild(), ["two", "out"]),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_fields_by_arithmetic_are_those_that_nan_tells(name):
    torch.manual_seed(0)
    model, layers = NETS[name]()
    model.eval()
    x = torch.randn(1, 2 if name == "wild" else 3, 64, 64)
    finder = FieldFinder(model, x)
    for layer in layers:
        finder.fields(layer, [])
        reach = finder._reaches[layer]
        assert reach is not None, layer
        grid = reach.shape[1:]
        rows = sorted({0, 1, grid[0] // 2, grid[0] - 1} & set(range(grid[0])))
        places = [(row, (row * 3) % grid[1]) for row in rows]
        found = finder.fields(layer, places)
        asked = Spoiler(Recall(model, x), layer).fields(places)
        assert [list(zip(box.start, box.stop, strict=True)) for box in found] == asked, layer


def test_what_comes_of_an_unknown_operation_is_unknown():
    x = torch.randn(1, 2, 8, 8)
    with torch.no_grad(), Follower(x) as follower:
        known = x * 2 + 1
        unknown = torch.fft.fft2(known).abs()
        after = unknown + known
        fresh = torch.ones(3) * 2
    assert follower.shadows(known) is not None
    for one in (unknown, after, fresh):
        assert follower.shadows(one) is None


def test_values_changed_in_place_through_a_view_are_not_taken_for_what_they_were():
    x = torch.randn(1, 1, 6, 6)
    with torch.no_grad(), Follower(x) as follower:
        y = x * 1
        before = [one.clone() for one in follower.shadows(y)]
        part = y[:, :, 1:]
        part.relu_()  # changes values, and not what they depend on
        assert all(map(torch.equal, follower.shadows(y), before))
        part += x[:, :, :-1]
        assert follower.shadows(y) is None
        first, last = follower.shadows(part)[:2]
    np.testing.assert_array_equal(first[0, 0, :, 0], [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(-last[0, 0, :, 0], [1, 2, 3, 4, 5])


def test_memory_that_is_filled_part_by_part_is_unknown():
    x = torch.randn(1, 1, 6, 6)
    with torch.no_grad(), Follower(x) as follower:
        y = torch.zeros(1, 1, 6, 6)
        assert follower.shadows(y * 2) is None
        y[..., 2:] = x[..., 2:]
        after = y * 2
        other = torch.zeros(1, 1, 6, 6) + x
    assert follower.shadows(after) is None
    assert id(after) in follower._shadows  # unknown, and not independent
    assert follower.shadows(other) is not None
