"""The docs' pictures, made by the build.

mkdocs calls `on_pre_build`. A picture that is there already is not made again; those that take
more than some seconds are kept in the repository, as is the one that the README shows. By hand, for
all of them anew:

    python docs/make_pictures.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PICTURES = Path(__file__).parent / "pictures"
MOST_BYTES = 180_000
EXAMPLES = Path(__file__).parents[1] / "examples"


def _demo(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _python("-m", "layerlens", "demo", "--out", folder)
        target.write_bytes((Path(folder) / "lenet.png").read_bytes())


def _resnet66(target: Path) -> None:
    """Draw the layers and, beside them, the chart of all; trains for some minutes."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / target.name
        checkpoint = str(Path(folder) / "resnet66.pt")
        script = str(EXAMPLES / "embed_resnet66.py")
        _python(script, "--out", str(drawn), "--checkpoint", checkpoint)
        target.write_bytes(drawn.read_bytes())
        chart = target.with_stem(f"{target.stem}-depth")
        chart.write_bytes(drawn.with_stem(f"{target.stem}-depth").read_bytes())
        _shrink(chart)


def _example(name: str, *options: str) -> Any:
    return lambda target: _python(str(EXAMPLES / name), "--out", str(target), *options)


def _unit(which: str) -> Any:
    def make(target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            _python(str(EXAMPLES / "unit_across_images.py"), "--out", f"{folder}/unit_")
            target.write_bytes((Path(folder) / f"unit_{which}.png").read_bytes())

    return make


def _notebook(target: Path) -> None:
    """Run the tutorial notebook, and take a picture of two cells: ``.[browser]`` and a chromium."""
    import jupytext
    import nbclient
    import nbconvert
    from playwright.sync_api import sync_playwright

    notebook = jupytext.read(EXAMPLES / "notebooks/tutorial.py")
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        nbclient.NotebookClient(notebook, kernel_name="python3", resources=resources).execute()
        page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
        exported = Path(folder) / "tutorial.html"
        exported.write_text(page, encoding="utf-8")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
            sheet = browser.new_page(viewport={"width": 1060, "height": 900})
            sheet.goto(exported.as_uri())
            cells = sheet.locator(".jp-CodeCell")
            first: Any = cells.filter(has_text="ActivationMaps").bounding_box()
            last: Any = cells.filter(has_text="TopUnit").bounding_box()
            top, bottom = first["y"] - 8, last["y"] + last["height"]
            clip: Any = {"x": 0.0, "y": top, "width": 1060.0, "height": bottom - top}
            sheet.screenshot(path=target, clip=clip, full_page=True)


def _page(name: str, *keys: str) -> Any:
    """Let an example write its page, and take a picture of it after some keys."""

    def make(target: Path) -> None:
        from playwright.sync_api import sync_playwright

        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            figure = str(Path(folder) / "figure.png")
            _python(str(EXAMPLES / name), "--out", figure, "--page", str(page))
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
                window: Any = {"width": 1280, "height": 800}
                sheet = browser.new_page(viewport=window, reduced_motion="reduce")
                sheet.goto(page.as_uri())
                for key in keys:
                    sheet.keyboard.press(key)
                sheet.wait_for_timeout(1000)
                sheet.screenshot(path=target)

    return make


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603


MADE = {
    "compare.png": _example("compare_lenets.py"),
    "demo.png": _demo,
    "dynamics.png": _example("dynamics.py"),
    "learning.png": _example("learning.py"),
    "notebook.png": _notebook,
    "maps_imagenet.png": _example("maps_imagenet.py"),
    "page-alike-light.png": _page("compare_lenets.py", "End"),
    "page-steps-light.png": _page("learning.py", "End", "ArrowUp", "ArrowUp"),
    "resnet66.png": _resnet66,
    "maps_lenet.png": _example("maps_lenet.py", "--quick"),
    "swiss_roll.png": _example("swiss_roll.py"),
    "unit_across.png": _unit("across"),
    "unit_sheet.png": _unit("sheet"),
    "unit_top.png": _unit("top"),
}


def make(*, again: bool) -> None:
    """Make each picture, or only those that are not there."""
    PICTURES.mkdir(exist_ok=True)
    for name, maker in MADE.items():
        if again or not (PICTURES / name).exists():
            maker(PICTURES / name)
            _shrink(PICTURES / name)


def _shrink(picture: Path) -> None:
    """Keep 256 colours, well chosen, and a third of the bytes; or fewer, until it is small."""
    from PIL import Image

    image = Image.open(picture).convert("RGB")
    for colors in (256, 128, 64, 32):
        image.quantize(colors, kmeans=2).save(picture, optimize=True)
        if picture.stat().st_size < MOST_BYTES:
            return
    raise SystemExit(f"{picture.name} has {picture.stat().st_size:,} bytes: draw it smaller")


def on_pre_build(config: Any) -> None:
    """Be called by mkdocs."""
    make(again=False)


if __name__ == "__main__":
    make(again=True)
