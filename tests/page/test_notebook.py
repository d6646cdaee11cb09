"""The page in notebooks: a real JupyterLab in Chromium, and what nbconvert makes of it."""

import os
import re
import subprocess
import sys
import time
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


def needed(*modules):
    for name in modules:
        try:
            __import__(name)
        except ImportError:
            if REQUIRED:
                raise
            pytest.skip(f'{name} is not installed (the extra "browser")')


@pytest.fixture(name="notebook")
def notebook_fixture(tmp_path):
    needed("nbformat", "ipykernel", "anywidget")
    import nbformat

    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(CELLS)]
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = tmp_path / "layers.ipynb"
    nbformat.write(made, path)
    return path


@pytest.fixture(name="environment")
def environment_fixture(tmp_path, request):
    """Folders of its own for Jupyter, and this checkout on the path of its kernels."""
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "RUNTIME")}
    folders["JUPYTER_DATA_DIR"] = str(tmp_path / "DATA")
    folders["IPYTHONDIR"] = str(tmp_path / "ipython")
    root = str(request.config.rootpath)
    return {**os.environ, **folders, "PYTHONPATH": root, "JUPYTER_PREFER_ENV_PATH": "1"}


def test_an_exported_notebook_shows_the_page(notebook, environment, chromium):
    needed("nbconvert")
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


@pytest.fixture(name="lab")
def lab_fixture(notebook, environment):
    needed("jupyterlab")
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0",
        "--ip=127.0.0.1", "--IdentityProvider.token=t", "--LabApp.news_url=None",
        f"--ServerApp.root_dir={notebook.parent}",
    ]  # fmt: skip
    log = notebook.with_suffix(".log")
    with log.open("wb") as stream:
        server = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        end, found = time.monotonic() + 90, None
        while found is None:
            assert time.monotonic() < end and server.poll() is None, log.read_text()[-2000:]
            time.sleep(0.3)
            found = re.search(r"http://127\.0\.0\.1:(\d+)/lab", log.read_text())
        address = f"http://127.0.0.1:{found[1]}"
        urllib.request.urlopen(f"{address}/api/status?token=t", timeout=30).close()  # noqa: S310
        yield f"{address}/lab/tree/{notebook.name}?token=t"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def test_the_view_and_python_hear_from_each_other_in_jupyterlab(lab, chromium, pictures):
    context = chromium.new_context(viewport={"width": 1500, "height": 1300})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(lab)
    page.locator(".jp-Notebook .jp-CodeCell").first.click()

    def run(number):
        cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        cell.locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]")).wait_for()
        return cell

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
    said = run(3).locator(".jp-OutputArea-output").inner_text()
    chosen = int(re.search(r"\] (\d+) block1 -1", said)[1])
    assert 80 < chosen < 120, said
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
    context.close()
