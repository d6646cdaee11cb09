"""Every recipe runs as it stands, in a process of its own, and is short."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
RECIPES = dict(
    re.findall(
        r"^## ([^\n]*)\n.*?```python\n(.*?)```",
        (DOCS / "recipes.md").read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
)
# what each needs beyond the extra of the tests
NEEDS = {
    "Hugging Face": ("datasets", "transformers"),
    "timm": ("timm",),
    "A loop of your own": (),
    "Lightning": ("lightning",),
    "The Trainer": ("transformers", "accelerate"),
    "A GPU": (),
    "Many machines": (),
}


def test_every_recipe_is_known():
    assert list(RECIPES) == list(NEEDS)


@pytest.mark.parametrize("name", NEEDS)
def test_a_recipe_has_fewer_than_20_lines_and_runs(name, tmp_path):
    lines = [line for line in RECIPES[name].splitlines() if line.strip()]
    assert len(lines) < 20
    missing = [module for module in NEEDS[name] if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    environment = {**os.environ, "MPLBACKEND": "agg", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RECIPES[name]],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    saved = re.findall(r'(?:save\(|store=)"(.*?)"', RECIPES[name])
    assert all((tmp_path / file).exists() for file in saved)


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_no_step_of_a_how_to_is_longer(page):
    if page in ("tutorial.md", "write-a-sink.md"):  # which teach, and whose code is the lesson
        return
    for code in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL):
        assert len([line for line in code.splitlines() if line.strip()]) < 20, code


def test_every_page_that_the_recipes_lead_to_is_there():
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert all((DOCS / page).exists() for page in re.findall(r"\]\((\w[\w-]*\.md)\)", text))
