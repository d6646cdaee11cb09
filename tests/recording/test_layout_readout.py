import pytest
import torch
from torch import nn

from layerlens.errors import ArgumentError, LayerSelectionError, ShapeError
from layerlens.recording.layout import ChannelAxes, puts_batch_second
from layerlens.recording.readout import NotApplicableError, readouts_for


class ToLast(nn.Module):
    def forward(self, x):
        return x.movedim(1, -1)


def outputs(model, x):
    """Return each module's output shape, by name, from independent hooks."""
    shapes = {}
    handles = [
        m.register_forward_hook(lambda m, a, o, n=n: shapes.__setitem__(n, (m, o.shape)))
        for n, m in model.named_modules()
    ]
    model(x)
    for handle in handles:
        handle.remove()
    axes = ChannelAxes(model)
    return {name: (axes.of(module, shape), shape) for name, (module, shape) in shapes.items()}


def test_activation_after_a_1d_convolution_is_channels_first():
    model = nn.Sequential(nn.Conv1d(3, 7, 3), nn.BatchNorm1d(7), nn.GELU(), nn.Dropout())
    assert {axis for axis, _ in outputs(model.eval(), torch.zeros(2, 3, 20)).values()} == {1}


def test_activation_after_a_linear_layer_over_tokens_is_channels_last():
    model = nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.LayerNorm(7))
    assert {axis for axis, _ in outputs(model, torch.zeros(2, 20, 5)).values()} == {2}


def test_maps_with_channels_last_are_told_from_channels_first():
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), ToLast(), nn.LayerNorm(6), nn.Linear(6, 24), nn.GELU(), nn.Linear(24, 6)
    )
    found = {name: axis for name, (axis, _) in outputs(model, torch.zeros(2, 3, 9, 9)).items()}
    assert found == {"0": 1, "1": 3, "2": 3, "3": 3, "4": 3, "5": 3, "": 3}


def test_modules_that_put_the_batch_second_say_so():
    assert puts_batch_second(nn.LSTM(2, 2)) and not puts_batch_second(nn.Linear(2, 2))
    assert not puts_batch_second(nn.LSTM(2, 2, batch_first=True))
    assert puts_batch_second(nn.TransformerEncoderLayer(4, 2, 8))


def read(spec, tensor, axis, name="layer"):
    return readouts_for(spec, [name])(name)(tensor, axis, name)


@pytest.mark.parametrize(("axis", "dims"), [(1, (2, 3)), (3, (1, 2))])
def test_pool_and_max_reduce_every_position(axis, dims):
    x = torch.randn(4, 5, 6, 7)
    assert torch.equal(read("pool", x, axis), x.mean(dims))
    assert torch.equal(read("max", x, axis), x.amax(dims))


def test_pool_of_half_precision_is_taken_in_single():
    x = torch.full((1, 1, 300, 300), 1.001, dtype=torch.bfloat16)
    assert read("pool", x, 1).dtype == torch.float32


def test_token_is_taken_from_the_front_or_the_back():
    x = torch.randn(2, 5, 3)
    assert torch.equal(read("token:0", x, 2), x[:, 0])
    assert torch.equal(read("token:-1", x, 2), x[:, 4])


def test_token_of_a_plain_vector_is_the_vector():
    x = torch.randn(2, 3)
    assert torch.equal(read("token:0", x, 1), x)


def test_token_makes_no_sense_for_maps_and_beyond_the_last():
    with pytest.raises(NotApplicableError, match="tokens"):
        read("token:0", torch.zeros(2, 3, 4, 4), 1)
    with pytest.raises(NotApplicableError, match="5 tokens"):
        read("token:5", torch.zeros(2, 5, 4), 2)


def test_first_matching_glob_counts_and_others_are_flattened():
    spec = {"conv*": "pool", "*1": "max"}
    choose = readouts_for(spec, ["conv1", "fc1", "fc2"])
    assert [choose(n).name for n in ("conv1", "fc1", "fc2")] == ["pool", "max", "flatten"]


def test_glob_that_matches_no_layer_is_an_error():
    with pytest.raises(LayerSelectionError, match=r"matches 'cnv\*'.*'conv1'"):
        readouts_for({"cnv*": "pool"}, ["conv1"])


@pytest.mark.parametrize("spec", ["mean", "token:x", "token", 3, None])
def test_unknown_readout_lists_those_there_are(spec):
    with pytest.raises(ArgumentError, match="flatten, pool, max"):
        readouts_for(spec, [])


def test_callable_must_return_one_row_a_sample():
    with pytest.raises(ShapeError, match=r"'layer'.*bad.*\(4, D\)"):

        def bad(t):
            return t.flatten()

        read(bad, torch.zeros(4, 3), 1)
    with pytest.raises(ShapeError, match="returned list"):
        read(lambda t: t.tolist(), torch.zeros(4, 3), 1)
