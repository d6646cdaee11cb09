"""The exceptions that layerlens raises on purpose.

Every one is a `LayerlensError` and also the builtin that it is closest to,
so that code which knows nothing of layerlens can still catch it.
"""

__all__ = [
    "ArgumentError",
    "DataError",
    "LayerSelectionError",
    "LayerlensError",
    "LayerlensWarning",
    "PluginError",
    "RecordingError",
    "ShapeError",
    "StoreError",
]


class LayerlensError(Exception):
    """Any error that layerlens raises on purpose."""


class LayerSelectionError(LayerlensError, LookupError):
    """A layer, or a place in a layer's output, that the model does not have."""


class RecordingError(LayerlensError, RuntimeError):
    """The model cannot be recorded, or not in the way that was asked for."""


class ShapeError(LayerlensError, ValueError):
    """A tensor or array whose shape does not fit."""


class DataError(LayerlensError, ValueError):
    """Values that cannot be used, such as NaN or infinity."""


class ArgumentError(LayerlensError, ValueError):
    """An argument outside of what is allowed."""


class StoreError(LayerlensError, OSError):
    """A file or store that cannot be read or written."""


class PluginError(LayerlensError, ImportError):
    """A reducer or sink that is missing, broken, ambiguous or breaks the contract."""


class LayerlensWarning(UserWarning):
    """Something was left out or done differently from what one might expect."""
