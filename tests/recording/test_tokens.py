"""Readouts that know which tokens are padding, against hooks of our own."""

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll

transformers = pytest.importorskip("transformers")

LENGTHS = (5, 2, 7, 3)


def small(kind):
    torch.manual_seed(0)
    if kind == "bert":
        config = transformers.BertConfig(
            vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=24, max_position_embeddings=16,
        )  # fmt: skip
        return transformers.BertModel(config).eval()
    config = transformers.GPT2Config(vocab_size=40, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    return transformers.GPT2LMHeadModel(config).eval()


def padded(side):
    """Texts of several lengths: ids, mask, and where each one's tokens are."""
    width = max(LENGTHS)
    ids, mask = torch.zeros(len(LENGTHS), width, dtype=torch.long), torch.zeros(len(LENGTHS), width)
    spans = []
    for row, length in enumerate(LENGTHS):
        start = 0 if side == "right" else width - length
        ids[row, start : start + length] = torch.arange(length) + 10 * row % 30 + 1
        mask[row, start : start + length] = 1
        spans.append((start, start + length))
    return {"input_ids": ids, "attention_mask": mask.long()}, spans


def hooked(model, name, batch):
    """What one module puts out, by a hook that clones."""
    seen = []

    def keep(module, args, output):
        seen.append((output[0] if isinstance(output, tuple) else output).detach().clone())

    handle = model.get_submodule(name).register_forward_hook(keep)
    with torch.no_grad():
        model(**batch)
    handle.remove()
    return seen[0]


LAYERS = {
    "bert": ["embeddings", "encoder.layer.0.output", "encoder.layer.1.attention.self.query"],
    "gpt2": ["transformer.wte", "transformer.h.0.mlp.c_fc", "transformer.h.1"],
}
PICK = {
    "mean_token": lambda rows: rows.mean(0),
    "cls": lambda rows: rows[0],
    "last_token": lambda rows: rows[-1],
}


@pytest.mark.parametrize("readout", list(PICK))
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_padding_is_no_token_on_either_side(kind, side, readout):
    model, (batch, spans) = small(kind), padded(side)
    acts = ll.Probe(model, LAYERS[kind], readout=readout).run([batch])
    assert list(acts) == LAYERS[kind]
    for name in LAYERS[kind]:
        output = hooked(model, name, batch)
        expected = [PICK[readout](output[row, a:b]) for row, (a, b) in enumerate(spans)]
        np.testing.assert_allclose(acts[name], torch.stack(expected), atol=1e-6)
        assert acts[name].info.readout == readout


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_every_token_is_a_sample_with_id_text_and_position(kind, side):
    model, (batch, spans) = small(kind), padded(side)

    def spell(ids):
        return [f"word{i}" for i in ids]

    batch |= {"labels": [0, 1, 2, 3], "ids": ["a", "b", "c", "d"]}
    probe = ll.Probe(model, LAYERS[kind], readout=ll.PerToken(spell))
    acts = probe.run([batch, batch | {"ids": ["e", "f", "g", "h"]}])
    assert acts.n_samples == 2 * sum(LENGTHS)
    given = {key: batch[key] for key in ("input_ids", "attention_mask")}
    for name in LAYERS[kind]:
        output = hooked(model, name, given)
        expected = torch.cat([output[row, a:b] for row, (a, b) in enumerate(spans)])
        np.testing.assert_array_equal(acts[name], torch.cat([expected, expected]))
    tokens = [(row, i) for row, length in enumerate(LENGTHS) for i in range(length)]
    names = "abcd"
    assert acts.ids[: len(tokens)].tolist() == [f"{names[row]}:{i}" for row, i in tokens]
    assert acts.ids[-1] == "h:2"
    assert acts.labels[: len(tokens)].tolist() == [row for row, _ in tokens]
    assert acts.columns["position"][: len(tokens)].tolist() == [i for _, i in tokens]
    assert acts.columns["sample"][: len(tokens)].tolist() == [names[row] for row, _ in tokens]
    ids = torch.cat([given["input_ids"][row, a:b] for row, (a, b) in enumerate(spans)]).tolist()
    assert acts.columns["token_id"].tolist() == ids * 2
    assert acts.columns["token"].tolist() == [f"word{i}" for i in ids * 2]


def test_texts_are_numbered_over_batches_and_a_failed_batch_counts_none():
    model = small("gpt2")
    batch, _ = padded("right")
    with ll.Probe(model, "transformer.h.0", readout="tokens") as probe:
        model(**batch)
        with pytest.raises(IndexError):
            model(input_ids=torch.full((1, 3), 99))
        model(**batch)
    assert probe.activations.ids[-1] == "7:2"
    assert probe.activations.n_samples == 2 * sum(LENGTHS)


def test_tokens_on_disk_go_on_with_the_next_text(tmp_path):
    model = small("gpt2")
    batch, _ = padded("left")
    batches = [{**batch, "labels": [0, 1, 0, 1]} for _ in range(6)]

    def fails(batches):
        yield from batches[:3]
        raise KeyboardInterrupt

    def probe():
        return ll.Probe(model, "transformer.h.1", readout="tokens", store=tmp_path / "run.zarr")

    with pytest.raises(KeyboardInterrupt):
        probe().run(fails(batches))
    acts = probe().run(batches)
    expected = ll.Probe(model, "transformer.h.1", readout="tokens").run(batches)
    assert acts.ids.tolist() == expected.ids.tolist()
    np.testing.assert_array_equal(acts["transformer.h.1"], expected["transformer.h.1"])
    np.testing.assert_array_equal(acts.columns["token_id"], expected.columns["token_id"])


class Special:
    """A tokenizer in which 1 and 2 are special."""

    all_special_ids = (1, 2)

    def convert_ids_to_tokens(self, ids):
        return [f"<{i}>" for i in ids]


def test_special_tokens_can_be_left_out():
    model = small("bert")
    batch = {"input_ids": torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]])}
    batch["attention_mask"] = (batch["input_ids"] > 0).long()
    readout = ll.PerToken(Special(), special=False)
    acts = ll.Probe(model, ["embeddings", "encoder.layer.1"], readout=readout).run([batch])
    assert acts.columns["token"].tolist() == ["<5>", "<6>", "<7>"]
    assert acts.columns["position"].tolist() == [0, 1, 0]
    output = hooked(model, "encoder.layer.1", batch)
    expected = torch.stack([output[0, 1], output[0, 2], output[1, 1]])
    np.testing.assert_array_equal(acts["encoder.layer.1"], expected)


def test_layers_without_these_tokens_are_left_out_by_name():
    model, (batch, _) = small("bert"), padded("right")
    with pytest.warns(ll.LayerlensWarning, match="'pooler' .tokens needs .batch, tokens, channels"):
        acts = ll.Probe(model, ["embeddings", "pooler"], readout="tokens").run([batch])
    assert list(acts) == ["embeddings"]
    # for one row a text the pooled vector is one already
    acts = ll.Probe(model, ["embeddings", "pooler"], readout="mean_token").run([batch])
    assert acts["pooler"].shape == (4, 16)


def test_encoder_and_decoder_have_masks_of_their_own_also_of_one_length():
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=40, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2
    )
    model = transformers.T5Model(config).eval()
    ids = torch.arange(12).reshape(2, 6) + 1
    masks = {
        "attention_mask": torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]),
        "decoder_attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]]),
    }
    batch = {"input_ids": ids, "decoder_input_ids": ids, **masks}
    layers = ["encoder.block.0.layer.1.DenseReluDense", "decoder.block.0.layer.2.DenseReluDense"]
    acts = ll.Probe(model, layers, readout="last_token").run([batch])
    for name, last in zip(layers, ([3, 5], [5, 1]), strict=True):
        expected = hooked(model, name, batch)[[0, 1], last]
        np.testing.assert_array_equal(acts[name], expected)
    # without a mask of its own, every token of the decoder counts
    del batch["decoder_attention_mask"]
    acts = ll.Probe(model, layers, readout="last_token").run([batch])
    np.testing.assert_array_equal(acts[layers[1]], hooked(model, layers[1], batch)[:, -1])
    with pytest.warns(ll.LayerlensWarning, match="its tokens are others than those of 'encoder"):
        ll.Probe(model, layers, readout="tokens").run([batch])


def test_pytorchs_own_padding_mask_says_what_is_left_out():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()
    x, padding = torch.randn(2, 4, 8), torch.tensor([[False] * 3 + [True], [True] + [False] * 3])

    def forward(model, batch):
        return model(batch, src_key_padding_mask=padding)

    acts = ll.Probe(model, "layers.0", readout="mean_token").run([x], forward=forward)
    output = model(x, src_key_padding_mask=padding).detach()
    expected = torch.stack([output[0, :3].mean(0), output[1, 1:].mean(0)])
    np.testing.assert_allclose(acts["layers.0"], expected, atol=1e-5)


def test_generate_records_each_step_as_a_call_with_the_cached_mask():
    model = small("gpt2")
    batch, _ = padded("left")

    def forward(model, batch):
        return model.generate(**batch, max_new_tokens=3, do_sample=False, pad_token_id=0)

    acts = ll.Probe(model, "transformer.h.1", readout="last_token").run([batch], forward=forward)
    assert list(acts) == ["transformer.h.1", "transformer.h.1:1", "transformer.h.1:2"]
    generated = forward(model, batch)
    mask = torch.cat([batch["attention_mask"], torch.ones(4, 3, dtype=torch.long)], 1)
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    whole = hooked(
        model,
        "transformer.h.1",
        {"input_ids": generated, "attention_mask": mask, "position_ids": positions},
    )
    for step, name in enumerate(acts):
        np.testing.assert_allclose(acts[name], whole[:, 6 + step], atol=1e-5)


def test_text_without_a_token_is_named():
    model, (batch, _) = small("gpt2"), padded("right")
    batch["attention_mask"][2] = 0
    with pytest.raises(ll.DataError, match="sample 2 of this batch has no token by its mask"):
        ll.Probe(model, "transformer.h.0.mlp", readout="mean_token").run([batch])


def test_padding_that_holds_nan_does_not_spoil_the_mean():
    model = nn.Sequential(nn.Identity())
    x = torch.tensor([[[1.0], [3.0], [torch.nan]]])

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x, attention_mask):
            return self.inner(x)

    acts = ll.Probe(Masked(), "inner.0", readout="mean_token").run(
        [{"x": x, "attention_mask": torch.tensor([[1, 1, 0]])}]
    )
    assert np.asarray(acts["inner.0"]).tolist() == [[2.0]]


def test_mask_of_another_length_leaves_the_layer_out():
    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Identity(), nn.Identity()

        def forward(self, x, attention_mask):
            return self.b(self.a(x)[:, ::2])

    batch = {"x": torch.randn(2, 6, 3), "attention_mask": torch.ones(2, 6)}
    with pytest.warns(ll.LayerlensWarning, match="'b' .it has 3 places a sample, and the mask"):
        acts = ll.Probe(Halves(), ["a", "b"], readout="cls").run([batch])
    assert list(acts) == ["a"]


def test_nothing_is_left_on_the_model():
    model, (batch, _) = small("bert"), padded("right")
    ll.Probe(model, "encoder*", readout="tokens").run([batch])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ll.PerToken(3), "convert_ids_to_tokens"),
        (lambda: ll.PerToken(special=False), "all_special_ids"),
        (lambda: ll.Probe(small("bert"), readout={"*": "tokens"}), "same samples"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(make, said):
    with pytest.raises(ll.ArgumentError, match=said):
        make()


def test_special_tokens_need_the_ids_that_went_in():
    model = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(ll.RecordingError, match="not called with input_ids"):
        ll.Probe(model, readout=ll.PerToken(Special(), special=False)).run([torch.ones(2, 4, 3)])


def test_tokenizer_must_name_each_token():
    model, (batch, _) = small("gpt2"), padded("right")
    readout = ll.PerToken(lambda ids: ["one"])
    with pytest.raises(ll.ArgumentError, match="1 texts for 17 tokens"):
        ll.Probe(model, "transformer.h.0", readout=readout).run([batch])
