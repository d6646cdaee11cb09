"""All arrays of a result as named tensors, for PyTorch, JAX, Rust and the web."""

from __future__ import annotations

import json
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt

from layerlens.plugins.extras import needed
from layerlens.records import LayerEmbedding
from layerlens.sinks._about import about
from layerlens.sinks._whole import WholeFileSink

__all__ = ["SafetensorsSink"]

Array = npt.NDArray[Any]

_WHO = "the sink 'safetensors'"
_LAYER_ARRAYS = ("coordinates", "clusters", "stress", "spread", "neighbors", "rows")


class SafetensorsSink(WholeFileSink):
    """Write the arrays of a result to one ``.safetensors``.

    The tensors are ``layers/NAME/coordinates`` for each layer, and where it has them
    ``layers/NAME/clusters``, ``stress``, ``spread``, ``neighbors`` and ``rows``; ``run/ids``,
    ``run/labels``, ``run/thumbnails`` and ``run/columns/NAME``. The format has numbers
    only: strings are numbered, and what the numbers stand for is in the file's metadata
    under the key ``layerlens``, a JSON object whose ``strings`` has a list for each such tensor;
    ``layers``, ``versions`` and so on are beside it.

    Parameters
    ----------
    path : str or path-like
        Where the file goes.

    Examples
    --------
    >>> emb.save("lenet.safetensors")                                  # doctest: +SKIP
    >>> safetensors.torch.load_file("lenet.safetensors")["layers/conv1/coordinates"]
    ... # doctest: +SKIP
    """

    suffixes: ClassVar[tuple[str, ...]] = (".safetensors",)

    def _require(self) -> None:
        needed("safetensors.numpy", _WHO, "safetensors")

    def _put(self, layers: list[LayerEmbedding], stream: BinaryIO) -> None:
        run = layers[0].run
        arrays: dict[str, Any] = {
            f"layers/{layer.layer}/{name}": getattr(layer, name)
            for layer in layers
            for name in _LAYER_ARRAYS
        }
        arrays |= {f"run/{name}": getattr(run, name) for name in ("ids", "labels", "thumbnails")}
        arrays |= {f"run/columns/{name}": values for name, values in run.columns.items()}
        tensors: dict[str, Array] = {}
        strings: dict[str, list[str]] = {}
        for name, values in arrays.items():
            if values is not None:
                tensors[name], words = _numbers(np.asarray(values))
                if words is not None:
                    strings[name] = words
        content = {**json.loads(about(layers)), "strings": strings}
        # one key: several would come in an order of their own each time
        metadata = {"layerlens": json.dumps(content, allow_nan=False)}
        stream.write(needed("safetensors.numpy", _WHO, "safetensors").save(tensors, metadata))


def _numbers(array: Array) -> tuple[Array, list[str] | None]:
    """Return an array as one that the format has, and what its numbers stand for if not itself."""
    if array.dtype.kind in "biu" or (array.dtype.kind == "f" and array.dtype.itemsize <= 8):
        return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))), None
    words, codes = np.unique(array.astype(str), return_inverse=True)
    return codes.reshape(array.shape).astype(np.int64), words.tolist()
