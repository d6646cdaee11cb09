"""The samples that a command line names: a folder of images, arrays, a Hugging Face data set."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import ArgumentError, LayerlensWarning, ShapeError, StoreError
from layerlens.models import IMAGE_SUFFIXES, required

if TYPE_CHECKING:
    from torch import Tensor

    from layerlens.images import ImageFormat

__all__ = ["Batch", "Batches", "Data", "open_data"]

Array = npt.NDArray[Any]

_VALUES = ("x", "X", "images", "inputs", "data")
_LABELS = ("y", "Y", "labels", "label", "targets", "target")
_IDS = ("ids", "id")
_NAMES = ("label_names", "classes", "class_names")
_READERS = 4


class Broken(Exception):  # noqa: N818 -- it says what a sample is, and is never seen outside
    """A sample that cannot be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Samples that are read when they are asked for.

    `ids`: (n_samples,).
    `read`: ``read(i)`` gives sample i, a Pillow image or an array; `Broken` if it cannot be read.
    `are_images`: whether samples are Pillow images, to be brought to one format.
    `labels`: (n_samples,).
    """

    title: str
    ids: Array
    read: Callable[[int], Any]
    are_images: bool
    labels: Array | None = None
    label_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def drawn(self, n_samples: int | None, random_state: int) -> Data:
        """Return so many of the samples, drawn without replacement and kept in order."""
        if n_samples is None or n_samples >= len(self):
            return self
        draw = np.random.default_rng(random_state)
        chosen = np.sort(draw.choice(len(self), n_samples, replace=False))
        return replace(
            self,
            ids=self.ids[chosen],
            read=lambda i: self.read(int(chosen[i])),
            labels=None if self.labels is None else self.labels[chosen],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples on their way into the model.

    `inputs`: (n, ...).
    `ids`: (n,).
    `labels`: (n,).
    `pixels`: (n, channels, height, width), uint8. What thumbnails are made of.
    """

    inputs: Tensor
    ids: Array
    labels: Array | None
    pixels: Array | None


class Batches:
    """Data in batches, images brought to one format; broken samples are passed over by name.

    `sampler` and `classes` are where a `torch.utils.data.DataLoader` has the number of samples
    and their classes' names, so that `Probe.run` finds them.
    """

    def __init__(self, data: Data, size: int, wanted: ImageFormat | None) -> None:
        self.sampler = range(len(data))
        self.classes = data.label_names
        self._data = data
        self._size = size
        self._wanted = wanted

    def __iter__(self) -> Iterator[Batch]:
        data = self._data
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(data), self._size):
                numbers = range(start, min(len(data), start + self._size))
                samples = list(pool.map(self._read, numbers))
                for sample in samples:
                    if isinstance(sample, Broken):
                        warnings.warn(f"passed over: {sample}", LayerlensWarning, stacklevel=2)
                whole = [i for i, s in zip(numbers, samples, strict=True) if _is_whole(s)]
                if whole:
                    yield self._batch(np.array(whole), [s for s in samples if _is_whole(s)])

    def _read(self, i: int) -> Any:
        try:
            sample = self._data.read(i)
            return self._wanted.pixels(sample) if self._wanted else sample
        except Broken as broken:
            said = self._data.ids[i : i + 1].tolist()[0]
            return Broken(f"{said!r} is no image that can be read: {broken}")

    def _batch(self, numbers: Array, samples: list[Array]) -> Batch:
        import torch

        data = self._data
        stacked = np.stack(samples)
        labels = None if data.labels is None else data.labels[numbers]
        if self._wanted:
            inputs, pixels = self._wanted.inputs(stacked), np.moveaxis(stacked, -1, 1)
        else:
            inputs, pixels = torch.from_numpy(_as_input(stacked)), None
        return Batch(inputs, data.ids[numbers], labels, pixels)


def open_data(path: Path, split: str | None = None) -> Data:
    """Find out what lies at a path.

    `path`: a folder of images, whose subfolders are classes; an ``.npy`` or ``.npz`` file; or a
    folder that Hugging Face ``datasets`` saved.

    Raises
    ------
    StoreError
        If there is nothing that can be read.
    ShapeError, ArgumentError
        If what is there does not fit together, or it is not said which part is meant.
    PluginError
        If the package that reads it is not installed.
    """
    if not path.exists():
        raise StoreError(f"there is nothing at {str(path)!r}; DATA is a folder or a .npy/.npz file")
    is_saved = path.is_dir() and any(
        (path / name).is_file() for name in ("dataset_dict.json", "dataset_info.json")
    )
    if is_saved:
        return _hugging_face(path, split)
    if split is not None:
        raise ArgumentError(f"--split is of a Hugging Face data set, and {str(path)!r} is none")
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() in (".npz", ".npy"):
        return _arrays(path)
    raise StoreError(
        f"{str(path)!r} is neither a folder nor .npy or .npz: DATA is a folder of images, arrays, "
        f"or a folder that datasets' save_to_disk wrote"
    )


def _folder(path: Path) -> Data:
    reader = required("PIL.Image", "pillow")
    files = sorted(file.relative_to(path) for file in _image_files(path))
    if not files:
        raise StoreError(
            f"there is no image in {str(path)!r}; they end in {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    # the first folder on the way is the class, torchvision's way; images beside it have none
    labels = np.array([file.parts[0] if len(file.parts) > 1 else "" for file in files])
    classes = np.unique(labels[labels != ""])

    def read(i: int) -> Any:
        try:
            with reader.open(path / files[i]) as image:
                image.load()
                return image
        except Exception as error:  # Pillow has many, and a class of its own for bombs
            raise Broken(str(error)) from error

    of = f" of {_count(len(classes), 'class', 'classes')}" if len(classes) else ""
    return Data(
        title=f"{_count(len(files), 'image')}{of} in {path}",
        ids=np.array([file.as_posix() for file in files]),
        read=read,
        are_images=True,
        labels=labels if len(classes) else None,
    )


def _image_files(path: Path) -> Iterator[Path]:
    """Walk through a folder, and through folders that are links, but not through hidden ones."""
    seen: set[str] = set()
    for root, folders, names in os.walk(path, followlinks=True):
        here = os.path.realpath(root)
        if here in seen:  # a link to a folder above itself
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__MACOSX")))
        for name in names:
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                yield Path(root, name)


def _arrays(path: Path) -> Data:
    try:
        loaded: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix.lower() == ".npy":
            parts: dict[str, Array] = {"x": loaded}
        else:
            with loaded:
                parts = {name: loaded[name] for name in loaded.files}
    except Exception as error:
        raise StoreError(
            f"{str(path)!r} holds no arrays that can be read safely ({error}). It must hold "
            f"numbers or strings, no objects: numpy.savez(path, x=..., y=...)"
        ) from error
    x = _part(parts, _VALUES)
    if x is None:
        many = [array for array in parts.values() if array.ndim > 1]
        x = many[0] if len(many) == 1 else None
    if x is None or x.ndim < 1 or x.dtype.kind not in "fiub":
        there = ", ".join(f"{name} {a.shape} {a.dtype}" for name, a in parts.items()) or "nothing"
        raise StoreError(
            f"{str(path)!r} does not say which array holds the samples: call it x, of numbers, "
            f"one sample a row. There is: {there}"
        )
    labels, ids, names = (_part(parts, keys) for keys in (_LABELS, _IDS, _NAMES))
    for what, array in (("labels", labels), ("ids", ids)):
        if array is not None and array.shape != (len(x),):
            hint = "; of one-hot rows save the argmax" if array.ndim == 2 else ""
            raise ShapeError(
                f"{str(path)!r}: {what} have shape {array.shape} for {len(x)} samples; one each is "
                f"needed, shape ({len(x)},){hint}"
            )
    if len(x) == 0:
        raise StoreError(f"{str(path)!r} holds no samples: x has shape {x.shape}")
    as_images = _as_images(x)
    return Data(
        title=f"{_count(len(x), 'sample')} of shape {x.shape[1:]} {x.dtype} in {path}",
        ids=np.arange(len(x)) if ids is None else ids,
        read=as_images or (lambda i: x[i]),
        are_images=as_images is not None,
        labels=labels,
        label_names=None if names is None else tuple(str(name) for name in names),
    )


def _as_images(x: Array) -> Callable[[int], Any] | None:
    """Return what reads a sample as an image, where the array is one of grey or colour bytes."""
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        return None
    reader = required("PIL.Image", "pillow")
    if x.ndim == 3:
        return lambda i: reader.fromarray(np.ascontiguousarray(x[i]))
    if x.shape[3] in (1, 3):
        return lambda i: reader.fromarray(_squeezed(x[i]))
    if x.shape[1] in (1, 3):
        return lambda i: reader.fromarray(_squeezed(np.moveaxis(x[i], 0, -1)))
    return None


def _squeezed(image: Array) -> Array:
    return np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image)


def _part(parts: dict[str, Array], names: Sequence[str]) -> Array | None:
    return next((parts[name] for name in names if name in parts), None)


def _as_input(x: Array) -> Array:
    """Return samples as a model takes them: numbers as float32, whole numbers (tokens) as int64."""
    return x.astype(np.float32 if x.dtype.kind == "f" else np.int64)


def _hugging_face(path: Path, split: str | None) -> Data:
    datasets = required("datasets", '"torch-layerlens[datasets]"')
    try:
        loaded = datasets.load_from_disk(str(path))
    except Exception as error:
        raise StoreError(
            f"{str(path)!r} looks like a data set of Hugging Face's, and cannot be read: {error}"
        ) from error
    if isinstance(loaded, datasets.DatasetDict):
        there = ", ".join(loaded)
        if split is None and len(loaded) == 1:
            (split,) = loaded
        if split not in loaded:
            said = "say which by --split" if split is None else f"and none is called {split!r}"
            raise ArgumentError(f"{str(path)!r} has the parts {there}; {said}")
        loaded = loaded[split]
    elif split is not None:
        raise ArgumentError(f"{str(path)!r} is one data set without parts: leave --split out")
    columns = loaded.features
    image = next((n for n, kind in columns.items() if isinstance(kind, datasets.Image)), None)
    if image is None:
        kinds = ", ".join(f"{name}: {type(kind).__name__}" for name, kind in columns.items())
        raise StoreError(
            f"{str(path)!r} has no column of images ({kinds}); layerlens embed reads images. For "
            f"anything else, loop over it yourself: layerlens.embed(model, batches)"
        )
    label = next(
        (n for n, kind in columns.items() if isinstance(kind, datasets.ClassLabel)),
        next((n for n in _LABELS if n in columns), None),
    )
    names = getattr(columns[label], "names", None) if label else None
    ids = next((n for n in _IDS if n in columns), None)
    pictures = loaded.select_columns([image]).with_format(None)

    def read(i: int) -> Any:
        try:
            found = pictures[i][image]
        except Exception as error:  # whatever the decoder raises
            raise Broken(f"row {i}: {error}") from error
        if found is None:
            raise Broken(f"row {i} is empty")
        return found

    return Data(
        title=f"{_count(len(loaded), 'image')} in {path}" + (f", {split}" if split else ""),
        ids=np.arange(len(loaded)) if ids is None else _column(loaded, ids),
        read=read,
        are_images=True,
        labels=None if label is None else _column(loaded, label),
        label_names=None if names is None else tuple(names),
    )


def _column(loaded: Any, name: str) -> Array:
    values = list(loaded[name])
    if any(value is None for value in values):
        blank: Any = "" if any(isinstance(value, str) for value in values) else -1
        values = [blank if value is None else value for value in values]
    return np.asarray(values)


def _is_whole(sample: Any) -> bool:
    return not isinstance(sample, Broken)


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"
