"""activation_maps: the layers' own values, with the right channels in the right places."""

import numpy as np
import pytest
import torch
from tests.recording.nets import LeNet, Mixer, plain_outputs
from torch import nn

from layerlens.errors import ArgumentError, LayerSelectionError, ShapeError
from layerlens.recording.maps import activation_maps

transformers = pytest.importorskip("transformers")


pytestmark = pytest.mark.usefixtures("seeded")


def test_maps_of_a_lenet_are_the_outputs_bit_for_bit_although_relu_works_in_place():
    model, x = LeNet(), torch.randn(3, 1, 28, 28)
    maps = activation_maps(model, x, channels="all")
    plain = plain_outputs(model, x)
    assert list(maps) == ["0", "1", "2", "3", "4", "5"]
    for name, layer in maps.items():
        np.testing.assert_array_equal(np.asarray(layer), plain[name].numpy())
    assert (maps["0"].values < 0).any()
    assert not (maps["1"].values < 0).any()


def test_maps_of_the_efficientnet_are_the_outputs_bit_for_bit():
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    model = lite.EfficientNet.from_name("efficientnet-lite0")
    x = torch.randn(2, 3, 64, 64)
    maps = activation_maps(model, x, nn.Conv2d, channels="all")
    plain = plain_outputs(model, x)
    assert len(maps) == 49
    for name, layer in maps.items():
        np.testing.assert_array_equal(np.asarray(layer), plain[name].numpy())


def _vit(**more):
    config = transformers.ViTConfig(
        image_size=32, patch_size=8, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=48, **more,
    )  # fmt: skip
    return transformers.ViTModel(config, add_pooling_layer=False)


def test_maps_of_a_vision_transformer_are_its_tokens_on_the_patch_grid():
    model, x = _vit(), torch.randn(2, 3, 32, 32)
    maps = activation_maps(model, x, "*", channels="all")
    plain = plain_outputs(model, x)
    block = next(name for name in maps if name.endswith("layernorm"))
    layer = maps[block]
    assert layer.layout == "tokens"
    assert layer.shape == (2, 24, 4, 4)
    assert layer.extra.shape == (2, 24, 1)
    for name, layer in maps.items():
        if layer.layout != "tokens" or ":" in name:  # a later call, which `plain` has not
            continue
        tokens = plain[name].numpy()
        for cell, (row, column) in enumerate(np.ndindex(4, 4)):
            before = tokens.shape[1] - 16
            np.testing.assert_array_equal(layer[:, :, row, column], tokens[:, before + cell])
    assert sum(layer.layout == "tokens" for layer in maps.values()) > 15


def test_register_tokens_are_split_off():
    config = transformers.Dinov2WithRegistersConfig(
        image_size=28, patch_size=7, hidden_size=24, num_hidden_layers=1, num_attention_heads=3,
        num_register_tokens=4,
    )  # fmt: skip
    model = transformers.Dinov2WithRegistersModel(config)
    layer = activation_maps(model, torch.randn(1, 3, 28, 28), "layernorm", channels=[3])
    assert layer["layernorm"].shape == (1, 1, 4, 4)
    assert layer["layernorm"].extra.shape == (1, 1, 5)


def test_merged_tokens_of_a_swin_have_the_grid_of_their_stage():
    config = transformers.SwinConfig(
        image_size=64, patch_size=4, embed_dim=12, depths=[1, 1], num_heads=[2, 2], window_size=4
    )
    model = transformers.SwinModel(config, add_pooling_layer=False)
    maps = activation_maps(model, torch.randn(1, 3, 64, 64), ["embeddings.norm", "layernorm"])
    assert maps["embeddings.norm"].grid == (16, 16)
    assert maps["layernorm"].grid == (8, 8)


def test_channels_last_is_told_from_channels_first_in_a_convnext():
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)
    model = transformers.ConvNextModel(config)
    x = torch.randn(1, 3, 32, 32)
    maps = activation_maps(model, x, "*", channels="all")
    plain = plain_outputs(model, x)
    expand = next(name for name in maps if name.endswith("pwconv1"))
    assert maps[expand].layout == "channels last"
    np.testing.assert_array_equal(maps[expand], plain[expand].permute(0, 3, 1, 2).numpy())
    depthwise = next(name for name in maps if name.endswith("dwconv"))
    assert maps[depthwise].layout == "channels first"
    np.testing.assert_array_equal(maps[depthwise], plain[depthwise].numpy())


def test_a_mixer_s_token_layer_is_transposed_back():
    model, x = Mixer(), torch.randn(2, 3, 16, 16)
    maps = activation_maps(model, x, "*", channels="all")
    plain = plain_outputs(model, x)
    for name in ("tokens", "channels", "norm1", "patch"):
        assert maps[name].shape == (2, 10, 4, 4), name
    np.testing.assert_array_equal(maps["tokens"], plain["tokens"].unflatten(2, (4, 4)).numpy())
    np.testing.assert_array_equal(
        maps["channels"], plain["channels"].transpose(1, 2).unflatten(2, (4, 4)).numpy()
    )


@pytest.mark.parametrize(
    ("convolution", "size"), [(nn.Conv1d(2, 4, 3), (20,)), (nn.Conv3d(2, 4, 3), (6, 7, 8))]
)
def test_convolutions_of_one_and_three_axes_have_maps(convolution, size):
    x = torch.randn(2, 2, *size)
    layer = activation_maps(nn.Sequential(convolution), x, "0", channels="all")["0"]
    np.testing.assert_array_equal(layer, convolution(x).detach().numpy())
    assert layer.grid == tuple(side - 2 for side in size)


def test_the_layout_and_the_grid_can_be_given():
    class Last(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1) * 2

    x = torch.randn(1, 5, 6, 7)
    model = nn.Sequential(Last())
    given = activation_maps(model, x, "0", channels="all", layout="channels_last")["0"]
    np.testing.assert_array_equal(given, (x * 2).numpy())
    tokens = nn.Sequential(nn.Linear(4, 8))
    layer = activation_maps(tokens, torch.randn(1, 13, 4), "0", "all", grid=(3, 4))["0"]
    assert layer.shape == (1, 8, 3, 4)
    assert layer.extra.shape == (1, 8, 1)


def test_drawn_channels_depend_on_the_seed_alone():
    model = LeNet()
    first = activation_maps(model, torch.randn(1, 1, 28, 28), "3", channels=8)["3"].channels
    torch.rand(5)
    again = activation_maps(model, torch.randn(4, 1, 28, 28), ["0", "3"], channels=8)["3"].channels
    other = activation_maps(
        model, torch.randn(1, 1, 28, 28), "3", channels=8, random_state=1
    )["3"].channels  # fmt: skip
    np.testing.assert_array_equal(first, again)
    assert len(set(first.tolist())) == 8
    rectified = activation_maps(model, torch.randn(1, 1, 28, 28), "4", channels=8)["4"].channels
    np.testing.assert_array_equal(first, rectified)
    assert first.tolist() != other.tolist()


def test_top_channels_have_the_highest_means_of_this_batch():
    model, x = LeNet(), torch.randn(3, 1, 28, 28)
    layer = activation_maps(model, x, "3", channels="top:5")["3"]
    means = plain_outputs(model, x)["3"].mean((0, 2, 3)).numpy()
    assert layer.channels.tolist() == np.argsort(-means)[:5].tolist()


def test_bfloat16_is_kept_exactly():
    model = nn.Sequential(nn.Conv2d(1, 2, 3)).bfloat16()
    x = torch.randn(1, 1, 8, 8).bfloat16()
    layer = activation_maps(model, x, "0", "all")["0"]
    assert layer.dtype == np.float32
    np.testing.assert_array_equal(layer, model(x).detach().float().numpy())


def test_the_model_is_left_as_it_was():
    model = LeNet()
    model.train()
    model[1].eval()
    activation_maps(model, torch.randn(1, 1, 28, 28))
    assert model.training
    assert not model[1].training
    assert not any(module._forward_hooks for module in model.modules())


def test_later_calls_of_a_module_are_layers_of_their_own():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x):
            return self.conv(self.conv(x))

    maps = activation_maps(Twice(), torch.randn(1, 2, 5, 5), "conv")
    assert list(maps) == ["conv", "conv:1"]


def test_a_channel_that_does_not_exist_says_how_many_there_are():
    with pytest.raises(LayerSelectionError, match=r"'0' has 32 channels, 0 to 31.* channel 32"):
        activation_maps(LeNet(), torch.randn(1, 1, 28, 28), "0", channels=[3, 32])


def test_a_named_layer_without_a_grid_says_its_shape_and_what_to_use():
    with pytest.raises(ShapeError, match=r"layer '7' .*shape for one sample is \(200,\).*Probe"):
        activation_maps(LeNet(), torch.randn(1, 1, 28, 28), ["0", "7"])
    maps = activation_maps(LeNet(), torch.randn(1, 1, 28, 28))
    assert "(200,)" in maps.skipped["7"]
    with pytest.raises(KeyError, match="no maps of '7'"):
        maps["7"]


def test_a_grey_image_into_a_colour_model_says_what_to_do():
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(ShapeError, match=r"takes 3 channels.*\(1, 1, 8, 8\).*expand"):
        activation_maps(model, torch.randn(1, 1, 8, 8))
    with pytest.raises(ShapeError, match="without a batch axis"):
        activation_maps(model, torch.randn(3, 8, 8))


def test_an_error_of_the_model_s_own_is_not_touched():
    class Broken(nn.Sequential):
        def forward(self, x):
            super().forward(x)
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="^mine$"):
        activation_maps(Broken(nn.Conv2d(1, 1, 1)), torch.randn(1, 1, 2, 2))


@pytest.mark.parametrize("channels", [0, True, "most", "top:0", [], [1.5]])
def test_a_choice_of_channels_that_is_none_is_refused(channels):
    with pytest.raises(ArgumentError, match="channels is"):
        activation_maps(LeNet(), torch.randn(1, 1, 28, 28), channels=channels)


def test_a_sheet_is_as_wide_as_the_root_with_gaps_of_one_pixel():
    model, x = LeNet(), torch.randn(1, 1, 28, 28)
    layer = activation_maps(model, x, "0", "all")["0"]
    sheet = layer.sheet()
    assert sheet.shape == (6 * 25 - 1, 6 * 25 - 1)
    most = np.abs(layer.values).max()
    np.testing.assert_allclose(sheet[25:49, 50:74], layer.values[0, 8] / most, rtol=1e-6)
    assert np.isnan(sheet[24]).all()
    assert np.isnan(sheet[125:, 50:]).all()  # 32 maps in 36 places
    one = layer.sheet(scale="channel", gamma=0.5)[25:49, 50:74]
    assert np.abs(one).max() == 1
    strength = np.abs(layer.values[0, 8])
    np.testing.assert_allclose(np.abs(one), (strength / strength.max()) ** 0.5, rtol=1e-5)


def test_dead_maps_are_known():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU())
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1, 1)
        model[0].bias.zero_()
    maps = activation_maps(model, torch.rand(2, 1, 4, 4) + 0.1, "1", "all")
    assert maps["1"].dead.tolist() == [[False, True, True]] * 2
