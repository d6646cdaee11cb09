"""``layerlens show`` of a store."""

import pytest
import torch
from tests.page.decoding import Page
from torch import nn

import layerlens as ll
from layerlens.cli import main


@pytest.fixture
def store(tmp_path):
    net = nn.Sequential(nn.Linear(4, 5000), nn.ReLU())
    batches = [(torch.randn(30, 4), torch.arange(30) % 3) for _ in range(2)]
    ll.Probe(net, store=tmp_path / "run.zarr").run(batches)
    return tmp_path / "run.zarr"


def test_it_says_what_is_there(store, capsys):
    assert main(["show", str(store), "--print"]) == 0
    printed = capsys.readouterr().out
    assert "run.zarr: complete, 60 samples" in printed
    assert "Sequential, 25,000 parameters, weights sha256" in printed
    assert "labels: int64, 3 distinct values" in printed
    assert "0      Linear    60  5,000  2,048  float32  480.0 KiB" in printed
    assert "2 layers, 960.0 KiB" in printed
    assert "verified" not in printed
    assert not list(store.parent.glob("*.html"))


def test_it_says_how_far_an_unfinished_one_is(tmp_path, capsys):
    def broken():
        yield torch.randn(7, 4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ll.Probe(nn.Linear(4, 2), store=tmp_path / "a").run(broken())
    assert main(["show", str(tmp_path / "a"), "--print"]) == 0
    assert "unfinished, 7 samples committed; the same recording" in capsys.readouterr().out


def test_it_verifies(store, capsys):
    assert main(["show", str(store), "--verify"]) == 0
    assert "verified: all 9 files are whole" in capsys.readouterr().out
    chunk = next((store / "layers/L00001").glob("c.*"))
    content = chunk.read_bytes()
    chunk.write_bytes(content[:-1])
    assert main(["show", str(store), "--verify"]) != 0
    said = capsys.readouterr().err
    assert str(chunk) in said and "1 of 9 files" in said


def test_it_draws_a_run_and_opens_the_page(store, browser, capsys):
    assert main(["show", str(store), "--reducer", "pca"]) == 0
    page = store.with_suffix(".html")
    printed = capsys.readouterr().out
    assert "run.zarr: complete, 60 samples" in printed
    assert "drawing 2 layers of 60 samples by pca: that may take minutes" in printed
    assert printed.endswith(f"wrote {page}\n") and browser == [page.as_uri()]
    shown = Page(page.read_text(encoding="utf-8"))
    assert (shown.n, shown.n_layers) == (60, 2)
    assert {layer["reducer"] for layer in shown.head["layers"]} == {"pca"}
    assert sorted(set(shown.column("label"))) == ["0", "1", "2"]


def test_a_run_is_drawn_by_the_default_and_to_a_sample(store, browser, tmp_path):
    out = tmp_path / "there.html"
    assert main(["show", str(store), "--max-samples", "40", "--out", str(out)]) == 0
    shown = Page(out.read_text(encoding="utf-8"))
    assert {layer["reducer"] for layer in shown.head["layers"]} == {"series-tsne"}
    assert all("40" in " ".join(layer["notes"]) for layer in shown.head["layers"])
    assert browser == [out.as_uri()]


def test_verifying_and_printing_draw_nothing(store, browser):
    for option in ("--verify", "--print"):
        assert main(["show", str(store), option]) == 0
    assert not browser and not list(store.parent.glob("*.html"))


def test_a_reducer_that_is_not_there_costs_no_reading(store, browser, capsys):
    assert main(["show", str(store), "--reducer", "tsn"]) == 1
    said = capsys.readouterr()
    assert "Did you mean 'tsne'" in said.err and said.out == ""


def test_a_result_is_not_drawn_again(tmp_path, capsys):
    assert main(["show", str(tmp_path / "x.npz"), "--reducer", "pca"]) == 1
    assert "is no store" in capsys.readouterr().err
