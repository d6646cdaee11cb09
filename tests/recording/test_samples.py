"""What is said of samples in the forms in which people have it: tables, lists with gaps, dates."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import layerlens as ll
from layerlens.errors import ShapeError

NET = nn.Linear(4, 2)
X = torch.arange(24.0).view(6, 4)
WORDS = ["a", "b", "a", "c", "b", "a"]
GAPS = ["a", None, "a", "c", None, "a"]
# NumPy 1 has no such type
VARIABLE = [np.dtypes.StringDType()] if hasattr(np.dtypes, "StringDType") else []


@pytest.mark.parametrize(
    ("y", "wanted"),
    [
        *((np.array(WORDS, dtype), WORDS) for dtype in VARIABLE),
        (tuple(WORDS), WORDS),
        (pd.Series(WORDS, index=range(7, 13)), WORDS),
        (pd.Categorical(WORDS), WORDS),
        (GAPS, [word or "" for word in GAPS]),
        (np.array(GAPS, object), [word or "" for word in GAPS]),
        ([word or float("nan") for word in GAPS], [word or "" for word in GAPS]),
        (pd.Series(GAPS, dtype="string"), [word or "" for word in GAPS]),
        (pd.array([1, None] * 3, dtype="Int64"), [1, -1] * 3),
        ([1, None] * 3, [1, -1] * 3),
        ([np.int64(2)] * 6, [2] * 6),
        ([0.5, 1.5] * 3, [0.5, 1.5] * 3),
        ([torch.tensor(1)] * 6, [1] * 6),
        (torch.tensor([[1], [2]] * 3), [1, 2] * 3),
        (torch.eye(6), list(range(6))),
        (np.arange(6).astype("M8[D]"), np.arange(6).astype("M8[D]").tolist()),
        (np.arange(6)[::-1], [5, 4, 3, 2, 1, 0]),
    ],
    ids=str,
)
def test_labels_in_any_form(y, wanted):
    for batches in ((X, y), [(X, y)], [{"input": X, "label": y}]):
        assert ll.Probe(NET).run(batches).labels.tolist() == wanted
    with ll.Probe(NET) as probe:
        probe.annotate(labels=y if np.ndim(y) < 2 or np.shape(y)[1] == 1 else y.argmax(1))
        NET(X)
    assert probe.activations.labels.tolist() == wanted


@pytest.mark.parametrize("store", [False, True])
def test_a_batch_of_which_nothing_is_known_makes_no_text_of_numbers(tmp_path, store):
    batches = [(X[:2], [1, None]), (X[2:4], [None, None]), (X[4:], [None, 0])]
    path = tmp_path / "run.zarr" if store else None
    assert ll.Probe(NET, store=path).run(batches).labels.tolist() == [1, -1, -1, -1, -1, 0]
    assert ll.Probe(NET).run((X, [None] * 6)).labels is None


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (["2020-01-01"], ["2021-01-01T12:30"], ["2020-01-01T00:00", "2021-01-01T12:30"]),
        (["2021-01-01T12:30"], ["2020-01-01"], ["2021-01-01T12:30", "2020-01-01T00:00"]),
    ],
)
def test_times_keep_their_hour_whatever_came_first(tmp_path, store, first, second, wanted):
    with ll.Probe(NET, store=tmp_path / "run.zarr" if store else None) as probe:
        for dates in (first, second):
            probe.annotate(when=np.array(dates, "M8"))
            NET(X[:1])
    assert np.datetime_as_string(probe.activations.columns["when"]).tolist() == wanted


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (np.array(["2020"], "M8[D]"), [3], ["2020-01-01", "3"]),
        ([3], np.array(["2020"], "M8[D]"), ["3", "2020-01-01"]),
        (np.array(["2020"], "M8[D]"), np.array([7], "m8[s]"), ["2020-01-01", "7 seconds"]),
        (np.array(["2020"], "M8[D]"), None, ["2020-01-01", "1"]),
    ],
)
def test_dates_and_what_is_none_become_text(tmp_path, store, first, second, wanted):
    with ll.Probe(NET, store=tmp_path / "run.zarr" if store else None) as probe:
        for ids in (first, second):
            probe.annotate(ids=ids)
            NET(X[:1])
    assert probe.activations.ids.tolist() == wanted


def test_arrays_that_torch_does_not_take_as_they_are():
    rows = X.numpy().copy()
    rows.flags.writeable = False
    for given in (rows, rows[::-1]):
        want = NET(torch.tensor(given.copy())).detach().numpy()
        for batches in (given, (given, WORDS), [given], [{"input": given}]):
            assert np.array_equal(ll.Probe(NET).run(batches)[""], want)


@pytest.mark.parametrize("form", [list, np.stack])
def test_pictures_with_transparency_lose_it(form):
    pictures = form(list(np.random.default_rng(0).integers(0, 255, (6, 9, 8, 4), np.uint8)))
    with ll.Probe(NET) as probe:
        probe.annotate(inputs=pictures)
        NET(X)
    assert np.array_equal(probe.activations.thumbnails, np.stack(pictures)[..., :3])


@pytest.mark.parametrize("inputs", [["a"] * 6, [None] * 6, object(), [X, X[:3]]])
def test_what_is_no_picture_is_refused_by_name(inputs):
    with ll.Probe(NET) as probe:
        with pytest.raises(ShapeError, match=r"inputs become .* got \w+ \("):
            probe.annotate(inputs=inputs)
        NET(X)


def test_facts_of_arrays_from_elsewhere_say_what_is_missing():
    for y in (GAPS, [word or float("nan") for word in GAPS], pd.Series(GAPS, dtype="string")):
        acts = ll.Activations.of({"a": X.numpy()}, labels=y, kind=y)
        wanted = [word or "" for word in GAPS]
        assert acts.labels.tolist() == acts.columns["kind"].tolist() == wanted
