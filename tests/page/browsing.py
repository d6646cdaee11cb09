"""A page in a browser: what a person sees of it, does to it, and what it does by itself."""

import base64
import hashlib
import html
import io
import re
import time

import numpy as np
from tests.page import sources
from tests.page.decoding import Page

from layerlens.viewer import source

STATE = """() => { const s = document.getElementById('layerlens').view.state; return {
  t: s.t, goal: s.goal, by: s.by, pick: s.pick, hover: s.hover, mode: s.mode, theme: s.theme,
  camera: s.camera, selected: s.selected, playing: s.playing,
  selection: [...s.selection.keys()].filter((row) => s.selection[row]),
}; }"""


class Visit:
    """A page that was opened, with no network.

    Parameters
    ----------
    browser : playwright's Browser
    path : pathlib.Path
        The file; `fragment` is put behind its address.
    width, height : int
        Of the window.
    before : str
        Script that runs before the page's own.
    options
        Those of playwright's ``new_context``.
    """

    def __init__(self, browser, path, fragment="", width=1280, height=800, before="", **options):
        options.setdefault("reduced_motion", "reduce")
        self.path = path
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, offline=True, accept_downloads=True,
            **options,
        )  # fmt: skip
        self.requests, self.refused, self.said = [], [], []  # refused: by the policy
        self.page = self.context.new_page()
        if before:
            self.page.add_init_script(before)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", self._failed)
        self.page.on("console", lambda said: self.said.append(f"{said.type}: {said.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.said.append("dialog"), dialog.dismiss()))
        self.address = path.resolve().as_uri() + fragment
        self.page.goto(self.address)
        self.painted()

    def _failed(self, request):
        if request.failure == "csp":
            self.refused.append(request.url)

    def close(self):
        self.context.close()

    def painted(self):
        """Wait until what was done is drawn: two frames, and a first one there."""
        self.until("document.querySelector('#layerlens').dataset.painted > 0")
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def state(self):
        return self.page.evaluate(STATE)

    def set(self, **patch):
        self.page.evaluate("(p) => document.getElementById('layerlens').view.set(p)", patch)
        self.painted()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
        self.painted()

    def settled(self, layer):
        """Wait until the layer is reached."""
        self.until(f"document.getElementById('layerlens').view.state.t === {layer}")
        self.painted()

    def until(self, condition, seconds=20):
        """Wait for what the page says; playwright's own waiting is stopped by the policy."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, f"{condition} has not come about in {seconds} s"
            self.page.wait_for_timeout(20)

    def picture(self):
        """The cloud's pixels, once they stay: a panel that opens makes room a frame later."""
        last = None
        for _ in range(50):
            now = self.page.evaluate("document.querySelector('.ll-points').toDataURL('image/png')")
            if now == last:
                return now
            last = now
            self.page.wait_for_timeout(100)
            self.painted()
        raise AssertionError("the picture does not come to rest")

    def cloud(self):
        """The cloud's left, top, width and height in the window."""
        box = self.page.locator(".ll-points").bounding_box()
        return box["x"], box["y"], box["width"], box["height"]

    def pixels(self):
        """What is seen of the window: uint8 of shape (height, width, 3)."""
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))

    def places(self, t=None):
        """Where the points are in the window, by the file and the camera: (n, 2) pixels."""
        decoded = Page(self.path.read_text(encoding="utf-8"))
        q = decoded.array("positions", "<u2", decoded.n_layers, decoded.n, 2).astype(float)
        state = self.state()
        t = state["t"] if t is None else t
        low = min(int(t), decoded.n_layers - 1)
        high = min(low + 1, decoded.n_layers - 1)
        blended = (1 - (t - low)) * q[low] + (t - low) * q[high]
        left, top, _, _ = self.cloud()
        camera = state["camera"]
        return blended / 65535 * camera["k"] + [left + camera["x"], top + camera["y"]]

    def lonely(self, reach=13, t=None):
        """Rows in the cloud with no other point so near, and nothing of the page above them."""
        places = self.places(t)
        distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
        np.fill_diagonal(distance, np.inf)
        rows = np.flatnonzero(distance.min(1) > reach)
        clear = self.page.evaluate(
            """(places) => {
                // what lets the pointer through is above the points all the same
                const over = [...document.querySelectorAll('.ll-stage > :not(canvas)')]
                    .map((e) => e.getBoundingClientRect());
                return places.map(([x, y]) =>
                    (document.elementFromPoint(x, y)?.classList.contains('ll-over') ?? false) &&
                    !over.some((r) => x > r.left - 9 && x < r.right + 9
                        && y > r.top - 9 && y < r.bottom + 9));
            }""",
            places[rows].tolist(),
        )
        return rows[np.array(clear, dtype=bool)]


def rewritten(path, target, script, style=None):
    """Write the page with another script and style, and the policy such that they run."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    for old, new in ((page.script(), script), (page.content["style"], style)):
        if new is not None:
            assert text.count(digest(old)) == 1 == text.count(old)
            text = text.replace(digest(old), digest(new)).replace(old, new)
    target.write_text(text, encoding="utf-8")
    return target


def digest(code):
    return html.escape(base64.b64encode(hashlib.sha256(code.encode()).digest()).decode())


def with_webgl(path, target):
    """Write the page so that it draws with WebGL, however few points it has."""
    page = Page(path.read_text(encoding="utf-8"))
    few = source.module(page.head)
    many = source.module({**page.head, "n": 10**6})
    assert len(many) > len(few)
    script = page.script().replace(few, many)
    assert script.count("{page: true}") == 1
    start = "{page: true, renderer: 'webgl2'}"
    return rewritten(path, target, script.replace("{page: true}", start))


def mutated(path, target, *changes):
    """Write the page as its readable sources give it, changed; without a change, it is the same."""
    old = Page(path.read_text(encoding="utf-8"))
    code, start = re.fullmatch(r"(.*)(const view = mount\(.*)", old.script(), re.DOTALL).groups()
    assert code in {source.module({**old.head, "n": n}) for n in (1, 10**6)}
    ground = old.content["style"].removesuffix(source.style(old.head))
    assert ground != old.content["style"]
    script, style = sources.module() + start, ground + sources.style()
    for before, after in changes:
        there = before in script, before in style
        assert any(there), f"the viewer has no {before!r} any more: plant the bug elsewhere"
        script, style = script.replace(before, after), style.replace(before, after)
    return rewritten(path, target, script, style)


def without_policy(path, target):
    """Write the page without its policy."""
    text = path.read_text(encoding="utf-8")
    start = text.index('<meta http-equiv="Content-Security-Policy"')
    target.write_text(text[:start] + text[text.index(">", start) + 1 :], encoding="utf-8")
    return target
