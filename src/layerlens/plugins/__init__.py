"""The contract between layerlens and its reducers and sinks, and how they are found."""

from layerlens.plugins.protocols import (
    Reducer,
    Sink,
    SupportsInit,
    SupportsNeighbors,
    SupportsPartialFit,
    SupportsRead,
    SupportsSeries,
    accepts,
)
from layerlens.plugins.registry import REDUCERS, SINKS, Registry

__all__ = [
    "REDUCERS",
    "SINKS",
    "Reducer",
    "Registry",
    "Sink",
    "SupportsInit",
    "SupportsNeighbors",
    "SupportsPartialFit",
    "SupportsRead",
    "SupportsSeries",
    "accepts",
]
