"""The widget's traits: samples of the run on Python's side, rows of the page on the other."""

import json

import numpy as np
import pytest

import layerlens as ll

pytest.importorskip("anywidget", reason='the widget needs the extra "notebook"')
traitlets = pytest.importorskip("traitlets")


@pytest.fixture(name="result")
def result_fixture():
    rng = np.random.default_rng(0)
    long = "x" * 400
    infos = {name: ll.LayerInfo(name, "Linear", 10, 10, (10,)) for name in ("a", long)}
    run = ll.RunInfo(
        layers=infos, ids=np.arange(500, 560), labels=np.arange(60) % 3,
        columns={"note": np.array([f"sample {i}" for i in range(60)])},
    )  # fmt: skip
    return ll.Embeddings(
        ll.LayerEmbedding(name, i, rng.normal(size=(60, 2)).astype(np.float32), run)
        for i, name in enumerate(infos)
    )


def sent(view):
    """What goes to the front end, as it goes."""
    return view.get_state()


def rows_of(view, samples):
    ids = json.loads(sent(view)[f"column_{view.head['roles']['id']}"])
    return [ids.index(str(500 + sample)) for sample in samples]


def from_the_front_end(view, **state):
    view.set_state(state)


def test_the_front_end_gets_the_page_as_binary_traits(result):
    view = result.show()
    state = sent(view)
    q = np.frombuffer(state["positions"], "<u2").reshape(2, 60, 2)
    assert state["head"]["n"] == 60 and q.max() < 65535
    assert json.loads(state["column_1"])[0].startswith("sample ")
    assert state["_esm"].endswith("export default{render};\n") and state["_css"]
    assert state["selection"] == [] and state["hover"] == state["pick"] == -1
    assert state["layer"] == "a"


def test_rows_of_the_page_become_samples_of_the_run(result):
    view = result.show()
    heard = []
    view.observe(lambda change: heard.append(change["new"]), "selection")
    from_the_front_end(view, selection=rows_of(view, [40, 3, 11]), hover=rows_of(view, [7])[0])
    assert view.selection == [3, 11, 40] and view.hover == 7
    assert heard == [[3, 11, 40]]
    assert view.selected_ids.tolist() == [503, 511, 540]
    assert result.labels[view.selection].tolist() == [0, 2, 1]
    from_the_front_end(view, hover=-1, pick=rows_of(view, [59])[0])
    assert view.hover == -1 and view.pick == 59


def test_what_python_sets_goes_out_as_rows(result):
    view = result.show()
    view.selection = np.array([3, 40, 3])
    view.pick = 12
    assert view.selection == [3, 40]
    assert sent(view)["selection"] == sorted(rows_of(view, [3, 40]))
    assert sent(view)["pick"] == rows_of(view, [12])[0]
    view.selection = result.labels == 1
    assert view.selection == np.flatnonzero(result.labels == 1).tolist()


def test_layers_are_called_by_their_whole_names(result):
    view, long = result.show(), "x" * 400
    view.layer = long
    assert sent(view)["layer"] == view.head["layers"][1]["name"] == "x" * 299 + "…"
    from_the_front_end(view, layer="a")
    from_the_front_end(view, layer="x" * 299 + "…")
    assert view.layer == long


@pytest.mark.parametrize(
    ("trait", "value", "said"),
    [
        ("selection", [60], "1 of the samples are not in the view, 60 for one"),
        ("selection", ["a"], "numbers of samples"),
        ("selection", [0.5], "numbers of samples"),
        ("layer", "b", "there is no layer 'b'; there are: 'a'"),
        ("pick", 60, "sample 60 is not in the view"),
        ("hover", -2, "sample -2 is not in the view"),
    ],
)
def test_what_is_not_there_cannot_be_set(result, trait, value, said):
    view = result.show()
    with pytest.raises(traitlets.TraitError, match=said):
        setattr(view, trait, value)


def test_a_sample_of_the_points_keeps_the_runs_numbers(result):
    view = result.show(max_points=20)
    samples = sorted(int(i) - 500 for i in json.loads(sent(view)["column_2"]))
    assert len(samples) == 20
    view.selection = samples[:3]
    assert sent(view)["selection"] == sorted(rows_of(view, samples[:3]))
    absent = next(i for i in range(60) if i not in samples)
    with pytest.raises(traitlets.TraitError, match="it has 20 of the run's 60"):
        view.selection = [absent]


def test_two_views_do_not_share_their_data(result):
    first, second = result.show(), result.show(max_points=20)
    assert len(first.positions) > len(second.positions)
    assert first.head["n"] == 60
    first.selection = [1]
    assert second.selection == []
