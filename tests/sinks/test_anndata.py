"""The .h5ad, read back by anndata."""

import json
import warnings

import numpy as np
import pytest

import layerlens as ll

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own affair
    anndata = pytest.importorskip("anndata")


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_h5ad(path)


@pytest.fixture
def rich(make_result):
    return make_result(
        ("input", "layer1/add", "fc"),
        rows={2: np.array([7, 1, 4])},
        ids=np.array([f"img-{i}" for i in range(40)]),
        labels=np.arange(40) % 3 - 1,
        label_names=("cat", "dog"),
        columns={
            "loss": np.where(np.arange(40) % 2, np.nan, 0.25),
            "split": np.array(["train", "test"])[np.arange(40) % 2],
            "note": np.array([f"n{i}" for i in range(40)]),
            "fc_cluster": np.arange(40),
        },
        thumbnails=np.arange(40 * 12, dtype=np.uint8).reshape(40, 2, 2, 3),
        clusters=[None, np.arange(40) % 5, np.array([2, 0, 1])],
    )


def test_layers_are_embeddings_of_the_observations(rich, tmp_path):
    data = read(rich.save(tmp_path / "t.h5ad"))
    assert data.obs_names.tolist() == rich.ids.tolist()
    assert sorted(data.obsm) == ["X_fc", "X_input", "X_layer1.add", "thumbnails"]
    for key, name in (("X_input", "input"), ("X_layer1.add", "layer1/add")):
        np.testing.assert_array_equal(data.obsm[key], rich[name].coordinates, strict=True)
    np.testing.assert_array_equal(data.obsm["thumbnails"], rich.thumbnails, strict=True)


def test_a_sample_that_a_layer_lacks_is_nan(rich, tmp_path):
    data = read(rich.save(tmp_path / "t.h5ad"))
    picture = data.obsm["X_fc"]
    np.testing.assert_array_equal(picture[[7, 1, 4]], rich["fc"].coordinates)
    assert np.isnan(picture).all(axis=1).sum() == 37
    cluster = data.obs["fc_cluster"]
    assert cluster.iloc[[7, 1, 4]].tolist() == [2, 0, 1] and cluster.isna().sum() == 37


def test_labels_and_columns_are_observations(rich, tmp_path):
    obs = read(rich.save(tmp_path / "t.h5ad")).obs
    assert obs["label"].tolist() == rich.labels.tolist()
    assert obs["label_name"].tolist()[:3] == ["unlabelled", "cat", "dog"]
    assert str(obs["split"].dtype) == "category"
    assert obs["note"].tolist() == rich.run.columns["note"].tolist()
    np.testing.assert_array_equal(obs["loss"], rich.run.columns["loss"])
    # a column whose name is taken is kept under another
    np.testing.assert_array_equal(obs["column_fc_cluster"], np.arange(40))


def test_neighbours_are_a_graph_of_the_observations(make_result, tmp_path):
    run = make_result(("a", "b"), n=5).run
    near = np.array([[1, 2], [0, 2], [0, 1]], np.int32)
    zeros = np.zeros((3, 2), np.float32)
    layers = [
        ll.LayerEmbedding("a", 0, np.zeros((5, 2), np.float32), run),
        ll.LayerEmbedding("b", 1, zeros, run, neighbors=near, rows=np.array([4, 0, 2])),
    ]
    data = read(ll.Embeddings(layers).save(tmp_path / "t.h5ad"))
    expected = np.zeros((5, 5))
    expected[4, [0, 2]] = expected[0, [4, 2]] = expected[2, [4, 0]] = 1
    np.testing.assert_array_equal(data.obsp["b_neighbors"].toarray(), expected)


def test_equal_ids_are_numbered_and_kept(make_result, tmp_path):
    data = read(make_result(n=3, ids=np.array(["a", "b", "a"])).save(tmp_path / "t.h5ad"))
    assert data.obs_names.tolist() == ["0", "1", "2"]
    assert data.obs["id"].tolist() == ["a", "b", "a"]


def test_where_it_comes_from_is_json(rich, tmp_path):
    about = json.loads(read(rich.save(tmp_path / "t.h5ad")).uns["layerlens"])
    assert [x["layer"] for x in about["layers"]] == ["input", "layer1/add", "fc"]
    assert about["layers"][0]["metrics"]["trustworthiness"] == 0.971


# anndata 0.13 asks pandas 3 for an option that pandas is about to drop
@pytest.mark.filterwarnings("ignore:.*mode.chained_assignment.*")
def test_a_subset_keeps_pictures_and_facts_together(rich, tmp_path):
    data = read(rich.save(tmp_path / "t.h5ad"))
    cats = data[data.obs["label_name"] == "cat"]
    np.testing.assert_array_equal(cats.obsm["X_input"], rich["input"].coordinates[1::3])
