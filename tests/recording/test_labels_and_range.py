"""One-hot labels, and values that a narrow record cannot hold."""

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll
from layerlens.errors import LayerlensWarning


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_one_hot_rows_are_labels_by_their_class(dtype):
    x, classes = torch.randn(6, 4), torch.tensor([2, 0, 1, 1, 2, 0])
    y = nn.functional.one_hot(classes, 3).to(dtype)
    acts = ll.Probe(nn.Linear(4, 2)).run([(x, y)])
    assert acts.labels.tolist() == classes.tolist()
    assert ll.Probe(nn.Linear(4, 2)).run([{"input": x, "label": y.numpy()}]).labels.tolist() == (
        classes.tolist()
    )


@pytest.mark.parametrize("y", [torch.rand(6, 3), torch.ones(6, 3), torch.zeros(6, 3)])
def test_other_rows_are_no_labels(y):
    assert ll.Probe(nn.Linear(4, 2)).run([(torch.randn(6, 4), y)]).labels is None


class _Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


def test_values_beyond_float16_are_said_once_with_the_layer():
    net = nn.Sequential(_Scaled(1), _Scaled(1e6))
    with pytest.warns(LayerlensWarning, match=r"layer '1' .*dtype='float32'") as said:
        acts = ll.Probe(net, dtype="float16").run([torch.ones(2, 3), torch.ones(2, 3)])
    assert len(said) == 1
    assert np.isinf(acts["1"]).all() and np.isfinite(acts["0"]).all()


def test_what_was_infinite_before_is_not_float16s_doing():
    acts = ll.Probe(_Scaled(float("inf")), dtype="float16").run([torch.ones(2, 3)])
    assert np.isinf(acts[next(iter(acts))]).all()
