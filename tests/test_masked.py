"""Masked arrays: what is masked must not be taken for data."""

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll

MATRIX = np.ma.masked_greater(np.arange(12, dtype=np.float32).reshape(6, 2), 9)
LABELS = np.ma.masked_equal(np.arange(6), 3)
PLAIN = np.eye(6, 2, dtype=np.float32)
MODEL = nn.Linear(2, 3)


def _annotate(**facts):
    with ll.Probe(MODEL) as probe:
        probe.annotate(**facts)
        MODEL(torch.zeros(6, 2))


@pytest.mark.filterwarnings("ignore::layerlens.LayerlensWarning")
@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: ll.Activations.of({"a": MATRIX}), "layer 'a'"),
        (lambda: ll.Activations.of({"a": PLAIN}, labels=LABELS), "labels"),
        (lambda: ll.Activations.of({"a": PLAIN}, age=LABELS), "age"),
        (lambda: ll.reduce({"a": MATRIX}, "pca"), "layer 'a'"),
        (lambda: ll.reduce({"a": MATRIX}, "pca", in_blocks=True), "layer 'a'"),
        (lambda: ll.embed(MODEL, MATRIX), "batches"),
        (lambda: ll.embed(MODEL, [MATRIX]), "a batch"),
        (lambda: ll.embed(MODEL, (MATRIX, np.arange(6))), "X"),
        (lambda: ll.embed(MODEL, (PLAIN, LABELS)), "labels"),
        (lambda: ll.embed(MODEL, [(PLAIN, LABELS)]), r"batch\[1\]"),
        (lambda: ll.embed(MODEL, [{"input": PLAIN, "label": LABELS}]), r"batch\['label'\]"),
        (lambda: _annotate(labels=LABELS), "labels"),
        (lambda: _annotate(inputs=np.ma.masked_less(np.zeros((6, 4, 4)), 1)), "inputs"),
    ],
)
def test_masked_values_are_refused_by_name(call, what):
    with pytest.raises(ll.DataError, match=f"{what}: a masked array, .* masked, .*filled"):
        call()


def test_a_reducer_s_picture_is_refused_too():
    class Hiding:
        def fit_transform(self, X, y=None):
            return MATRIX

    with pytest.raises(ll.PluginError, match="Hiding.*masked array, 2 of 12"):
        ll.reduce({"a": PLAIN}, Hiding())


def test_a_masked_array_that_masks_nothing_is_an_array():
    acts = ll.Activations.of({"a": np.ma.asarray(PLAIN)}, labels=np.ma.asarray(np.arange(6)))
    np.testing.assert_array_equal(acts["a"], PLAIN)
    assert type(np.asarray(acts.labels)) is np.ndarray
