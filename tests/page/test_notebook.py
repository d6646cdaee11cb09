"""The page in notebooks: a real JupyterLab in Chromium, and what nbconvert makes of it."""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from tests.page.conftest import REQUIRED

CELLS = (
    "from tests.page.results import six_layers\nembeddings = six_layers().embeddings",
    "embeddings",
    "view = embeddings.show(height=640)\nview",
    "print('selected', view.selection[:3], len(view.selection), view.layer, view.pick)",
    "view.layer = 'block4'\nview.selection = embeddings.labels == 2\nview.pick = 7",
)  # fmt: skip
STEPS = (
    "from tests.page.test_axes import timeline\nview = timeline().show(height=760)\nview",
    "print('at', view.layer)",
    "view.layer = 'd@10'",
)


def needed(*modules):
    for name in modules:
        try:
            __import__(name)
        except ImportError:
            if REQUIRED:
                raise
            pytest.skip(f'{name} is not installed (the extra "browser")')


def written(path, cells):
    import nbformat

    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(cells)]
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, path)
    return path


@pytest.fixture(scope="module", name="folder")
def folder_fixture(tmp_path_factory):
    needed("nbformat", "ipykernel", "anywidget")
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module", name="environment")
def environment_fixture(folder, request):
    """Folders of its own for Jupyter, and this checkout on the path of its kernels."""
    folders = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "RUNTIME")}
    folders["JUPYTER_DATA_DIR"] = str(folder / "DATA")
    folders["IPYTHONDIR"] = str(folder / "ipython")
    root = str(request.config.rootpath)
    return {**os.environ, **folders, "PYTHONPATH": root, "JUPYTER_PREFER_ENV_PATH": "1"}


def test_an_exported_notebook_shows_the_page(folder, environment, chromium):
    needed("nbconvert")
    notebook = written(folder / "exported.ipynb", CELLS)
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "html", str(notebook)]
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    page = context.new_page()
    said = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(notebook.with_suffix(".html").as_uri())
    frame = page.locator("iframe[srcdoc]")
    assert frame.get_attribute("sandbox") == "allow-scripts allow-downloads"
    frame.scroll_into_view_if_needed()
    inside = page.frame_locator("iframe[srcdoc]")
    inside.locator(".ll[data-painted]").wait_for(timeout=20_000)
    inside.locator(".ll-over").press("ArrowRight")
    inside.locator(".ll-caption h2", has_text="block1").wait_for(timeout=5000)
    # the frame has no rights over the page around it, and has no part in the network either
    handle = frame.element_handle().content_frame()
    assert (
        handle.evaluate("() => { try { return parent.document.title; } catch { return null; } }")
        is None
    )
    assert not [text for text in said if "layerlens" in text or "srcdoc" in text]
    context.close()


def answering(log):
    """Where the server is, once it answers; it says so a moment before."""
    found = re.search(r"http://127\.0\.0\.1:\d+(?=/lab)", log.read_text())
    try:
        if found:
            urllib.request.urlopen(f"{found[0]}/api/status?token=t", timeout=30).close()  # noqa: S310
            return found[0]
    except urllib.error.URLError:
        pass
    return None


@pytest.fixture(scope="module", name="lab")
def lab_fixture(folder, environment):
    """The address of a JupyterLab that serves the folder, up to a workspace's name."""
    needed("jupyterlab")
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0",
        "--ip=127.0.0.1", "--IdentityProvider.token=t", "--LabApp.news_url=None",
        f"--ServerApp.root_dir={folder}",
    ]  # fmt: skip
    log = folder / "lab.log"
    with log.open("wb") as stream:
        server = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        end = time.monotonic() + 90
        while (address := answering(log)) is None:
            assert time.monotonic() < end and server.poll() is None, log.read_text()[-2000:]
            time.sleep(0.3)
        yield f"{address}/lab/workspaces/"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


@pytest.fixture(name="opened")
def opened_fixture(folder, lab, chromium):
    """Open cells in JupyterLab: gives the page, what runs a cell, what the page complains of."""
    contexts = []

    def opened(name, cells):
        written(folder / name, cells)
        contexts.append(chromium.new_context(viewport={"width": 1500, "height": 1300}))
        page, said = contexts[-1].new_page(), []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda line: line.type == "error" and said.append(line.text))
        page.set_default_timeout(60_000)
        page.goto(f"{lab}{name.removesuffix('.ipynb')}/tree/{name}?token=t")
        page.locator(".jp-Notebook .jp-CodeCell").first.click()
        # what is run before the kernel answers is forgotten
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()

        def run(number):
            cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
            cell.locator(".cm-content").click()
            page.keyboard.press("Control+Enter")
            cell.locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]")).wait_for()
            return cell

        return page, run, said

    yield opened
    for context in contexts:
        context.close()


def test_the_view_and_python_hear_from_each_other_in_jupyterlab(opened, pictures):
    page, run, said = opened("layers.ipynb", CELLS)
    run(0)
    framed = run(1).frame_locator("iframe[srcdoc]")
    framed.locator(".ll[data-painted]").wait_for()
    view = run(2).locator(".ll[data-painted]")
    view.wait_for()
    view.scroll_into_view_if_needed()
    view.get_by_role("searchbox").fill("prediction=Bruges")
    view.locator(".ll-over").press("ArrowRight")
    view.locator(".ll-caption h2", has_text="block1").wait_for()
    page.wait_for_timeout(800)
    printed = run(3).locator(".jp-OutputArea-output").inner_text()
    chosen = int(re.search(r"\] (\d+) block1 -1", printed)[1])
    assert 80 < chosen < 120, printed
    run(4)
    view.locator(".ll-caption h2", has_text="block4").wait_for()
    view.locator(".ll-detail h2", has_text="img0007").wait_for()
    view.locator(".ll-live", has_text="100 selected").wait_for()
    # Jupyter's own style for lists of terms does not reach in
    label = view.locator(".ll-facts dt").first
    assert label.evaluate("(e) => getComputedStyle(e).cssFloat") == "none"
    assert label.evaluate("(e) => e.getClientRects().length && e.offsetHeight") < 24
    if pictures is not None:
        page.screenshot(path=pictures / "page-notebook.png")
    assert not said


def test_a_timeline_goes_along_both_axes_in_jupyterlab(opened):
    page, run, said = opened("steps.ipynb", STEPS)
    view = run(0).locator(".ll[data-painted]")
    view.wait_for()
    view.scroll_into_view_if_needed()
    layers, steps = view.get_by_role("slider").all()
    caption = view.locator(".ll-caption h2")

    def told():
        page.wait_for_timeout(800)
        return run(1).locator(".jp-OutputArea-output").inner_text().strip()

    view.locator(".ll-over").press("ArrowRight")
    view.locator(".ll-over").press("ArrowUp")
    caption.filter(has_text="b, step 10").wait_for()
    assert told() == "at b@10"
    # by hand, to the right end of the one and the left end of the other
    for slider, side, name in ((steps, 1, "b, step 200"), (layers, 0, "a, step 200")):
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        middle = box["y"] + box["height"] / 2
        value = float(slider.input_value()) / float(slider.get_attribute("max"))
        page.mouse.move(box["x"] + 9 + value * (box["width"] - 18), middle)
        page.mouse.down()
        page.mouse.move(box["x"] + 3 + side * (box["width"] - 6), middle, steps=5)
        page.mouse.up()
        caption.filter(has_text=name).wait_for()
    assert told() == "at a@200"
    run(2)
    caption.filter(has_text="d, step 10").wait_for()
    assert [float(slider.input_value()) for slider in (layers, steps)] == [3, 1]
    assert told() == "at d@10"
    assert not said
