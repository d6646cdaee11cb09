"""Data sets that are tables: Hugging Face's `datasets`, and lists of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from layerlens.errors import ShapeError

__all__ = ["batches_of", "class_names_of", "collate", "is_rows", "is_table", "tensor_of"]


def is_table(batches: Any) -> bool:
    """Tell whether it is a data set of Hugging Face's, of which iterating yields single rows."""
    return all(hasattr(batches, name) for name in ("features", "with_format", "iter"))


def batches_of(table: Any, size: int) -> Iterable[Mapping[str, Any]]:
    """Return a table's rows in batches, as tensors unless its owner chose a format or transform."""
    chosen = getattr(table, "format", None)  # one that is streamed does not tell
    if chosen is None or chosen.get("type") is None:
        table = table.with_format("torch")
    batches: Iterable[Mapping[str, Any]] = table.iter(batch_size=size)
    return batches


def class_names_of(table: Any) -> tuple[str, ...] | None:
    """Return the names of the classes, where a column under a label's name has them."""
    features = table.features or {}
    for column in ("labels", "label", "y", "target", "targets"):
        names = getattr(features.get(column), "names", None)
        if names:
            return tuple(names)
    return None


def is_rows(batch: Any) -> bool:
    """Tell whether a batch is a list of rows, each a mapping with the same columns."""
    return (
        isinstance(batch, list)
        and len(batch) > 1
        and all(isinstance(row, Mapping) for row in batch)
        and all(row.keys() == batch[0].keys() for row in batch)
    )


def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one mapping of columns: tensors of what is numbers, lists of the rest."""
    columns: dict[str, Any] = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        columns[name] = values if isinstance(values[0], str) else tensor_of(name, values)
    return columns


def tensor_of(name: str, values: Any) -> Any:
    """Return a column as one tensor; what is no numbers stays as it is.

    Raises
    ------
    ShapeError
        If rows have several lengths.
    """
    if isinstance(values, torch.Tensor) or not isinstance(values, list | tuple) or not values:
        return values
    if all(isinstance(one, torch.Tensor) for one in values):
        shapes = {tuple(one.shape) for one in values}
        if len(shapes) == 1:
            return torch.stack(list(values))
    else:
        try:
            array = np.asarray(values)
        except ValueError:
            shapes = {np.shape(one) for one in values if np.ndim(one) == 1}
        else:
            if array.dtype.kind not in "biuf":
                return values
            tensor = torch.from_numpy(array)
            # Python's own numbers are those of the model's usual dtype, as in torch.tensor
            return tensor.to(torch.get_default_dtype()) if array.dtype.kind == "f" else tensor
    raise ShapeError(
        f"column {name!r} has rows of several shapes, {', '.join(map(str, sorted(shapes)[:4]))}, "
        "which make no batch; pad them first (a tokenizer's padding=True, a DataLoader with "
        "collate_fn=DataCollatorWithPadding(tokenizer))"
    )
