"""Models and callers that nobody thought of when the probe was written."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.fx import symbolic_trace
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

import layerlens as ll


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True))

    def forward(self, x):
        return self.body(x) + 1


class Tagger(nn.Module):
    """Steps first, as PyTorch's recurrent layers are by default."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 6)
        self.rnn = nn.LSTM(6, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens):
        return self.head(self.rnn(self.embed(tokens))[0])


def _trace(model, x):
    return torch.jit.trace(model, x, check_trace=False).inlined_graph


def _checked_trace(model, x):
    return torch.jit.trace(model, x).inlined_graph


def _make_fx(model, x):
    return make_fx(model)(x).graph


def _symbolic(model, x):
    return symbolic_trace(model).graph


def _export(model, x):
    return torch.export.export(model, (x,)).graph


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    "trace",
    [
        _trace,
        _checked_trace,
        _make_fx,
        _symbolic,
        pytest.param(
            _export,
            marks=pytest.mark.skipif(
                tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13),
                reason="torch.export of 2.6 fails on a module with such hooks",
            ),
        ),
    ],
)
def test_what_a_tracer_writes_down_is_the_model_and_its_calls_are_no_samples(trace):
    model, x = Block().requires_grad_(False), torch.ones(5, 4)

    def nodes():
        graph = trace(model, x)
        return len(list(graph.nodes() if isinstance(graph, torch.Graph) else graph.nodes))

    operations = nodes()
    with ll.Probe(model) as probe:
        assert nodes() == operations
        model(x[:2])
    assert probe.activations.n_samples == 2
    with (
        pytest.warns(
            ll.LayerlensWarning, match=r"Block was called by a tracer only.*call it itself"
        ),
        ll.Probe(model),
    ):
        trace(model, x)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
def test_scripting_a_probed_model_says_what_to_do(recwarn):
    model, x = nn.Sequential(nn.Linear(4, 3)), torch.ones(2, 4)
    with ll.Probe(model) as probe:
        copied, pickled = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
        for each in (model, copied, pickled):
            with pytest.raises(ll.RecordingError, match=r"torch.jit.script .*before the probe's"):
                torch.jit.script(each)
        model(x)
    assert torch.equal(torch.jit.script(model)(x), model(x))
    assert probe.activations.n_samples == 2


def test_a_caller_that_counts_operations_sees_the_model_s_alone():
    class Counting(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.seen = []

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.seen.append(str(function))
            return function(*args, **(kwargs or {}))

    model, x = Block(), torch.ones(5, 4)
    with Counting() as alone:
        model(x)
    with ll.Probe(model, ["*", "op:*"]) as probe, Counting() as probed:
        model(x)
    assert probed.seen == alone.seen
    assert probe.activations["body.0"].shape == (5, 4)


def test_steps_first_that_were_taken_for_samples_are_doubted():
    tokens = torch.arange(35).reshape(7, 5) % 10
    with pytest.warns(
        ll.LayerlensWarning,
        match=r"samples may be steps: 'rnn' .*\(7, 5, 8\) is 7 steps of 5 samples.*by labels or",
    ):
        ll.Probe(Tagger()).run([tokens])


def test_tokens_with_steps_first_are_sequences_where_labels_tell():
    model, tokens = Tagger(), torch.arange(35).reshape(7, 5) % 10
    recorded = ll.Probe(model, sketch=None).run([(tokens, torch.arange(5))])
    with torch.no_grad():
        want = {"embed": model.embed(tokens), "head": model(tokens)}
    assert recorded.n_samples == 5
    assert recorded["rnn"].shape == (5, 7 * 8)
    for name, output in want.items():
        rows = output.transpose(0, 1).flatten(1).numpy()
        np.testing.assert_allclose(np.asarray(recorded[name]), rows, atol=1e-6)


def test_operations_of_a_model_with_steps_first_have_samples_for_rows():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(4, 6)

        def forward(self, x):
            return (self.rnn(x)[0] * 2).mean(0)

    x = torch.arange(140.0).reshape(7, 5, 4)
    recorded = ll.Probe(Mean(), ["input", "op:*"]).run([(x, torch.arange(5))])
    assert {name: recorded[name].shape for name in recorded} == {
        "input": (5, 28),
        "/mul": (5, 42),
        "/mean": (5, 6),
    }
    np.testing.assert_array_equal(np.asarray(recorded["input"]), x.transpose(0, 1).flatten(1))


def test_batch_and_steps_of_one_length_raise_no_doubt():
    with ll.Probe(Tagger(), "rnn") as probe:
        probe.model(torch.zeros(5, 5, dtype=torch.int64))
    assert probe.activations["rnn"].shape == (5, 40)


def test_second_call_does_not_take_the_name_of_another_module():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("a", nn.Linear(4, 4))
            self.add_module("a:1", nn.Linear(4, 4))

        def forward(self, x):
            return self.get_submodule("a:1")(self.a(self.a(x)))

    model, x = Twice(), torch.ones(3, 4)
    with pytest.warns(ll.LayerlensWarning, match=r"'a' \(its call 1 would be called 'a:1'"):  # noqa: SIM117
        with ll.Probe(model) as probe:
            out = model(x)
    assert list(probe.activations) == ["a", "a:1"]
    np.testing.assert_array_equal(np.asarray(probe.activations["a:1"]), out.detach())
    with ll.Probe(model, call="last") as probe:
        model(x)
    assert list(probe.activations) == ["a", "a:1"]


def test_layer_without_values_is_left_out_by_name():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    model.add_module("none", type("None", (nn.Module,), {"forward": lambda _, x: x[:, :0]})())
    with pytest.warns(ll.LayerlensWarning, match=r"'none' \(it gives no values: \(20, 0\)\)"):
        embeddings = ll.embed(model, torch.randn(20, 4), reducer="pca")
    assert list(embeddings) == ["0", "1"]


def test_bytes_that_are_no_text_are_kept_readable():
    with ll.Probe(nn.Linear(4, 2)) as probe:
        probe.annotate(ids=[b"\xff", b"caf\xc3\xa9"], file=[b"\xfe.png", b"b"])
        probe.model(torch.ones(2, 4))
    assert list(probe.activations.ids) == ["\\xff", "café"]
    assert list(probe.activations.columns["file"]) == ["\\xfe.png", "b"]


def test_pictures_with_channels_last_are_shown_as_they_are():
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)
    with ll.Probe(nn.Linear(4, 2)) as probe:
        probe.annotate(inputs=images)
        probe.model(torch.ones(2, 4))
    np.testing.assert_array_equal(probe.activations.thumbnails, images)


def test_pictures_without_pixels_are_refused():
    with ll.Probe(nn.Linear(4, 2)) as probe:
        with pytest.raises(ll.ShapeError, match=r"must be images.*got \(2, 3, 0, 9\)"):
            probe.annotate(inputs=torch.ones(2, 3, 0, 9))
        probe.model(torch.ones(2, 4))
