"""What results show of themselves in a notebook: escaped, static, and never large."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll
from layerlens import _display, _pixels
from layerlens.recording import shown

EVIL = "<img src=x onerror=alert(1)>"


class Read(HTMLParser):
    """Tags, attributes and text of a piece of HTML; every tag that opens must close."""

    VOID = ("img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def images(self):
        return [attrs for tag, attrs in self.tags if tag == "img"]


def read(result):
    page = Read(result._repr_html_())
    for tag, attrs in page.tags:
        assert tag not in ("script", "style", "link", "object")
        assert not [name for name in attrs if name.startswith("on")]
        # nothing is fetched
        assert attrs.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
    return page


def pixels(image):
    pillow = pytest.importorskip("PIL.Image")
    data = base64.b64decode(image["src"].partition(",")[2])
    return np.asarray(pillow.open(io.BytesIO(data)).convert("RGB"))


def deep(layers, channels=4):
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1 if i == 0 else channels, channels, 3, padding=1) for i in range(layers))
    )


X = torch.arange(20 * 28 * 28, dtype=torch.float32).reshape(20, 1, 28, 28).sin()


# --- activations ---------------------------------------------------------------------------------


def test_activations_show_their_layers_and_first_samples():
    acts = ll.Probe(deep(2), sketch=256).run((X, torch.arange(20) % 3))
    page = read(acts)
    for text in (
        "20 samples",
        "2 layers",
        "3 classes",
        "Conv2d",
        "4 \N{MULTIPLICATION SIGN} 28",
        "256 (sketch, keeps",
    ):
        assert text in page.text
    assert len(page.images()) == 12
    assert pixels(page.images()[0]).shape == (28, 28, 3)


def test_a_layer_with_rows_of_some_samples_says_how_many():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x):
            return self.fc(self.fc(x)) if len(x) > 2 else self.fc(x)

    page = read(ll.Probe(Twice()).run([torch.ones(4, 3), torch.ones(2, 3)]))
    assert "rows" in page.text and re.search(r"fc:1.*4", page.text)


def test_names_and_labels_are_escaped():
    model = nn.Sequential()
    model.add_module(EVIL, nn.Conv2d(1, 1, 1))
    with ll.Probe(model) as probe:
        probe.annotate(labels=[EVIL] * 4, inputs=X[:4], a=[EVIL] * 4)
        model(X[:4])
    for result in (
        probe.activations,
        ll.activation_maps(model, X[:1]),
        ll.top_samples(model, X, EVIL, 0),
        ll.top_samples(model, X, EVIL, [0]),
        ll.unit_across(model, list(X[:2]), EVIL, 0, names=[EVIL, "b"]),
    ):
        page = read(result)
        assert EVIL in page.text
        assert all(image["alt"] for image in page.images())


def test_nothing_is_read_from_disk_to_show_a_record(tmp_path, monkeypatch):
    acts = ll.Probe(deep(2), store=tmp_path / "run.zarr").run(X)

    def refuse(*_):
        raise AssertionError("rows were read")

    for name in ("__array__", "__getitem__"):
        monkeypatch.setattr(type(acts["0"]), name, refuse)
    assert f"on disk: {tmp_path}"[:40] in read(acts).text


def test_what_is_shown_is_bounded_however_large_the_result():
    model = deep(200, channels=16)
    noise = torch.randn(2, 1, 96, 96)  # which does not compress
    sizes = {
        "Activations": ll.Probe(model, sketch=64).run(X),
        "ActivationMaps": ll.activation_maps(model, noise, channels="all"),
        "TopSamples": ll.top_samples(model, X, "*", "all", k=20),
    }
    for name, result in sizes.items():
        text = result._repr_html_()
        assert len(text) < 400_000, name
        assert "of 200 layers" in text or "of 3,200 units" in text, name
        assert text.count("<tr>") <= 26, name


# --- maps ----------------------------------------------------------------------------------------


def test_maps_have_the_input_first_and_a_tile_a_channel():
    maps = ll.activation_maps(deep(2), X[:2], channels=3)
    page = read(maps)
    assert [image["alt"] for image in page.images()] == [
        "the input",
        *(f"{name}, channel {c}" for name in maps for c in maps[name].channels),
    ]
    assert "sample 0 of 2" in page.text
    assert len(read(maps["1"]).images()) == 3


def test_colours_stand_for_values_at_the_scale_of_the_layer():
    values = np.array([[-2.0, -1.0, 0.0], [1.0, 2.0, np.nan]])
    png = _pixels.map_pixels(values, 2.0)
    shown_ = pixels({"src": _pixels.data_uri(png)})
    names = ["".join(f"{c:02x}" for c in pixel) for pixel in shown_.reshape(-1, 3)]
    ends = {names[0]: "053061", names[2]: "f7f7f7", names[4]: "67001f", names[5]: "8a846a"}
    assert all(found == wanted for found, wanted in ends.items())
    # half way is between the third and the fourth of six stops
    half = [(0x92 + 0x43) / 2, (0xC5 + 0x93) / 2, (0xDE + 0xC3) / 2]
    assert np.abs(shown_[0, 1] - half).max() <= 3


def test_matplotlib_gives_the_same_colours():
    colormaps = pytest.importorskip("matplotlib").colormaps
    ours = _pixels._RAMP[1:].astype(float)
    theirs = colormaps["RdBu_r"](np.linspace(0, 1, 255))[:, :3] * 255
    # of 256 steps, one more than ours: half of a step away at most
    assert np.abs(ours - theirs).max() <= 2.5


@pytest.mark.parametrize("shape", [(7,), (4, 5, 6)])
def test_lines_and_volumes_have_maps_too(shape):
    conv = {1: nn.Conv1d, 3: nn.Conv3d}[len(shape)](1, 2, 3, padding=1)
    page = read(ll.activation_maps(nn.Sequential(conv), torch.randn(1, 1, *shape)))
    assert len(page.images()) == 3
    wanted = (1, 7, 3) if len(shape) == 1 else (5, 6, 3)
    assert pixels(page.images()[1]).shape == wanted


def test_large_maps_are_shrunk_by_their_means():
    values = np.arange(5 * 7, dtype=float).reshape(5, 7)
    small = _pixels.shrunk(values, 3)
    assert small.shape == (3, 3)
    assert small[0, 0] == values[:2, :3].mean()
    assert small[2, 2] == values[4:, 6:].mean()
    np.testing.assert_array_equal(_pixels.shrunk(values, 7), values)


# --- units ---------------------------------------------------------------------------------------


def test_a_unit_shows_each_sample_with_the_box_that_drives_it():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, bias=False))
    nn.init.ones_(model[0].weight)
    images = torch.zeros(3, 1, 12, 12)
    images[1, 0, 4:7, 5:8] = 1.0
    unit = ll.top_samples(model, images, "0", 0, k=2)
    page = read(unit)
    assert "id 1" in page.text and "2 strongest of 3 samples" in page.text
    first = pixels(page.images()[0])
    green = (first == shown._GREEN).all(-1)
    scale = len(first) // 12
    assert scale == 7
    down, across = np.nonzero(green)
    assert (down.min(), down.max()) == (4 * scale, 7 * scale)
    assert (across.min(), across.max()) == (5 * scale, 8 * scale)


def test_a_unit_without_inputs_is_a_table():
    unit = ll.top_samples(deep(1), X, "0", 1, k=3, keep=False)
    page = read(unit)
    assert not page.images()
    assert f"id {unit.ids[0]}" in page.text and str(tuple(map(int, unit.places[0]))) in page.text


def test_many_units_show_what_drives_each():
    found = ll.top_samples(deep(1), X, "0", [0, 2], k=4)
    page = read(found)
    assert len(page.images()) == 8 and "channel 2" in page.text


# --- pieces --------------------------------------------------------------------------------------


def test_long_texts_lose_their_middle():
    text = "a" * 300 + "b" * 300
    cut = _display.escaped(text)
    assert len(cut) <= 120 and cut.startswith("aa") and cut.endswith("bb")


def test_the_first_and_last_of_many_rows_are_shown():
    assert _display.some(4, 6) == [0, 1, 2, 3]
    assert _display.some(9, 4) == [0, 1, None, 7, 8]
