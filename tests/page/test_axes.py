"""Pages of two axes, and of two models: the second slider, and the heat map of all pairs."""

# ruff: noqa: E501 -- lines of the viewer, which are as long as they are

import json

import numpy as np
import pytest
from tests.page import checks
from tests.page.browsing import mutated
from tests.page.decoding import Page

import layerlens as ll

STEPS = (0, 10, 200)
LAYERS = ("a", "b", "c", "d")
LACKING = ("c", 10)  # not recorded at this step
N = 120
VIEW = "document.getElementById('layerlens').view"


def timeline():
    """Four layers at three steps, but for one of them at one."""
    rng = np.random.default_rng(0)
    names = {
        f"{layer}@{step}": ll.LayerInfo(f"{layer}@{step}", "Linear", 8, 8, (8,), step=step)
        for step in STEPS for layer in LAYERS if (layer, step) != LACKING
    }  # fmt: skip
    run = ll.RunInfo(layers=names, ids=np.arange(N), labels=np.arange(N) % 3)
    return ll.Embeddings(
        ll.LayerEmbedding(
            name, i, rng.normal(size=(N, 2)).astype(np.float32), run, reducer="pca",
            neighbors=np.argsort(rng.normal(size=(N, N)), axis=1)[:, :8].astype(np.int32),
            stress=rng.uniform(size=N).astype(np.float32),
            metrics={"trustworthiness": 0.5 + i / 40, "motion_step": 0.3, "motion_previous": 0.2},
        )
        for i, name in enumerate(names)
    )  # fmt: skip


def models():
    """Three layers of one beside two of another, and their figures."""
    rng = np.random.default_rng(1)
    first = {name: rng.normal(size=(N, 6)) for name in ("x", "y")}
    first["dot"] = np.zeros((N, 3))
    second = {"u": 2 * first["x"], "v": first["y"] + rng.normal(size=(N, 6))}
    seen = ll.compare(first, second, names=("one", "two"))
    return ll.reduce(seen.together(), "pca", metrics=False), seen


@pytest.fixture(scope="module", name="steps_file")
def steps_file_fixture(tmp_path_factory):
    return timeline().save(tmp_path_factory.mktemp("axes") / "steps.html")


@pytest.fixture(scope="module", name="pair")
def pair_fixture(tmp_path_factory):
    embeddings, seen = models()
    return embeddings.save(tmp_path_factory.mktemp("axes") / "pair.html"), seen


def where(page):
    t, u, name = page.page.evaluate(
        f"(() => {{ const {{ state }} = {VIEW}; return [state.t, state.u, "
        "document.querySelector('.ll-caption h2').innerText]; })()"
    )
    return t, u, name


def screen(page):
    """Where the page says that its points are, in pixels of the cloud; NaN for those not shown."""
    told = page.page.evaluate(
        f"[...{VIEW}.state.selection.keys()].map((row) => {VIEW}.screen(row))"
    )
    return np.array([[one["x"], one["y"]] if one["shown"] else [np.nan] * 2 for one in told])


def recorded(path):
    """The page's coordinates by layer and step, from the file itself."""
    page = Page(path.read_text(encoding="utf-8"))
    q = page.array("positions", "<u2", page.n_layers, page.n, 2).astype(float) / 65535
    return {layer["name"]: q[i] for i, layer in enumerate(page.head["layers"])}


def glide_goes_along_both_axes(visit, path):
    """A point is between its places at two steps, and between two layers of both."""
    page = visit(path)
    q = recorded(path)
    camera = page.state()["camera"]
    for t, u, weights in (
        (1, 1.25, {"b@10": 0.75, "b@200": 0.25}),
        (0.5, 0.25, {"a@0": 0.375, "b@0": 0.375, "a@10": 0.125, "b@10": 0.125}),
        (3, 2, {"d@200": 1}),
    ):
        page.set(t=t, u=u)
        wanted = sum(weight * q[name] for name, weight in weights.items())
        off = np.abs(screen(page) - (wanted * camera["k"] + [camera["x"], camera["y"]])).max()
        assert off < 0.1, f"at layer {t} and step {u} a point is {off:.1f} pixels off"


def a_glide_is_even_where_the_view_is_aligned(visit, path):
    """The selection stays where it was when it was aligned, in all layers of all steps."""
    page = visit(path)
    q = recorded(path)
    camera = page.state()["camera"]
    chosen, reference = np.arange(0, N, 7), q["b@10"]
    page.set(t=1, u=1, selection=chosen.tolist())
    page.page.get_by_role("button", name="Align view", exact=True).click()

    def aligned(name):
        """Turned and shifted as Kabsch does it, by the singular vectors of the covariance."""
        middle, goal = (places[chosen].mean(0) for places in (q[name], reference))
        u, _, v = np.linalg.svd((q[name][chosen] - middle).T @ (reference[chosen] - goal))
        turn = u @ np.diag([1, np.linalg.det(u @ v)]) @ v
        return (q[name] - middle) @ turn + goal

    for t, u, weights in (
        (1, 1, {"b@10": 1}),
        (1, 1.375, {"b@10": 0.625, "b@200": 0.375}),
        (1, 1.625, {"b@10": 0.375, "b@200": 0.625}),
        (0.5, 0.75, {"a@0": 0.125, "b@0": 0.125, "a@10": 0.375, "b@10": 0.375}),
        (3, 0, {"d@0": 1}),
    ):
        page.set(t=t, u=u)
        wanted = sum(weight * aligned(name) for name, weight in weights.items())
        off = np.abs(screen(page) - (wanted * camera["k"] + [camera["x"], camera["y"]])).max()
        assert off < 0.1, f"at layer {t} and step {u} a point is {off:.1f} pixels off"


def arrows_go_up_and_down_the_steps(visit, path):
    """The layer stays; what the page says and shows is the step's; the address restores it."""
    page = visit(path)
    heard = (
        f"(() => {{ window.heard = []; {VIEW}.on('layer', () => heard.push(location.hash)); }})()"
    )
    page.page.evaluate(heard)
    page.press("ArrowRight", "ArrowUp", "ArrowUp")
    page.until(f"{VIEW}.state.u === 2 && {VIEW}.state.t === 1")
    page.page.wait_for_timeout(500)
    assert where(page) == (1, 2, "b, step 200")
    assert page.page.locator(".ll-live").inner_text().startswith("Layer 2 of 4, b@200:")
    layers, steps = page.page.get_by_role("slider").all()
    assert steps.get_attribute("aria-label") == "Training steps"
    assert steps.get_attribute("aria-valuetext") == "3 of 3, b@200"
    assert layers.get_attribute("aria-valuetext") == "2 of 4, b@200"
    figure = page.page.locator("dl", has_text="trustworthy").locator("dd").first.inner_text()
    decoded = Page(path.read_text(encoding="utf-8"))
    [about] = [layer for layer in decoded.head["layers"] if layer["name"] == "b@200"]
    assert float(figure) == pytest.approx(about["metrics"]["trustworthiness"], abs=0.005)
    assert page.page.evaluate("heard.length") == 3
    address = page.page.evaluate("location.hash")
    again = visit(path, fragment=address)
    assert where(again) == (1, 2, "b, step 200")
    again.press("ArrowDown")
    again.until(f"{VIEW}.state.u === 1")
    assert where(again)[:2] == (1, 1)
    again.set(layer="d@0")
    assert where(again) == (3, 0, "d, step 0")
    # on the slider of the steps all arrows are the steps'
    again.page.get_by_role("slider").nth(1).focus()
    again.press("ArrowRight", "End", "ArrowLeft")
    again.until(f"{VIEW}.state.u === 1")
    assert where(again)[0] == 3


def neighbours_are_those_of_the_step(visit, path):
    page = visit(path)
    embeddings = timeline()
    ids = Page(path.read_text(encoding="utf-8")).column("id")
    page.set(pick=ids.index("7"))
    for u, name in ((0, "a@0"), (1, "a@10"), (2, "a@200")):
        page.set(u=u)
        near = page.page.locator(".ll-detail li button").evaluate_all(
            "(nodes) => nodes.map((node) => node.title.split(':')[0])"
        )
        assert near == [str(i) for i in embeddings[name].neighbors[7]], name


def most_move_to_the_next_step(visit, path):
    """By step as well as by layer, of the layer and the step that are shown."""
    page = visit(path)
    page.set(t=1, u=1)
    q = recorded(path)
    for button, names in (
        ("Move most, by step", ("b@10", "b@200")), ("Move most", ("a@200", "b@200")),
    ):  # fmt: skip
        if button == "Move most":
            page.set(t=0, u=2)
        page.page.locator("summary", has_text="Find").click()
        page.page.get_by_role("button", name=button, exact=True).click()
        moved = ((q[names[0]] - q[names[1]]) ** 2).sum(1)
        assert set(page.state()["selection"]) == set(np.argsort(-moved)[:30].tolist()), button


def a_layer_that_a_step_lacks_is_empty(visit, path):
    """And says so; the others are there."""
    page = visit(path)
    page.set(t=2, u=0)
    assert np.isfinite(screen(page)).all()
    page.set(u=1, pick=3)
    assert np.isnan(screen(page)).all()
    assert "not recorded at this step" in page.page.locator(".ll-caption").inner_text()
    assert "no value of this point" in page.page.locator(".ll-detail").inner_text()
    page.press("ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "g", "t", "Escape", "n", "c")
    page.set(by="stress")
    checks.quiet(page)


def the_grid_has_all_layers_of_all_steps(visit, path):
    page = visit(path)
    page.press("g")
    cells = page.page.get_by_role("group", name="Layers, side by side").first.get_by_role("button")
    names = [f"{layer}, step {step}" for step in STEPS for layer in LAYERS]
    assert cells.all_inner_texts() == names
    boxes = [cell.bounding_box() for cell in cells.all()]
    assert len({round(box["x"]) for box in boxes}) == 4, "a column a layer"
    assert len({round(box["y"]) for box in boxes}) == 3, "a row a step"
    colours = cells.locator("canvas").evaluate_all("""(all) => all.map((canvas) => new Set(
        new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
            .data.buffer)).size)""")
    assert [n > 3 for n in colours] == [name != "c, step 10" for name in names]
    cells.nth(7).click()
    page.until(f"{VIEW}.state.u === 1 && {VIEW}.state.t === 3")
    assert where(page)[2] == "d, step 10"


def space_plays_what_was_used_last(visit, path):
    page = visit(path)
    page.press("Space")
    page.until(f"{VIEW}.state.t === 1")
    page.press("Space")
    assert where(page)[:2] == (1, 0) and not page.state()["playing"]
    page.press("ArrowUp", "ArrowDown", "Space")
    page.until(f"{VIEW}.state.u === 1", seconds=1)
    page.press("Space")
    assert where(page)[:2] == (1, 1) and not page.state()["playing"]


OF_STEPS = {
    glide_goes_along_both_axes: [
        ("the wrong way", (": p + (q - p) * f;", ": q + (p - q) * f;")),
        ("from the first", ("...rows[i].parts }", "...rows[0].parts }")),
    ],
    a_glide_is_even_where_the_view_is_aligned: [
        ("to every step anew", ("store.on('align', realign);", "store.on('align step', realign);")),
        ("this step alone", ("parts.maps = whole.maps && cells.map((each) => whole.maps?.[each] ?? identity(C));", "parts.maps = null;")),
    ],
    arrows_go_up_and_down_the_steps: [
        ("steps of two", ("later: () => axis.go(goal + 1)", "later: () => axis.go(goal + 2)")),
        ("the address has no step", ("view.toStepOf?.(value);", "")),
        ("figures of the first step", ("store.on('t step', follow);\nstore.on('step', redraw);", "store.on('t', follow);")),
        ("keys of the layers", ("event.stopPropagation(); // elsewhere these are of the layers", "")),
    ],
    neighbours_are_those_of_the_step: [
        ("the first step's", ("Object.assign(full, rows[s].parts);", "Object.assign(full, { ...rows[s].parts, neighbors: rows[0].parts.neighbors });")),
    ],
    most_move_to_the_next_step: [
        ("from the first step", ("const from = Math.max(0, Math.min(step(), last - 1));", "const from = 0;")),
    ],
    a_layer_that_a_step_lacks_is_empty: [
        ("drawn in a corner", ("present: part(there, n, 0)", "present: part(full.present, n, 0)")),
    ],
    the_grid_has_all_layers_of_all_steps: [
        ("one step", ("createMultiples(view.all ?? view, false)", "createMultiples(view, false)")),
    ],
    space_plays_what_was_used_last: [
        ("always the layers", ("view.play = (on) => (leads ? axis.play : play)(on);", "view.play = (on) => play(on);")),
    ],
}  # fmt: skip


def cells_of(page):
    return page.page.get_by_role("gridcell")


def the_map_has_the_figures(visit, path, seen):
    """Every cell is as full as its figure, and says both figures."""
    page = visit(path)
    for button, values, low in (
        ("Linear CKA", seen.cka, 0), ("Neighbours", seen.overlap, seen.chance),
    ):  # fmt: skip
        page.page.get_by_role("button", name=button, exact=True).click()
        full = cells_of(page).evaluate_all("(n) => n.map((e) => +e.getAttribute('fill-opacity'))")
        wanted = np.clip((values.ravel() - low) / (1 - low), 0, 1)
        assert np.allclose(full, np.nan_to_num(wanted), atol=1e-3), button
    told = cells_of(page).evaluate_all("(n) => n.map((e) => e.getAttribute('aria-label'))")
    assert len(told) == seen.cka.size
    for label, (i, j) in zip(told, np.ndindex(*seen.shape), strict=True):
        assert label.startswith(f"{seen.layers[0][i]} of one and {seen.layers[1][j]} of two: ")
        if np.isnan(seen.cka[i, j]):
            assert "no CKA" in label
        else:
            assert f"linear CKA {seen.cka[i, j]:.3f}" in label
            assert f"{100 * seen.overlap[i, j]:.0f} % of neighbours shared" in label
    cells_of(page).nth(3).hover()
    assert "y of one and v of two" in page.page.locator("aside").inner_text()
    page.page.get_by_role("button", name="Table", exact=True).click()
    rows = page.page.get_by_role("dialog").get_by_role("row").all_inner_texts()
    assert len(rows) == 4 and f"{seen.cka[1, 1]:.3f}" in rows[2]


def a_pair_is_shown_side_by_side(visit, path, seen):
    """Reached by keys; both layers' points are drawn where they are; a click leads to one."""
    page = visit(path)
    cells_of(page).first.focus()
    page.press("ArrowDown", "ArrowRight", "Enter")
    group = page.page.get_by_role("group", name="A pair of layers")
    assert group.get_by_role("button").all_inner_texts() == ["Back", "y, one", "v, two"]
    assert f"linear CKA {seen.cka[1, 1]:.3f}" in group.inner_text()
    assert not page.page.locator(".ll-stage").is_visible()
    page.page.wait_for_timeout(150)
    q = recorded(path)
    for canvas, name in zip(group.locator("canvas").all(), ("y@one", "v@two"), strict=True):
        drawn = canvas.evaluate(
            """(c, places) => { const { width: w, height: h } = c; const k = Math.min(w, h) * 0.94;
            const all = new Uint32Array(c.getContext('2d').getImageData(0, 0, w, h).data.buffer);
            return places.filter(([u, v]) => all[Math.floor(v * k + (h - k) / 2) * w
                + Math.floor(u * k + (w - k) / 2)] !== all[0]).length; }""",
            q[name].tolist(),
        )
        assert drawn == N, name
    box = group.locator("canvas").nth(1).bounding_box()
    side = 0.94 * min(box["width"], box["height"])
    u, v = q["v@two"][5]
    page.page.mouse.move(
        box["x"] + (box["width"] - side) / 2 + u * side,
        box["y"] + (box["height"] - side) / 2 + v * side,
    )
    hover = page.state()["hover"]
    assert hover >= 0 and np.abs(q["v@two"][hover] - q["v@two"][5]).max() < 1e-3
    group.get_by_role("button", name="v, two").click()
    names = [*q]
    page.settled(names.index("v@two"))
    assert page.page.locator(".ll-stage").is_visible() and not group.is_visible()
    checks.quiet(page)


OF_MODELS = {
    the_map_has_the_figures: [
        ("another figure", ("const likeness = alike.cka[i][j]", "const likeness = alike.overlap[i][j]")),
        ("all the same", ("'fill-opacity': share ?? 0", "'fill-opacity': 0.5")),
        ("chance is not white", ("alike.overlap, chance],", "alike.overlap, 0],")),
        ("nothing to read", ("onpointerenter: () => read(i, j), ", "")),
    ],
    a_pair_is_shown_side_by_side: [
        ("twice the first", ("placesOnce: (s) => whole.placesOnce(pair[s])", "placesOnce: () => whole.placesOnce(pair[0])")),
        ("no way back", ("box.remove();", "")),
    ],
}  # fmt: skip


def bugs(of):
    return [
        pytest.param(check, changes, id=f"{check.__name__}, {name}")
        for check, planted in of.items()
        for name, *changes in planted
    ]


@pytest.mark.parametrize("check", OF_STEPS)
def test_it_holds_of_steps(check, visit, steps_file):
    check(visit, steps_file)


@pytest.mark.parametrize(("check", "changes"), bugs(OF_STEPS))
def test_a_planted_bug_of_steps_is_noticed(check, changes, visit, steps_file, tmp_path):
    path = mutated(steps_file, tmp_path / "planted.html", *changes)
    with pytest.raises(AssertionError) as caught:
        check(visit, path)
    assert "plant the bug elsewhere" not in str(caught.value)


@pytest.mark.parametrize("check", OF_MODELS)
def test_it_holds_of_two_models(check, visit, pair):
    check(visit, *pair)


@pytest.mark.parametrize(("check", "changes"), bugs(OF_MODELS))
def test_a_planted_bug_of_two_models_is_noticed(check, changes, visit, pair, tmp_path):
    path, seen = pair
    with pytest.raises(AssertionError) as caught:
        check(visit, mutated(path, tmp_path / "planted.html", *changes), seen)
    assert "plant the bug elsewhere" not in str(caught.value)


@pytest.mark.parametrize("which", ["steps", "models"])
def test_both_keep_to_what_holds_of_every_page(which, visit, steps_file, pair, six):
    path = steps_file if which == "steps" else pair[0]
    if which == "steps":
        checks.asks_for_nothing_and_says_nothing(visit, path, six)
    else:
        checks.keys_reach_everything_and_focus_is_seen(visit, path, six)
    page = visit(path, width=390, height=844)
    inner = page.page.evaluate("document.querySelector('.ll').scrollWidth")
    assert inner <= 390, f"the page is {inner} pixels wide on a telephone"


def test_two_models_of_the_same_layers_have_a_slider_between_them(visit, tmp_path):
    rng = np.random.default_rng(0)
    sides = [{name: rng.normal(size=(40, 5)) for name in ("x", "y", "z")} for _ in range(2)]
    seen = ll.compare(*sides, names=("one", "two"))
    page = visit(ll.reduce(seen.together(), "pca").save(tmp_path / "page.html"))
    cells_of(page).nth(5).click()  # y of one, z of two
    page.page.wait_for_timeout(200)
    group = page.page.get_by_role("group", name="A pair of layers")
    group.get_by_role("button", name="z, two").click()
    page.until(f"{VIEW}.state.t === 2 && {VIEW}.state.u === 1")
    assert where(page)[2] == "z, two"
    assert page.page.get_by_role("slider").nth(1).get_attribute("aria-label") == "Models"
    page.press("ArrowDown", "?")
    assert "next model" in page.page.get_by_role("dialog").inner_text()
    checks.quiet(page)


def test_hostile_names_are_only_shown(visit, tmp_path):
    names = ("</script><script>window.pwned=1</script>", '"><img src=x onerror=window.pwned=2>')
    sides = [
        {name: np.random.default_rng(i).normal(size=(30, 4)) for name in names} for i in (0, 1)
    ]
    seen = ll.compare(*sides, names=("<b>one</b>", "two\u202e"))
    page = visit(ll.reduce(seen.together(), "pca").save(tmp_path / "page.html"))
    cells_of(page).first.hover()
    page.page.get_by_role("button", name="Table", exact=True).click()
    page.press("Escape", "g", "g", "ArrowUp")
    assert page.page.evaluate("window.pwned === undefined && !document.querySelector('b b, img')")
    assert "\u202e" not in page.page.locator("aside").inner_text()
    checks.quiet(page)


def test_the_widget_goes_by_layers_and_steps():
    pytest.importorskip("anywidget", reason='the widget needs the extra "notebook"')
    view = timeline().show()
    view.layer = "b@10"
    assert view.get_state()["layer"] == "b@10"
    view.set_state({"layer": "d@200"})
    assert view.layer == "d@200"
    view.set_state({"layer": "c@10"})  # the page has a place for it, the run no such layer
    assert view.layer == "d@200"
    assert json.dumps(view.get_state()["head"]["steps"]["names"]) == '["0", "10", "200"]'
    assert ".steps=" in view.get_state()["_esm"]
