"""What is in the lines."""

import json

import numpy as np
from layerlens import LayerEmbedding, LayerInfo, RunInfo

from layerlens_example.jsonl import JsonLines


def test_every_line_is_one_sample_of_one_layer(tmp_path):
    run = RunInfo(
        layers={"conv": LayerInfo("conv"), "fc": LayerInfo("fc")},
        ids=np.array(["cat", "dög"]),
        labels=np.array([0.5, np.nan]),
    )
    points = np.array([[1.0, 2.0], [1 / 3, -4.0]], dtype=np.float32)
    with JsonLines(tmp_path / "run.jsonl", digits=3) as sink:
        sink.write(LayerEmbedding("conv", 0, points, run))
        sink.write(LayerEmbedding("fc", 1, points[1:], run, rows=np.array([1])))
    lines = (tmp_path / "run.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"layer": "conv", "id": "cat", "label": 0.5, "x": 1.0, "y": 2.0},
        {"layer": "conv", "id": "dög", "label": None, "x": 0.333, "y": -4.0},
        {"layer": "fc", "id": "dög", "label": None, "x": 0.333, "y": -4.0},
    ]
