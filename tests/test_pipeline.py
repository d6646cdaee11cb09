import hashlib
import inspect
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll


def test_embed_is_run_and_reduce():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = nn.Sequential(nn.Linear(6, 5), nn.ReLU()), torch.randn(40, 6)
    y = torch.arange(40) % 4
    short = ll.embed(model, (x, y), reducer="pca", layers="1", n_components=3)
    long = ll.reduce(ll.Probe(model, "1").run((x, y)), "pca", n_components=3)
    assert list(short) == list(long) == ["1"]
    np.testing.assert_array_equal(short["1"].coordinates, long["1"].coordinates)
    assert short.labels.tolist() == y.tolist()


def test_embed_takes_every_keyword_of_both():
    parameters = set(inspect.signature(ll.embed).parameters)
    for function in (ll.Probe, ll.Probe.run, ll.reduce):
        theirs = set(inspect.signature(function).parameters)
        assert theirs - parameters <= {"self", "activations"}


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"reducer": "tsnee"}, ll.PluginError),
        ({"reducer": "pca", "perplexity": 30}, ll.ArgumentError),
        ({"reducer": "pca", "n_components": 0}, ll.ArgumentError),
        ({"reducer": "pca", "random_state": -1}, ll.ArgumentError),
    ],
)
def test_a_wrong_reduction_is_noticed_before_the_model_runs(wrong, error):
    calls = []
    model = nn.Linear(6, 5)
    model.register_forward_hook(lambda *args: calls.append(args))
    with pytest.raises(error):
        ll.embed(model, torch.zeros(40, 6), **wrong)
    assert not calls


def test_parameters_of_the_reducer_are_passed_on():
    model, x = nn.Linear(6, 5), torch.randn(40, 6)
    embeddings = ll.embed(model, x, reducer="tsne", perplexity=7)
    assert embeddings[""].params["parameters"]["perplexity"] == 7


SEEDED = """
import hashlib, torch, layerlens as ll
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(6000, 9), torch.nn.ReLU())
x = torch.randn(60, 6000)
emb = ll.embed(model, x, layers=["input", "*"], reducer=REDUCER, random_state=3)
print(hashlib.sha256(b"".join(e.coordinates.tobytes() for e in emb.values())).hexdigest())
"""


@pytest.mark.parametrize("reducer", ["pca", "kmeans", "tsne", "umap", "series-tsne"])
def test_everything_seeded_is_the_same_in_two_processes(reducer):
    code = SEEDED.replace("REDUCER", repr(reducer))
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert first.stdout == second.stdout
    assert len(first.stdout.strip()) == 2 * hashlib.sha256().digest_size
