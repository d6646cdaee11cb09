"""Operations that are no modules, against an independent reading of the same forward."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode, _len_torch_function_stack
from torch.utils.checkpoint import checkpoint

import layerlens as ll
from layerlens.recording.operations import known_operations, operation_name


@pytest.fixture(autouse=True)
def _leaves_no_mode(seeded):
    yield
    assert not _len_torch_function_stack()


class Block(nn.Module):
    """A residual block by hand: functions and a plain plus; tells what it computed."""

    def __init__(self, channels, inplace=False):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.inplace = inplace
        self.seen = {}

    def forward(self, x):
        y = F.relu(self.conv1(x), inplace=self.inplace)
        self.seen["relu"] = y.detach().clone()
        y = self.conv2(y)
        if self.inplace:
            y += x
            self.seen["add"] = y.detach().clone()
            y.relu_()
        else:
            y = x + y
            self.seen["add"] = y.detach().clone()
            y = torch.relu(y)
        self.seen["relu:1"] = y.detach().clone()
        return y


class Net(nn.Module):
    def __init__(self, inplace=False):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layer1 = nn.Sequential(Block(4, inplace), Block(4, inplace))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        y = self.layer1(self.stem(x))
        y = torch.cat([y.mean((2, 3)), y.amax((2, 3))], 1)
        return F.log_softmax(self.head(y), -1)


X = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def record(model, layers, batches=(X,), **options):
    return ll.Probe(model, layers, sketch=None, **options).run(list(batches))


@pytest.mark.parametrize("inplace", [False, True])
def test_hand_made_residual_network_is_shown_whole(inplace):
    model = Net(inplace).eval()
    acts = record(model, ["*", "op:*"])
    block = ["conv1", "/relu", "conv2", "/add", "/relu:1"]
    names = [f"layer1.{i}{'' if one[0] == '/' else '.'}{one}" for i in (0, 1) for one in block]
    assert list(acts) == ["stem", *names, "/mean", "/amax", "/cat", "head", "/log_softmax"]
    for i in (0, 1):
        for op, values in model.layer1[i].seen.items():
            np.testing.assert_array_equal(acts[f"layer1.{i}/{op}"], values.flatten(1))
    assert acts["layer1.0/add"].module_type == "op:add"
    assert acts["/cat"].info.title == "(model)/cat"
    np.testing.assert_array_equal(acts["/log_softmax"], model(X).detach())


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ("op:add", ["layer1.0/add", "layer1.1/add"]),
        ("op:layer1.1/*", ["layer1.1/relu", "layer1.1/add", "layer1.1/relu:1"]),
        ("op:layer1.?/relu:1", ["layer1.0/relu:1", "layer1.1/relu:1"]),
        ("layer1.0/add", ["layer1.0/add"]),
        (["head", "op:/cat"], ["/cat", "head"]),
        (
            ["layer1.0.conv?", "op:layer1.0/add"],
            ["layer1.0.conv1", "layer1.0.conv2", "layer1.0/add"],
        ),
    ],
)
def test_selected_by_name_by_place_and_by_count(layers, names):
    assert list(record(Net(), layers)) == names


@pytest.mark.parametrize("layers", ["op:*", ["*", "op:*"], "op:add"])
def test_outputs_gradients_and_random_state_are_bit_identical(layers):
    model = nn.Sequential(Net(), nn.Dropout(0.5)).train()
    other = copy.deepcopy(model)
    torch.manual_seed(3)
    with ll.Probe(model, layers):
        out = model(X)
        out.square().sum().backward()
    state = torch.get_rng_state()
    torch.manual_seed(3)
    expected = other(X)
    expected.square().sum().backward()
    assert torch.equal(out, expected) and torch.equal(state, torch.get_rng_state())
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(one.grad, two.grad) for one, two in pairs)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("reentrant", [False, True])
def test_recomputation_in_backward_is_not_recorded_again(reentrant):
    class Checkpointed(Net):
        def forward(self, x):
            return checkpoint(self.layer1, self.stem(x), use_reentrant=reentrant).mean((1, 2, 3))

    model = Checkpointed()
    with ll.Probe(model, ["op:layer1*/*", "op:mean"]) as probe:
        for _ in range(2):
            model(X).sum().backward()
    acts = probe.activations
    assert [len(layer) for layer in acts.values()] == [10] * 7
    assert list(acts)[:3] == ["layer1.0/relu", "layer1.0/add", "layer1.0/relu:1"]


def test_compiled_model_runs_as_written():
    model = Net().eval()
    compiled = torch.compile(model, backend="eager")
    expected = record(model, "op:*")
    with torch.no_grad():
        compiled(X)
    acts = record(compiled, "op:*")
    assert list(acts) == list(expected)
    for name in acts:
        np.testing.assert_array_equal(acts[name], expected[name])


def test_operations_of_the_loss_and_of_other_probes_are_none_of_the_model():
    model = Net()
    with ll.Probe(model, "op:*") as outer, ll.Probe(model, "*", readout="pool", sketch=2):
        loss = F.nll_loss(model(X) + 0, torch.zeros(5, dtype=torch.long))
        (loss * 2).backward()
    assert list(outer.activations) == list(record(model, "op:*"))


def test_module_called_twice_counts_on():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block(3)

        def forward(self, x):
            return self.block(self.block(x))

    acts = record(Twice(), "op:block/*")
    names = ["relu", "add", "relu:1", "relu:2", "add:1", "relu:3"]
    assert list(acts) == [f"block/{name}" for name in names]
    last = record(Twice(), "op:add", call="last")
    assert list(last) == ["block/add"]


def test_what_is_not_one_row_a_sample_is_no_layer():
    class Mixed(nn.Module):
        def forward(self, x):
            positions = torch.arange(7).float() * 2
            ids = x.argmax(1) + 1
            return x * positions[0] + ids.sum()

    assert list(record(Mixed(), "op:*", [torch.randn(5, 7)])) == ["/mul", "/add"]


def test_rearrangements_are_recorded_when_asked_for_by_name():
    class Moves(nn.Module):
        def forward(self, x):
            return x.reshape(x.shape[0], -1).relu()

    assert list(record(Moves(), "op:*")) == ["/relu"]
    assert list(record(Moves(), ["op:reshape", "op:relu"])) == ["/reshape", "/relu"]


def test_sums_of_pytorchs_own_transformer_layers_count():
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=False).eval()
    x = torch.randn(4, 3, 8)  # time first
    acts = record(model, "op:add", [x])
    assert list(acts) == ["/add", "/add:1"] and acts.n_samples == 3
    with torch.no_grad():
        expected = x + model.self_attn(x, x, x, need_weights=False)[0]
    np.testing.assert_allclose(acts["/add"], expected.transpose(0, 1).flatten(1), atol=1e-6)


def test_readouts_go_by_operation():
    acts = record(Net(), ["op:*"], readout={"op:add": "pool", "layer1.0/relu": "max"})
    dims = {name: layer.dim for name, layer in acts.items() if "layer1.0" in name}
    assert dims == {"layer1.0/relu": 4, "layer1.0/add": 4, "layer1.0/relu:1": 4}
    assert acts["layer1.1/relu"].dim == 144
    assert acts["layer1.0/add"].info.readout == "pool"
    with pytest.raises(ll.LayerSelectionError, match="no selected layer matches 'nothing'"):
        ll.Probe(Net(), "op:*", readout={"nothing": "pool"})


def test_parts_called_alone_are_batches():
    model = Net()
    with ll.Probe(model, "op:add") as probe:
        for _ in range(3):
            probe.annotate()
            model.layer1[0](torch.randn(2, 4, 5, 5))
    assert probe.activations["layer1.0/add"].shape == (6, 100)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_leaves_no_mode_behind_and_recording_goes_on(error):
    class Fails(Net):
        fail = False

        def forward(self, x):
            y = self.layer1(self.stem(x)) + 1
            if self.fail:
                raise error
            return y

    model = Fails()
    with ll.Probe(model, "op:add") as probe:
        model(X)
        model.fail = True
        with pytest.raises(error):
            model(X)
        model.fail = False
        model(X)
    assert {name: len(rows) for name, rows in probe.activations.items()} == {
        "layer1.0/add": 10, "layer1.1/add": 10, "/add": 10
    }  # fmt: skip
    model.fail = True
    with pytest.raises(error), ll.Probe(model, "op:add"):
        model(X)
    assert not _len_torch_function_stack()


def test_modes_of_the_user_that_overlap_stay_on():
    class Mine(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(operation_name(func))
            return func(*args, **(kwargs or {}))

    seen = []
    probe = ll.Probe(Net(), "op:add")
    probe.__enter__()
    mine = Mine()
    mine.__enter__()
    probe.model(X)
    probe.__exit__(None, None, None)
    assert _len_torch_function_stack() == 1
    seen.clear()
    probe.model(X)
    assert seen.count("add") == 2
    mine.__exit__(None, None, None)
    assert list(probe.activations) == ["layer1.0/add", "layer1.1/add"]


def test_maps_of_a_sum():
    model = Net().eval()
    maps = ll.activation_maps(model, X, layers="op:add", channels="all")
    np.testing.assert_array_equal(maps["layer1.0/add"], model.layer1[0].seen["add"])


def test_nothing_is_done_when_none_is_selected(monkeypatch):
    from layerlens.recording import operations

    def push(mode):
        raise AssertionError("a mode was entered")

    monkeypatch.setattr(operations._MODES, "_push_mode", push)
    probe = ll.Probe(Net(), "layer1*")
    with probe:
        probe.model(X)
    with pytest.raises(AssertionError), ll.Probe(Net(), "op:add"):
        pass


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ("op:ad", "no operation is called 'ad'. Nearest names: .*'op:add'"),
        ("op:reluu", "Nearest names: 'op:relu"),
        ("op:layr1.0/add", "no module 'layr1.0'.* 'layer1.0/add'"),
        ("op:layer1*", "all of a module: 'op:layer1\\*/\\*'"),
        ("op:zzz*", "no operation is called 'zzz\\*'"),
    ],
)
def test_mistyped_operation_is_answered_with_the_nearest(layers, said):
    with pytest.raises(ll.LayerSelectionError, match=said):
        ll.Probe(Net(), layers)


def test_operation_that_never_ran_names_those_that_did():
    with pytest.warns(ll.LayerlensWarning, match="'op:mul' .no such .*that ran: .*add.*cat"):
        record(Net(), ["head", "op:mul"])


def test_what_goes_into_an_operation_is_not_recorded():
    with pytest.raises(ll.ArgumentError, match="open a second probe"):
        ll.Probe(Net(), "op:add", capture="input")


def test_methods_functions_and_operators_share_a_name():
    seen = []

    class Names(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                seen.append(operation_name(func))
            return result

    x, y = torch.rand(2, 2), torch.rand(2, 2)
    with Names():
        _ = x + y, 1 + x, x.add(y), torch.add(x, y), x.add_(y), x.__iadd__(y)
        _ = x - y, 1 - x, x.sub_(y), torch.subtract(x, y)
        _ = x / y, 1 / x, torch.divide(x, y), x.div_(y), torch.true_divide(x, y)
        _ = x @ y, torch.matmul(x, y), F.relu(x), x.relu_(), torch.cat([x, y]), torch.concat([x, y])
    expected = ["add"] * 6 + ["sub"] * 4 + ["div"] * 5 + ["matmul"] * 2 + ["relu"] * 2 + ["cat"] * 2
    assert seen == expected
    assert {"add", "sub", "div", "matmul", "relu", "cat"} <= set(known_operations())
