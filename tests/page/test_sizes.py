"""What the page weighs: the budgets that it is held to, and that they can be broken."""

import hashlib
import re

import pytest
from tests.page import sources
from tests.page.browsing import rewritten
from tests.page.decoding import Page
from tests.page.results import many

from layerlens.sinks import _document
from layerlens.viewer import source

CODE = 64_000
WITH_A_PIECE = 65_536  # 64 kB: pages of many points, pages in space, widgets
PAGE = 2_500_000


def too_heavy(path):
    """What a page of 5,000 points in 10 layers breaks, as words."""
    size = path.stat().st_size
    return [f"the page has {size} bytes, {PAGE} are allowed"] * (size > PAGE)


def too_much_code(path):
    """The same of the viewer: script and style, as they lie in the page."""
    page = Page(path.read_text(encoding="utf-8"))
    code = len(page.script().encode()) + len(page.content["style"].encode())
    return [f"the viewer's code has {code} bytes, {CODE} are allowed"] * (code > CODE)


@pytest.fixture(scope="module", name="page")
def page_fixture(tmp_path_factory):
    pytest.importorskip("PIL", reason='thumbnails in WebP need the extra "page"')
    path = tmp_path_factory.mktemp("size") / "page.html"
    return many(5000, 10, thumbnails=True, neighbors=True).save(path)


def test_a_page_of_5000_points_and_10_layers_keeps_to_its_budget(page):
    assert too_heavy(page) == []


def test_the_code_keeps_to_its_budget(page):
    assert too_much_code(page) == []


@pytest.mark.parametrize(
    ("n", "components", "is_widget"), [(10**6, 2, False), (9, 3, False), (9, 2, True), (9, 3, True)]
)
def test_a_piece_more_is_within_64_kB(n, components, is_widget):  # noqa: N802 -- the unit
    head = {"n": n, "components": components}
    if is_widget:
        texts = [source.notebook(head), source.style(head)]
    else:
        texts = [source.module(head), source.style(head), _document._START, _document._GROUND]
    assert sum(len(text.encode()) for text in texts) <= WITH_A_PIECE


def test_more_code_or_more_data_is_noticed(page, tmp_path):
    double = tmp_path / "double.html"
    double.write_bytes(page.read_bytes() * 2)
    assert "2500000 are allowed" in too_heavy(double)[0]
    old = Page(page.read_text(encoding="utf-8")).script()
    spare = CODE - len(old.encode()) - len(Page(page.read_text("utf-8")).content["style"].encode())
    for more, broken in ((spare, False), (spare + 1, True)):
        path = rewritten(page, tmp_path / "more.html", old + "/" * more)
        assert bool(too_much_code(path)) == broken


def test_what_ships_is_made_of_the_sources():
    """``npm run build`` notes their hash; with node, its bytes are compared too."""
    digest = hashlib.sha256((sources.module() + sources.style()).encode()).hexdigest()[:12]
    names = [path.name for path in source._BUILT.iterdir()]
    assert sorted(names) == [
        "alike.css", "alike.js", "gl.js", "notebook.js", "page.js", "space.js", "steps.css",
        "steps.js", "style.css",
    ]  # fmt: skip
    for text in map(source._read, names):
        assert digest in text.splitlines()[0], "npm run build, in tests/viewer, and commit it"


def test_a_page_has_the_pieces_that_it_needs():
    many = int(re.search(r"const MANY = (\d+);", sources.read("cloud.js"))[1])
    for n, components, more, wanted in (
        (many, 2, {}, []), (many + 1, 2, {}, ["gl.js"]), (9, 3, {}, ["space.js"]),
        (many + 1, 3, {"steps": None}, ["gl.js", "space.js"]),
        (9, 2, {"steps": {"axis": "step"}}, ["steps.js"]),
        (9, 2, {"comparison": {"k": 15}}, ["alike.js"]),
    ):  # fmt: skip
        head = {"n": n, "components": components, **more}
        assert source.pieces(head) == wanted
        text = source.module(head)
        there = [f"{name}.js" for name in ("gl", "space", "steps", "alike") if f".{name}=" in text]
        assert there == wanted
        assert source.notebook(head).startswith(source.module(head))
        sheet = source.style(head)
        for name in ("steps", "alike"):
            assert (source._read(f"{name}.css") in sheet) == (f"{name}.js" in wanted)


def test_every_file_of_the_viewer_is_in_the_module():
    order = sources.read("order.txt").split()
    assert set(order) == {path.name for path in sources.FOLDER.glob("*.js")} - {"types.js"}
    assert len(order) == len(set(order))


def test_the_module_may_lie_in_a_page():
    head = {"n": 10**6, "components": 3, "steps": {"axis": "step"}, "comparison": {"k": 15}}
    for text in (source.module(head), source.style(head)):
        assert "</" + "script" not in text.lower() and "<!--" not in text and "\r" not in text
        assert not any(line.startswith(("import ", "export ")) for line in text.splitlines())
        assert "sourceMappingURL" not in text
