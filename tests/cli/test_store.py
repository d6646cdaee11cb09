"""``layerlens show`` of a store."""

import pytest
import torch
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
    assert main(["show", str(store)]) == 0
    printed = capsys.readouterr().out
    assert "run.zarr: complete, 60 samples" in printed
    assert "Sequential, 25,000 parameters, weights sha256" in printed
    assert "labels: int64, 3 distinct values" in printed
    assert "0      Linear    60  5,000  2,048  float32  480.0 KiB" in printed
    assert "2 layers, 960.0 KiB" in printed
    assert "verified" not in printed


def test_it_says_how_far_an_unfinished_one_is(tmp_path, capsys):
    def broken():
        yield torch.randn(7, 4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ll.Probe(nn.Linear(4, 2), store=tmp_path / "a").run(broken())
    assert main(["show", str(tmp_path / "a")]) == 0
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
