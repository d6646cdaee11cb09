"""The tutorial notebook runs from its first cell to its last, and shows what its text speaks of."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mlxtend")
# not imported here: Jupyter's packages change the process that imports them
MISSING = [n for n in ("ipykernel", "jupytext", "nbclient") if importlib.util.find_spec(n) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

NOTEBOOK = Path(__file__).parents[2] / "examples/notebooks/tutorial.py"

EXECUTE = """
import sys
import jupytext, nbclient, nbformat
notebook = jupytext.read(sys.argv[1])
nbclient.NotebookClient(
    notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": "."}}
).execute()
nbformat.write(notebook, "done.ipynb")
"""


@pytest.fixture(scope="module", name="folder")
def folder_fixture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial")
    own = {
        f"JUPYTER_{kind}_DIR": str(folder / f".{kind}") for kind in ("CONFIG", "RUNTIME", "DATA")
    }
    own |= {"IPYTHONDIR": str(folder / ".ipython"), "JUPYTER_PREFER_ENV_PATH": "1"}
    command = [sys.executable, "-c", EXECUTE, str(NOTEBOOK)]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(name="cells")
def cells_fixture(folder):
    cells = json.loads((folder / "done.ipynb").read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_each_cell_gives_what_its_text_promises(cells, folder):
    def shown(start):
        (cell,) = [cell for cell in cells if "".join(cell["source"]).startswith(start)]
        (output,) = cell["outputs"]
        return "".join(output["data"]["text/html"] if "data" in output else output["text"])

    accuracy = shown("import numpy").partition("right on ")[2]
    assert float(accuracy.partition("%")[0]) > 90
    assert "Activations of LeNet" in shown("activations = ")
    assert shown("maps = ").count("<img ") == 1 + 6 * 8
    assert shown("ll.top_samples").count("<img ") == 2 * 9
    assert "<iframe" in shown("embeddings = ")
    assert "trustworthiness" in shown("names = ")
    lines = [line.split() for line in shown("wrong = ").splitlines()]
    assert len(lines) == 10
    # as the text has it: it is the right ones alone that come among their own
    assert float(lines[-1][2]) > float(lines[0][2]) + 0.1
    assert all(float(line[4]) < 0.4 for line in lines)
    assert {"lenet.html", "lenet.npz"} <= {path.name for path in folder.iterdir()}


def test_no_cell_warns_or_is_numb(cells):
    for cell in cells:
        assert not [out for out in cell["outputs"] if out.get("name") == "stderr"], cell["source"]
        assert cell["execution_count"]


def test_what_the_notebook_keeps_is_small(folder):
    assert (folder / "done.ipynb").stat().st_size < 3_000_000
