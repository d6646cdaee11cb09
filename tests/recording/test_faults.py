"""Things that go wrong in the middle, or look alike and are not."""

import copy
import pickle
import threading
import warnings

import numpy as np
import pytest
import torch
from tests.recording.models import Functional
from torch import nn

import layerlens as ll
from layerlens.recording.samples import Samples

pytestmark = pytest.mark.usefixtures("seeded")


def mlp():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


class Last(nn.Module):
    """Puts the batch second for its recurrent layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        y = x.transpose(0, 1)
        return (self.layer(y) if isinstance(self.layer, nn.RNNBase) else self.layer(y, y, y))[0][-1]


@pytest.mark.parametrize("length", [5, 6])
@pytest.mark.parametrize("layer", [nn.LSTM(4, 3), nn.MultiheadAttention(4, 2)], ids=["lstm", "mha"])
def test_as_many_steps_as_samples_are_still_told_apart(layer, length):
    model, x = Last(layer).eval(), torch.randn(6, length, 4)
    y = x.transpose(0, 1)
    expected = (layer(y) if isinstance(layer, nn.RNNBase) else layer(y, y, y))[0]
    acts = ll.Probe(model, "layer").run([x])
    np.testing.assert_allclose(
        acts["layer"], expected.detach().transpose(0, 1).flatten(1).numpy(), atol=1e-6
    )


@pytest.mark.parametrize("samples", [5, 2])
def test_recurrent_state_has_its_batch_second_always(samples):
    model, x = (
        nn.Sequential(nn.GRU(4, 3, num_layers=2, batch_first=True)),
        torch.randn(samples, 7, 4),
    )
    acts = ll.Probe(model, "0[1]").run([x])
    expected = model[0](x)[1].detach().transpose(0, 1).flatten(1).numpy()
    np.testing.assert_allclose(acts["0[1]"], expected, atol=1e-6)


def test_rows_read_while_a_batch_is_open_do_not_disturb_it():
    model = mlp()
    seen = []
    with ll.Probe(model, "0") as probe:
        for _ in range(9):
            probe.annotate()
            model[0](torch.ones(500, 4))
            if probe.layers and probe.activations:
                seen.append(np.asarray(probe.activations["0"]).shape)
    assert seen == [(500 * n, 8) for n in range(1, 9)]
    rows = np.asarray(probe.activations["0"])
    assert rows.shape == (4500, 8)
    assert (rows == rows[0]).all()


def test_rows_can_be_read_from_another_thread_while_they_come_in():
    model, stop, errors = mlp(), threading.Event(), []

    def watch(probe):
        while not stop.is_set():
            try:
                if "0" in probe.activations:
                    np.asarray(probe.activations["0"])
            except Exception as error:  # noqa: BLE001  any is a failure of this test
                errors.append(error)

    with ll.Probe(model, "0", sketch=None) as probe:
        thread = threading.Thread(target=watch, args=(probe,))
        thread.start()
        for _ in range(200):
            model(torch.ones(50, 4))
        stop.set()
        thread.join()
    assert not errors
    assert np.asarray(probe.activations["0"]).shape == (10_000, 8)


def test_another_thread_sees_a_batch_in_all_layers_or_in_none(monkeypatch):
    seen, readers = [], []
    add = Samples.add

    def watch(probe):
        acts = probe.activations
        seen.append({len(acts.ids), *(layer.shape[0] for layer in acts.values())})

    def add_while_watched(samples, batch, annotation):
        # every layer has its rows by now, and the samples are not counted yet
        readers.append(threading.Thread(target=watch, args=(probe,)))
        readers[-1].start()
        readers[-1].join(0.1)
        add(samples, batch, annotation)

    with ll.Probe(mlp(), sketch=None) as probe:
        probe.model(torch.ones(5, 4))
        monkeypatch.setattr(Samples, "add", add_while_watched)
        probe.model(torch.ones(5, 4))
        readers[0].join()
    assert seen == [{10}]


def test_interrupt_caught_inside_the_block_counts_no_half_batch():
    model = mlp()
    with ll.Probe(model) as probe:
        model(torch.ones(6, 4))
        handle = model[1].register_forward_pre_hook(
            lambda *a: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            model(torch.ones(5, 4))
        handle.remove()
    assert {layer.shape[0] for layer in probe.activations.values()} == {6}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_probes_that_overlap_share_the_compilers_stance():
    import torch._dynamo.eval_frame as frame

    torch._dynamo.reset()
    before = frame._stance.stance
    model = torch.compile(mlp(), backend="eager")
    first, second = ll.Probe(model), ll.Probe(model)
    first.__enter__()
    second.__enter__()
    model(torch.ones(2, 4))
    first.__exit__(None, None, None)
    model(torch.ones(3, 4))
    second.__exit__(None, None, None)
    assert second.activations.n_samples == 5
    assert frame._stance.stance == before


def test_pair_with_labels_that_do_not_fit_says_so():
    x = torch.randn(6, 4)
    with pytest.raises(ll.ShapeError, match="6 samples and y has 5"):
        ll.Probe(mlp()).run((x, torch.arange(5)))
    with pytest.raises(ll.ShapeError, match="argmax"):
        ll.Probe(mlp()).run((x, torch.rand(6, 6)))


def test_labels_of_a_pair_may_be_a_list_a_column_or_numbers():
    x = torch.randn(3, 4)
    for y, expected in [(list("abc"), list("abc")), (torch.arange(3)[:, None], [0, 1, 2]),
                        (np.array([0.5, 1, 2]), [0.5, 1, 2])]:  # fmt: skip
        assert ll.Probe(mlp()).run((x, y)).labels.tolist() == expected


def test_two_batches_of_one_shape_stay_two_batches():
    acts = ll.Probe(mlp()).run(torch.randn(6, 4).split(3))
    assert acts.n_samples == 6 and acts.labels is None


def test_call_inside_a_transform_costs_that_call_only():
    model = Functional()
    with pytest.warns(ll.LayerlensWarning, match=r"torch\.func"), ll.Probe(model) as probe:
        model(torch.randn(3, 4))
        torch.func.vmap(model)(torch.randn(7, 2, 4))
        model(torch.randn(3, 4))
    assert probe.activations.n_samples == 6
    assert {layer.shape for layer in probe.activations.values()} == {(6, 3)}


def test_layer_that_turns_out_to_have_no_batch_is_left_out_whole():
    class Positions(nn.Module):
        def forward(self, x):
            return torch.ones(1, 3)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.pos, self.fc = Positions(), nn.Linear(3, 2)

        def forward(self, x):
            return self.fc(x + self.pos(x))

    model = Net()
    with pytest.warns(ll.LayerlensWarning, match="'pos'"), ll.Probe(model) as probe:
        for size in (1, 8, 1):
            model(torch.randn(size, 3))
    assert list(probe.activations) == probe.layers == ["fc"]


class Moody(nn.Module):
    """Gives a tuple in training and a tensor, or nothing, in evaluation."""

    def __init__(self, otherwise):
        super().__init__()
        self.part = self.Part(otherwise)

    class Part(nn.Module):
        def __init__(self, otherwise):
            super().__init__()
            self.otherwise = otherwise

        def forward(self, x):
            return (0, x) if self.training else self.otherwise(x)

    def forward(self, x):
        self.part(x)
        return x + 1


def test_layer_whose_structure_changes_is_found_again():
    model = Moody(lambda x: x)
    with ll.Probe(model, "part") as probe:
        model(torch.ones(2, 3))
        model.eval()(torch.zeros(3, 3))
    assert np.asarray(probe.activations["part"])[:, 0].tolist() == [1, 1, 0, 0, 0]


def test_layer_that_gives_nothing_later_has_fewer_rows():
    model = Moody(lambda x: None)
    with ll.Probe(model) as probe:
        model(torch.ones(2, 3))
        model.eval()(torch.zeros(3, 3))
    assert probe.activations["part"].rows.tolist() == [0, 1]
    assert probe.activations.n_samples == 5


def test_last_call_may_be_of_another_width_than_earlier_ones():
    class Scales(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU(inplace=True)

        def forward(self, x):
            self.act(x.clone())
            y = self.act(x[:, :2].clone())
            return y.mul_(0) + 1  # in place, after the last call

    x = torch.ones(3, 5)
    model = Scales()
    with ll.Probe(model, "act", call="last") as probe:
        model(x)
        model(x)
    np.testing.assert_array_equal(probe.activations["act"], np.ones((6, 2)))


def test_class_that_the_model_needs_is_given_to_it():
    class Conditional(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(3, 4)

        def forward(self, z, y):
            return z + self.table(y)

    acts = ll.Probe(Conditional()).run([{"z": torch.zeros(3, 4), "y": torch.arange(3)}])
    assert acts.labels.tolist() == [0, 1, 2] and len(acts["table"]) == 3


def test_error_of_a_layer_that_is_caught_counts_no_half_batch():
    class Sequence(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(x) + 0

    model = Sequence()
    with ll.Probe(model, readout={"fc": "pool", "": "flatten"}) as probe:
        model(torch.ones(4, 3, 4))
        with pytest.raises(ll.ShapeError):
            model(torch.ones(2, 5, 4))
    assert {len(layer) for layer in probe.activations.values()} == {4}


def test_model_that_returns_nothing_is_recorded_inside_an_except_block():
    class Silent(nn.Sequential):
        def forward(self, x):
            super().forward(x)

    model = Silent(nn.Linear(4, 2))
    with ll.Probe(model) as probe:
        try:
            raise ValueError
        except ValueError:
            model(torch.ones(3, 4))
    assert len(probe.activations["0"]) == 3


def test_annotation_of_a_part_that_does_not_fit_raises():
    model = mlp()
    with ll.Probe(model) as probe:
        probe.annotate(labels=[1, 2, 3])
        with pytest.raises(ll.ShapeError, match="labels has 3 values.*2 samples"):
            model[0](torch.ones(2, 4))
        model(torch.ones(2, 4))
    assert probe.activations.n_samples == 2


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([[1, 2], [3]], "annotate: labels must be one value a sample.*lists of unequal lengths"),
        ([["a", None], ["b", 1]], r"annotate: labels must be one value a sample.*got \(2, 2\)"),
    ],
)
def test_labels_that_are_lists_are_named(labels, said):
    with ll.Probe(mlp()) as probe:
        with pytest.raises(ll.ShapeError, match=said):
            probe.annotate(labels=labels)
        probe.model(torch.ones(2, 4))


def test_announced_length_tells_the_batch_of_a_sequence_first_model():
    class Forward(nn.Module):
        def forward(self, x):
            return x.mean(0)

    model = nn.Sequential(Forward())
    with ll.Probe(model) as probe:
        probe.annotate(labels=[1, 2, 3])
        model(torch.ones(7, 3, 4))
    assert probe.activations["0"].shape == (3, 4)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 8, 8)])
def test_as_many_labels_as_channels_are_not_taken_for_the_batch(shape):
    model = nn.Sequential(nn.ReLU())
    with ll.Probe(model) as probe:
        probe.annotate(labels=[1, 2, 3])
        with pytest.raises(ll.ShapeError, match="3 values.*2 samples"):
            model(torch.ones(shape))
        model(torch.ones(shape))


def test_dates_that_are_missing_are_not_a_time():
    with ll.Probe(mlp()) as probe:
        probe.annotate(day=np.array(["2026-01-01", "2026-01-02"], "datetime64[D]"))
        probe.model(torch.ones(2, 4))
        probe.model(torch.ones(1, 4))
    assert np.isnat(probe.activations.columns["day"]).tolist() == [False, False, True]


@pytest.mark.parametrize("through", [lambda a: pickle.loads(pickle.dumps(a)), copy.deepcopy])
def test_activations_can_be_copied_and_pickled(through):
    acts = ll.Probe(mlp()).run((torch.randn(6, 4), torch.arange(6)))
    again = through(acts)
    assert list(again) == list(acts)
    assert again.labels.tolist() == acts.labels.tolist()
    np.testing.assert_array_equal(again["1"], acts["1"])


def test_copy_of_a_layer_keeps_its_rows_when_the_probe_is_used_again():
    probe = ll.Probe(mlp(), "0")
    copied = copy.copy(probe.run([torch.ones(3, 4)])["0"])
    before = np.asarray(copied).copy()
    probe.run([torch.zeros(3, 4)])
    np.testing.assert_array_equal(copied, before)


def test_arrays_with_a_graph_or_in_half_precision_become_activations():
    x = torch.ones(3, 2, requires_grad=True)
    acts = ll.Activations.of({"labels": x, "b": x.bfloat16()}, labels=[1, 2, 3])
    assert acts["b"].dtype == np.float32 and list(acts) == ["labels", "b"]


def test_threads_with_probes_of_their_own_do_not_warn():
    model, barrier = mlp(), threading.Barrier(2)
    caught = []

    def work():
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            with ll.Probe(model):
                barrier.wait()
                model(torch.ones(2, 4))
                barrier.wait()
            caught.extend(found)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not caught


def test_module_with_brackets_in_its_name_was_called():
    model = nn.Sequential()
    model.add_module("a[0]", nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(ll.Probe(model, "a[0]").run([torch.ones(2, 3)])) == ["a[0]"]


def test_not_a_number_is_the_same_tensor_under_inference_mode():
    model = nn.Sequential(nn.Sequential(nn.ReLU()))
    with ll.Probe(model) as probe, torch.inference_mode():
        model(torch.full((2, 3), float("nan")))
    assert probe.layers == ["0.0"]


def test_failing_readout_names_its_layer():
    def broken(t):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as info:
        ll.Probe(mlp(), "0", readout=broken).run([torch.ones(2, 4)])
    assert "broken of layer '0'" in info.value.__notes__[0]


@pytest.mark.parametrize("seed", [None, "0", 1.5, True])
def test_seed_must_be_an_integer(seed):
    with pytest.raises(ll.ArgumentError, match="random_state"):
        ll.Probe(mlp(), random_state=seed)
