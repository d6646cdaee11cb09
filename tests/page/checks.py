"""What must hold of a page in a browser. Each is shown to fail on a planted bug.

A check takes ``visit``, which opens files, the file, and what is known of the result; it raises an
AssertionError. The bugs are in `planted`.
"""

import csv
import io
import re

import numpy as np
from tests.page.decoding import Page

# of what Chromium says about a page that Chromium itself, not the page, is the cause
NOT_OURS = re.compile(r"GL Driver Message|GPU stall|WebGL.*(deprecated|fallback)")


def quiet(visit):
    """Neither a request, but for the file itself, nor a word on the console."""
    address = visit.address.partition("#")[0]
    others = [
        url for url in visit.requests if url != address and not url.startswith(("blob:", "data:"))
    ]
    assert not others, f"the page asks for {others}"
    said = [text for text in visit.said if not NOT_OURS.search(text)]
    assert not said, f"the console says {said}"


def rows_by_id(page):
    return {name: row for row, name in enumerate(page.column("id"))}


def asks_for_nothing_and_says_nothing(visit, path, six):
    """From a file, without a network: no request, no message, whatever one does."""
    with_motion = visit(path, reduced_motion="no-preference")
    with_motion.press("Space")
    with_motion.page.wait_for_timeout(500)
    with_motion.press("Space", "Home")
    quiet(with_motion)
    page = visit(path)
    left, top, width, height = page.cloud()
    x, y = left + width / 2, top + height / 2
    page.page.mouse.move(x, y)
    page.page.mouse.click(x, y)
    page.page.mouse.wheel(0, -300)
    page.press("ArrowRight", "l")
    page.page.mouse.move(left + 200, top + 120)
    page.page.mouse.down()
    for u, v in ((500, 140), (480, 400), (210, 380)):
        page.page.mouse.move(left + u, top + v, steps=4)
    page.page.mouse.up()
    page.press("i", "c", "c", "v", "x", "g", "g", "d", "m", "n", "u", "f", "+", "-", "End")
    for key in ("?", "t"):
        page.press(key, "Escape")
    page.page.get_by_role("searchbox").fill("Bruges")
    for name in ("Find", "Show", "Save"):
        page.page.locator("summary", has_text=name).click()
    page.page.set_viewport_size({"width": 500, "height": 700})
    page.painted()
    quiet(page)


def two_loads_give_the_same_pixels(visit, path, six):
    """The reference renderer is exact."""
    drawn = []
    for _ in range(2):
        page = visit(path)
        page.set(t=2.5, selection=[3, 5, 80], pick=7)
        drawn.append(page.picture())
        assert page.page.evaluate("document.getElementById('layerlens').view.renderer") == "raster"
    assert len(drawn[0]) > 5000 and drawn[0] == drawn[1]


def between_layers_a_point_is_at_the_blend(visit, path, six):
    """At t = 4.25 a point is at 75 % of one and 25 % of the other, and is seen there."""
    page = visit(path)
    page.set(t=4.25)
    wanted = page.places(4.25)
    left, top, _, _ = page.cloud()
    told = page.page.evaluate(
        """() => { const { view } = document.getElementById('layerlens');
            return [...view.state.selection.keys()].map((row) => view.screen(row)); }"""
    )
    told = np.array([[p["x"] + left, p["y"] + top] for p in told])
    assert np.abs(told - wanted).max() < 0.05
    moved = np.hypot(*(page.places(4) - page.places(5)).T)
    rows = [row for row in page.lonely(t=4.25) if moved[row] > 12]
    assert len(rows) >= 8, "too few points stand alone to be looked at"
    decoded = Page(path.read_text(encoding="utf-8"))
    legend = legend_colors(page)
    pixels = page.pixels()
    for row in rows:
        x, y = np.floor(wanted[row]).astype(int)
        near = pixels[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).astype(int)
        color = legend[decoded.column("label")[row]]
        off = np.abs(near - color).sum(1).min()
        assert off <= 12, f"row {row} at {x}, {y} is to have {color}, there is {near.tolist()}"


def legend_colors(page):
    """What colour the legend says that each class has."""
    found = page.page.locator(".ll-legend li button").evaluate_all(
        """(keys) => keys.map((key) => [key.querySelector('bdi').textContent,
            getComputedStyle(key.querySelector('svg > *')).fill])"""
    )
    return {text: np.array(re.findall(r"\d+", fill)[:3], dtype=int) for text, fill in found}


def colours_are_those_of_the_legend(visit, path, six):
    """In every layer, and when they mean something else."""
    page = visit(path)
    decoded = Page(path.read_text(encoding="utf-8"))
    for by in ("label", "prediction", "correct"):
        page.set(by=by, t=5)
        legend = legend_colors(page)
        values = decoded.column(by)
        assert set(values) <= set(legend), f"the legend of {by} has {set(legend)}"
        pixels, places = page.pixels(), page.places()
        for row in page.lonely()[:60]:
            x, y = np.floor(places[row]).astype(int)
            near = pixels[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).astype(int)
            color = legend[values[row]]
            off = np.abs(near - color).sum(1).min()
            assert off <= 12, f"row {row} at {x}, {y} is {color} in {by}, there is {near.tolist()}"


def inside(polygon, places):
    """Which places lie in a polygon, by the angle that its corners turn through around them."""
    around = polygon[None] - places[:, None]
    angle = np.arctan2(around[..., 1], around[..., 0])
    turn = np.diff(np.concatenate([angle, angle[:, :1]], axis=1), axis=1)
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    return np.abs(turn.sum(1)) > np.pi


def edge_distance(polygon, places):
    a, b = polygon, np.roll(polygon, -1, axis=0)
    along = ((places[:, None] - a) * (b - a)).sum(2) / np.maximum(((b - a) ** 2).sum(1), 1e-12)
    nearest = a + np.clip(along, 0, 1)[..., None] * (b - a)
    return np.hypot(*(places[:, None] - nearest).transpose(2, 0, 1)).min(1)


def the_lasso_selects_what_it_goes_round(visit, path, six):
    """By an independent point-in-polygon, and it stays through every layer."""
    page = visit(path)
    page.set(t=3)
    left, top, width, height = page.cloud()
    # not convex: a box round it would hold other points
    corners = [(0.35, 0.2), (0.62, 0.25), (0.6, 0.8), (0.5, 0.4), (0.38, 0.75)]
    polygon = np.round([[left + u * width, top + v * height] for u, v in corners])
    page.press("l")
    mouse = page.page.mouse
    mouse.move(*polygon[0])
    mouse.down()
    for corner in polygon[1:]:
        mouse.move(*corner, steps=6)
    mouse.up()
    page.painted()
    places = page.places()
    wanted = inside(polygon, places)
    clear = edge_distance(polygon, places) > 1
    selected = np.zeros(len(places), dtype=bool)
    selected[page.state()["selection"]] = True
    assert 10 < wanted.sum() < 300
    box = ((places > polygon.min(0)) & (places < polygon.max(0))).all(1)
    assert (box & ~wanted & clear).sum() > 5
    assert (selected == wanted)[clear].all()
    # what the column says of it: a bar a class, and a square a pair of layers
    column = page.page.get_by_role("region", name="Selection")
    labels = np.array(Page(path.read_text(encoding="utf-8")).column("label"))[selected]
    said = [row.split() for row in column.locator("li").all_inner_texts()]
    assert sorted(said) == sorted([name, str((labels == name).sum())] for name in {*labels})
    alike = column.get_by_role("img", name="How alike layers arrange the selection")
    assert alike.locator("rect").count() == 36
    chosen = page.state()["selection"]
    page.press("Home")
    for layer in range(6):
        page.settled(layer)
        assert page.state()["selection"] == chosen
        page.press("ArrowRight")


def hover_shows_the_id_and_the_very_pixels(visit, path, six):
    """The card by the pointer: identifier, label, and the thumbnail as it was given."""
    page = visit(path)
    page.set(t=5)
    decoded = Page(path.read_text(encoding="utf-8"))
    ids, labels = decoded.column("id"), decoded.column("label")
    number = {name: sample for sample, name in enumerate(six.embeddings.ids)}
    for row in page.lonely()[:6]:
        page.page.mouse.move(*page.places()[row])
        page.painted()
        assert page.state()["hover"] == row
        tip = page.page.locator(".ll-tip")
        assert tip.is_visible()
        text = tip.inner_text()
        assert ids[row] in text and labels[row] in text
        shown = tip.locator("canvas").evaluate(
            """(canvas) => [canvas.width, canvas.height, ...canvas.getContext('2d')
                .getImageData(0, 0, canvas.width, canvas.height).data]"""
        )
        width, height, *values = shown
        given = six.thumbnails[number[ids[row]]]
        pixels = np.array(values).reshape(height, width, 4)[..., :3]
        assert (pixels == given).all(), f"the thumbnail of {ids[row]} is another"


def neighbours_are_those_of_the_layer(visit, path, six):
    """The detail of a point lists its native neighbours, by NumPy, at the layer that is shown."""
    page = visit(path)
    decoded = Page(path.read_text(encoding="utf-8"))
    ids = decoded.column("id")
    number = {name: sample for sample, name in enumerate(six.embeddings.ids)}
    listed = {}
    row = int(page.lonely()[0])
    page.page.mouse.click(*page.places()[row])
    page.painted()
    for layer in (0, 3, 5):
        page.set(t=layer)
        titles = page.page.locator(".ll-detail li button").evaluate_all(
            "(nodes) => nodes.map((node) => node.title)"
        )
        listed[layer] = [title.partition(":")[0] for title in titles]
        native = six.native[layer]
        sample = number[ids[row]]
        distance = np.linalg.norm(native - native[sample], axis=1)
        distance[sample] = np.inf
        wanted = [six.embeddings.ids[i] for i in np.argsort(distance)[:8]]
        assert listed[layer] == wanted, f"layer {layer}: {listed[layer]} for {wanted}"
    assert listed[0] != listed[3] != listed[5]


def the_address_restores_the_view(visit, path, six):
    """Layer, colour, selection and pick are those that were there when the link was copied."""
    page = visit(path)
    row = int(page.lonely()[1])
    page.page.mouse.click(*page.places()[row])
    page.page.get_by_role("searchbox").fill("prediction=Bruges")
    page.page.locator(".ll-by select").select_option(label="prediction")
    page.page.locator(".ll-over").focus()
    page.press("ArrowRight", "ArrowRight")
    page.settled(2)
    page.page.wait_for_timeout(400)
    before = page.state()
    decoded = Page(path.read_text(encoding="utf-8"))
    bruges = [r for r, name in enumerate(decoded.column("prediction")) if name == "Bruges"]
    assert before["pick"] == row and before["selection"] == bruges
    address = page.page.evaluate("location.href")
    assert "#" in address
    after = visit(path, fragment="#" + address.partition("#")[2]).state()
    for name in ("t", "by", "pick", "selection"):
        assert after[name] == before[name], name
    # more than 200 are a bitmap
    page.press("i")
    page.page.wait_for_timeout(400)
    many = page.state()["selection"]
    assert len(many) > 200
    address = page.page.evaluate("location.href")
    assert visit(path, fragment="#" + address.partition("#")[2]).state()["selection"] == many


def two_steps_right_are_layer_three(visit, path, six):
    """And the status line says so, for those who do not see the picture."""
    page = visit(path)
    page.press("ArrowRight", "ArrowRight")
    page.settled(2)
    page.page.wait_for_timeout(300)
    assert page.page.locator(".ll-live").inner_text().startswith("Layer 3 of 6, block2")
    slider = page.page.get_by_role("slider")
    assert "3 of 6" in slider.get_attribute("aria-valuetext")
    assert page.page.locator(".ll-caption h2").inner_text() == "block2"


CONTROLS = {
    "button", "checkbox", "combobox", "link", "listbox", "menuitem", "option", "radio",
    "searchbox", "slider", "spinbutton", "switch", "tab", "textbox", "image", "img", "dialog",
    "DisclosureTriangle",
}  # fmt: skip


def no_control_is_without_a_name(visit, path, six):
    """As Chromium's own accessibility tree has it, with every menu and sheet open."""
    page = visit(path)
    row = int(page.lonely()[0])
    page.page.mouse.click(*page.places()[row])
    page.page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    session = page.context.new_cdp_session(page.page)
    counted = {}
    for key in (None, "?", "Escape", "t"):
        if key:
            page.press(key)
        for node in session.send("Accessibility.getFullAXTree")["nodes"]:
            role = node.get("role", {}).get("value")
            if role in CONTROLS and not node.get("ignored"):
                name = node.get("name", {}).get("value", "").strip()
                assert name, f"a {role} has no name: {node}"
                counted[role] = counted.get(role, 0) + 1
    assert counted["button"] > 20 and counted["slider"] and counted["checkbox"] >= 4
    assert counted["searchbox"] and counted["combobox"] and counted["dialog"]


def keys_reach_everything_and_focus_is_seen(visit, path, six):
    """Tab visits every control, and the one that has the focus looks otherwise than without."""
    page = visit(path)
    names = set()
    for _ in range(60):
        page.page.keyboard.press("Tab")
        found = page.page.evaluate(
            """() => { const e = document.activeElement; if (!e || e === document.body) return null;
                const s = getComputedStyle(e); return [e.tagName + '.' + e.className + ' ' +
                (e.getAttribute('aria-label') ?? e.innerText ?? e.title),
                s.boxShadow !== 'none' ||
                    (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0)];
            }"""
        )
        if found is None:
            break
        name, seen = found
        assert seen, f"{name} has the focus, and nothing shows it"
        names.add(name)
    assert any("Play" in name for name in names) and any("INPUT" in name for name in names)
    assert any("CANVAS" in name for name in names) and len(names) > 15


def saved_table(page):
    page.page.locator("summary", has_text="Save").click()
    with page.page.expect_download() as download:
        page.page.get_by_role("banner").get_by_role("button", name="Table, CSV").click()
    text = download.value.path().read_bytes().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


def no_cell_of_the_table_is_a_formula(visit, path, six):
    """Spreadsheets run what begins with =, +, -, @, tab or return; numbers may be negative."""
    page = visit(path)
    head, *rows = saved_table(page)
    decoded = Page(path.read_text(encoding="utf-8"))
    assert len(rows) == decoded.n
    for row in [head, *rows]:
        for cell in row:
            number = re.fullmatch(r"-?\d+(\.\d+)?(e[-+]?\d+)?", cell)
            assert number or not re.match(r"\s*[=+\-@\t\r]", cell), f"the cell {cell[:40]!r}"
    quiet(page)


def the_table_has_the_selected_points(visit, path, six):
    """Identifiers, columns and places of the rows that are selected, in the page's layer."""
    page = visit(path)
    page.set(t=4, selection=[0, 17, 399])
    head, *rows = saved_table(page)
    decoded = Page(path.read_text(encoding="utf-8"))
    ids = decoded.column("id")
    assert [row[head.index("id")] for row in rows] == [ids[r] for r in (0, 17, 399)]
    assert [row[head.index("label")] for row in rows] == [
        decoded.column("label")[r] for r in (0, 17, 399)
    ]
    shown = decoded.coordinates()[4][[0, 17, 399]]
    told = np.array([[float(row[head.index(axis)]) for axis in "xy"] for row in rows])
    assert np.abs(told - shown).max() < 2 * decoded.head["frame"]["scale"] / 65535


def the_policy_stops_what_is_injected(visit, path, six):
    """Script that came into the file by its own elements does not run."""
    ways = (
        "<script>window.pwned = 1</script>",
        '<script src="data:text/javascript,window.pwned=2"></script>',
        '<script type="module">window.pwned = 3</script>',
        '<img src="data:," onerror="window.pwned = 4">',
        '<svg onload="window.pwned = 5"></svg>',
        '<iframe srcdoc="<script>parent.pwned = 6</script>"></iframe>',
        '<button id="push" onclick="window.pwned = 7">x</button>',
        '<a id="go" href="javascript:void(window.pwned = 8)">x</a>',
        '<object data="data:text/html,<script>parent.pwned=9</script>"></object>',
        '<base href="https://example.org/">',
        '<link rel="stylesheet" href="https://example.org/x.css">',
        '<img src="https://example.org/x.png">',
        "<style>body { --styled: 1 }</style>",
    )
    text = path.read_text(encoding="utf-8")
    injected = path.with_name("injected.html")
    assert text.count("</body>") == 1
    injected.write_text(text.replace("</body>", "".join(ways) + "</body>"), encoding="utf-8")
    page = visit(injected)
    page.page.evaluate("document.getElementById('push').click()")
    page.page.evaluate("document.getElementById('go').click()")
    page.page.wait_for_timeout(300)
    assert page.page.evaluate("window.pwned ?? null") is None
    assert page.page.evaluate("getComputedStyle(document.body).getPropertyValue('--styled')") == ""
    outside = [url for url in page.requests if url.startswith("http")]
    assert set(outside) <= set(page.refused), f"the page asks for {outside}"
    assert sum("Content Security Policy" in said for said in page.said) >= 8


ELEMENTS = set(
    """html head meta link title style body div noscript script main header footer section aside
    nav h1 h2 h3 p span strong small b i em bdi kbd button input select option label details
    summary canvas svg path rect circle line polygon polyline text tspan g ul ol li dl dt dd
    table thead tbody tr th td caption output dialog form fieldset legend datalist progress
    template textarea figure figcaption a hr br""".split()  # noqa: SIM905 -- as they are read
)


def hostile_strings_are_only_shown(visit, path, six):
    """Identifiers, labels, names of layers and columns run nothing and add no element."""
    page = visit(path)
    n = page.page.evaluate("document.getElementById('layerlens').view.state.selection.length")
    columns = Page(path.read_text(encoding="utf-8")).head["columns"]
    for layer in range(8):
        page.set(t=layer, pick=(7 * layer) % n, hover=(5 * layer) % n, selection=[0, 1, layer])
        there = page.page.evaluate(
            "[...new Set([...document.querySelectorAll('*')].map((e) => e.localName))]"
        )
        assert set(there) <= ELEMENTS, f"there are {set(there) - ELEMENTS}"
    for by, column in enumerate(columns):
        if column["kind"] != "text":
            page.set(by=by)
    page.press("v", "x", "g", "g", "t", "Escape", "m", "?", "Escape")
    page.page.get_by_role("searchbox").fill("<img src=x onerror=window.pwned=9>")
    page.page.locator(".ll-over").focus()
    page.press("End", "n")
    attributes = page.page.evaluate(
        """[...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames()
            .filter((name) => name.startsWith('on') || (name === 'href' && e.localName === 'a')))"""
    )
    assert not attributes
    assert page.page.evaluate("window.pwned ?? null") is None
    width = page.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 1280, "a long label widens the page"
    shown = page.page.evaluate("document.body.innerText")
    bidi = [c for c in shown if c in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"]
    assert not bidi, "marks of direction are shown as they came"
    quiet(page)
