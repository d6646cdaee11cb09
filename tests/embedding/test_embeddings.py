"""The result: its order, its frames, and the sink that a suffix stands for."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

import layerlens as ll
from layerlens.errors import ArgumentError, LayerlensWarning, PluginError
from layerlens.plugins.registry import SINKS


def make(names=("b", "a"), n=4, n_components=2, **facts):
    infos = {name: ll.LayerInfo(name, "Linear", 10, 5) for name in names}
    run = ll.RunInfo(layers=infos, ids=np.arange(n), **facts)
    rng = np.random.default_rng(0)
    return [
        ll.LayerEmbedding(
            name,
            i,
            rng.normal(size=(n, n_components)).astype(np.float32),
            run,
            metrics={"trustworthiness": 0.5 + i / 10},
            reducer="pca",
        )
        for i, name in enumerate(names)
    ]


def test_layers_are_in_depth_order_and_reached_by_name():
    layers = make(("b", "a", ""))
    result = ll.Embeddings(layers[::-1])
    assert list(result) == ["b", "a", ""]
    assert result["a"] is layers[1]
    assert "" in result
    assert len(result) == 3
    with pytest.raises(KeyError, match="there is no layer 'c'; there are: 'b', 'a', ''"):
        result["c"]


def test_nothing_two_of_a_name_and_two_runs_are_refused():
    with pytest.raises(ArgumentError, match="at least one"):
        ll.Embeddings([])
    layers = make()
    with pytest.raises(ArgumentError, match="two LayerEmbeddings are called 'b'"):
        ll.Embeddings([layers[0], layers[0]])
    with pytest.raises(ArgumentError, match="two runs"):
        ll.Embeddings([layers[0], make()[1]])


def test_facts_of_the_run_are_at_hand():
    thumbnails = np.zeros((4, 2, 2, 1), np.uint8)
    result = ll.Embeddings(make(labels=np.arange(4), thumbnails=thumbnails))
    assert result.labels is result.run.labels
    assert result.ids is result.run.ids
    assert result.thumbnails is thumbnails


def test_a_tensor_has_memory_of_its_own():
    result = ll.Embeddings(make())
    tensor = result.torch("a")
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), result["a"].coordinates)
    before = result["a"].coordinates.copy()
    tensor += 1
    np.testing.assert_array_equal(result["a"].coordinates, before)


def test_the_long_frame_has_what_any_layer_has():
    layers = make(labels=np.array([0, 1, 1, -1]), label_names=("cat", "dog"))
    layers[1] = ll.LayerEmbedding(
        "a",
        1,
        layers[1].coordinates[:2],
        layers[1].run,
        clusters=np.array([5, 6]),
        rows=np.array([3, 1]),
    )
    frame = ll.Embeddings(layers).to_frame()
    assert list(frame) == ["layer", "index", "id", "label", "label_name", "x", "y", "cluster"]
    assert frame.layer.tolist() == ["b"] * 4 + ["a"] * 2
    assert frame.id.tolist() == [0, 1, 2, 3, 3, 1]
    assert frame.label_name.tolist() == ["cat", "dog", "dog", "unlabelled", "unlabelled", "dog"]
    assert frame.cluster.isna().tolist() == [True] * 4 + [False] * 2
    np.testing.assert_array_equal(frame.x[:4].to_numpy(np.float32), layers[0].coordinates[:, 0])


def test_the_frame_of_metrics_has_one_row_a_layer():
    layers = make()
    layers[1] = ll.LayerEmbedding("a", 1, layers[1].coordinates, layers[1].run)
    frame = ll.Embeddings(layers).metrics_frame()
    assert frame.index.tolist() == ["b", "a"]
    assert frame.loc["b", ["dim", "width", "n_rows"]].tolist() == [10, 5, 4]
    assert frame.trustworthiness["b"] == 0.5
    assert np.isnan(frame.trustworthiness["a"])


def test_without_pandas_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(PluginError, match=r'pip install "torch-layerlens\[frames\]"'):
        ll.Embeddings(make()).to_frame()


def test_without_matplotlib_the_extra_is_named_and_the_table_still_shows(monkeypatch):
    for name in [m for m in sys.modules if m.startswith("layerlens.sinks._draw")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("layerlens.sinks._draw", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = ll.Embeddings(make())
    with pytest.raises(PluginError, match=r'pip install "torch-layerlens\[figures\]"'):
        result.plot()
    shown = result._repr_html_()
    assert "<table " in shown
    assert "<img" not in shown


def test_plot_returns_a_figure_with_a_panel_a_layer():
    drawing = ll.Embeddings(make()).plot(title="two layers")
    assert [axes.get_label() for axes in drawing.axes] == ["b", "a"]
    assert "two layers" in [text.get_text() for text in drawing.texts]


def test_show_without_anywidget_says_what_to_do_and_shows_the_page(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.warns(ll.LayerlensWarning, match=r"torch-layerlens\[notebook\]") as said:
        shown = ll.Embeddings(make()).show(height=333)
    assert said[0].filename == __file__
    assert "<iframe" in shown._repr_html_() and "height:333px" in shown._repr_html_()


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".png", ".svg", ".pdf", ".PNG"])
def test_the_suffix_chooses_the_sink_and_the_path_comes_back(tmp_path, suffix):
    path = ll.Embeddings(make()).save(str(tmp_path / f"r{suffix}"))
    assert path == tmp_path / f"r{suffix}"
    assert path.stat().st_size > 0


def test_a_sink_is_taken_by_name_or_class(tmp_path):
    result = ll.Embeddings(make())
    result.save(tmp_path / "a.data", sink="csv")
    result.save(tmp_path / "b.data", sink=SINKS.factory("csv"))
    assert (tmp_path / "a.data").read_bytes() == (tmp_path / "b.data").read_bytes()


def test_an_unknown_suffix_lists_those_there_are(tmp_path):
    result = ll.Embeddings(make())
    for name, came in (("r.gif", r"'r\.gif' ends in '\.gif'"), ("r", "'r' has no suffix")):
        with pytest.raises(PluginError, match=came + r".*\.csv.*\.npz.*\.pdf, \.png,.* \.svg"):
            result.save(tmp_path / name)
    with pytest.raises(PluginError, match=r"which no installed sink reads. Use one of \.npz"):
        ll.Embeddings.load(tmp_path / "r.csv")


def test_options_go_to_the_sink_and_unknown_ones_are_a_type_error(tmp_path):
    with pytest.raises(TypeError, match="colour"):
        ll.Embeddings(make()).save(tmp_path / "r.png", colour="label")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def registered():
    names = []

    def register(name, factory):
        SINKS.register(name, factory)
        names.append(name)

    yield register
    for name in names:
        SINKS.unregister(name)


def test_a_sink_named_like_the_suffix_comes_before_all_others(tmp_path, registered):
    csv = SINKS.factory("csv")
    seen = []

    class Mine(csv):
        suffixes = (".zzz",)

        def __enter__(self):
            seen.append(type(self).__name__)
            return super().__enter__()

    class Other(Mine):
        pass

    registered("acme.other", Other)
    registered("zzz", Mine)
    ll.Embeddings(make()).save(tmp_path / "r.zzz")
    assert seen == ["Mine"]


def test_a_third_party_does_not_stand_before_a_built_in_of_the_same_suffix(tmp_path, registered):
    class Other(SINKS.factory("csv")):
        suffixes = (".png",)

    registered("acme.png", Other)
    ll.Embeddings(make()).save(tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_a_broken_sink_is_passed_over_with_a_warning(tmp_path, monkeypatch):
    real = SINKS.factory

    def factory(name):
        if name == "csv":
            raise PluginError("csv is broken")
        return real(name)

    monkeypatch.setattr(SINKS, "factory", factory)
    with pytest.warns(LayerlensWarning, match="csv is broken"):
        ll.Embeddings(make()).save(tmp_path / "r.png")


def test_the_repr_tells_layers_widths_samples_and_reducer():
    result = ll.Embeddings(make(("conv1", "x")))
    assert repr(result).splitlines() == [
        "Embeddings: 2 layers x 4 samples, pca",
        "  conv1  Linear  10 -> 5 -> 2  trustworthiness 0.500",
        "  x      Linear  10 -> 5 -> 2  trustworthiness 0.600",
    ]


def test_the_repr_of_many_layers_leaves_out_the_middle():
    lines = repr(ll.Embeddings(make(tuple(f"l{i}" for i in range(70))))).splitlines()
    assert len(lines) == 26
    assert "… 46 more …" in lines[13]
    assert lines[-1].startswith("  l69")


@pytest.mark.filterwarnings("ignore:Glyph .* missing from:UserWarning")
def test_every_string_is_escaped_in_html():
    evil = "<script>alert('1')</script>"
    infos = {evil: ll.LayerInfo(evil, evil)}
    run = ll.RunInfo(layers=infos, ids=np.arange(3), labels=np.array([evil] * 3))
    layer = ll.LayerEmbedding(
        evil,
        0,
        np.eye(3, 2, dtype=np.float32),
        run,
        metrics={evil: 1.0},
        reducer=evil,
        params={"notes": [evil]},
    )
    shown = ll.Embeddings([layer])._repr_html_()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") >= 5
    assert 'src="data:image/png;base64,' in shown


def test_what_a_notebook_shows_of_many_layers_is_bounded():
    names = [f"layer{i}" for i in range(300)]
    run = ll.RunInfo(layers={n: ll.LayerInfo(n) for n in names}, ids=np.arange(30))
    points = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    many = ll.Embeddings(
        ll.LayerEmbedding(name, i, points, run, reducer="pca") for i, name in enumerate(names)
    )
    below = many._repr_html_().partition("<details>")[2]
    assert below.count("<tr>") == 26 and "layer299" in below and "layer150" not in below
    assert len(below) < 300_000
    assert list(many._few())[:2] == ["layer0", "layer27"] and len(many._few()) == 12


def test_importing_the_result_loads_neither_torch_nor_pandas_nor_matplotlib():
    code = (
        "import sys, layerlens.embedding.embeddings\n"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_frame_is_pandas_own():
    assert isinstance(ll.Embeddings(make()).to_frame(), pd.DataFrame)
