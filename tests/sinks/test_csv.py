"""The table, read back by the standard library and by pandas."""

import csv
import os

import numpy as np
import pandas as pd
import pytest

import layerlens as ll
from layerlens.errors import StoreError
from layerlens.sinks.csv import CsvSink


def _rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_there_is_one_row_a_sample_and_layer_in_order(make_result, tmp_path):
    result = make_result(rows={2: np.array([7, 1])}, ids=np.arange(100, 140))
    rows = _rows(result.save(tmp_path / "t.csv"))
    assert [r["layer"] for r in rows] == ["input"] * 40 + ["conv1"] * 40 + ["fc"] * 2
    assert [r["index"] for r in rows[-3:]] == ["1", "2", "2"]
    assert [r["id"] for r in rows[-2:]] == ["107", "101"]


def test_coordinates_come_back_bit_for_bit(make_result, tmp_path):
    result = make_result(n_components=3)
    frame = pd.read_csv(result.save(tmp_path / "t.csv"))
    read = frame.loc[frame.layer == "conv1", ["x", "y", "z"]].to_numpy(np.float32)
    np.testing.assert_array_equal(read, result["conv1"].coordinates)


def test_columns_beyond_three_dimensions_are_numbered(make_result, tmp_path):
    row = _rows(make_result(n_components=5).save(tmp_path / "t.csv"))[0]
    assert [name for name in row if name[0] == "c" and name[1:].isdigit()] == [
        *("c0", "c1", "c2", "c3", "c4")
    ]


def test_hostile_strings_come_back_as_they_were(tmp_path, make_result):
    odd = ['a,"b"', "two\r\nlines", "🙂", " =1+1 "]
    result = make_result(
        ("x\ny",), n=4, ids=np.array(odd), labels=np.array(odd), columns={"x": np.array(odd)}
    )
    rows = _rows(result.save(tmp_path / "t.csv"))
    assert [r["id"] for r in rows] == odd
    assert [r["label_name"] for r in rows] == odd
    # the run's own x does not hide the coordinate
    assert [r["column_x"] for r in rows] == odd
    assert np.float32(rows[0]["x"]) == result["x\ny"].coordinates[0, 0]
    assert rows[0]["layer"] == "x\ny"


def test_class_names_stand_beside_the_labels(make_result, tmp_path):
    result = make_result(n=3, labels=np.array([1, -1, 0]), label_names=("cat", "dog"))
    rows = _rows(result.save(tmp_path / "t.csv"))[:3]
    assert [(r["label"], r["label_name"]) for r in rows] == [
        *(("1", "dog"), ("-1", "unlabelled"), ("0", "cat"))
    ]


def test_what_a_layer_lacks_is_an_empty_field(make_result, tmp_path):
    result = make_result(clusters=[None, np.arange(40), None])
    rows = _rows(result.save(tmp_path / "t.csv"))
    assert {r["cluster"] for r in rows[:40]} == {""}
    assert rows[43]["cluster"] == "3"


def test_dates_are_written_as_dates(make_result, tmp_path):
    when = np.arange(40).astype("datetime64[ns]")
    row = _rows(make_result(columns={"when": when}).save(tmp_path / "t.csv"))[7]
    assert row["when"] == "1970-01-01T00:00:00.000000007"


def test_the_spread_over_seeds_is_a_column(tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 4))
    result = ll.reduce({"a": X}, "series-tsne", n_seeds=2)
    read = pd.read_csv(result.save(tmp_path / "t.csv"))["spread"].to_numpy(np.float32)
    np.testing.assert_array_equal(read, result["a"].spread)
    assert list(result.to_frame()["spread"]) == list(result["a"].spread)


def test_layers_with_other_columns_are_refused(make_result, tmp_path):
    result = make_result()
    other = ll.LayerEmbedding("conv1", 1, np.zeros((40, 3), np.float32), result.run)
    with CsvSink(tmp_path / "t.csv") as sink:
        sink.write(result["input"])
        with pytest.raises(StoreError, match="'z'"):
            sink.write(other)
    assert {r["layer"] for r in _rows(tmp_path / "t.csv")} == {"input"}


def test_names_that_are_no_text_are_written_as_what_they_are(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")  # what Linux lists of a disk in an old encoding
    acts = ll.Activations.of({"a": np.eye(4)}, ids=[name, "b", "c", "d"])
    path = ll.reduce(acts, "pca", metrics=False).save(tmp_path / "a.csv")
    assert r"caf\udce9.png" in path.read_text(encoding="utf-8")
