"""A page in a browser: what a person sees of it, does to it, and what it does by itself."""

import base64
import hashlib
import html
import io
import time

import numpy as np
from tests.page.decoding import Page

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
    options
        Those of playwright's ``new_context``.
    """

    def __init__(self, browser, path, fragment="", width=1280, height=800, **options):
        options.setdefault("reduced_motion", "reduce")
        self.path = path
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, offline=True, accept_downloads=True,
            **options,
        )  # fmt: skip
        self.requests, self.refused, self.said = [], [], []  # refused: by the policy
        self.page = self.context.new_page()
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


def mutated(path, target, *changes):
    """Write the page with its script changed, and the policy such that it runs all the same."""
    text = path.read_text(encoding="utf-8")
    script = Page(text).script()
    changed = script
    for old, new in changes:
        assert old in changed, f"the viewer has no {old!r} any more: plant the bug elsewhere"
        changed = changed.replace(old, new)
    assert changed != script

    def digest(code):
        return html.escape(base64.b64encode(hashlib.sha256(code.encode()).digest()).decode())

    assert text.count(digest(script)) == 1 == text.count(script)
    text = text.replace(digest(script), digest(changed)).replace(script, changed)
    target.write_text(text, encoding="utf-8")
    return target


def without_policy(path, target):
    """Write the page without its policy."""
    text = path.read_text(encoding="utf-8")
    start = text.index('<meta http-equiv="Content-Security-Policy"')
    target.write_text(text[:start] + text[text.index(">", start) + 1 :], encoding="utf-8")
    return target
