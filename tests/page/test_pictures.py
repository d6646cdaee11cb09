"""Every view, light and dark, wide and narrow: looked at by the tests, and kept for the docs.

``LAYERLENS_DEMO=layerlens-demo/lenet.html`` shows the page of the demo in place of a small one, and
``LAYERLENS_PICTURES=docs/pictures`` keeps the pictures there.
"""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from tests.page import planted
from tests.page.browsing import mutated
from tests.page.checks import quiet
from tests.page.decoding import Page

WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 844, "has_touch": True, "device_scale_factor": 2}
MOST_BYTES = 200_000


def misplaced(page):
    """Pick a point that the model gets wrong."""
    page.page.get_by_role("searchbox").fill("correct=wrong")
    page.page.locator(".ll-over").focus()
    page.press("n", "n", "n")


def cloud(page):
    page.press("Home")


def last_layer(page):
    page.press("End")
    misplaced(page)
    page.set(selection=[page.state()["pick"]])


def lasso(page):
    last = Page(page.path.read_text(encoding="utf-8")).n_layers - 1
    page.set(t=last / 2)
    left, top, width, height = page.cloud()
    page.press("l")
    mouse = page.page.mouse
    corners = [(0.3, 0.35), (0.45, 0.2), (0.55, 0.45), (0.4, 0.6), (0.3, 0.45)]
    mouse.move(left + corners[0][0] * width, top + corners[0][1] * height)
    mouse.down()
    for u, v in corners[1:]:
        mouse.move(left + u * width, top + v * height, steps=8)
    mouse.up()
    page.painted()


def grid(page):
    page.press("g")


def images(page):
    page.set(t=2, images=True)


def contours(page):
    page.set(contours=True, names=True)
    page.press("End")


def stress(page):
    page.set(by="stress", t=1)


def table(page):
    page.press("t")


def help_sheet(page):
    page.press("?")


VIEWS = {
    "page-cloud-light": (cloud, WIDE, "light"),
    "page-point-light": (last_layer, WIDE, "light"),
    "page-point-dark": (last_layer, WIDE, "dark"),
    "page-lasso-light": (lasso, WIDE, "light"),
    "page-layers-light": (grid, WIDE, "light"),
    "page-layers-dark": (grid, WIDE, "dark"),
    "page-images-dark": (images, WIDE, "dark"),
    "page-contours-light": (contours, WIDE, "light"),
    "page-stress-light": (stress, WIDE, "light"),
    "page-table-light": (table, WIDE, "light"),
    "page-help-dark": (help_sheet, WIDE, "dark"),
    "page-narrow-light": (cloud, NARROW, "light"),
    "page-narrow-dark": (last_layer, NARROW, "dark"),
}


@pytest.fixture(name="shown_file")
def shown_file_fixture(page_file):
    demo = os.environ.get("LAYERLENS_DEMO")
    return Path(demo) if demo else page_file


# what must be seen of a view besides points: a sheet, or this share of pixels that the cloud of the
# same layer, and without it, has not
SHEETS = {"page-table-light": "trustworthy", "page-help-dark": "Shift + arrows"}
ADDED = {
    "page-point-light": 0.0005, "page-point-dark": 0.0005, "page-narrow-dark": 0.0005,
    "page-images-dark": 0.005, "page-contours-light": 0.005,
}  # fmt: skip


def view_of(name, visit, path):
    """A view, of which it is checked that it is drawn, in its theme, and fits the window."""
    arrange, window, scheme = VIEWS[name]
    page = visit(path, color_scheme=scheme, **window)
    arrange(page)
    page.painted()
    page.page.wait_for_timeout(250)  # images are decoded
    quiet(page)
    assert page.state()["theme"] == scheme
    inner, outer = page.page.evaluate("""[Math.max(...[...document.querySelectorAll(
        '.ll, .ll > *, .ll-stage')].map((e) => e.getBoundingClientRect().right),
        document.documentElement.scrollWidth), window.innerWidth]""")
    assert inner <= outer + 0.5, f"the page is {inner} pixels wide in a window of {outer}"
    pixels = page.pixels()
    ground = pixels[-3, -3].astype(int)
    assert (ground.mean() < 80) == (scheme == "dark")
    behind = page.page.evaluate("getComputedStyle(document.querySelector('.ll')).backgroundColor")
    assert (int(behind[4:].split(",")[0]) < 80) == (scheme == "dark"), behind
    dialog = page.page.locator("dialog")
    if name in SHEETS:
        assert dialog.is_visible() and SHEETS[name] in dialog.inner_text()
        return page, pixels
    box = page.page.evaluate("""(() => { const stage = document.querySelector('.ll-stage');
        const shown = stage.hidden ? stage.nextElementSibling : stage;
        const { left, top, width, height } = shown.getBoundingClientRect();
        return [left, top, width, height].map((x) => x * devicePixelRatio); })()""")
    left, top, width, height = map(int, box)
    # the middle of it, where nothing is written
    middle = pixels[
        top + height // 6 : top + height * 5 // 6, left + width // 8 : left + width * 7 // 8
    ]
    values, counts = np.unique(middle.reshape(-1, 3), axis=0, return_counts=True)
    other = np.abs(middle.astype(int) - values[counts.argmax()]).sum(2) > 60
    assert other.mean() > 0.002, "next to nothing is drawn"
    assert len(np.unique(middle[other] // 32, axis=0)) > 4
    if "layers" in name:
        colors = page.page.evaluate("""[...document.querySelector('.ll-stage').nextElementSibling
            .querySelectorAll('canvas')].map((canvas) => new Set(new Uint32Array(canvas
                .getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer))
                .size)""")
        assert len(colors) >= 6 and min(colors) > 4, colors
    if name in ADDED:
        page.page.locator(".ll-over").evaluate("(over) => (over.style.visibility = 'hidden')")
        page.painted()
        bare = page.pixels()[
            top + height // 6 : top + height * 5 // 6, left + width // 8 : left + width * 7 // 8
        ]
        assert (bare != middle).any(2).mean() > ADDED[name], "nothing lies over the points"
    return page, pixels


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_drawn_and_fits_the_window(name, visit, shown_file, pictures):
    from PIL import Image

    _, pixels = view_of(name, visit, shown_file)
    if pictures is not None:
        stream = io.BytesIO()
        image = Image.fromarray(pixels)
        for colors in (256, 128, 64):
            stream = io.BytesIO()
            image.quantize(colors, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
            if stream.tell() <= MOST_BYTES:
                break
        assert stream.tell() <= MOST_BYTES, f"{name} has {stream.tell()} bytes"
        (pictures / f"{name}.png").write_bytes(stream.getvalue())


@pytest.mark.parametrize("bug", planted.VIEWS, ids=lambda bug: bug[0])
def test_a_planted_bug_of_a_view_is_noticed(bug, visit, page_file, tmp_path):
    _, name, *changes = bug
    path = mutated(page_file, tmp_path / "planted.html", *changes)
    with pytest.raises(AssertionError) as caught:
        view_of(name, visit, path)
    assert "plant the bug elsewhere" not in str(caught.value)


def test_controls_are_large_enough_for_a_finger(visit, page_file):
    page = visit(page_file, **NARROW)
    small = page.page.evaluate(
        """[...document.querySelectorAll('button, select, input, summary')].filter((e) => {
            const box = e.getBoundingClientRect();
            return box.width && (box.width < 24 || box.height < 24) && e.type !== 'checkbox';
        }).map((e) => e.outerHTML.slice(0, 90))"""
    )
    assert not small
    assert page.page.get_by_role("slider").bounding_box()["height"] >= 32


def test_a_touch_picks_and_two_fingers_zoom(visit, page_file):
    page = visit(page_file, **NARROW)
    page.set(t=5)
    row = int(page.lonely()[0])
    x, y = page.places()[row]
    page.page.touchscreen.tap(x, y)
    page.painted()
    assert page.state()["pick"] == row
    before = page.state()["camera"]["k"]
    session = page.context.new_cdp_session(page.page)
    left, top, width, height = page.cloud()
    middle = left + width / 2, top + height / 2

    def touch(kind, apart):
        points = [] if kind == "touchEnd" else [
            {"x": middle[0] - apart, "y": middle[1], "id": 1},
            {"x": middle[0] + apart, "y": middle[1], "id": 2},
        ]  # fmt: skip
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 30)
    for apart in (40, 50, 60):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    page.painted()
    assert page.state()["camera"]["k"] == pytest.approx(2 * before, rel=0.1)


def test_who_wants_less_motion_gets_steps(visit, page_file):
    """No frame shows a place between two layers; who does not say so gets a glide."""
    for motion, between in (("reduce", False), ("no-preference", True)):
        page = visit(page_file, reduced_motion=motion)
        page.page.evaluate(
            """() => { const { view } = document.getElementById('layerlens'); window.seen = [];
                view.on('paint', (state) => window.seen.push(state.t)); }"""
        )
        page.press("ArrowRight")
        page.settled(1)
        seen = page.page.evaluate("window.seen")
        assert any(0 < t < 1 for t in seen) == between


def test_it_can_be_printed(visit, page_file):
    page = visit(page_file, color_scheme="dark")
    page.page.emulate_media(media="print")
    page.painted()
    assert page.page.pdf(format="A4", landscape=True).count(b"/Type /Page\n") <= 2
    quiet(page)
