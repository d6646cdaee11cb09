"""What is known of the samples beside their activations: labels, ids, columns, thumbnails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from layerlens._options import refuse_masked
from layerlens.errors import ShapeError

__all__ = [
    "Annotation",
    "Samples",
    "as_fact",
    "as_tensor",
    "is_missing",
    "looks_like_images",
    "thumbnails_of",
]

Array = npt.NDArray[Any]

THUMBNAIL_SIZE = 32
"""Longest side of a thumbnail in pixels."""

_MISSING = {"None", "nan", "np.float64(nan)", "<NA>", "NaT"}  # as they show themselves


@dataclass(slots=True)
class Annotation:
    """Facts of the samples of one batch.

    `facts`: each (B,). ``"labels"``, ``"ids"`` and columns (as ``"column:NAME"``).
    `thumbnails`: (B, height, width, 1 or 3), uint8. Pictures of the inputs.
    """

    facts: dict[str, Array] = field(default_factory=dict)
    thumbnails: Array | None = None

    @classmethod
    def of(
        cls,
        labels: Any = None,
        ids: Any = None,
        inputs: Any = None,
        columns: Mapping[str, Any] | None = None,
    ) -> Annotation:
        """Check and convert what a user says of a batch.

        Raises
        ------
        ShapeError
            If something is not one value a sample, inputs are no images, or lengths differ.
        """
        given = {"labels": labels, "ids": ids}
        given |= {f"column:{name}": values for name, values in (columns or {}).items()}
        facts = {
            name: _one_each(name.removeprefix("column:"), values)
            for name, values in given.items()
            if values is not None
        }
        # where nothing is known of a batch, another batch tells whether it is numbers or text
        facts = {
            name: values
            for name, values in facts.items()
            if name == "ids" or values.dtype.kind != "U" or (values != "").any()
        }
        pictures = None if inputs is None else thumbnails_of(inputs)
        lengths = {name.removeprefix("column:"): len(values) for name, values in facts.items()}
        if pictures is not None:
            lengths["inputs"] = len(pictures)
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ShapeError(f"annotate: one value a sample is needed, of all alike; {said}")
        return cls(facts, pictures)

    def update(self, other: Annotation) -> None:
        """Take over what another annotation of the same batch says."""
        self.facts.update(other.facts)
        if other.thumbnails is not None:
            self.thumbnails = other.thumbnails

    def __len__(self) -> int:
        for values in self.facts.values():
            return len(values)
        return 0 if self.thumbnails is None else len(self.thumbnails)

    def check(self, batch: int) -> None:
        """Raise `ShapeError` where the batch has another number of samples."""
        named = {name.removeprefix("column:"): values for name, values in self.facts.items()}
        if self.thumbnails is not None:
            named["inputs"] = self.thumbnails
        for name, values in named.items():
            if len(values) != batch:
                raise ShapeError(
                    f"annotate: {name} has {len(values)} values, but the batch that came next has "
                    f"{batch} samples; nothing of this batch was recorded"
                )


def _one_each(name: str, values: Any) -> Array:
    refuse_masked(f"annotate: {name}", values)
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    elif not isinstance(values, np.ndarray) and not isinstance(values, Sequence):
        values = list(values) if isinstance(values, Iterable) else values
    try:
        array = as_fact(name, values)
    except ValueError:  # rows of unequal lengths
        raise ShapeError(
            f"annotate: {name} must be one value a sample, shape (B,); got lists of unequal lengths"
        ) from None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        hint = "; for class scores or one-hot rows pass their argmax" if array.ndim == 2 else ""
        raise ShapeError(
            f"annotate: {name} must be one value a sample, shape (B,); got {array.shape}{hint}"
        )
    return array.astype(np.int64) if array.dtype.kind == "b" and name == "labels" else array.copy()


def as_fact(name: str, values: Any) -> Array:
    """Return what is known of samples as numbers, text or dates; what is missing is said so."""
    array = np.asarray(values)
    if array.dtype.kind in "OT" or (array.dtype.kind == "U" and array is not values):
        array = _mixed(name, np.asarray(values, object))
    elif array.dtype.kind == "S":  # bytes, which need not be text
        array = np.char.decode(array, "utf-8", "backslashreplace")
    return array


def is_missing(one: Any) -> bool:
    """Tell whether something stands for what is not known: None, NaN, and pandas' two."""
    return repr(one) in _MISSING


def _mixed(name: str, values: Array) -> Array:
    """Return numbers or text for things of which some are missing."""
    given = [None if is_missing(one) else one for one in values.ravel().tolist()]
    known = [one for one in given if one is not None]
    if known and name != "ids" and all(isinstance(one, Real) for one in known):
        whole = name == "labels" and all(isinstance(one, Integral) for one in known)
        blank = -1 if whole else np.nan
        numbers = np.asarray([blank if one is None else one for one in given])
        if numbers.dtype.kind in "iuf":
            return numbers.reshape(values.shape)
    texts = ["" if one is None else str(one) for one in given]
    return np.asarray(texts, str).reshape(values.shape)


def looks_like_images(value: Any) -> bool:
    """Tell whether a value is a batch of grey or colour images, channels first."""
    return (
        isinstance(value, torch.Tensor)
        and value.ndim == 4
        and value.shape[1] in (1, 3)
        and min(value.shape[2:]) > 1
        and not value.is_complex()
        and not value.is_meta
    )


def thumbnails_of(inputs: Any) -> Array:
    """Return small pictures of a batch of images.

    `inputs`: (B, C, H, W) or (B, H, W). Any dtype; uint8 is shown as it is, anything else is scaled
    from its own minimum and maximum, image by image. With one or three channels (of others, the
    first is shown), which may also be the last axis, with transparency too, which is dropped.
    Returned: (B, height, width, 1 or 3), uint8. At most 32 pixels a side, the aspect kept.

    Raises
    ------
    ShapeError
        If the inputs are no images.
    """
    refuse_masked("annotate: inputs", inputs)
    try:
        if isinstance(inputs, list | tuple):
            inputs = torch.stack([as_tensor(image) for image in inputs])
        images = as_tensor(inputs).detach()
        got = str(tuple(images.shape))
    except (RuntimeError, TypeError, ValueError) as error:
        images, got = torch.empty(0), f"{type(inputs).__name__} ({error})"
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim == 4 and images.shape[3] in (1, 3, 4) and min(images.shape[1:3]) > 4:
        images = images.permute(0, 3, 1, 2)[:, :3]  # channels last, as images are in NumPy
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ShapeError(
            "annotate: inputs become thumbnails, so they must be images of shape (B, C, H, W) or "
            f"(B, H, W); got {got}. Leave inputs out for other kinds of data"
        )
    if images.shape[1] != 3:
        images = images[:, :1]
    is_byte = images.dtype == torch.uint8
    images = images.float()
    height, width = images.shape[2:]
    shrink = max(height, width) / THUMBNAIL_SIZE
    if shrink > 1:
        size = (max(1, round(height / shrink)), max(1, round(width / shrink)))
        images = functional.adaptive_avg_pool2d(images, size)
    if not is_byte:
        low = images.amin((1, 2, 3), keepdim=True)
        spread = (images.amax((1, 2, 3), keepdim=True) - low).clamp_min(1e-12)
        images = (images - low) / spread * 255
    pictures = images.nan_to_num(0.0).round().clamp(0, 255).to(torch.uint8)
    return pictures.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def as_tensor(given: Any) -> torch.Tensor:
    """Return a tensor of an array, without a copy where torch takes it: writable, not reversed."""
    if isinstance(given, torch.Tensor):
        return given
    return torch.from_numpy(np.require(given, requirements=["C", "W"]))


class Samples:
    """The facts of all samples of a run, batch after batch."""

    def __init__(self) -> None:
        self.count = 0
        self._batches: list[tuple[int, Annotation]] = []

    def add(self, batch: int, annotation: Annotation | None) -> None:
        """Note one batch of that many samples; facts beyond them are cut off."""
        self._batches.append((batch, annotation or Annotation()))
        self.count += batch

    @property
    def have_ids(self) -> bool:
        """Whether every batch came with ids."""
        return all("ids" in note.facts for _, note in self._batches)

    def facts(self) -> dict[str, Array]:
        """Return each fact for all samples: missing numbers are NaN (labels: -1), strings ``""``.

        Without ids, samples are numbered in the order of the run.
        """
        names = dict.fromkeys(name for _, note in self._batches for name in note.facts)
        facts = {name: self._column(name) for name in names}
        facts.setdefault("ids", np.arange(self.count))
        return facts

    def _column(self, name: str) -> Array:
        have = [note.facts[name] for _, note in self._batches if name in note.facts]
        complete = len(have) == len(self._batches)
        kinds = {kind if (kind := values.dtype.kind) in "mMU" else "" for values in have}
        if name == "ids" and not complete:
            kinds.add("")
        textual = "U" in kinds or len(kinds) > 1  # dates among numbers, too
        parts: list[Array] = []
        start = 0
        for batch, note in self._batches:
            values = note.facts.get(name)
            if values is not None:
                parts.append(values[:batch].astype(str) if textual else values[:batch])
            elif name == "ids":
                numbers = np.arange(start, start + batch)
                parts.append(numbers.astype(str) if textual else numbers)
            elif textual:
                parts.append(np.full(batch, ""))
            elif have[0].dtype.kind in "mM":
                parts.append(np.full(batch, "NaT", have[0].dtype))
            else:
                whole = name == "labels" and have[0].dtype.kind in "iu"
                parts.append(np.full(batch, -1) if whole else np.full(batch, np.nan))
            start += batch
        if not complete and not textual and name == "labels":
            parts = [part.astype(np.int64) if part.dtype.kind in "iu" else part for part in parts]
        return np.concatenate(parts)

    def thumbnails(self) -> Array | None:
        """Return the thumbnails of all samples, blank where there is none, or None."""
        have = [note.thumbnails for _, note in self._batches if note.thumbnails is not None]
        if not have:
            return None
        height = max(pictures.shape[1] for pictures in have)
        width = max(pictures.shape[2] for pictures in have)
        colours = max(pictures.shape[3] for pictures in have)
        sheet = np.zeros((self.count, height, width, colours), np.uint8)
        start = 0
        for batch, note in self._batches:
            if note.thumbnails is not None:
                pictures = note.thumbnails[:batch]
                sheet[start : start + batch, : pictures.shape[1], : pictures.shape[2]] = pictures
            start += batch
        return sheet
