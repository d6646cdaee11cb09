import inspect

import numpy as np
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


def test_parameters_of_the_reducer_are_passed_on():
    model, x = nn.Linear(6, 5), torch.randn(40, 6)
    embeddings = ll.embed(model, x, reducer="tsne", perplexity=7)
    assert embeddings[""].params["parameters"]["perplexity"] == 7
