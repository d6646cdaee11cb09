"""Pages of other kinds than the usual: samples, layers of some rows, three dimensions, clusters."""

import numpy as np
import pytest
from tests.page.checks import legend_colors, quiet
from tests.page.decoding import Page

import layerlens as ll


def layers_of(n, n_components=2, names=("a", "b", "c"), **per_layer):
    rng = np.random.default_rng(0)
    infos = {name: ll.LayerInfo(name, "Linear", 8, 8, (8,)) for name in names}
    run = ll.RunInfo(layers=infos, ids=np.arange(n), labels=np.arange(n) % 3)
    made = []
    for i, name in enumerate(names):
        own = {key: values[i] for key, values in per_layer.items()}
        n_rows = n if own.get("rows") is None else len(own["rows"])
        places = rng.normal(size=(n_rows, n_components)).astype(np.float32)
        made.append(ll.LayerEmbedding(name, i, places, run, reducer="pca", **own))
    return ll.Embeddings(made)


def test_a_sample_is_said_to_be_one(visit, tmp_path):
    path = layers_of(500).save(tmp_path / "page.html", max_points=60)
    page = visit(path)
    page.page.wait_for_timeout(200)
    assert "a sample: 60 of 500 points" in page.page.locator(".ll-caption").inner_text()
    assert "60 points of 500" in page.page.locator(".ll-live").inner_text()
    page.press("t")
    assert "60 of the run's 500 samples" in page.page.get_by_role("dialog").inner_text()
    quiet(page)


def test_a_place_that_is_no_number_is_none(tmp_path):
    """And does not widen the frame; the other layers have the row."""
    made = layers_of(40)
    made["b"].coordinates[[3, 5]] = [[np.nan, 0], [np.inf, 1]]
    page = Page(made.save(tmp_path / "page.html").read_text(encoding="utf-8"))
    ids = page.column("id")
    absent = np.argwhere(page.array("present", np.uint8, 3, 40) == 0)
    assert {(layer, ids[row]) for layer, row in absent.tolist()} == {(1, "3"), (1, "5")}
    known = [layer.coordinates[np.isfinite(layer.coordinates).all(1)] for layer in made.values()]
    widest = np.ptp(np.concatenate(known), axis=0).max()
    assert page.head["frame"]["scale"] == pytest.approx(1.04 * widest)


def test_one_is_one(visit, tmp_path):
    """One layer of one sample: said so, and there is nothing to go through."""
    page = visit(layers_of(1, names=("a",)).save(tmp_path / "page.html"))
    assert page.page.locator("h1").inner_text() == "layerlens: 1 layer, 1 sample"
    for name in ("Play", "layer before", "next layer"):
        assert page.page.get_by_role("button", name=name, exact=True).is_disabled(), name
    assert page.page.get_by_role("slider").is_disabled()
    page.press("ArrowRight", "n", "Enter", "v", "g", "g", "t", "Escape", "Space")
    page.set(pick=0, by="stress", names=True)
    quiet(page)


def test_a_layer_draws_the_rows_that_it_has(visit, tmp_path):
    rows = [None, np.array([4, 9, 20]), None]
    neighbors = [np.tile(np.arange(1, 9), (40, 1)), np.array([[1], [2], [0]]), None]
    path = layers_of(40, rows=rows, neighbors=[
        None if near is None else near.astype(np.int32) for near in neighbors
    ]).save(tmp_path / "page.html")  # fmt: skip
    page = visit(path)
    decoded = Page(path.read_text(encoding="utf-8"))
    page.set(t=1)
    shown = page.page.evaluate(
        """() => { const { view } = document.getElementById('layerlens');
            return [...view.state.selection.keys()].filter((row) => view.screen(row).shown); }"""
    )
    ids = decoded.column("id")
    assert {ids[row] for row in shown} == {"4", "9", "20"}
    page.set(pick=ids.index("9"))
    near = page.page.locator(".ll-detail li button").evaluate_all(
        "(nodes) => nodes.map((node) => node.title)"
    )
    assert [title.partition(":")[0] for title in near] == ["20"]
    page.set(pick=ids.index("7"))
    assert "no value of this point" in page.page.locator(".ll-detail").inner_text()
    page.press("ArrowRight", "ArrowLeft", "Home", "End", "g")
    quiet(page)


def test_what_a_layer_lacks_is_not_shown_as_nothing(visit, tmp_path):
    stress = [np.full(40, 0.5, dtype=np.float32), None, np.zeros(40, dtype=np.float32)]
    path = layers_of(40, stress=stress).save(tmp_path / "page.html")
    page = visit(path)
    page.set(pick=3, by="stress")

    def seen(layer):
        page.set(t=layer)
        color = page.page.evaluate("document.getElementById('layerlens').view.color(3)")
        return page.page.locator(".ll-detail").inner_text(), tuple(color)

    (half, _), (unknown, grey), (none, least) = map(seen, range(3))
    assert "hides 50 %" in half and "hides 0 %" in none and "hides" not in unknown
    assert grey != least


def test_three_dimensions_are_turned_by_hand(visit, tmp_path):
    path = layers_of(60, n_components=3).save(tmp_path / "page.html")
    page = visit(path)
    left, top, width, height = page.cloud()
    where = """() => { const { view } = document.getElementById('layerlens');
        return [...view.state.selection.keys()].map((row) => view.screen(row))
            .map(({ x, y }) => [x, y]); }"""
    before = np.array(page.page.evaluate(where))
    decoded = Page(path.read_text(encoding="utf-8")).coordinates()[0]
    # before it is turned: x to the right, y up, and what is seen is linear in the coordinates
    for axis, sign in ((0, 1), (1, -1)):
        assert np.corrcoef(before[:, axis], sign * decoded[:, axis])[0, 1] > 0.999
    page.page.mouse.move(left + width / 2, top + height / 2)
    page.page.mouse.down()
    page.page.mouse.move(left + width / 2 + 150, top + height / 2 + 40, steps=5)
    page.page.mouse.up()
    page.painted()
    after = np.array(page.page.evaluate(where))
    assert np.abs(after - before).max() > 20
    # a turn: what is seen is a projection of the same cloud, of no greater spread than it has
    matrix, rest, _, _ = np.linalg.lstsq(np.column_stack([decoded, np.ones(60)]), after, rcond=None)
    scale = np.linalg.norm(
        np.linalg.lstsq(np.column_stack([decoded, np.ones(60)]), before, rcond=None)[0][0]
    )
    turn = matrix[:3] / scale
    assert np.allclose(turn.T @ turn, np.eye(2), atol=0.02) and rest.max() < 1
    quiet(page)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_points_are_no_trouble(visit, tmp_path, n):
    page = visit(layers_of(n).save(tmp_path / "page.html"))
    page.press("End", "n", "l", "Escape", "v", "g", "g", "t", "Escape", "m")
    quiet(page)


def test_one_layer_of_dots_is_no_trouble(visit, tmp_path):
    run = ll.RunInfo(layers={"x": ll.LayerInfo("x")}, ids=np.arange(9))
    dot = ll.LayerEmbedding("x", 0, np.zeros((9, 2), dtype=np.float32), run)
    page = visit(ll.Embeddings([dot]).save(tmp_path / "page.html"))
    page.press("Space", "ArrowRight", "n", "v", "t", "Escape")
    assert page.state()["t"] == 0
    quiet(page)


def test_clusters_colour_each_layer_by_its_own(visit, tmp_path):
    clusters = [np.arange(40) % 2, np.arange(40) % 5, None]
    page = visit(layers_of(40, clusters=clusters).save(tmp_path / "page.html"))
    page.set(by="clusters")
    for layer, count in ((0, 2), (1, 5)):
        page.set(t=layer)
        assert len(legend_colors(page)) == count
    quiet(page)


def test_a_thousand_classes_are_listed_in_part(visit, tmp_path):
    n = 3000
    run = ll.RunInfo(
        layers={"x": ll.LayerInfo("x")}, ids=np.arange(n), labels=np.arange(n) % 1000,
        label_names=tuple(f"class {i}" for i in range(1000)),
    )  # fmt: skip
    places = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    path = ll.Embeddings([ll.LayerEmbedding("x", 0, places, run)]).save(tmp_path / "page.html")
    page = visit(path)
    assert "880 more" in page.page.locator(".ll-legend").inner_text()
    page.page.get_by_role("searchbox").fill("class 777")
    page.painted()
    decoded = Page(path.read_text(encoding="utf-8"))
    chosen = [decoded.column("label")[row] for row in page.state()["selection"]]
    assert set(chosen) == {"class 777"} and len(chosen) == 3
    quiet(page)
