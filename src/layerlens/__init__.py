"""See what every layer of a PyTorch network does to your data."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from layerlens._version import __version__

if TYPE_CHECKING:
    from layerlens import reducers, sinks, testing
    from layerlens.embedding.compare import Comparison, compare
    from layerlens.embedding.embeddings import Embeddings
    from layerlens.embedding.reduce import reduce
    from layerlens.errors import (
        ArgumentError,
        DataError,
        LayerlensError,
        LayerlensWarning,
        LayerSelectionError,
        PluginError,
        RecordingError,
        ShapeError,
        StoreError,
    )
    from layerlens.pipeline import embed
    from layerlens.plugins.protocols import Reducer, Sink
    from layerlens.recording.across import unit_across
    from layerlens.recording.activations import Activations, LayerActivations
    from layerlens.recording.maps import activation_maps
    from layerlens.recording.probe import Probe
    from layerlens.recording.storing import Store
    from layerlens.recording.timeline import Timeline
    from layerlens.recording.tokens import PerToken
    from layerlens.recording.units import top_samples
    from layerlens.records import LayerEmbedding, LayerInfo, RunInfo

# Where each public name lives. They are imported when first asked for, so that
# `import layerlens` costs nothing that is not used.
_HOME = {
    "Activations": "layerlens.recording.activations",
    "ArgumentError": "layerlens.errors",
    "Comparison": "layerlens.embedding.compare",
    "DataError": "layerlens.errors",
    "Embeddings": "layerlens.embedding.embeddings",
    "LayerActivations": "layerlens.recording.activations",
    "LayerEmbedding": "layerlens.records",
    "LayerInfo": "layerlens.records",
    "LayerSelectionError": "layerlens.errors",
    "LayerlensError": "layerlens.errors",
    "LayerlensWarning": "layerlens.errors",
    "PerToken": "layerlens.recording.tokens",
    "PluginError": "layerlens.errors",
    "Probe": "layerlens.recording.probe",
    "RecordingError": "layerlens.errors",
    "Reducer": "layerlens.plugins.protocols",
    "RunInfo": "layerlens.records",
    "ShapeError": "layerlens.errors",
    "Sink": "layerlens.plugins.protocols",
    "Store": "layerlens.recording.storing",
    "StoreError": "layerlens.errors",
    "Timeline": "layerlens.recording.timeline",
    "activation_maps": "layerlens.recording.maps",
    "compare": "layerlens.embedding.compare",
    "embed": "layerlens.pipeline",
    "reduce": "layerlens.embedding.reduce",
    "top_samples": "layerlens.recording.units",
    "unit_across": "layerlens.recording.across",
}
_SUBMODULES = ("reducers", "sinks", "testing")

__all__ = [
    "Activations",
    "ArgumentError",
    "Comparison",
    "DataError",
    "Embeddings",
    "LayerActivations",
    "LayerEmbedding",
    "LayerInfo",
    "LayerSelectionError",
    "LayerlensError",
    "LayerlensWarning",
    "PerToken",
    "PluginError",
    "Probe",
    "RecordingError",
    "Reducer",
    "RunInfo",
    "ShapeError",
    "Sink",
    "Store",
    "StoreError",
    "Timeline",
    "__version__",
    "activation_maps",
    "compare",
    "embed",
    "reduce",
    "reducers",
    "sinks",
    "testing",
    "top_samples",
    "unit_across",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"layerlens.{name}")
    else:
        raise AttributeError(f"module 'layerlens' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
