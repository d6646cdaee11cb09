"""How an image becomes a model's input: its middle square, scaled to one size, and normalised."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["ImageFormat", "image_format"]

_BICUBIC = 3  # by its number, so that Pillow itself need not be imported


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """What a model wants of its images.

    Parameters
    ----------
    size : int
        Length of a side in pixels.
    channels : {1, 3}
        Grey or colour.
    mean, std : tuple of float
        For pixels from 0 to 1: one for all channels, or one for each.
    source : str
        Where it is known from, in words.
    """

    size: int = 224
    channels: int = 3
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    source: str = "by default"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ArgumentError(f"an image has a side of 1 pixel or more, got size {self.size}")
        if self.channels not in (1, 3):
            raise ArgumentError(f"images have 1 channel (grey) or 3, got {self.channels}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) not in (1, self.channels):
                raise ArgumentError(
                    f"{name} is one number, or one for each of {self.channels} channels; "
                    f"got {len(values)}"
                )
        if any(value == 0 for value in self.std):
            raise ArgumentError("std is divided by and cannot be 0")

    def __str__(self) -> str:
        kind = "grey" if self.channels == 1 else "colour"
        mean, std = (" ".join(f"{v:.3g}" for v in values) for values in (self.mean, self.std))
        return f"{self.size} x {self.size} {kind}, mean {mean}, std {std} ({self.source})"

    def pixels(self, image: Any) -> npt.NDArray[np.uint8]:
        """Return the middle square of a Pillow image, of shape (size, size, channels)."""
        if image.mode.startswith("I"):  # 16 bits: Pillow would clip what is above 255
            image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
        image = image.convert("L" if self.channels == 1 else "RGB")
        side = min(image.size)
        left, upper = ((length - side) // 2 for length in image.size)
        box = (left, upper, left + side, upper + side)
        if side != self.size or image.size != (side, side):
            image = image.resize((self.size, self.size), _BICUBIC, box=box)
        return np.asarray(image, np.uint8).reshape(self.size, self.size, self.channels)

    def inputs(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """Return pixels (n, size, size, channels) as float32 (n, channels, size, size)."""
        import torch

        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scaled = (pixels.astype(np.float32) / np.float32(255) - mean) / std
        return torch.from_numpy(scaled).movedim(-1, 1).contiguous()


def image_format(name: str, model: nn.Module, **given: Any) -> ImageFormat:
    """Find out what a model wants of its images.

    Parameters
    ----------
    name : str
        What the model was called by, see `layerlens.models.load_model`: timm's and transformers'
        models have a configuration that says it.
    model : torch.nn.Module
    **given
        ``size``, ``channels``, ``mean``, ``std``: what the user says, which goes before
        everything else. None where they say nothing.

    Raises
    ------
    ArgumentError
        If the format cannot be.
    """
    kind, _, rest = name.partition(":")
    found = {"timm": _of_timm, "hf": _of_transformers}.get(kind, _of_first_convolution)(rest, model)
    chosen = {key: value for key, value in given.items() if value is not None}
    if len(found.mean) > 1 and chosen.get("channels", found.channels) == 1:
        # colour's figures do not fit one channel: their mean is what they say of grey
        chosen.setdefault("mean", (sum(found.mean) / len(found.mean),))
        chosen.setdefault("std", (sum(found.std) / len(found.std),))
    if {"size", "mean", "std"} <= chosen.keys():
        chosen["source"] = "as given"
    elif chosen:
        chosen["source"] = f"{', '.join(key for key in chosen)} as given, the rest {found.source}"
    return replace(found, **chosen)


def _of_first_convolution(_: str, model: nn.Module) -> ImageFormat:
    """Tell grey from colour by what the first convolution takes."""
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels in (1, 3):
            return ImageFormat(channels=module.in_channels)
    return ImageFormat()


def _of_timm(_: str, model: nn.Module) -> ImageFormat:
    config = importlib.import_module("timm.data").resolve_model_data_config(model)
    channels, height, _ = config["input_size"]
    return ImageFormat(
        size=height,
        channels=channels,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        source="by timm's configuration",
    )


def _of_transformers(name: str, model: nn.Module) -> ImageFormat:
    config: Any = model.config
    found = _of_first_convolution(name, model)
    size, channels = getattr(config, "image_size", None), getattr(config, "num_channels", None)
    known: dict[str, Any] = {
        "size": _side(size) if size else None,
        "channels": channels if channels in (1, 3) else None,
    }
    known = {key: value for key, value in known.items() if value is not None}
    if known:
        found = replace(found, **known, source="by the model's configuration")
    from transformers.image_processing_base import ImageProcessingMixin

    said: Mapping[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):  # none was saved with the model
        said, _ = ImageProcessingMixin.get_image_processor_dict(name)
    return _of_processor(said, found) if said else found


def _of_processor(said: Mapping[str, Any], found: ImageFormat) -> ImageFormat:
    """Read a configuration of transformers' image processors."""
    size = said.get("crop_size") if said.get("do_center_crop") else None
    size = size or said.get("size")
    # values are scaled by rescale_factor, moved, and then normalised; ours are from 0 to 1
    scale = 255 * said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 255
    offset = 1.0 if said.get("rescale_offset") else 0.0
    mean, std = (0.0,), (1.0,)
    if said.get("do_normalize", True):
        mean, std = (tuple(np.atleast_1d(said.get(f"image_{key}", 0.5))) for key in ("mean", "std"))
    return replace(
        found,
        size=_side(size) if size else found.size,
        mean=tuple(float((value + offset) / scale) for value in mean),
        std=tuple(float(value / scale) for value in std),
        source="by the model's image processor",
    )


def _side(size: Any) -> int:
    if isinstance(size, Mapping):
        size = next(size[k] for k in ("height", "shortest_edge", "longest_edge") if k in size)
    return int(size[0] if isinstance(size, list | tuple) else size)
