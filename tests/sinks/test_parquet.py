"""The wide table, read back by pandas, pyarrow and, where it is installed, embedding-atlas."""

import importlib.util
import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

import layerlens as ll
from layerlens.sinks.parquet import ParquetSink

pq = pytest.importorskip("pyarrow.parquet")
PIL = pytest.importorskip("PIL.Image")


@pytest.fixture
def rich(make_result):
    rng = np.random.default_rng(0)
    return make_result(
        rows={2: np.array([7, 1, 4])},
        ids=np.array([f"img-{i}" for i in range(40)]),
        labels=np.arange(40) % 3 - 1,
        label_names=("cat", "dog"),
        columns={"loss": np.where(np.arange(40) % 2, np.nan, 0.25), "split": np.array(["a"] * 40)},
        thumbnails=rng.integers(0, 256, (40, 6, 4, 3), dtype=np.uint8),
        clusters=[None, np.arange(40) % 5, np.array([2, 0, 1])],
    )


def with_neighbors(result, k=3):
    layers = []
    for layer in result.values():
        n = len(layer.coordinates)
        near = np.stack([np.roll(np.arange(n), -i) for i in range(1, min(k, n - 1) + 1)], axis=1)
        layers.append(
            ll.LayerEmbedding(
                layer.layer, layer.index, layer.coordinates, layer.run, rows=layer.rows,
                neighbors=near.astype(np.int32), spread=np.linspace(0, 1, n, dtype=np.float32),
            )
        )  # fmt: skip
    return ll.Embeddings(layers)


def test_a_row_is_a_sample_and_a_picture_two_columns(rich, tmp_path):
    frame = pd.read_parquet(rich.save(tmp_path / "t.parquet"))
    assert len(frame) == 40
    assert list(frame) == [
        *("id", "label", "label_name", "loss", "split", "image", "input.x", "input.y"),
        *("conv1.x", "conv1.y", "conv1.cluster", "fc.x", "fc.y", "fc.cluster"),
    ]
    assert frame["id"].tolist() == rich.ids.tolist()
    assert frame["label_name"].tolist()[:4] == ["unlabelled", "cat", "dog", "unlabelled"]
    for name in ("input", "conv1"):
        read = frame[[f"{name}.x", f"{name}.y"]].to_numpy()
        np.testing.assert_array_equal(read, rich[name].coordinates, strict=True)


def test_a_sample_that_a_layer_lacks_is_null(rich, tmp_path):
    path = rich.save(tmp_path / "t.parquet")
    frame = pd.read_parquet(path)
    assert frame.index[frame["fc.x"].notna()].tolist() == [1, 4, 7]
    read = frame.loc[[7, 1, 4], ["fc.x", "fc.y"]].to_numpy()
    np.testing.assert_array_equal(read, rich["fc"].coordinates)
    cluster = pq.read_table(path)["fc.cluster"].to_pylist()
    assert [cluster[i] for i in (7, 1, 4)] == [2, 0, 1]
    assert cluster.count(None) == 37


def test_nan_stays_nan_and_is_no_null(rich, tmp_path):
    loss = pq.read_table(rich.save(tmp_path / "t.parquet"))["loss"]
    assert loss.null_count == 0
    np.testing.assert_array_equal(loss.to_numpy(), rich.run.columns["loss"])


def test_thumbnails_are_images_of_hugging_faces_form(rich, tmp_path):
    cells = pq.read_table(rich.save(tmp_path / "t.parquet"))["image"].to_pylist()
    assert all(cell["path"] is None for cell in cells)
    for cell, picture in zip(cells, rich.thumbnails, strict=True):
        np.testing.assert_array_equal(np.asarray(PIL.open(io.BytesIO(cell["bytes"]))), picture)


def test_neighbours_are_rows_of_the_table(make_result, tmp_path):
    result = with_neighbors(make_result(rows={2: np.array([7, 1, 4])}))
    frame = pd.read_parquet(result.save(tmp_path / "t.parquet"))
    cell = frame["conv1.neighbors"][0]
    assert list(cell["ids"]) == [1, 2, 3] and list(cell["distances"]) == [1, 2, 3]
    # rows 0, 1, 2 of the layer are the samples 7, 1, 4
    assert [list(frame["fc.neighbors"][i]["ids"]) for i in (7, 1, 4)] == [[1, 4], [4, 7], [7, 1]]
    assert frame["fc.neighbors"][0] is None
    np.testing.assert_array_equal(frame["conv1.spread"], result["conv1"].spread)


def test_the_metadata_say_where_it_comes_from(make_result, tmp_path):
    result = make_result(metrics=[{"a": 0.5}, {"a": np.nan}, {}], versions={"torch": "2.6"})
    about = json.loads(pq.read_schema(result.save(tmp_path / "t.parquet")).metadata[b"layerlens"])
    assert [x["layer"] for x in about["layers"]] == ["input", "conv1", "fc"]
    assert [x["metrics"] for x in about["layers"]] == [{"a": 0.5}, {"a": None}, {}]
    assert about["layers"][1]["info"]["output_shape"] == [32, 24, 24]
    assert about["versions"] == {"torch": "2.6"} and about["layerlens"] == ll.__version__


def test_no_two_columns_are_one_to_a_reader_without_case(make_result, tmp_path):
    names = ("Conv", "conv", "", "(model)")
    columns = {"ID": np.arange(4), "conv.x": np.arange(4), "label": np.arange(4)}
    result = make_result(names, n=4, columns=columns)
    found = list(pd.read_parquet(result.save(tmp_path / "t.parquet")))
    assert len({name.casefold() for name in found}) == len(found)
    assert found[:4] == ["id", "column_ID", "column_conv.x", "label"]
    assert found[4:] == [
        *("Conv.x", "Conv.y", "conv#1.x", "conv#1.y", "(model).x", "(model).y"),
        *("(model)#3.x", "(model)#3.y"),
    ]


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (np.array(["2026-01-02"] * 3, "datetime64[D]"), ["2026-01-02"] * 3),
        (np.array([5, 6, 7], "datetime64[ns]"), ["1970-01-01"] * 3),
        (np.array([1.5, 2, 3], np.float16), ["1.5", "2.0", "3.0"]),
        (np.array([1, 2, 3], ">i4"), ["1", "2", "3"]),
        (np.array([True, False, True]), ["True", "False", "True"]),
        (np.array([1 + 2j] * 3), ["(1+2j)"] * 3),
        (np.array(["a", 1, None], object), ["a", "1", "None"]),
        (np.array(["\ud800", "", "é"]), ["?", "", "é"]),
    ],
)
def test_columns_of_any_type_are_written(make_result, tmp_path, values, read):
    path = make_result(n=3, columns={"c": values}).save(tmp_path / "t.parquet")
    column = pd.read_parquet(path)["c"]
    assert [str(v)[: len(r)] for v, r in zip(column, read, strict=True)] == read


def test_the_same_result_gives_the_same_bytes(rich, tmp_path):
    paths = [rich.save(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_failure_while_writing_leaves_nothing(make_result, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(MemoryError):
        make_result().save(tmp_path / "t.parquet")
    with pytest.raises(OSError, match="no layer came"), ParquetSink(tmp_path / "t.parquet"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    importlib.util.find_spec("embedding_atlas") is None, reason="embedding-atlas is not installed"
)
def test_embedding_atlas_reads_it_as_it_is(rich, tmp_path):
    path = with_neighbors(rich).save(tmp_path / "t.parquet")
    command = [
        *(sys.executable, "-m", "embedding_atlas.cli", str(path), "--x", "conv1.x"),
        *("--y", "conv1.y", "--neighbors", "conv1.neighbors", "--image", "image", "--degree"),
        *("--export-application", str(tmp_path / "page.zip")),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "page.zip") as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".parquet")]
        frame = pd.read_parquet(io.BytesIO(archive.read(name)))
    np.testing.assert_array_equal(frame["conv1.x"], rich["conv1"].coordinates[:, 0])
    # what it made of the neighbours: each sample has three, and is one of three others'
    assert frame["out_degree"].tolist() == frame["in_degree"].tolist() == [3] * 40
