"""Named tensors, read back by safetensors into NumPy and PyTorch."""

import json

import numpy as np
import pytest
import torch

import layerlens as ll

safetensors = pytest.importorskip("safetensors")
from safetensors.numpy import load_file  # noqa: E402
from safetensors.torch import load_file as load_torch  # noqa: E402


def about(path):
    with safetensors.safe_open(path, "np") as file:
        return json.loads(file.metadata()["layerlens"])


def test_every_array_comes_back_bit_for_bit(make_result, tmp_path):
    result = make_result(
        rows={2: np.array([7, 1, 4])},
        labels=np.arange(40, dtype=np.int16) % 3,
        columns={"loss": np.where(np.arange(40) % 2, np.nan, 0.25), "ok": np.arange(40) % 2 == 0},
        thumbnails=np.arange(40 * 12, dtype=np.uint8).reshape(40, 2, 2, 3),
        clusters=[None, np.arange(40) % 5, None],
    )
    tensors = load_file(result.save(tmp_path / "t.safetensors"))
    expected = {f"layers/{n}/coordinates": x.coordinates for n, x in result.items()}
    expected |= {
        "layers/conv1/clusters": result["conv1"].clusters,
        "layers/fc/rows": result["fc"].rows,
        "run/ids": result.ids,
        "run/labels": result.labels,
        "run/thumbnails": result.thumbnails,
        "run/columns/loss": result.run.columns["loss"],
        "run/columns/ok": result.run.columns["ok"],
    }
    assert tensors.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(tensors[name], array, strict=True)


def test_pytorch_has_the_coordinates(make_result, tmp_path):
    result = make_result()
    tensors = load_torch(result.save(tmp_path / "t.safetensors"))
    assert torch.equal(tensors["layers/conv1/coordinates"], result.torch("conv1"))


def test_strings_are_numbered_and_the_metadata_name_them(make_result, tmp_path):
    ids = np.array(["b", "a", "é\n", "b"])
    when = np.array(["2026-01-02"] * 4, "datetime64[D]")
    result = make_result(n=4, ids=ids, labels=np.array(["x", "", "x", "y"]), columns={"t": when})
    path = result.save(tmp_path / "t.safetensors")
    tensors, strings = load_file(path), about(path)["strings"]
    assert sorted(strings) == ["run/columns/t", "run/ids", "run/labels"]
    for name, values in (("run/ids", ids), ("run/labels", result.labels), ("run/columns/t", when)):
        words = np.array(strings[name])
        assert words[tensors[name]].tolist() == values.astype(str).tolist()


def test_neighbours_and_spread_are_there(make_result, tmp_path):
    run = make_result(("a",), n=3).run
    near = np.array([[1, 2], [0, 2], [0, 1]], np.int32)
    spread = np.array([0, 0.5, 1], np.float32)
    layer = ll.LayerEmbedding(
        "a", 0, np.zeros((3, 2), np.float32), run, neighbors=near, spread=spread
    )
    tensors = load_file(ll.Embeddings([layer]).save(tmp_path / "t.safetensors"))
    np.testing.assert_array_equal(tensors["layers/a/neighbors"], near, strict=True)
    np.testing.assert_array_equal(tensors["layers/a/spread"], spread, strict=True)


def test_no_layer_hides_another_or_a_column(make_result, tmp_path):
    names = ("a", "a/coordinates", "", "run/ids", "__metadata__")
    result = make_result(names, n=3, columns={"coordinates": np.arange(3)})
    tensors = load_file(result.save(tmp_path / "t.safetensors"))
    assert len(tensors) == len(names) + 2
    for name in names:
        np.testing.assert_array_equal(
            tensors[f"layers/{name}/coordinates"], result[name].coordinates
        )


def test_the_same_result_gives_the_same_bytes(make_result, tmp_path):
    result = make_result(labels=np.arange(40).astype(str), columns={"a": np.arange(40)})
    paths = [result.save(tmp_path / name) for name in ("a.safetensors", "b.safetensors")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
