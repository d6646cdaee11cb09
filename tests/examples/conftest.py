import importlib
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.append(str(EXAMPLES))  # what examples share lies beside them


@pytest.fixture
def example(monkeypatch):
    """Import an example as `python examples/NAME.py` would: its folder comes first."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    known = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(EXAMPLES)):
            del sys.modules[name]


@pytest.fixture
def run(example, monkeypatch, tmp_path):
    """Run an example with these words on its command line, in a folder of its own."""

    def call(name, *words):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
        module = example(name)
        module.main()
        return module

    return call
