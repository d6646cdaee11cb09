"""What a page holds: read again by a decoder of the test's own, and compared."""

import base64
import io
import json
import sys
import time
import warnings
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from tests.page.decoding import Page

import layerlens as ll
from layerlens._pixels import encode_png
from layerlens.sinks import _sprites, html
from layerlens.sinks._columns import columns_of
from layerlens.sinks._page import as_json
from layerlens.sinks._sampling import page_rows

HOSTILE = (
    "</script><script>alert(1)</script>", "<!--<script>", '"><img src=x onerror=alert(1)>',
    "\u202egnp.exe", "a\u2028b\u2029c", "🙂\U0001f3f3\ufe0f\u200d\U0001f308", "\x00\x07",
    "&amp;&lt;",
    "=HYPERLINK(1)", "x" * 10_000, "\ud800", "]]>", "${alert(1)}", "`", "\\u003c", "",
)  # fmt: skip


def page_of(result, tmp_path, **options):
    return Page(result.save(tmp_path / "page.html", **options).read_text(encoding="utf-8"))


def samples_of(page):
    """Which sample each row is, where ids are the samples' numbers."""
    return np.array(page.column("id"), dtype=int)


def rebuilt(result, **facts):
    """The result with other facts of its layers, lists of one a layer."""
    layers = []
    for i, layer in enumerate(result.values()):
        own = {
            name: getattr(layer, name)
            for name in ("clusters", "metrics", "stress", "reducer", "params", "rows",
                         "neighbors", "spread")
        }  # fmt: skip
        own.update({name: values[i] for name, values in facts.items()})
        layers.append(ll.LayerEmbedding(layer.layer, i, layer.coordinates, layer.run, **own))
    return ll.Embeddings(layers)


def test_coordinates_come_back_to_sixteen_bits(make_result, tmp_path):
    result = make_result(n=300)
    page = page_of(result, tmp_path)
    shown = page.coordinates()
    samples = samples_of(page)
    assert sorted(samples) == list(range(300))
    step = page.head["frame"]["scale"] / 65535
    for i, layer in enumerate(result.values()):
        assert np.abs(shown[i] - layer.coordinates[samples]).max() <= step * 0.51


def test_all_layers_lie_in_one_frame_with_a_margin(make_result, tmp_path):
    clouds = [np.full((40, 2), c, dtype=np.float32) + np.eye(40, 2) for c in (0, 50, -1e3)]
    page = page_of(make_result(coordinates=clouds), tmp_path)
    q = page.array("positions", "<u2", 3, 40, 2)
    assert 0 < q.min() < 2000 and 63000 < q.max() < 65535
    assert page.coordinates()[1].mean() == pytest.approx(50.0125, abs=0.02)


@pytest.mark.parametrize("n_components", [1, 2, 3, 5])
def test_pictures_of_any_dimension_are_shown_in_two_or_three(make_result, tmp_path, n_components):
    result = make_result(n_components=n_components)
    page = page_of(result, tmp_path)
    shown, samples = page.coordinates(), samples_of(page)
    assert page.head["components"] == (3 if n_components > 2 else 2)
    width = min(n_components, 3)
    wanted = result["fc"].coordinates[samples, :width]
    assert np.abs(shown[2][:, :width] - wanted).max() < page.head["frame"]["scale"] / 65535
    said = [note for note in page.head["layers"][2]["notes"] if "dimensions" in note]
    assert len(said) == (n_components == 5)


def test_a_layer_of_some_samples_says_which_it_has(make_result, tmp_path):
    result = make_result(rows={1: np.array([7, 1, 30])})
    page = page_of(result, tmp_path)
    shown, samples = page.coordinates(), samples_of(page)
    there = ~np.isnan(shown[1, :, 0])
    assert set(samples[there]) == {7, 1, 30}
    row = {sample: i for i, sample in enumerate(samples)}
    step = page.head["frame"]["scale"] / 65535
    for place, sample in enumerate([7, 1, 30]):
        wanted = result["conv1"].coordinates[place]
        assert np.abs(shown[1, row[sample]] - wanted).max() < step
    q = page.array("positions", "<u2", 3, 40, 2)
    assert (q[1][~there] == 65535).all() and (q[1][there] < 65535).all()
    assert not np.isnan(shown[[0, 2]]).any()


def built_twice(make_result, folder):
    """Return the page, after it was seen that a second one of the same input has its bytes."""
    first = make_result(labels=np.arange(40) % 3).save(folder / "a.html").read_bytes()
    again = make_result(labels=np.arange(40) % 3).save(folder / "b.htm").read_bytes()
    # compared before: where CI is set, pytest would look for the difference line by line, an hour
    same = first == again
    assert same, "two builds give other bytes"
    return first


def test_same_input_same_bytes_and_the_seed_is_the_order(make_result, tmp_path):
    first = built_twice(make_result, tmp_path)
    other = make_result(labels=np.arange(40) % 3).save(tmp_path / "c.html", seed=1)
    orders = [samples_of(Page(x.decode())).tolist() for x in (first, other.read_bytes())]
    assert orders[0] != orders[1] != list(range(40)) != orders[0]


@pytest.mark.parametrize("bug", ["an order by chance", "the time of day", "blanks in the data"])
def test_a_build_that_gives_other_bytes_is_noticed(bug, make_result, tmp_path, monkeypatch):
    from layerlens.sinks import _document, _page, _sampling

    if bug == "an order by chance":
        chance = np.random.default_rng
        monkeypatch.setattr(_sampling.np.random, "default_rng", lambda seed=None: chance())
    elif bug == "the time of day":
        style = _document.style
        monkeypatch.setattr(_document, "style", lambda head: f"{style(head)}/* {time.time_ns()} */")
    else:
        packed = _page.as_json
        monkeypatch.setattr(
            _document, "as_json", lambda value: packed(value) + " " * (time.time_ns() % 1009)
        )
    with pytest.raises(AssertionError, match="two builds"):
        built_twice(make_result, tmp_path)


def test_mistakes_are_last_and_who_errs_is_a_column(make_result, tmp_path):
    labels = np.arange(40) % 3
    predicted = labels.copy()
    predicted[[3, 17]] = 2 - labels[[3, 17]] + (labels[[3, 17]] == 1)
    predicted[5] = -1
    page = page_of(
        make_result(
            labels=labels, label_names=("cat", "dog", "eel"), columns={"prediction": predicted}
        ),
        tmp_path,
    )
    samples = samples_of(page)
    assert set(samples[-2:]) == {3, 17}
    columns = page.head["columns"]
    roles = {role: columns[i]["name"] for role, i in page.head["roles"].items()}
    assert roles == {
        "label": "label", "prediction": "prediction", "correct": "correct", "id": "id"
    }  # fmt: skip
    assert columns[0]["levels"] == columns[1]["levels"] == ["cat", "dog", "eel"]
    names = np.array(["cat", "dog", "eel"])
    assert page.column("label") == names[labels[samples]].tolist()
    for sample, right in zip(samples, page.column("correct"), strict=True):
        wanted = (
            None if sample == 5 else "right" if predicted[sample] == labels[sample] else "wrong"
        )
        assert right == wanted


def test_predictions_of_other_types_are_compared_as_what_they_mean(make_result, tmp_path):
    labels = np.array([0, 1, 1, 0] * 10)
    names = ("no", "yes")
    for predicted in (
        np.array(["no", "yes", "no", "other"] * 10),
        np.array([0.0, 1.0, 0.0, 7.0] * 10),
    ):
        page = page_of(
            make_result(labels=labels, label_names=names, columns={"predicted": predicted}),
            tmp_path,
        )
        right = np.array(page.column("correct"))[np.argsort(samples_of(page))]
        assert right.tolist() == ["right", "right", "wrong", "wrong"] * 10
        assert page.head["columns"][0]["levels"][:2] == ["no", "yes"]


def test_numbers_for_labels_are_judged_by_nobody(make_result, tmp_path):
    rng = np.random.default_rng(0)
    page = page_of(
        make_result(labels=rng.normal(size=40), columns={"prediction": rng.normal(size=40)}),
        tmp_path,
    )
    assert "correct" not in page.head["roles"]
    assert page.head["columns"][page.head["roles"]["label"]]["kind"] == "number"


def test_columns_of_every_type_come_back(make_result, tmp_path):
    n = 40
    nan = np.where(np.arange(n) % 4, np.arange(n) / 8, np.nan)
    objects = np.array(["a", None, "b", float("nan")] * 10, dtype=object)
    given = {
        "numbers": nan,
        "infinite": np.where(np.arange(n) == 2, np.inf, 1.0),
        "too large": np.full(n, 1e300),
        "few integers": np.arange(n) % 3 - 1,
        "yes or no": np.arange(n) % 2 == 0,
        "words": np.array(["red", "green", ""] * 14)[:n],
        "bytes": np.array([b"r", b"\xff"] * 20),
        "times": np.array(["2024-01-01", "NaT"] * 20, dtype="datetime64[D]"),
        "spans": np.array([1500, 250] * 20, dtype="timedelta64[ms]"),
        "objects": objects,
        "wide": np.arange(2 * n).reshape(n, 2),
        "label": np.arange(n) * 0.5,
    }
    page = page_of(make_result(n=n, labels=np.arange(n) % 2, columns=given), tmp_path)
    samples = samples_of(page)

    def column(name):
        return [x for _, x in sorted(zip(samples, page.column(name), strict=True))]

    assert column("numbers") == [None if x != x else x for x in nan.tolist()]
    assert column("infinite") == [None if i == 2 else 1.0 for i in range(n)]
    assert column("too large") == [None] * n
    assert column("few integers") == [str(i % 3 - 1) for i in range(n)]
    assert column("yes or no") == ["true", "false"] * 20
    assert column("words")[:3] == ["red", "green", None]
    assert column("bytes")[:2] == ["r", "\ufffd"]
    assert column("times")[:2] == ["2024-01-01", None]
    assert column("spans (s)")[:2] == [1.5, 0.25]
    assert column("objects")[:4] == ["a", None, "b", None]
    assert column("wide")[1] == "[2, 3]"
    assert column("column_label") == (np.arange(n) * 0.5).tolist()
    kinds = {c["name"]: c["kind"] for c in page.head["columns"]}
    assert kinds["few integers"] == kinds["yes or no"] == kinds["words"] == "category"
    assert page.head["columns"][-1] == {"name": "id", "kind": "text"}


def test_integers_that_float32_cannot_hold_are_texts(make_result, tmp_path):
    large = 2**24 + np.arange(200) * 2 + 1
    small = np.arange(200)
    page = page_of(make_result(n=200, columns={"large": large, "small": small}), tmp_path)
    samples = samples_of(page)
    assert page.column("large") == [str(x) for x in large[samples]]
    assert page.column("small") == small[samples].astype(float).tolist()


@pytest.mark.parametrize("n_classes", [1, 255, 256, 700])
def test_codes_are_as_wide_as_the_classes_need(make_result, tmp_path, n_classes):
    labels = np.arange(1400) % n_classes
    labels[5] = -1
    page = page_of(make_result(n=1400, labels=labels), tmp_path)
    wanted = [None if i < 0 else str(i) for i in labels[samples_of(page)]]
    assert page.column("label") == wanted


def test_hostile_strings_are_data_and_nothing_else(make_result, tmp_path):
    n = len(HOSTILE)
    columns = {name or "empty": np.array(HOSTILE, dtype=object) for name in HOSTILE}
    result = make_result(
        HOSTILE, n=n, labels=np.array(HOSTILE, dtype=object), ids=np.array(HOSTILE, dtype=object),
        columns=columns, created=HOSTILE[0], versions=dict.fromkeys(HOSTILE, HOSTILE[0]),
        notes={0: list(HOSTILE)}, metrics=[dict.fromkeys(HOSTILE, 1.0)] * n,
    )  # fmt: skip
    path = result.save(tmp_path / "page.html", title=HOSTILE[0])
    page = Page(path.read_text(encoding="utf-8"))
    allowed = {
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "div",
        "noscript",
        "script",
    }
    assert {tag for tag, _ in page.elements} == allowed
    kinds = [a.get("type") for tag, a in page.elements if tag == "script"]
    assert kinds.count("module") == 1 and set(kinds) == {
        "module", "application/json", "text/plain"
    }  # fmt: skip
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    for name, text in page.content.items():
        if name.startswith("ll-"):
            assert not set("<>&") & set(text) and text.isascii()
    assert page.content["title"] == HOSTILE[0]
    whole = [text.replace("\ud800", "\ufffd") for text in HOSTILE]
    clipped = [text if len(text) <= 300 else text[:299] + "…" for text in whole]
    assert sorted(page.column("id"), key=str) == sorted((x or None for x in clipped), key=str)
    assert [layer["name"] for layer in page.head["layers"]] == clipped


def test_figures_that_are_not_finite_are_left_out(make_result, tmp_path):
    metrics = [{"trustworthiness": float("nan"), "other": float("inf"), "kept": 0.5}] * 3
    page = page_of(make_result(metrics=metrics), tmp_path)
    assert page.head["layers"][0]["metrics"] == {"kept": 0.5}


def test_the_policy_allows_the_script_and_style_that_are_there(make_result, tmp_path):
    page = page_of(make_result(), tmp_path)
    assert page.policy == {
        "default-src": "'none'",
        "script-src": page.hash_of("module"),
        "style-src": page.hash_of("style"),
        "img-src": "blob: data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_stress_spread_and_clusters_are_there_where_they_are_known(make_result, tmp_path):
    rng = np.random.default_rng(0)
    stress = [rng.uniform(size=40).astype(np.float32), None, np.full(40, np.nan)]
    spread = [rng.uniform(0, 2, size=40).astype(np.float32)] * 3
    clusters = [np.arange(40) % 5 - 1, np.arange(40) + 70_000, None]
    page = page_of(
        rebuilt(make_result(), stress=stress, spread=spread, clusters=clusters), tmp_path
    )
    samples = samples_of(page)
    shape = (3, 40)
    assert page.head["per_layer"] == {"stress": True, "spread": True, "clusters": True}
    assert [layer["lacks"] for layer in page.head["layers"]] == [[], ["stress"], ["clusters"]]
    shown = page.array("stress", "u1", *shape)
    assert np.abs(shown[0] / 255 - stress[0][samples]).max() <= 0.501 / 255
    assert not shown[1:].any()
    shown = page.array("spread", "u1", *shape)
    assert np.abs(shown[0] / 255 - np.minimum(spread[0][samples], 1)).max() <= 0.501 / 255
    shown = page.array("clusters", "<u2", *shape).astype(int)
    assert (np.where(shown[0] == 65535, -1, shown[0]) == clusters[0][samples]).all()
    assert len(np.unique(shown[1])) == 40 and (shown[2] == 65535).all()
    plain = page_of(make_result(), tmp_path)
    assert not any(plain.head["per_layer"].values()) and "stress" not in plain.sections


def test_neighbours_are_those_of_the_layer_as_rows_of_the_page(make_result, tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.permutation(40)[:25]
    found = [
        np.array([rng.permutation(np.delete(np.arange(n), i))[:k] for i in range(n)], np.int32)
        for n, k in ((40, 15), (25, 3))
    ]
    result = make_result(rows={1: rows})
    page = page_of(rebuilt(result, neighbors=[found[0], found[1], None]), tmp_path)
    samples, shown = samples_of(page), page.neighbors()
    assert page.head["neighbors"] == {"k": 8, "rows": 40}
    for row, sample in enumerate(samples):
        assert samples[shown[0, row]].tolist() == found[0][sample, :8].tolist()
        if sample in rows:
            place = rows.tolist().index(sample)
            assert samples[shown[1, row, :3]].tolist() == rows[found[1][place]].tolist()
            assert (shown[1, row, 3:] == 65535).all()
        else:
            assert (shown[1, row] == 65535).all()
    assert (shown[2] == 65535).all()
    assert page.head["layers"][2]["lacks"] == ["neighbors"]
    without = page_of(rebuilt(result, neighbors=[*found, None]), tmp_path, neighbors=False)
    assert without.head["neighbors"] is None and "neighbors" not in without.sections


def test_neighbours_of_many_points_are_those_of_a_sample(make_result, tmp_path):
    n = 12_000
    found = (np.arange(n)[:, None] + np.arange(1, 10)) % n
    labels = np.zeros(n, dtype=int)
    predicted = (np.arange(n) < 100).astype(int)
    result = make_result(("a",), n=n, labels=labels, columns={"prediction": predicted})
    page = page_of(rebuilt(result, neighbors=[found.astype(np.int32)]), tmp_path)
    assert page.head["neighbors"] == {"k": 8, "rows": 5000}
    rows = page.array("neighbor-rows", "<u4", 5000)
    assert (np.diff(rows.astype(int)) > 0).all()
    samples, shown = samples_of(page), page.neighbors()[0]
    assert (samples[shown] == found[samples[rows], :8]).all()
    assert set(range(100)) <= set(samples[rows])  # all mistakes are among them
    assert any("5,000 of the 12,000" in note for note in page.head["notes"])


def test_a_sample_is_drawn_from_each_class_in_proportion(make_result, tmp_path):
    labels = np.repeat([0, 1, 2, 3], [600, 300, 98, 2])
    result = make_result(n=1000, labels=labels)
    found = np.tile(np.arange(1, 9), (1000, 1)).astype(np.int32)
    page = page_of(rebuilt(result, neighbors=[found] * 3), tmp_path, max_points=100)
    samples = samples_of(page)
    assert len(set(samples)) == page.n == 100 and page.head["total"] == 1000
    assert np.bincount(labels[samples]).tolist() in ([60, 30, 9, 1], [59, 30, 10, 1])
    assert "100 of the run's 1,000 samples" in page.head["notes"][0]
    shown = page.neighbors()[0, 0]
    wanted = [np.flatnonzero(samples == i).tolist() or [65535] for i in range(1, 9)]
    assert [[x] for x in shown] == wanted  # neighbours outside of the sample are not in the page
    step = page.head["frame"]["scale"] / 65535
    assert np.abs(page.coordinates()[0] - result["input"].coordinates[samples]).max() < step
    everything = page_of(result, tmp_path, max_points=1000)
    assert everything.n == 1000 and not everything.head["notes"]


@pytest.mark.parametrize("sizes", [[1] * 50, [500, 1, 1, 1], [3], [10, 10, 10, 1, 1], [7] * 9])
@pytest.mark.parametrize("count", [1, 2, 7, 9, 31])
def test_samples_have_the_size_asked_for_and_no_class_is_lost(sizes, count):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    run = ll.RunInfo(layers={}, ids=np.arange(len(labels)), labels=labels)
    rows = page_rows(len(labels), columns_of(run), count, 0)
    assert len(set(rows.samples)) == min(count, len(labels))
    if count >= len(sizes):
        assert set(labels[rows.samples]) == set(labels)


def thumbnails(n, side=28, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(n, 4, 4, channels), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, side // 4, axis=1), side // 4, axis=2)


def shown_thumbnails(page):
    """All thumbnails as the page's rows have them: a dict of row to pixels."""
    image = pytest.importorskip("PIL.Image")
    about = page.head["thumbnails"]
    w, h, columns = about["width"], about["height"], about["columns"]
    rows = np.arange(page.n)
    if about["rows"] < page.n:
        rows = page.array("thumbnail-rows", "<u4", about["rows"])
    sheets = [
        np.asarray(image.open(io.BytesIO(page.raw(f"thumbnails-{s}"))).convert("RGB"))
        for s in range(about["sheets"])
    ]
    found = {}
    for slot, row in enumerate(rows.tolist()):
        place = slot % about["per_sheet"]
        y, x = place // columns * h, place % columns * w
        found[row] = sheets[slot // about["per_sheet"]][y : y + h, x : x + w]
    return found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("n", [1, 5, 100, 4100])
def test_each_row_has_its_own_thumbnail(make_result, tmp_path, n, channels):
    pictures = thumbnails(n, channels=channels)
    page = page_of(make_result(("a",), n=n, thumbnails=pictures), tmp_path, thumbnail_mb=100)
    about = page.head["thumbnails"]
    assert about["mime"] == "image/webp" and (about["width"], about["height"]) == (28, 28)
    found = shown_thumbnails(page)
    samples = samples_of(page)
    assert sorted(found) == list(range(n))
    # lossy only where there are many: the right one is by far the nearest
    limit = 1e-9 if n <= 100 else 12
    for row in range(0, n, max(1, n // 50)):
        wanted = np.broadcast_to(pictures[samples[row]], (28, 28, 3)).astype(float)
        assert np.abs(found[row] - wanted).mean() < limit


def test_without_pillow_sheets_are_png_to_the_very_pixel(make_result, tmp_path, monkeypatch):
    monkeypatch.setattr(
        _sprites, "_encoder", lambda: (lambda s, q: encode_png(s), "image/png", ((32, 100),))
    )
    for channels in (1, 3):
        pictures = thumbnails(90, channels=channels)
        page = page_of(make_result(n=90, thumbnails=pictures), tmp_path)
        assert page.head["thumbnails"]["mime"] == "image/png"
        found, samples = shown_thumbnails(page), samples_of(page)
        for row in range(90):
            assert (found[row] == pictures[samples[row]]).all()


def test_a_missing_pillow_is_noticed_and_png_taken(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    encode, mime, rungs = _sprites._encoder()
    assert mime == "image/png" and [side for side, _ in rungs] == [32, 24, 16]
    assert encode(np.zeros((4, 4, 3), dtype=np.uint8), 60).startswith(b"\x89PNG")


def test_shrinking_averages_areas():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(3, 64, 32, 3), dtype=np.uint8)
    halved = images.reshape(3, 32, 2, 16, 2, 3).mean(axis=(2, 4))
    assert np.abs(_sprites.shrink(images, 32) - halved).max() <= 0.5
    flat = np.full((1, 50, 47, 1), 131, dtype=np.uint8)
    assert _sprites.shrink(flat, 24).shape == (1, 24, 23, 1)
    assert (_sprites.shrink(flat, 24) == 131).all()
    assert _sprites.shrink(images, 64) is images


def test_thumbnails_keep_to_their_budget(make_result, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, size=(2000, 64, 64, 3), dtype=np.uint8)
    labels = np.zeros(2000, dtype=int)
    wrong = (np.arange(2000) < 20).astype(int)
    result = make_result(
        ("a",), n=2000, thumbnails=noise, labels=labels, columns={"prediction": wrong}
    )
    sides, kept = [], []
    for megabytes in (40, 0.9, 0.1, 0):
        page = page_of(result, tmp_path, thumbnail_mb=megabytes)
        about = page.head["thumbnails"]
        if not megabytes:
            assert about is None
            continue
        size = sum(len(page.content[f"ll-thumbnails-{s}"]) for s in range(about["sheets"]))
        assert size <= megabytes * 1e6
        sides.append(about["width"])
        kept.append(about["rows"])
        if about["rows"] < 2000:
            rows = page.array("thumbnail-rows", "<u4", about["rows"])
            assert set(range(20)) <= set(samples_of(page)[rows])
            assert any("Thumbnails are here for" in note for note in page.head["notes"])
    assert sides == sorted(sides, reverse=True) and sides[-1] == 16
    assert kept[0] == 2000 > kept[-1] > 100


def test_a_large_page_warns_and_names_a_sample_that_fits(make_result, tmp_path, monkeypatch):
    monkeypatch.setattr(html, "_LARGE", 200_000)
    result = make_result(n=20_000, labels=np.arange(20_000) % 7)
    with pytest.warns(ll.LayerlensWarning, match="max_points=") as caught:
        result.save(tmp_path / "page.html")
    said = str(caught[0].message)
    offered = int(said.partition("max_points=")[2].split()[0])
    assert "page.html has" in said and "20,000 points in 3 layers" in said
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        size = result.save(tmp_path / "page.html", max_points=offered).stat().st_size
    code = len(Page((tmp_path / "page.html").read_text()).script())
    assert 0.5 * 200_000 < size - code < 1.2 * 200_000


def test_a_section_longer_than_browsers_read_is_refused(make_result, tmp_path, monkeypatch):
    from layerlens.sinks import _document

    monkeypatch.setattr(_document, "_LONGEST", 400)
    with pytest.raises(ll.StoreError, match="max_points"):
        make_result().save(tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [{"max_points": 0}, {"max_points": 1.5}, {"max_points": True}, {"thumbnail_mb": -1},
     {"seed": -1}],
)  # fmt: skip
def test_options_out_of_what_is_allowed_are_refused(make_result, tmp_path, options):
    with pytest.raises(ll.ArgumentError, match=next(iter(options))):
        make_result().save(tmp_path / "page.html", **options)


def test_layers_of_two_runs_and_no_layers_are_refused(make_result, tmp_path):
    first, second = make_result(), make_result()
    with pytest.raises(ll.StoreError, match="another run"), html.HtmlSink(tmp_path / "x.html") as w:
        w.write(first["input"])
        w.write(second["input"])
    with pytest.raises(ll.StoreError, match="no layer"), html.HtmlSink(tmp_path / "x.html"):
        pass
    with pytest.raises(ll.ArgumentError, match="no layer"):
        html.frame([])
    with pytest.raises(ll.ArgumentError, match="several runs"):
        html.frame([first["input"], second["fc"]])


def test_json_in_a_script_is_of_ascii_without_markup():
    text = as_json({"a": "</script>&\u2028é\ud800", "b": [1, 0.5, None, True]})
    assert text.isascii() and not set("<>&") & set(text)
    assert json.loads(text)["a"] == "</script>&\u2028é\ud800"


def test_the_frame_is_the_page_with_no_rights_over_the_notebook(make_result):
    result = make_result(labels=np.arange(40) % 2)
    text = result._repr_html_()
    found = []

    class Frames(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag == "iframe":
                found.append(dict(attrs))

    Frames().feed(text)
    [attrs] = found
    assert attrs["sandbox"] == "allow-scripts allow-downloads"
    page = Page(attrs["srcdoc"])
    assert page.n == 40 and page.policy["default-src"] == "'none'"


def test_what_a_notebook_keeps_is_bounded(make_result):
    n = 90_000
    result = make_result(n=n, thumbnails=np.zeros((n, 28, 28, 1), dtype=np.uint8))
    found = np.tile(np.arange(1, 9, dtype=np.int32), (n, 1))
    for layers in (result, rebuilt(result, neighbors=[found] * 3)):
        text = html.frame(layers)
        code = len(html.frame(make_result(n=1)))
        assert len(text) - code < 2_400_000
        head = Page(unescape(text.partition('srcdoc="')[2])).head
        assert head["n"] < n == head["total"] and "90,000 samples" in head["notes"][0]


def test_png_of_our_own_is_read_by_others():
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        for pixels in (
            rng.integers(0, 256, (7, 5, channels), dtype=np.uint8),
            np.cumsum(np.ones((30, 40, channels), dtype=np.uint8), axis=0, dtype=np.uint8),
            np.cumsum(np.ones((30, 40, channels), dtype=np.uint8), axis=1, dtype=np.uint8),
        ):
            read = np.asarray(image.open(io.BytesIO(encode_png(pixels))))
            assert (read.reshape(pixels.shape) == pixels).all()


def test_base64_of_blocks_is_that_of_the_whole():
    from layerlens.sinks._document import _BLOCK, _Writer

    stream = io.BytesIO()
    data = np.random.default_rng(0).bytes(2 * _BLOCK + 5)
    _Writer(stream).base64(data)
    assert stream.getvalue() == base64.b64encode(data)
