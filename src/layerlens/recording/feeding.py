"""How a batch is given to a model: what of it goes in, and what is said of its samples."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from layerlens._options import refuse_masked
from layerlens.errors import RecordingError, ShapeError
from layerlens.recording import tables
from layerlens.recording.batch import batch_size, image_list
from layerlens.recording.samples import Annotation, as_tensor, is_missing, looks_like_images

__all__ = ["Fed", "as_batches", "class_names", "evaluation", "expected_samples", "feed"]

_LABELS = ("labels", "label", "y", "target", "targets")
_IDS = ("ids", "id")
_BATCH = 64


@dataclass(slots=True)
class Fed:
    """A batch, taken apart."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    annotation: Annotation = field(default_factory=Annotation)


def as_batches(batches: Any) -> Iterable[Any]:
    """Return something that yields batches.

    A tensor or array, a pair ``(X, y)`` of them, and a dataset are cut into batches of 64, since
    iterating over them would yield single samples; anything else is iterated over.

    Raises
    ------
    TypeError
        If it cannot be iterated over.
    """
    refuse_masked("batches", batches)
    if isinstance(batches, np.ndarray):
        batches = as_tensor(batches)
    if isinstance(batches, torch.Tensor):
        return torch.split(batches, _BATCH)
    if _is_labelled_data(batches):
        return _split_pair(*batches)
    if tables.is_table(batches):
        return tables.batches_of(batches, _BATCH)
    if isinstance(batches, Dataset) and not isinstance(batches, IterableDataset):
        # a generator of its own: a loader draws a seed from the global one
        return DataLoader(batches, batch_size=_BATCH, generator=torch.Generator())
    if isinstance(batches, Mapping) or not isinstance(batches, Iterable):
        raise TypeError(
            "batches is an iterable of batches, such as a DataLoader, or a tensor, a pair (X, y) "
            f"or a dataset; got {type(batches).__name__}. For one batch, pass [batch]"
        )
    return batches


def _is_labelled_data(batches: Any) -> bool:
    """Tell a whole data set ``(X, y)`` from two batches: those have one shape and one dtype."""
    if not isinstance(batches, tuple) or len(batches) != 2:
        return False
    x, y = batches
    if not isinstance(x, torch.Tensor | np.ndarray) or x.ndim < 2:
        return False
    if isinstance(y, torch.Tensor | np.ndarray):
        return y.shape[1:] != x.shape[1:] or y.dtype != x.dtype
    return _is_labels(y) or (
        isinstance(y, list) and not any(isinstance(one, torch.Tensor) for one in y)
    )


def _split_pair(x: Any, y: Any) -> Iterator[tuple[torch.Tensor, Any]]:
    refuse_masked("X", x)
    x = as_tensor(x)
    labels = Annotation.of(labels=_classes_of_one_hot(y)).facts.get("labels", y)
    if len(labels) != len(x):
        raise ShapeError(f"batches: X has {len(x)} samples and y has {len(labels)} labels")
    for start in range(0, len(x), _BATCH):
        yield x[start : start + _BATCH], labels[start : start + _BATCH]


def expected_samples(batches: Any) -> int | None:
    """Return how many samples will come, where something says so."""
    if isinstance(batches, torch.Tensor | np.ndarray):
        return len(batches)
    if _is_labelled_data(batches):
        return len(batches[0])
    if tables.is_table(batches):
        return len(batches) if isinstance(batches, Sized) else None
    counted = batches if isinstance(batches, Dataset) else getattr(batches, "sampler", None)
    return len(counted) if isinstance(counted, Sized) else None


def class_names(batches: Any) -> tuple[str, ...] | None:
    """Return the names of the classes where the data set has them."""
    table = getattr(batches, "dataset", batches)
    if tables.is_table(table):
        return tables.class_names_of(table)
    names = getattr(getattr(batches, "dataset", batches), "classes", None)
    if isinstance(names, Sequence) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    return None


def feed(model: nn.Module, batch: Any) -> Fed:
    """Take a batch apart.

    `batch`: of a tuple or list the first entry goes in, a second one is the labels if it is one
    number or string a sample; of one-hot rows, their classes' numbers are. Images in a list go in
    as that list, if they have several sizes or ``forward`` says that it takes one. Of a mapping,
    what the model's ``forward`` has as parameters goes in; one value a sample under ``labels``,
    ``label``, ``y``, ``target`` is the labels (and goes in only where the model cannot do without)
    and under ``ids``, ``id`` the ids; anything else with one value a sample becomes a column.

    Raises
    ------
    RecordingError
        If nothing of the batch can go into the model.
    """
    device = next((p.device for p in model.parameters()), None)
    for place, part in enumerate(batch if isinstance(batch, tuple | list) else [batch]):
        refuse_masked(f"batch[{place}]" if isinstance(batch, tuple | list) else "a batch", part)
    if isinstance(batch, np.ndarray):
        batch = as_tensor(batch)
    if isinstance(batch, torch.Tensor):
        return Fed((_to(batch, device),), annotation=_annotation(batch))
    if tables.is_rows(batch):
        batch = tables.collate(batch)
    if isinstance(batch, Mapping):
        return _feed_mapping(model, batch, device)
    if isinstance(batch, tuple | list) and batch:
        if isinstance(batch[0], Mapping):
            fed = _feed_mapping(model, batch[0], device)
        elif image_list((batch,), {}) and (
            batch_size(model, (batch,), {}) == len(batch) or _takes_list(model)
        ):
            return Fed(([_to(image, device) for image in batch],))
        elif isinstance(batch[0], torch.Tensor | np.ndarray):
            fed = feed(model, batch[0])
        elif image_list((batch[0],), {}):
            fed = Fed(([_to(image, device) for image in batch[0]],))
        else:
            raise RecordingError(_cannot(model, batch))
        labels = _classes_of_one_hot(batch[1]) if len(batch) > 1 else None
        if len(batch) > 1 and _is_labels(labels):
            fed.annotation.update(Annotation.of(labels=labels))
        return fed
    raise RecordingError(_cannot(model, batch))


def _feed_mapping(model: nn.Module, batch: Mapping[str, Any], device: Any) -> Fed:
    parameters = inspect.signature(model.forward).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    fed = Fed()
    size = next((n for n in map(_length, batch.values()) if n is not None), 0)
    facts: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    for key, value in batch.items():
        refuse_masked(f"batch[{key!r}]", value)
        if key in _LABELS and _is_labels(_classes_of_one_hot(value)):
            facts["labels"] = _classes_of_one_hot(value)
            needed = parameters.get(key)
            if needed is not None and needed.default is inspect.Parameter.empty:
                fed.kwargs[key] = _to(value, device)
        elif key in _IDS and _is_labels(value):
            facts["ids"] = value
        elif key in parameters or (open_ended and isinstance(value, torch.Tensor)):
            fed.kwargs[key] = _to(tables.tensor_of(key, value), device)
        elif _is_labels(value) and len(value) == size:
            columns[str(key)] = value
    if not any(isinstance(value, torch.Tensor) for value in fed.kwargs.values()):
        raise RecordingError(_cannot(model, batch))
    image = next((value for value in fed.kwargs.values() if looks_like_images(value)), None)
    fed.annotation = Annotation.of(inputs=image, columns=columns, **facts)
    return fed


def _annotation(inputs: torch.Tensor) -> Annotation:
    return Annotation.of(inputs=inputs if looks_like_images(inputs) else None)


def _takes_list(model: nn.Module) -> bool:
    """Tell whether forward says so: ``images: list[Tensor]``. Else ``[x, y]`` is a pair."""
    first = next(iter(inspect.signature(model.forward).parameters.values()), None)
    return first is not None and "list[" in str(first.annotation).lower()


def _classes_of_one_hot(value: Any) -> Any:
    """Return the classes' numbers where each row is one 1 among noughts, else the value itself."""
    if not isinstance(value, torch.Tensor | np.ndarray) or value.ndim != 2 or value.shape[1] < 2:
        return value
    rows = as_tensor(value)
    if rows.is_complex() or not bool(((rows == 0) | (rows == 1)).all()):
        return value
    return rows.int().argmax(1) if bool((rows.int().sum(1) == 1).all()) else value


def _is_labels(value: Any) -> bool:
    """Tell whether a value is one class, or one number, a sample; some may be missing."""
    if isinstance(value, torch.Tensor):
        return (value.ndim == 1 or value.shape[1:] == (1,)) and not value.is_complex()
    if hasattr(value, "__array__"):  # pandas' too
        value = np.asarray(value)
        if value.dtype.kind != "O":
            return value.ndim == 1 and value.dtype.kind in "iubUSTfmM"
        value = value.tolist()
    return isinstance(value, tuple | list) and all(
        isinstance(one, str | Real | np.generic | date | None)
        or (isinstance(one, torch.Tensor) and not one.ndim)
        or is_missing(one)
        for one in value
    )


def _length(value: Any) -> int | None:
    if isinstance(value, torch.Tensor | np.ndarray):
        return len(value) if value.ndim else None
    return len(value) if isinstance(value, list | tuple) else None


def _to(value: Any, device: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = as_tensor(value)
    return value.to(device) if isinstance(value, torch.Tensor) and device is not None else value


def _cannot(model: nn.Module, batch: Any) -> str:
    if isinstance(batch, Mapping):
        has = f"a {type(batch).__name__} with {', '.join(map(repr, batch)) or 'nothing in it'}"
    elif isinstance(batch, tuple | list):
        inside = ", ".join(type(one).__name__ for one in batch[:4])
        has = f"a {type(batch).__name__} of {inside or 'nothing'}"
    else:
        has = f"a {type(batch).__name__}"
    wanted = ", ".join(inspect.signature(model.forward).parameters)
    return (
        f"cannot tell how to feed {has} to {type(model).__name__}.forward({wanted}). A batch is a "
        "tensor, (x, y), or a mapping of forward's parameters; for anything else pass "
        "run(..., forward=lambda model, batch: model(...))"
    )


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode, and every module back into its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training
