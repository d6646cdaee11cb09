"""What a page's head says of steps, of two models, and of how alike these are."""

import json

import numpy as np
import pytest

import layerlens as ll
from layerlens.sinks._axes import comparison, counted, steps
from layerlens.sinks._page import as_json, pack


def series(*names, run=None):
    """Pictures of layers called ``name@step``; what is behind the ``@`` of no number has none."""
    infos = {}
    for name in names:
        step = name.rpartition("@")[2]
        infos[name] = ll.LayerInfo(name, step=int(step) if step.isdigit() else None)
    run = ll.RunInfo(layers=infos, ids=np.arange(6)) if run is None else run
    points = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    return [ll.LayerEmbedding(name, i, points, run) for i, name in enumerate(names)]


def test_a_timeline_is_a_table_of_steps_and_layers():
    layers = series("a@0", "b@0", "a@5", "b@5", "a@100", "b@100")
    assert steps(layers) == {
        "axis": "step", "names": ["0", "5", "100"], "layers": ["a", "b"],
        "at": [[0, 1], [2, 3], [4, 5]],
    }  # fmt: skip
    assert counted(len(layers), steps(layers)) == "2 layers at 3 steps"


def test_steps_are_in_order_whatever_the_order_of_the_pictures():
    found = steps(series("b@20", "a@20", "a@3", "b@3"))
    assert found["names"] == ["3", "20"] and found["layers"] == ["a", "b"]
    assert found["at"] == [[2, 3], [1, 0]]


def test_a_layer_that_comes_later_stands_behind_the_one_before_it():
    found = steps(series("a@0", "c@0", "a@1", "b@1", "c@1", "d@1"))
    assert found["layers"] == ["a", "b", "c", "d"]
    assert found["at"] == [[0, -1, 1, -1], [2, 3, 4, 5]]


@pytest.mark.parametrize(
    "names", [("a", "b"), ("a@0", "b@0"), ("a@0", "input"), ("a", "a@x")], ids=str
)
def test_what_is_no_series_of_steps_has_one_axis(names):
    assert steps(series(*names)) is None
    assert counted(2, steps(series(*names))) == "2 layers"
    head = pack(series(*names)).head
    assert head["steps"] is None and head["comparison"] is None


def test_the_root_module_has_a_name():
    assert steps(series("@0", "@7"))["layers"] == ["(model)"]


def pair(second=("x", "y"), **options):
    rng = np.random.default_rng(0)
    sides = [{name: rng.normal(size=(30, 4)) for name in names} for names in (("x", "y"), second)]
    return ll.compare(*sides, names=("one", "two"), **options)


def test_two_models_of_the_same_layers_have_a_second_axis_and_others_have_not():
    same = list(ll.reduce(pair().together(), "pca").values())
    assert steps(same) == {
        "axis": "model", "names": ["one", "two"], "layers": ["x", "y"], "at": [[0, 1], [2, 3]],
    }  # fmt: skip
    assert counted(len(same), steps(same)) == "2 layers of 2 models"
    other = list(ll.reduce(pair(("x", "z")).together(), "pca").values())
    assert steps(other) is None and counted(len(other), None) == "4 layers"


def test_the_page_of_two_models_has_their_figures(tmp_path):
    seen = pair(("u", "v", "w"))
    embeddings = ll.reduce(seen.together(), "pca")
    head = json.loads(as_json(pack(list(embeddings.values())).head))["comparison"]
    for name in ("cka", "cka_error", "overlap", "overlap_error"):
        assert np.allclose(head[name], getattr(seen, name), atol=6e-5), name
    assert head["layers"] == [["x", "y"], ["u", "v", "w"]] and head["names"] == ["one", "two"]
    assert head["at"] == [[0, 1], [2, 3, 4]]
    assert head["k"] == 15 and head["n_samples"] == 30
    assert head["chance"] == pytest.approx(15 / 29, abs=1e-4)
    # and so has that of a result that was saved
    path = embeddings.save(tmp_path / "both.npz")
    again = ll.Embeddings.load(path)
    assert again.run.comparison == embeddings.run.comparison
    assert comparison(list(again.values())) == head


def test_figures_of_layers_that_the_page_lacks_are_left_out():
    seen = pair(("u", "v", "w"))
    chosen = ll.reduce(seen.together(), "pca", layers=["y@one", "u@two", "w@two"])
    head = comparison(list(chosen.values()))
    assert head["layers"] == [["y"], ["u", "w"]] and head["at"] == [[0], [1, 2]]
    assert np.allclose(head["cka"], seen.cka[1:, [0, 2]], atol=6e-5)
    alone = ll.reduce(seen.together(), "pca", layers=["x@one", "y@one"])
    assert comparison(list(alone.values())) is None


def test_a_layer_that_is_a_dot_has_no_figures():
    rng = np.random.default_rng(0)
    seen = ll.compare({"dot": np.zeros((20, 3))}, {"x": rng.normal(size=(20, 3))})
    run = seen.together().run
    assert run.comparison["cka"] == [[None]]
    layers = series("dot@first", "x@second", run=run)
    assert comparison(layers)["cka"] == [[None]]
