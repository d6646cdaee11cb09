"""What is known of a run and its layers beside their arrays, as JSON for other people's files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from layerlens._version import __version__
from layerlens.records import LayerEmbedding

__all__ = ["about"]


def about(layers: Sequence[LayerEmbedding]) -> str:
    """Return the provenance of a result as one line of strict JSON, ASCII only.

    `layers`: the layers of one run; at least one.
    Returned: an object with ``layerlens`` (the version that wrote it), ``created``, ``versions``,
    ``label_names``, and ``layers``: for each, in depth order, its name, place, reducer, parameters,
    metrics, and what is known of the module. NaN and infinity, which JSON does not have, are null.
    """
    run = layers[0].run
    content = {
        "layerlens": __version__,
        "created": run.created,
        "versions": run.versions,
        "label_names": run.label_names,
        "layers": [
            {
                "layer": layer.layer,
                "index": layer.index,
                "reducer": layer.reducer,
                "metrics": layer.metrics,
                "params": layer.params,
                "info": asdict(layer.info),
            }
            for layer in layers
        ],
    }
    return json.dumps(_plain(content), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
