import copy
import gc
import io
import threading
import warnings

import numpy as np
import pytest
import torch
from tests.recording.models import Block, Functional, ResNet, Reused, Sometimes, Structured
from torch import nn
from torch.utils.checkpoint import checkpoint

import layerlens as ll
from layerlens.recording.hooks import Hooks

pytestmark = pytest.mark.usefixtures("seeded")


def hooks_on(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def record(model, *batches, layers="*", **options):
    with ll.Probe(model, layers, **options) as probe, torch.no_grad():
        for batch in batches:
            model(batch)
    return probe.activations


def truth(model, x):
    """Return each module's output, cloned by an independent hook as soon as it is there."""
    kept = {}
    handles = [
        m.register_forward_hook(lambda m, a, o, n=n: kept.__setitem__(n, o.detach().clone()))
        for n, m in model.named_modules()
    ]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return kept


# --- what is recorded ------------------------------------------------------------------------


@pytest.mark.parametrize("inplace", [False, True])
def test_star_is_leaves_and_blocks_but_no_plain_container(inplace):
    acts = record(ResNet(inplace).eval(), torch.randn(2, 3, 6, 6))
    assert list(acts) == [
        "stem.0", "stem.1", "stage.0.conv", "stage.0.bn", "stage.0", "stage.1.conv", "stage.1.bn",
        "stage.1", "head.0", "head.1", "head.2",
    ]  # fmt: skip


def test_star_sees_a_sum_in_place_under_inference_mode():
    model = ResNet(inplace=True).eval()
    with ll.Probe(model) as probe, torch.inference_mode():
        model(torch.randn(2, 3, 6, 6))
    assert "stage.0" in probe.layers and "stage" not in probe.layers and "" not in probe.layers


def test_functional_end_of_a_model_is_recorded_under_its_own_name():
    x = torch.randn(3, 4)
    model = Functional()
    acts = record(model, x)
    assert list(acts) == ["fc", ""]
    np.testing.assert_array_equal(acts[""], model(x).detach().numpy())
    assert acts[""].info.title == "(model)"


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_every_layer_equals_an_independent_clone_whatever_happens_in_place(mode):
    model, x = ResNet(inplace=True).eval(), torch.randn(4, 3, 6, 6)
    expected = truth(model, x)
    with ll.Probe(model, sketch=None) as probe, mode():
        model(x)
    for name, layer in probe.activations.items():
        np.testing.assert_array_equal(layer, expected[name].flatten(1).numpy(), err_msg=name)


def test_rows_of_channels_last_memory_are_in_logical_order():
    model = nn.Sequential(nn.Conv2d(3, 5, 3)).to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 6, 6).to(memory_format=torch.channels_last)
    acts = record(model, x)
    np.testing.assert_array_equal(acts["0"], model(x).detach().flatten(1).numpy())


def test_module_called_again_is_recorded_each_time():
    model, x = Reused(), torch.randn(5, 6)
    acts = record(model, x, layers="act")
    assert list(acts) == ["act", "act:1", "act:2"]
    np.testing.assert_array_equal(acts["act:2"], model(x).detach().numpy())


def test_last_call_only():
    model, x = Reused(), torch.randn(5, 6)
    acts = record(model, x, x, layers="act", call="last")
    assert list(acts) == ["act"]
    np.testing.assert_array_equal(acts["act"][:5], model(x).detach().numpy())


def test_layer_called_in_some_batches_only_says_for_which_samples():
    acts = record(
        Sometimes(), -torch.ones(2, 4), torch.ones(3, 4), -torch.ones(1, 4), torch.ones(2, 4)
    )
    assert acts["layer"].shape == (8, 4) and acts["layer"].rows is None
    assert acts["layer:1"].shape == (5, 4)
    assert acts["layer:1"].ids.tolist() == acts["layer:1"].rows.tolist() == [2, 3, 4, 6, 7]


def test_input_is_a_layer_when_asked_for():
    x = torch.randn(4, 3, 6, 6)
    acts = record(ResNet().eval(), x, layers=["input", "stem.0"])
    assert list(acts) == ["input", "stem.0"]
    np.testing.assert_array_equal(acts["input"], x.flatten(1).numpy())


def test_capture_input_records_what_goes_in_before_it_is_changed_in_place():
    model, x = ResNet().eval(), torch.randn(4, 3, 6, 6)
    acts = record(model, x, capture="input")
    expected = truth(model, x)
    np.testing.assert_array_equal(acts["stem.1"], expected["stem.0"].flatten(1).numpy())
    assert "stage.0" not in acts


def test_structures_give_their_first_floating_tensor_and_its_place():
    with pytest.warns(ll.LayerlensWarning, match="'integer'.*'scalar'.*'nothing'"):
        acts = record(Structured(), torch.arange(6.0).view(2, 3))
    places = {name: acts[name].info.output_path for name in acts}
    assert places == {"tup": "[1]", "dic": '["aux"]', "dat": '["scores"]', "nam": "[0]", "": ""}
    np.testing.assert_array_equal(acts["dat"], 6 * np.arange(6.0).reshape(2, 3))


def test_other_places_are_reached_by_path():
    layers = ["tup[2]", 'dic["main"]', "nam[1][1]", 'nam["first"]', 'dat["scores"]']
    acts = record(Structured(), torch.ones(2, 3), layers=layers)
    assert [acts[name][0, 0].item() for name in acts] == [3, 4, 6, 9, 7]


def test_place_that_does_not_exist_says_what_there_is():
    with pytest.raises(ll.LayerSelectionError, match=r"'tup\[7\]'.*tuple \(\[0\]: 2x3 int64"):
        record(Structured(), torch.ones(2, 3), layers="tup[7]")


def test_lstm_state_and_sequence_first_output():
    model, x = nn.ModuleDict({"lstm": nn.LSTM(3, 4)}), torch.randn(7, 5, 3)
    model.forward = lambda x: model.lstm(x)[0][-1]
    x_first = x
    with ll.Probe(model.lstm, "") as probe:
        out, _ = model.lstm(x_first)
    np.testing.assert_array_equal(
        probe.activations[""], out.detach().transpose(0, 1).flatten(1).numpy()
    )


def test_mapping_of_readouts_and_the_sketch_of_wide_layers():
    acts = record(
        ResNet().eval(), torch.randn(3, 3, 32, 32), readout={"stage*": "pool"}, sketch=100
    )
    assert acts["stage.0"].shape == (3, 8) and acts["stage.0"].sketch is None
    assert acts["stem.0"].shape == (3, 100) and acts["stem.0"].dim == 8 * 32 * 32
    assert acts["stem.0"].output_shape == (8, 32, 32)
    assert "fold" in acts["stem.0"].sketch


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", np.float16, torch.float64])
def test_dtype_of_the_rows(dtype):
    acts = record(Functional(), torch.randn(3, 4), dtype=dtype)
    assert str(acts["fc"].dtype) in str(dtype)


def test_half_precision_models_are_recorded():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).bfloat16()
    x = torch.randn(3, 4).bfloat16()
    np.testing.assert_array_equal(record(model, x)["1"], model(x).detach().float().numpy())


# --- the model is the user's ------------------------------------------------------------------


def training_step(model, x):
    out = model(x)
    torch.nn.functional.dropout(out).square().sum().backward()
    return out, [p.grad.clone() for p in model.parameters()], [b.clone() for b in model.buffers()]


def test_outputs_gradients_buffers_random_state_and_mode_are_the_same():
    x = torch.randn(4, 3, 6, 6)
    bare, probed = ResNet(inplace=True), None
    probed = copy.deepcopy(bare)
    torch.manual_seed(5)
    expected = training_step(bare, x)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    with ll.Probe(probed, ["input", "*"], sketch=50):
        got = training_step(probed, x)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(expected[0], got[0])
    for kind in (1, 2):
        assert all(map(torch.equal, expected[kind], got[kind]))
    assert probed.training and hooks_on(probed) == 0


def test_run_restores_each_modules_own_mode():
    model = ResNet()
    model.stage[0].bn.eval()
    before = [m.training for m in model.modules()]
    running = model.stage[1].bn.running_mean.clone()
    ll.Probe(model).run([torch.randn(2, 3, 6, 6)])
    assert [m.training for m in model.modules()] == before
    assert torch.equal(running, model.stage[1].bn.running_mean)


def test_nothing_keeps_the_graph_alive():
    model = Functional()
    x = torch.randn(3, 4, requires_grad=True)
    with ll.Probe(model):
        model(x)
    gc.collect()
    alive = [o for o in gc.get_objects() if type(o) is torch.Tensor and o.grad_fn is not None]
    assert not alive


# --- hooks come off ---------------------------------------------------------------------------


class Boom(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        if x.sum() > 1000:
            raise self.error
        return x + 1


@pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt()])
def test_failed_forward_takes_hooks_off_and_keeps_what_was_whole(error):
    model = nn.Sequential(nn.Identity(), Boom(error))
    probe = ll.Probe(model)
    with pytest.raises(type(error)), probe:
        model(torch.ones(3, 4))
        model(torch.full((2, 4), 1e6))
    assert hooks_on(model) == 0
    assert {layer.shape for layer in probe.activations.values()} == {(3, 4)}


@pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt()])
def test_recording_goes_on_after_a_failure_that_was_caught_inside(error):
    model = nn.Sequential(nn.Identity(), Boom(error))
    with ll.Probe(model) as probe:
        model(torch.ones(3, 4))
        with pytest.raises(type(error)):
            model(torch.full((2, 4), 1e6))
        model(torch.zeros(5, 4))
    assert {layer.shape for layer in probe.activations.values()} == {(8, 4)}
    np.testing.assert_array_equal(
        probe.activations["1"][3:], model(torch.zeros(5, 4)).detach().numpy()
    )


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
@pytest.mark.parametrize("late", [False, True])
def test_failure_half_way_through_attaching_leaves_no_hook(monkeypatch, error, late):
    model = ResNet()
    original = nn.Module.register_forward_hook
    count = 0

    def failing(self, *args, **kwargs):
        nonlocal count
        count += 1
        if count == 5 and not late:
            raise error
        handle = original(self, *args, **kwargs)
        if count == 5:  # the hook is on, its handle is lost
            raise error
        return handle

    monkeypatch.setattr(nn.Module, "register_forward_hook", failing)
    probe = ll.Probe(model)
    with pytest.raises(type(error)):
        probe.__enter__()
    assert hooks_on(model) == 0
    monkeypatch.undo()
    with probe:
        model(torch.randn(2, 3, 6, 6))
    assert probe.layers


def test_failing_readout_takes_hooks_off():
    model = ResNet()

    def readout(t):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), ll.Probe(model, readout=readout):
        model(torch.randn(2, 3, 6, 6))
    assert hooks_on(model) == 0


def test_users_own_hooks_stay():
    model = Functional()
    handle = model.fc.register_forward_hook(lambda *a: None)
    with ll.Probe(model):
        model(torch.ones(2, 4))
    assert hooks_on(model) == 1
    handle.remove()


def test_copy_and_pickle_of_a_model_under_a_probe_are_not_recorded():
    model = Functional()
    with ll.Probe(model) as probe:
        copied = copy.deepcopy(model)
        stream = io.BytesIO()
        torch.save(model, stream)
        stream.seek(0)
        loaded = torch.load(stream, weights_only=False)
        copied(torch.ones(2, 4))
        loaded(torch.ones(2, 4))
        model(torch.ones(3, 4))
    assert probe.activations["fc"].shape == (3, 3)


# --- batches ----------------------------------------------------------------------------------


def test_annotations_belong_to_the_next_forward():
    model = Functional()
    with ll.Probe(model) as probe:
        for start in (0, 3):
            probe.annotate(labels=torch.arange(start, start + 3), colour=["r", "g", "b"])
            model(torch.ones(3, 4))
        model(torch.ones(2, 4))
    acts = probe.activations
    assert acts.labels.tolist() == [0, 1, 2, 3, 4, 5, -1, -1]
    assert acts.ids.tolist() == list(range(8))
    assert acts.columns["colour"].tolist() == ["r", "g", "b"] * 2 + ["", ""]


def test_annotation_of_another_length_raises_before_anything_is_stored():
    model = Functional()
    with ll.Probe(model) as probe:
        model(torch.ones(2, 4))
        probe.annotate(labels=[1, 2, 3])
        with pytest.raises(ll.ShapeError, match="labels has 3 values.*2 samples"):
            model(torch.ones(2, 4))
        model(torch.ones(2, 4))
    assert {layer.shape for layer in probe.activations.values()} == {(4, 3)}


def test_annotations_that_disagree_raise_at_once():
    with ll.Probe(Functional()) as probe:
        with pytest.raises(ll.ShapeError, match="labels has 2, ids has 3"):
            probe.annotate(labels=[1, 2], ids=[1, 2, 3])
        with pytest.raises(ll.ShapeError, match="argmax"):
            probe.annotate(labels=torch.eye(3))
        with pytest.raises(ll.ShapeError, match="thumbnails"):
            probe.annotate(inputs=torch.zeros(3, 4))
        probe.model(torch.ones(1, 4))


def test_other_width_raises_with_both_shapes_and_the_remedy():
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    probe = ll.Probe(model)
    with pytest.raises(ll.ShapeError, match=r"'0'.*4x7x7.*4x6x6.*readout='pool'"), probe:
        model(torch.zeros(2, 3, 8, 8))
        model(torch.zeros(2, 3, 9, 9))
    assert probe.activations["0"].shape == (2, 4 * 36)
    acts = record(model, torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 9, 9), readout="pool")
    assert acts["0"].shape == (4, 4)


def test_output_without_the_batch_in_front_is_skipped_by_name():
    class Windows(nn.Module):
        def forward(self, x):
            return x.reshape(-1, 2)

    model = nn.Sequential(Windows(), nn.Unflatten(0, (-1, 2)))
    with pytest.warns(ll.LayerlensWarning, match=r"'0'.*\(6, 2\).*batch of 3"):
        acts = record(model, torch.ones(3, 4))
    assert list(acts) == ["1"]


def test_part_of_a_model_called_alone_is_a_batch():
    model = ResNet().eval()
    with ll.Probe(model, "stem*") as probe:
        model.stem(torch.zeros(2, 3, 6, 6))
        model(torch.zeros(3, 3, 6, 6))
    assert {layer.shape[0] for layer in probe.activations.values()} == {5}


def test_parts_called_again_need_to_be_announced():
    model = ResNet().eval()
    with pytest.raises(ll.RecordingError, match="annotate"), ll.Probe(model, "stem*"):
        for _ in range(2):
            model.stem(torch.zeros(2, 3, 6, 6))
    with ll.Probe(model, "stem*") as probe:
        for _ in range(2):
            probe.annotate()
            model.stem(torch.zeros(2, 3, 6, 6))
    assert {layer.shape[0] for layer in probe.activations.values()} == {4}


def test_block_opened_again_starts_anew_and_leaves_the_first_record_alone():
    model = Functional()
    probe = ll.Probe(model)
    with probe:
        model(torch.ones(3, 4))
    first = probe.activations
    kept = np.asarray(first["fc"]).copy()
    with probe:
        model(torch.zeros(2, 4))
    assert probe.activations["fc"].shape == (2, 3)
    np.testing.assert_array_equal(first["fc"], kept)


def test_open_probe_cannot_be_opened_again():
    with ll.Probe(Functional()) as probe:
        with pytest.raises(ll.RecordingError, match="open already"):
            probe.__enter__()
        probe.model(torch.ones(1, 4))
    assert hooks_on(probe.model) == 0


def test_annotate_outside_the_block_is_refused():
    with pytest.raises(ll.RecordingError, match="with Probe"):
        ll.Probe(Functional()).annotate(labels=[1])


def test_block_in_which_nothing_ran_says_so():
    with pytest.warns(ll.LayerlensWarning, match="not called"), ll.Probe(Functional()):
        pass


def test_layer_that_was_named_and_never_called_is_named():
    model = Functional()
    model.unused = nn.Linear(1, 1)
    with pytest.warns(ll.LayerlensWarning, match="'unused'.*never called"):
        record(model, torch.ones(1, 4), layers=["fc", "unused"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record(model, torch.ones(1, 4))


def test_model_that_calls_itself():
    class Tree(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x, depth=2):
            x = self.fc(x)
            return self(x, depth - 1) if depth else x

    acts = record(Tree(), torch.ones(3, 4), torch.ones(2, 4), layers="fc")
    assert list(acts) == ["fc", "fc:1", "fc:2"]
    assert {layer.shape for layer in acts.values()} == {(5, 4)}


# --- several probes, threads ------------------------------------------------------------------


def test_probes_side_by_side_and_inside_each_other_record_each_its_own():
    model, x = ResNet().eval(), torch.randn(2, 3, 6, 6)
    with ll.Probe(model, "head*") as outer, ll.Probe(model.stage, "*conv") as part:
        model(x)
        with ll.Probe(model, nn.ReLU) as inner:
            model(x)
        model(x)
    assert outer.activations["head.2"].shape[0] == 6
    assert list(part.activations) == ["0.conv", "1.conv"]
    assert part.activations["0.conv"].shape[0] == 6
    assert list(inner.activations) == ["stem.1"] and inner.activations["stem.1"].shape[0] == 2
    assert hooks_on(model) == 0


def test_threads_that_run_one_model_record_each_its_own():
    model = Functional()
    barrier, results = threading.Barrier(4), {}

    def work(number):
        with ll.Probe(model) as probe:
            barrier.wait()
            for _ in range(20):
                model(torch.full((number + 1, 4), float(number)))
            barrier.wait()
        results[number] = probe.activations

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each sees the others' calls and says so
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number, acts in results.items():
        assert acts["fc"].shape == (20 * (number + 1), 3)
        expected = model.fc(torch.full((1, 4), float(number))).detach().numpy()
        np.testing.assert_allclose(acts["fc"], np.repeat(expected, len(acts["fc"]), 0), rtol=1e-5)
    assert hooks_on(model) == 0


def test_calls_from_another_thread_are_not_recorded_and_said_so():
    model = Functional()
    with pytest.warns(ll.LayerlensWarning, match="other threads"), ll.Probe(model) as probe:
        thread = threading.Thread(target=lambda: model(torch.ones(2, 4)))
        thread.start()
        thread.join()
        model(torch.ones(3, 4))
    assert probe.activations["fc"].shape == (3, 3)


# --- compilers, transforms, checkpoints -------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("how", ["wrapped", "in place", "a part", "a function"])
def test_model_that_was_compiled_before_is_recorded(how):
    torch._dynamo.reset()
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    call = model
    if how == "wrapped":
        call = torch.compile(model, backend="eager")
    elif how == "in place":
        model.compile(backend="eager")
    elif how == "a part":
        model[0] = torch.compile(model[0], backend="eager")
    else:
        call = torch.compile(lambda x: model(x), backend="eager")
    x = torch.randn(2, 4)
    call(x)
    with ll.Probe(call if how == "wrapped" else model) as probe:
        call(x)
    assert list(probe.activations) == ["0", "1"]
    np.testing.assert_array_equal(probe.activations["1"], model(x).detach().numpy())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused_by_name():
    scripted = torch.jit.trace(nn.Linear(4, 3), torch.ones(1, 4))
    with pytest.raises(ll.RecordingError, match="TorchScript"):
        ll.Probe(scripted)
    model = nn.Sequential(scripted, nn.ReLU())
    with pytest.raises(ll.RecordingError, match="'0'.*TorchScript"):
        ll.Probe(model, "0")
    with pytest.warns(ll.LayerlensWarning, match="'0'.*TorchScript"):
        acts = record(model, torch.ones(2, 4))
    assert list(acts) == ["1"]


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_block_is_recorded_once(reentrant):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block(3)
            self.end = nn.Conv2d(3, 2, 1)

        def forward(self, x):
            return self.end(checkpoint(self.block, x, use_reentrant=reentrant))

    model, x = Net(), torch.randn(2, 3, 5, 5, requires_grad=True)
    with ll.Probe(model) as probe:
        for _ in range(3):
            model(x).sum().backward()
    assert {layer.shape[0] for layer in probe.activations.values()} == {6}
    assert "block.conv:1" not in probe.layers


def test_tensors_inside_vmap_are_skipped_with_a_warning():
    model = Functional()
    with pytest.warns(ll.LayerlensWarning, match=r"torch\.func"), ll.Probe(model) as probe:
        torch.func.vmap(model)(torch.ones(2, 3, 4))
    assert not probe.activations


def test_functional_call_is_recorded():
    model = Functional()
    weights = {name: p + 1 for name, p in model.named_parameters()}
    with ll.Probe(model, "fc") as probe:
        torch.func.functional_call(model, weights, torch.ones(2, 4))
    expected = torch.func.functional_call(
        model.fc, {"weight": weights["fc.weight"], "bias": weights["fc.bias"]}, torch.ones(2, 4)
    )
    np.testing.assert_array_equal(probe.activations["fc"], expected.detach().numpy())


def test_fused_encoder_is_recorded_layer_by_layer_and_differs_by_rounding_only():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x = torch.randn(3, 5, 16)
    with torch.no_grad():
        expected = model(x)
        with ll.Probe(model) as probe:
            got = model(x)
        assert torch.equal(expected, model(x))
    torch.testing.assert_close(got, expected)
    assert {"layers.0.norm2", "layers.1.linear2"} <= set(probe.layers)


# --- arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"call": "first"}, ll.ArgumentError, "each, last"),
        ({"capture": "both"}, ll.ArgumentError, "output, input"),
        ({"dtype": "int8"}, ll.ArgumentError, "float32"),
        ({"sketch": "none"}, ll.ArgumentError, "width"),
        ({"readout": "mean"}, ll.ArgumentError, "pool"),
        ({"store": 3}, ll.ArgumentError, "store is the path of a folder.*got 3"),
        ({"layers": "fcc"}, ll.LayerSelectionError, "'fc'"),
    ],
)
def test_wrong_arguments_fail_when_the_probe_is_made(options, error, said):
    with pytest.raises(error, match=said):
        ll.Probe(Functional(), **options)


def test_model_that_is_no_module_is_a_type_error():
    with pytest.raises(TypeError, match="Module"):
        ll.Probe(lambda x: x)


def test_hooks_object_removes_only_its_own():
    model = Functional()
    mine, others = Hooks(model), Hooks(model)
    mine.after(model.fc, lambda *a: None)
    others.after(model.fc, lambda *a: None)
    mine.remove()
    assert hooks_on(model) == 1
    others.remove()
