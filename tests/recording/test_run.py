"""`Probe.run`: how batches of every kind reach a model."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.recording.models import Functional, ResNet
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import layerlens as ll

pytestmark = pytest.mark.usefixtures("seeded")


X, Y = torch.randn(150, 4), torch.arange(150) % 3


@pytest.mark.parametrize(
    "batches",
    [
        DataLoader(TensorDataset(X, Y), batch_size=32),
        TensorDataset(X, Y),
        (X, Y),
        (X.numpy(), Y.numpy()),
        [(X[:100], Y[:100]), [X[100:], Y[100:].tolist()]],
        ((x, y) for x, y in zip(X.split(40), Y.split(40), strict=True)),
        [{"x": X, "label": Y}],
        [({"x": X}, Y)],
    ],
    ids=["loader", "dataset", "pair", "arrays", "lists", "generator", "dict", "dict and labels"],
)
def test_every_kind_of_labelled_batches(batches):
    model = Functional()
    acts = ll.Probe(model).run(batches)
    np.testing.assert_allclose(acts["fc"], model.fc(X).detach().numpy(), atol=1e-6)
    assert acts.labels.tolist() == Y.tolist()


@pytest.mark.parametrize("batches", [X, X.numpy(), X.split(7), [X.numpy()]])
def test_unlabelled_batches(batches):
    acts = ll.Probe(Functional()).run(batches)
    assert acts.labels is None and acts.n_samples == 150
    assert acts.ids.tolist() == list(range(150))


def test_global_random_state_is_left_alone():
    probe = ll.Probe(Functional())
    state = torch.get_rng_state()
    probe.run(TensorDataset(X, Y))
    assert torch.equal(state, torch.get_rng_state())


def test_mapping_gives_ids_and_columns_beside_the_models_parameters():
    batch = {"x": X, "id": [f"s{i}" for i in range(150)], "text": ["t"] * 150, "score": Y / 2,
             "image_size": (28, 28)}  # fmt: skip
    acts = ll.Probe(Functional()).run([batch])
    assert acts.ids[3] == "s3"
    assert set(acts.columns) == {"text", "score"}


def test_images_become_thumbnails():
    images = torch.zeros(5, 3, 60, 120)
    images[2, 0, :, :60] = 1
    acts = ll.Probe(ResNet(), "head*").run([images])
    assert acts.thumbnails.shape == (5, 16, 32, 3)
    assert (acts.thumbnails[2, :, :16] == (255, 0, 0)).all()
    assert (acts.thumbnails[2, :, 16:] == 0).all()


def test_byte_images_are_shown_as_they_are():
    with ll.Probe(Functional()) as probe:
        probe.annotate(inputs=torch.full((2, 9, 9), 77, dtype=torch.uint8))
        probe.model(X[:2])
    assert (probe.activations.thumbnails == 77).all()


def test_class_names_come_from_the_data_set():
    data = TensorDataset(X, Y)
    data.classes = ["cat", "dog", "owl"]
    acts = ll.Probe(Functional()).run(DataLoader(data, batch_size=50))
    assert acts.run.class_names()[1] == ["cat", "dog", "owl"]


def test_limit_counts_samples():
    acts = ll.Probe(Functional()).run((X, Y), limit=70)
    assert acts.n_samples == len(acts.labels) == len(acts["fc"]) == 70
    with pytest.raises(ll.ArgumentError, match="limit"):
        ll.Probe(Functional()).run(X, limit=0)


def test_forward_feeds_what_nothing_else_can():
    model = Functional()
    batches = [SimpleNamespace(values=X[:60]), SimpleNamespace(values=X[60:])]
    acts = ll.Probe(model).run(batches, forward=lambda model, batch: model(batch.values))
    assert acts["fc"].shape == (150, 3)


def test_calls_of_one_forward_belong_to_one_batch():
    model = Functional()
    acts = ll.Probe(model, "fc").run(
        [X[:5], X[5:9]], forward=lambda model, x: (model(x), model.fc(x), model(x + 1))
    )
    assert list(acts) == ["fc", "fc:1", "fc:2"]
    assert {layer.shape for layer in acts.values()} == {(9, 3)}


def test_batch_that_cannot_be_fed_names_forward_and_the_remedy():
    with pytest.raises(ll.RecordingError, match=r"SimpleNamespace.*forward\(x\).*forward="):
        ll.Probe(Functional()).run([SimpleNamespace(x=X)])
    with pytest.raises(ll.RecordingError, match=r"'image'.*forward\(x\)"):
        ll.Probe(Functional()).run([{"image": X}])


def test_empty_batches_are_an_error():
    with pytest.raises(ll.RecordingError, match="empty"):
        ll.Probe(Functional()).run([])


def test_one_batch_in_place_of_batches_says_so():
    with pytest.raises(TypeError, match=r"\[batch\]"):
        ll.Probe(Functional()).run({"x": X})


def test_failure_in_the_middle_keeps_whole_batches_and_takes_hooks_off():
    def batches():
        yield X[:10]
        yield X[10:25]
        raise OSError("disk")

    model = Functional()
    probe = ll.Probe(model)
    with pytest.raises(OSError, match="disk"):
        probe.run(batches())
    assert probe.activations["fc"].shape == (25, 3)
    assert not model._forward_pre_hooks and not model.fc._forward_hooks


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys):
    ll.Probe(Functional()).run((X, Y), progress=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert "recording: 150 of 150 samples" in said.err and "\r" not in said.err


def test_progress_is_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    ll.Probe(Functional()).run((X, Y), progress=True)
    assert "150/150" in capsys.readouterr().err


def test_images_of_other_sizes_are_taken_by_pool():
    acts = ll.Probe(ResNet(), "stem*", readout="pool").run(
        [torch.randn(2, 3, 8, 8), torch.randn(3, 3, 9, 12)]
    )
    assert acts["stem.0"].shape == (5, 8)


def test_memory_of_an_earlier_record_is_used_again_only_when_it_is_free():
    model = nn.Sequential(nn.Linear(4, 50_000))
    probe = ll.Probe(model, sketch=None)

    def address():
        probe.run([X[:8]])
        return probe._capture.record.layers["0"].rows._pieces[0].ctypes.data

    first = address()
    assert address() == first
    held = probe.activations
    assert address() != first
    np.testing.assert_allclose(held["0"], model(X[:8]).detach().numpy(), atol=1e-6)


# --- a transformer ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bert():
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=40,
        )  # fmt: skip
        return BertModel(config).eval()


def tokens(length, batch=3):
    ids = torch.randint(0, 50, (batch, length))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def test_transformer_layers_equal_its_own_hidden_states(bert):
    batch = tokens(7)
    with torch.no_grad():
        states = bert(**batch, output_hidden_states=True).hidden_states
    layers = [f"encoder.layer.{i}.output" for i in range(2)]
    acts = ll.Probe(bert, layers, readout="token:0").run([batch])
    for state, name in zip(states[1:], layers, strict=True):
        np.testing.assert_allclose(acts[name], state[:, 0].numpy(), atol=1e-6)


def test_sequences_of_other_lengths_need_a_readout_and_the_error_says_which(bert):
    batches = [tokens(7), tokens(9)]
    probe = ll.Probe(bert, "encoder.layer.0.output")
    with pytest.raises(ll.ShapeError, match=r"7x16.*token:0|token:0.*7x16|9x16.*7x16.*token:0"):
        probe.run(batches)
    acts = ll.Probe(bert, "encoder.layer.0.output", readout="pool").run(batches)
    assert acts["encoder.layer.0.output"].shape == (6, 16)


@pytest.mark.filterwarnings("ignore::layerlens.LayerlensWarning")
def test_every_layer_of_a_transformer_and_its_output_stay_the_same(bert):
    batch = tokens(7)
    with torch.no_grad():
        expected = bert(**batch).last_hidden_state
        with ll.Probe(bert, readout="pool") as probe:
            got = bert(**batch).last_hidden_state
    assert torch.equal(expected, got)
    assert "encoder.layer.1.output.LayerNorm" in probe.layers


# --- what a record says of itself -------------------------------------------------------------


def test_activations_say_what_they_hold():
    acts = ll.Probe(ResNet(), "stem.0", sketch=512).run([torch.zeros(4, 3, 32, 32)])
    assert repr(acts["stem.0"]) == "stem.0  4 x 8192 -> 512 sketched, float32, 8.0 KiB"
    assert repr(acts).startswith("Activations of ResNet: 4 samples, 1 layer, 8.0 KiB\n  stem.0")
    assert acts.meta["n_parameters"] == sum(p.numel() for p in ResNet().parameters())


def test_rich_display_escapes_names():
    model = nn.Sequential()
    model.add_module("<script>", nn.ReLU())
    page = ll.Probe(model).run([X])._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_layer_is_array_like():
    layer = ll.Probe(Functional()).run((X, Y))["fc"]
    whole = np.asarray(layer)
    assert len(layer) == 150 and layer.ndim == 2 and layer.nbytes == whole.nbytes
    np.testing.assert_array_equal(layer[-1], whole[-1])
    np.testing.assert_array_equal(layer[3:9:2, 1], whole[3:9:2, 1])
    np.testing.assert_array_equal(layer[[5, 2]], whole[[5, 2]])
    np.testing.assert_array_equal(layer[9:3], whole[9:3])
    np.testing.assert_array_equal(np.stack(list(layer)), whole)
    np.testing.assert_array_equal(torch.as_tensor(np.asarray(layer)).numpy(), whole)
    assert np.asarray(layer, dtype="float64").dtype == np.float64
    with pytest.raises(IndexError):
        layer[150]


def test_unknown_layer_is_a_key_error_that_lists_the_layers():
    acts = ll.Probe(Functional()).run((X, Y))
    with pytest.raises(KeyError, match="'fc'"):
        acts["conv"]
    assert "conv" not in acts and acts.get("conv") is None


# --- arrays from elsewhere --------------------------------------------------------------------


def test_arrays_become_activations_without_a_copy():
    array = np.random.default_rng(0).normal(size=(6, 4))
    acts = ll.Activations.of({"a": array}, labels=[0, 1] * 3, label_names=["x", "y"], day=range(6))
    assert np.shares_memory(np.asarray(acts["a"]), array)
    assert acts.run.class_names()[1] == ["x", "y"]
    assert acts.columns["day"].tolist() == list(range(6))


@pytest.mark.parametrize(
    ("arrays", "more"),
    [
        ({"a": np.zeros(3)}, {}),
        ({"a": np.zeros((3, 2)), "b": np.zeros((4, 2))}, {}),
        ({"a": np.zeros((3, 2))}, {"labels": [1, 2]}),
        ({}, {}),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays, more):
    with pytest.raises(ll.ShapeError):
        ll.Activations.of(arrays, **more)


class Detector(nn.Module):
    """Takes a list of images, as torchvision's detectors do."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, images):
        side = max(max(image.shape[1:]) for image in images)
        padded = [
            nn.functional.pad(i, (0, side - i.shape[2], 0, side - i.shape[1])) for i in images
        ]
        scores = self.head(self.body(torch.stack(padded)).mean((2, 3)))
        return [{"scores": one} for one in scores]


SEVERAL_SIZES = [torch.rand(3, 20, 16), torch.rand(3, 12, 18)]
ONE_SIZE = [torch.rand(3, 16, 16), torch.rand(3, 16, 16)]


@pytest.mark.parametrize("images", [SEVERAL_SIZES, ONE_SIZE, SEVERAL_SIZES[:1], ONE_SIZE * 2])
def test_a_list_of_images_is_a_batch(images):
    model = Detector()
    with ll.Probe(model, ["body", "head"]) as probe:
        probe.annotate(labels=list(range(len(images))))
        outputs = model(images)
    scores = np.stack([output["scores"].detach().numpy() for output in outputs])
    np.testing.assert_array_equal(probe.activations["head"], scores)
    assert probe.activations.labels.tolist() == list(range(len(images)))


@pytest.mark.parametrize("batch", [SEVERAL_SIZES, (SEVERAL_SIZES, [{}, {}]), (ONE_SIZE, None)])
def test_run_feeds_lists_of_images(batch):
    acts = ll.Probe(Detector(), ["body", "head"]).run([batch, batch])
    assert acts["body"].shape[0] == acts["head"].shape[0] == 4


class Declared(Detector):
    def forward(self, images: list[torch.Tensor]):
        return super().forward(images)


@pytest.mark.parametrize("batch", [SEVERAL_SIZES[:1], tuple(ONE_SIZE), ONE_SIZE[:1], ONE_SIZE])
def test_where_forward_says_that_it_takes_a_list_one_of_any_images_goes_in(batch):
    model = Declared()
    acts = ll.Probe(model, ["body", "head"]).run([batch, batch])
    scores = torch.stack([one["scores"] for one in model(list(batch))]).detach().numpy()
    np.testing.assert_array_equal(acts["head"], np.concatenate([scores, scores]))
    maps = np.asarray(ll.activation_maps(model, batch, "body")["body"])
    np.testing.assert_array_equal(maps.reshape(len(batch), -1), acts["body"][: len(batch)])
    top = ll.top_samples(model, [batch, batch], "body", 1, k=1)
    assert top.inputs is None and top.values[0] == maps.max((2, 3))[:, 1].max()


def test_a_list_of_images_is_no_input_to_record():
    with (
        pytest.warns(ll.LayerlensWarning, match="'input' .it is a list of images"),
        ll.Probe(Detector(), ["input", "head"]) as probe,
    ):
        probe.model(ONE_SIZE)
    assert list(probe.activations) == ["head"]


def test_several_inputs_in_a_list_are_no_images():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(9, 2)

        def forward(self, both):
            return self.fc(both[0] + both[1])

    with ll.Probe(Pair()) as probe:
        probe.model([torch.rand(3, 8, 9), torch.rand(3, 8, 9)])
    assert probe.activations["fc"].shape == (3, 16)


def test_a_model_without_values_is_named_where_nothing_was_recorded():
    with torch.device("meta"):
        model = nn.Linear(4, 2)
    with pytest.raises(
        ll.RecordingError, match=r"nothing was recorded: .*meta .* load the weights"
    ):
        ll.Probe(model).run([torch.ones(3, 4)])
