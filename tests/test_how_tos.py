"""The how-tos' code runs as it stands, each block in turn, as far as its tools are installed."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def run(code, folder):
    # a process of its own: these tools set up logging, threads and services of their own
    environment = {**os.environ, "MPLBACKEND": "agg", "WANDB_MODE": "offline"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_result_is_opened_in_other_tools(tmp_path):
    for package in ("pandas", "pyarrow"):
        pytest.importorskip(package)
    code = [block for block in blocks("other-tools.md") if "wandb" not in block]
    assert len(code) == 5
    run("\n".join(code), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"run.parquet", "runs", "run.npz", "run.csv"}
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"layers", "again"}


def test_every_sink_of_the_table_is_written(tmp_path):
    for package in ("anndata", "pyarrow", "safetensors"):
        pytest.importorskip(package)
    table = re.findall(r"`(emb\.save\(.*?\))` \|", (DOCS / "other-tools.md").read_text("utf-8"))
    assert len(table) == 6
    (tmp_path / "runs").mkdir()
    run("\n".join([blocks("other-tools.md")[0], *table]), tmp_path)
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_weights_and_biases_takes_it_offline(tmp_path):
    (
        first,
        *_,
    ) = blocks("other-tools.md")
    (code,) = [block for block in blocks("other-tools.md") if "wandb" in block]
    run(f"{first}\n{code}", tmp_path)
    (logged,) = (tmp_path / "wandb").glob("offline-run-*/files/media")
    assert len(list(logged.rglob("*.png"))) == 1
    assert len(list(logged.rglob("*.table.json"))) == 1
