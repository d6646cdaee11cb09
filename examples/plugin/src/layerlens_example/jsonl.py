"""One JSON object a line, one line a sample and layer."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any, TextIO

import numpy as np

__all__ = ["JsonLines"]


class JsonLines:
    """Write ``{"layer": "conv1", "id": 17, "label": 3, "x": 0.5, "y": -1.25}`` a line.

    Parameters
    ----------
    path : str or path-like
        Where to.
    digits : int
        Significant digits of a coordinate.
    """

    suffixes = (".jsonl", ".ndjson")

    def __init__(self, path: str | os.PathLike[str], *, digits: int = 6) -> None:
        self.path = Path(path)
        self.digits = digits
        self._temporary: Path | None = None
        self._stream: TextIO | None = None

    def __enter__(self) -> JsonLines:
        # beside the target: the rename at the end is then one step, and nobody sees half a file
        self._temporary = self.path.with_name(f".{secrets.token_hex(8)}.part")
        self._stream = self._temporary.open("x", encoding="utf-8", newline="\n")
        return self

    def write(self, embedding: Any, /) -> None:
        """Append a layer."""
        if self._stream is None:
            raise ValueError("write() belongs inside of the with block")
        run = embedding.run
        ids = embedding.of_rows(run.ids).tolist()
        labels = None if run.labels is None else embedding.of_rows(run.labels).tolist()
        axes = "xyz" if embedding.coordinates.shape[1] <= 3 else None
        for i, point in enumerate(embedding.coordinates.tolist()):
            line = {"layer": embedding.layer, "id": ids[i]}
            if labels is not None:
                line["label"] = _known(labels[i])
            for j, value in enumerate(point):
                line[axes[j] if axes else f"c{j}"] = float(f"{value:.{self.digits}g}")
            self._stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")

    def __exit__(self, exc_type: Any, exc: Any, traceback: Any, /) -> None:
        stream, temporary = self._stream, self._temporary
        self._stream = self._temporary = None
        if stream is None or temporary is None:
            return
        try:
            stream.close()
            if exc_type is None:
                temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)


def _known(label: Any) -> Any:
    # JSON has no NaN
    return None if isinstance(label, float) and not np.isfinite(label) else label
