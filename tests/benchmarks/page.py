"""What the page weighs and how quickly it draws, in Chromium without a GPU.

    python tests/benchmarks/page.py

Every figure stands beside its limit. Times are medians in a browser that is driven by playwright,
with a window of 1280 x 800 and no limit on frames: until the cloud was first painted after the
file was opened (of several loads), from frame to frame while the points glide through the layers,
of drawing alone, and from a movement of the pointer to the frame that answers it.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.page.decoding import Page
from tests.page.results import many

import layerlens

NAMES = ("chromium", "chromium-browser", "google-chrome")
CODE_KB, WITH_WEBGL_KB, MANY = 64, 65.536, 50_000
# points, layers, thumbnails, neighbours; megabytes without thumbnails (None: all together), of
# thumbnails, seconds to the first paint, milliseconds a frame, milliseconds to answer the pointer
PAGES: list[tuple[int, int, bool, bool, dict[str, float]]] = [
    (5_000, 10, True, True, {"MB": 2.5, "first": 1.0, "frame": 10}),
    (50_000, 10, True, True,
     {"MB but thumbnails": 5, "MB of thumbnails": 6, "first": 1.5, "frame": 16}),
    (50_000, 70, False, False, {"first": 4}),
    (200_000, 10, False, False, {"frame": 25, "hover": 30}),
]  # fmt: skip
STEPS = range(5)
TIMELINES = [(5_000, 4, 10.0), (50_000, 4, 16.0), (200_000, 4, 25.0)]

FIRST = """() => { const look = () => {
    const root = document.querySelector('#layerlens');
    if (root?.dataset.painted > 0) window.firstPaint = performance.now();
    else requestAnimationFrame(look); };
  requestAnimationFrame(look); }"""

GLIDE = """(frames) => new Promise((done) => {
    const { view } = document.getElementById('layerlens');
    const last = PLACES - 1, intervals = [];
    view.frames.length = 0;
    let before = 0, i = 0;
    const step = (now) => {
      if (i) intervals.push(performance.now() - before);
      before = performance.now();
      if (i > frames) return done({ intervals: intervals.slice(5), drawing: [...view.frames] });
      view.set({ ALONG: (last * i) / frames });
      i++;
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
})"""

HOVER = """async (moves) => {
    const { view } = document.getElementById('layerlens');
    const over = document.querySelector('.ll-over'), box = over.getBoundingClientRect(), taken = [];
    const camera = view.state.camera;
    for (let i = 0; i < moves; i++) {
      const row = (i * 7919) % view.state.selection.length, at = view.screen(row);
      const painted = new Promise((done) => {
        const end = view.on('paint', () => (end(), done())); });
      const start = performance.now();
      over.dispatchEvent(new PointerEvent('pointermove', { pointerType: 'mouse',
        clientX: box.left + at.x, clientY: box.top + at.y }));
      if (view.state.hover < 0) continue;
      await painted;
      taken.push(performance.now() - start);
      await new Promise((done) => requestAnimationFrame(done));
    }
    return taken;
}"""


def versions(browser: Any) -> str:
    said = [f"layerlens {layerlens.__version__}", f"Python {platform.python_version()}"]
    for name in ("numpy", "pillow", "playwright"):
        try:
            said.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            said.append(f"{name} not installed")
    return ", ".join([*said, f"Chromium {browser.version}"])


def machine() -> str:
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = found[0].partition(": ")[2] if found else name
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return f"{name}, {os.cpu_count()} cores, {platform.platform()}, load {load:.1f}"


def sizes(path: Path) -> dict[str, float]:
    page = Page(path.read_text(encoding="utf-8"))
    pictures = sum(len(text) for name, text in page.content.items() if "thumbnails-" in name)
    whole = path.stat().st_size
    code = len(page.script().encode()) + len(page.content["style"].encode())
    return {
        "kB of code": code / 1000,
        "MB": whole / 1e6,
        "MB of thumbnails": pictures / 1e6,
        "MB but thumbnails": (whole - pictures) / 1e6,
    }


def first_paint(browser: Any, path: Path, loads: int) -> float:
    """Return seconds from opening the file to the first frame of the cloud."""
    taken = []
    for _ in range(loads):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(f"({FIRST})()")
        page.goto(path.as_uri())
        while (found := page.evaluate("window.firstPaint ?? 0")) == 0:
            page.wait_for_timeout(20)
        taken.append(found / 1000)
        page.close()
    return statistics.median(taken)


def moving(browser: Any, path: Path, along: str, places: int, frames: int) -> dict[str, float]:
    """Return figures of a page of which one glides `along` ("t" or "u") so many layers or steps."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(path.as_uri())
    while not page.evaluate("document.querySelector('#layerlens').dataset.painted > 0"):
        page.wait_for_timeout(20)
    page.wait_for_timeout(500)
    if along == "u":  # between two layers as well
        page.evaluate("document.getElementById('layerlens').view.set({ t: 1.5 })")
    glided = page.evaluate(GLIDE.replace("PLACES", str(places)).replace("ALONG", along), frames)
    hovered = page.evaluate(HOVER, 40)
    renderer = page.evaluate("document.getElementById('layerlens').view.renderer")
    page.close()
    assert renderer == "raster", "these are figures of a machine without a GPU"
    return {
        "frame": statistics.median(glided["intervals"]),
        "drawing": statistics.median(glided["drawing"]),
        "hover": statistics.median(hovered) if hovered else float("nan"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=5)
    parser.add_argument("--frames", type=int, default=150)
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        print("there is no chromium on the path")
        return 2
    missed = 0

    def line(what: str, value: float, unit: str, limit: float | None) -> None:
        nonlocal missed
        bad = limit is not None and not value <= limit
        missed += bad
        said = "" if limit is None else f"  limit {limit:g}{' MISSED' if bad else ''}"
        print(f"  {what:44}{value:9.2f} {unit:3}{said}")

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-frame-rate-limit", "--disable-gpu-vsync"],
        )
        print(f"{versions(browser)}\n{machine()}")
        path = Path(folder) / "page.html"
        for n, n_layers, thumbnails, neighbors, limits in PAGES:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", layerlens.LayerlensWarning)
                many(n, n_layers, thumbnails=thumbnails, neighbors=neighbors).save(path)
            extra = ", thumbnails, neighbours" if thumbnails else ""
            print(f"{n:,} points x {n_layers} layers{extra}")
            for name, value in sizes(path).items():
                if value:
                    code = CODE_KB if n <= MANY else WITH_WEBGL_KB
                    unit, limit = ("kB", code) if "kB" in name else ("MB", limits.get(name))
                    line(name, value, unit, limit)
            line("first paint", first_paint(browser, path, given.loads), "s", limits.get("first"))
            figures = moving(browser, path, "t", n_layers, given.frames)
            line("frame to frame while gliding", figures["frame"], "ms", limits.get("frame"))
            line("of it, drawing", figures["drawing"], "ms", None)
            line("pointer to picture", figures["hover"], "ms", limits.get("hover"))
        for n, n_layers, limit in TIMELINES:
            many(n, n_layers, steps=STEPS).save(path)
            print(f"{n:,} points x {n_layers} layers x {len(STEPS)} steps")
            figures = moving(browser, path, "u", len(STEPS), given.frames)
            line("frame to frame while gliding along steps", figures["frame"], "ms", limit)
            line("of it, drawing", figures["drawing"], "ms", None)
        browser.close()
    print(f"load at the end {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
