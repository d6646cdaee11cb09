"""The figure: nothing overlaps, one scale, the same bytes, and nothing of pyplot's."""

import io
import itertools
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import PathCollection

from layerlens.errors import ArgumentError
from layerlens.sinks._coloring import class_styles
from layerlens.sinks._text import Ruler, printable
from layerlens.sinks.figure import FigureSink, figure

LONG = tuple(f"encoder.stage{i // 9}.block{i % 9}.residual_branch.convolution" for i in range(70))
LETTERS = tuple("abcdefghijklmnopqrstuvwxyzABCD")
CASES = {
    "one layer": {"names": ("fc",), "labels": np.arange(40) % 10},
    "two layers": {"names": ("input", "fc"), "labels": np.arange(40) % 10},
    "nine layers": {"names": LONG[:9], "labels": np.arange(40) % 10},
    "seventy layers with long names": {"names": LONG, "labels": np.arange(40) % 10},
    "one name without dots": {"names": ("x" * 300,), "labels": np.arange(40) % 2},
    "no labels": {},
    "numbers": {"labels": np.linspace(-1e6, 1e-6, 40)},
    "thirty classes": {"labels": np.arange(40) % 30, "label_names": LETTERS},
    "thirty long classes": {
        "labels": np.arange(40) % 30,
        "label_names": tuple(f"a class with a long name, number {i}" for i in range(30)),
    },
    "a thousand classes": {"n": 1000, "labels": np.array([f"class {i}" for i in range(1000)])},
    "one dimension": {"n_components": 1, "labels": np.arange(40) % 10},
    "three dimensions": {"n_components": 3, "labels": np.arange(40) % 10},
    "clusters": {"clusters": [np.arange(40) % 8 - 1] * 3},
    "notes and missing samples": {
        "notes": {i: [f"note {i}: " + "words " * 40] for i in range(3)},
        "rows": {2: np.arange(5)},
        "labels": np.arange(40) % 3 - 1,
    },
    "odd metrics": {
        "metrics": [{"a_metric_with_a_long_name": -12345.678, "nan": np.nan, "$x^2$": 1.0}] * 3
    },
    "odd characters": {"names": ("", "a\nb\tc", "$x_1$", "é立🙂", "\u202eabc")},
}


def _texts(drawing):
    found = [t for t in drawing.findobj(mpl.text.Text) if t.get_text() and t.get_visible()]
    # axes carry empty titles and labels of their own
    return [t for t in found if t.get_text().strip()]


@pytest.mark.parametrize("dpi", [72, 150])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.filterwarnings("ignore:Glyph .* missing from:UserWarning")
def test_no_text_overlaps_another_or_leaves_the_page(make_result, case, dpi):
    drawing = figure(make_result(**case))
    drawing.set_dpi(dpi)
    renderer = drawing.canvas.get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in _texts(drawing)]
    assert boxes
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= drawing.bbox.x1, text
        assert box.y1 <= drawing.bbox.y1, text
    names_in_panels = {t for axes in drawing.axes for t in axes.texts}
    panels = [axes.get_window_extent(renderer) for axes in drawing.axes]
    # a pixel of slack: hinting moves glyphs by as much
    outside = [
        t.get_window_extent(renderer).padded(-1)
        for t in _texts(drawing)
        if t not in names_in_panels
    ]
    for a, b in itertools.combinations([b.padded(-1) for _, b in boxes], 2):
        assert not a.overlaps(b)
    for text_box, panel in itertools.product(outside, panels):
        assert not text_box.overlaps(panel)


def test_all_panels_share_limits_and_hold_every_point(make_result):
    result = make_result()
    drawing = figure(result)
    limits = {(axes.get_xlim(), axes.get_ylim()) for axes in drawing.axes}
    assert len(limits) == 1
    ((x, y),) = limits
    assert x[1] - x[0] == pytest.approx(y[1] - y[0])
    every = np.concatenate([layer.coordinates for layer in result.values()])
    assert x[0] < every[:, 0].min()
    assert every[:, 0].max() < x[1]
    assert y[0] < every[:, 1].min()
    assert every[:, 1].max() < y[1]
    for axes in drawing.axes:
        box = axes.get_window_extent()
        assert box.width == pytest.approx(box.height)


def test_scales_of_their_own_differ_and_the_foot_says_so(make_result):
    drawing = figure(make_result(), scale="layer")
    assert len({axes.get_xlim() for axes in drawing.axes}) == 3
    assert any("scale of its own" in t.get_text() for t in _texts(drawing))


def test_every_point_is_drawn_where_it_is_in_the_colour_of_its_class(make_result):
    labels = np.arange(40) % 4 - 1
    result = make_result(labels=labels, rows={1: np.array([5, 2, 9])})
    drawing = figure(result)
    styles = class_styles(3)
    for axes, layer in zip(drawing.axes, result.values(), strict=True):
        (points,) = [c for c in axes.collections if isinstance(c, PathCollection)]
        drawn = dict(
            zip(map(tuple, np.asarray(points.get_offsets())), points.get_facecolors(), strict=True)
        )
        assert len(drawn) == len(layer.coordinates)
        for xy, label in zip(layer.coordinates, layer.of_rows(labels), strict=True):
            expected = "#d3d3d3" if label < 0 else styles[label].color
            assert mpl.colors.to_hex(drawn[tuple(xy.astype(float))]) == expected


def test_no_class_is_drawn_last_throughout(make_result):
    labels = np.repeat([0, 1], 500)
    drawing = figure(make_result(n=1000, labels=labels))
    colors = [mpl.colors.to_hex(c) for c in drawing.axes[0].collections[0].get_facecolors()]
    first = class_styles(2)[0].color
    # of the 500 on top about half are of each class; 5 standard deviations are 56
    assert abs(colors[500:].count(first) - 250) < 60


def test_layers_stand_in_depth_order_whatever_order_they_come_in(make_result):
    layers = list(make_result().values())
    assert [a.get_label() for a in figure(layers[::-1]).axes] == ["input", "conv1", "fc"]


def test_titles_tell_type_widths_metrics_and_notes(make_result):
    drawing = figure(make_result(notes={1: ["perplexity 12"]}, rows={2: np.arange(7)}))
    texts = [t.get_text() for t in _texts(drawing)]
    assert "conv1¹" in texts
    assert "¹ perplexity 12" in texts
    assert "Conv2d  18,432 → 2,048" in texts
    assert "Conv2d  18,432 → 2,048  7 of 40 samples" in texts
    assert "trust .97  recall .52  knn .93|.95" in texts


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_result_gives_the_same_bytes(make_result, tmp_path, kind):
    result = make_result(labels=np.arange(40) % 10)
    files = [result.save(tmp_path / f"{i}.{kind}").read_bytes() for i in range(2)]
    assert files[0] == files[1]


def test_files_are_what_their_suffix_says(make_result, tmp_path):
    result = make_result()
    assert result.save(tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG")
    assert result.save(tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    svg = ET.parse(result.save(tmp_path / "a.svg"))  # noqa: S314 -- written a moment ago
    assert svg.getroot().tag.endswith("svg")


def test_many_points_are_an_image_in_vector_files(make_result, tmp_path):
    size = {n: make_result(n=n).save(tmp_path / f"{n}.svg").stat().st_size for n in (5000, 8000)}
    assert size[8000] < size[5000] / 2


def test_pyplot_is_not_loaded(tmp_path):
    code = (
        "import sys, numpy as np, layerlens as ll\n"
        "run = ll.RunInfo(layers={'a': ll.LayerInfo('a')}, ids=np.arange(3))\n"
        "layer = ll.LayerEmbedding('a', 0, np.eye(3, 2, dtype='f4'), run)\n"
        f"ll.Embeddings([layer]).save({str(tmp_path / 'a.png')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_user_s_settings_change_nothing(make_result):
    def png():
        stream = io.BytesIO()
        FigureSink.render(make_result(labels=np.arange(40) % 3), stream)
        return stream.getvalue()

    plain = png()
    with mpl.rc_context(
        {"text.usetex": True, "savefig.bbox": "tight", "figure.facecolor": "k", "font.size": 30}
    ):
        assert png() == plain


def test_colours_can_show_a_column_the_stress_or_nothing(make_result):
    result = make_result(labels=np.arange(40) % 3, columns={"split": np.array(["a", "b"] * 20)})
    texts = {t.get_text() for t in _texts(figure(result, color="split"))}
    assert {"split", "a", "b"} <= texts
    plain = figure(result, color=None).axes[0].collections[0].get_facecolors()
    assert len(plain) == 1
    with pytest.raises(ArgumentError, match="'auto', 'label', 'split'"):
        figure(result, color="stress")


def test_wrong_options_and_suffixes_are_told(make_result, tmp_path):
    for options, said in (
        ({"columns": 0}, "whole number"),
        ({"panel": 0.1}, "inches"),
        ({"scale": "log"}, "'shared' or 'layer'"),
    ):
        with pytest.raises(ArgumentError, match=said):
            figure(make_result(), **options)
    with pytest.raises(ArgumentError, match=r"\.png, \.svg, \.pdf"):
        FigureSink(tmp_path / "a.gif")
    with pytest.raises(ArgumentError, match="no layer"):
        figure([])


def _oklab(color, sight):
    """Return a colour's place in Oklab (Ottosson 2020), as someone with that sight sees it."""
    c = np.array(mpl.colors.to_rgb(color))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(sight) @ linear, 0, 1)
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(to_lab) @ np.cbrt(np.array(to_lms) @ linear)


SIGHTS = {  # Machado, Oliveira, Fernandes 2009, table 1, full severity
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize(("n_classes", "least"), [(6, 11.4), (8, 8.7), (10, 6.1)])
def test_classes_are_as_far_apart_for_every_sight_as_the_palette_says(n_classes, least):
    distances = [
        np.linalg.norm(_oklab(a.color, sight) - _oklab(b.color, sight))
        for sight in SIGHTS.values()
        for a, b in itertools.combinations(class_styles(n_classes), 2)
    ]
    assert 100 * min(distances) == pytest.approx(least, abs=0.05)


def test_a_hundred_classes_differ_in_colour_or_shape():
    assert len(set(class_styles(100))) == 100


def test_dotted_names_keep_their_numbers_when_cut():
    ruler = Ruler()
    name = "encoder.layer3.attention.self.query"
    assert ruler.shorten(name, 10, 8) == name
    # how many of the words fit depends on the version that measures the text
    assert ruler.shorten(name, 0.9, 8) in ("e.l3.a.s.query", "e.l3.a.self.query")
    for room in (0.2, 0.5, 1.0):
        assert ruler.width(ruler.shorten("x" * 300, room, 8), 8) <= room


def test_control_characters_are_made_visible():
    assert printable("a\nb\x00\u202ec") == "a b\ufffd\ufffdc"
