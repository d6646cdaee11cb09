"""Hugging Face's data sets and TensorDict as batches."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import layerlens as ll

X = torch.randn(70, 4, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(x)


def check(batches, n=70, names=("even", "odd")):
    model = Net()
    acts = ll.Probe(model).run(batches)
    assert acts.n_samples == n
    np.testing.assert_allclose(acts["fc"], model(X[:n]).detach(), atol=1e-6)
    assert acts.labels.tolist() == [i % 2 for i in range(n)]
    assert acts.run.label_names == names
    return acts


@pytest.fixture
def table():
    datasets = pytest.importorskip("datasets")
    columns = {"x": X.tolist(), "label": [i % 2 for i in range(70)], "word": ["a"] * 70}
    made = datasets.Dataset.from_dict(columns)
    features = made.features.copy()
    features["label"] = datasets.ClassLabel(names=["even", "odd"])
    return made.cast(features)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "of",
    [
        lambda t: t,
        lambda t: t.with_format("torch"),
        lambda t: t.with_format("numpy"),
        lambda t: t.to_iterable_dataset(),
        lambda t: DataLoader(t.with_format("torch"), batch_size=30),
    ],
    ids=["plain", "torch", "numpy", "streamed", "loader"],
)
def test_a_table_is_cut_into_batches(table, of):
    acts = check(of(table))
    assert set(acts.columns["word"]) == {"a"}


@pytest.mark.filterwarnings("default")
def test_rows_and_columns_of_a_table_are_batches(table):
    check([[table[i] for i in range(5)]], n=5, names=None)
    check([table[:5]], n=5, names=None)
    torches = table.with_format("torch")
    check([[torches[i] for i in range(5)]], n=5, names=None)


def test_rows_of_several_lengths_say_to_pad_them():
    class Texts(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(9, 2)

        def forward(self, input_ids):
            return self.embedding(input_ids)

    rows = [{"input_ids": [1, 2, 3]}, {"input_ids": [1, 2]}]
    tensors = [{name: torch.tensor(value) for name, value in row.items()} for row in rows]
    for batch in (rows, tensors, {"input_ids": [[1, 2, 3], [1, 2]]}):
        with pytest.raises(ll.ShapeError, match=r"'input_ids' has rows .*\(2,\), \(3,\).*pad them"):
            ll.Probe(Texts()).run([batch])
    acts = ll.Probe(Texts(), readout="pool").run([{"input_ids": [[1, 2], [1, 2]]}])
    assert acts["embedding"].shape == (2, 2)


def test_tensordict():
    tensordict = pytest.importorskip("tensordict")
    columns = {"x": X, "label": torch.arange(70) % 2}
    made = tensordict.TensorDict(columns, batch_size=[70])
    check(made.split(30), names=None)
    check([made], names=None)
