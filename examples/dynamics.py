"""A residual network predicts where shapes end when one of them is pulled: its maps.

    python examples/dynamics.py [--out dynamics.png] [--weights FILE] [--quick | --paper]

After F. Fleuret, Predicting the dynamics of 2d objects with a deep residual network, 2016
(arXiv 1610.04032). The network sees the start and an image with a dot where one shape is grasped,
and is to draw the end. With --paper it has the paper's sizes: 64 x 64 pixels, ten rectangles,
32,768 training samples, 18 layers of 5 x 5 convolutions with 16 channels, which takes hours.
Otherwise it is smaller: 32 x 32, three rectangles, 3,072 samples, 8 channels.
The paper does not say how it normalises and optimises: batch normalisation, Adam and one cycle of
the learning rate are choices of this file; those of the mechanics are in rectangles.py.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rectangles import Samples, samples
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

import layerlens as ll


@dataclass(frozen=True)
class Sizes:
    pixels: int = 32
    bodies: int = 3
    sides: tuple[float, float] = (0.06, 0.16)
    train: int = 3072
    validation: int = 512
    channels: int = 8
    epochs: int = 8


PAPER = Sizes(64, 10, (0.03, 0.09), 32_768, 2_048, 16, 8)
BATCH = 32
ENOUGH = 0.02  # what --quick must reach; copying the start gives .056


class Convolution(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 5, padding=2, bias=False), nn.BatchNorm2d(outputs)
        )


class Residual(nn.Module):
    """Two layers whose result is added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(Convolution(channels, channels), nn.ReLU())
        self.second = Convolution(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x + self.second(self.first(x)))


class Dynamics(nn.Sequential):
    """18 layers that keep the size: one, eight residual modules of two, and one that draws."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.add_module("start", nn.Sequential(Convolution(2, channels), nn.ReLU()))
        for number in range(1, 9):
            self.add_module(f"module{number}", Residual(channels))
        self.add_module("end", nn.Conv2d(channels, 1, 5, padding=2))

    @property
    def layers(self) -> list[str]:
        """The 18 layers, from the input on."""
        inner = [n for i in range(1, 9) for n in (f"module{i}.first", f"module{i}")]
        return ["start", *inner, "end"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="dynamics.png")
    parser.add_argument("--weights", type=Path, help="read from there, or trained and put there")
    parser.add_argument("--scene", type=int, default=0, help="which of the validation samples")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="few epochs; fails above an error of .02"
    )
    size.add_argument("--paper", action="store_true", help="the paper's sizes")
    parser.add_argument("--epochs", type=int, help="passes over the training samples")
    given = parser.parse_args()
    sizes = PAPER if given.paper else Sizes(epochs=6) if given.quick else Sizes()
    shape = (sizes.pixels, sizes.bodies, sizes.sides)
    unseen = samples(sizes.validation, *shape, seed=1)
    torch.manual_seed(0)
    network = Dynamics(sizes.channels)
    if given.weights and given.weights.exists():
        network.load_state_dict(torch.load(given.weights, weights_only=True))
    else:
        seen = samples(sizes.train, *shape, seed=0)
        train(network, seen, unseen, given.epochs or sizes.epochs)
        if given.weights:
            torch.save(network.state_dict(), given.weights)
    error = squared_error(predicted(network, unseen), unseen)
    print(f"squared error of {len(unseen.inputs)} scenes that it has not seen: {error:.4f}")
    print(f"  the start image would give {squared_error(unseen.inputs[:, :1], unseen):.4f}")
    print(f"  the mean image would give  {squared_error(unseen.targets.mean(0), unseen):.4f}")
    report(told_apart(network, unseen))
    print("wrote", draw(network, unseen, given.scene, given.out))
    if given.quick and not error <= ENOUGH:
        raise SystemExit(f"the error is {error:.4f}, and should be {ENOUGH} at most")


def train(network: Dynamics, seen: Samples, unseen: Samples, epochs: int) -> None:
    network.to(memory_format=torch.channels_last)  # a quarter faster
    x, y = torch.from_numpy(seen.inputs), torch.from_numpy(seen.targets)
    optimizer = torch.optim.Adam(network.parameters())
    steps = epochs * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for epoch in range(epochs):
        network.train()
        for rows in torch.randperm(len(x)).split(BATCH):
            loss = functional.mse_loss(network(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        error = squared_error(predicted(network, unseen), unseen)
        print(f"epoch {epoch + 1:2} of {epochs}: {error:.4f}", flush=True)


@torch.no_grad()
def predicted(network: Dynamics, of: Samples) -> np.ndarray:
    network.eval()
    return torch.cat([network(part) for part in torch.from_numpy(of.inputs).split(64)]).numpy()


def squared_error(images: np.ndarray, of: Samples) -> float:
    return float(((images - of.targets) ** 2).mean())


def told_apart(network: Dynamics, of: Samples, count: int = 64) -> dict[str, tuple[int, float]]:
    """Return, for each layer, the channel that tells the pulled shape from the others best.

    Beside it how often its value at a place of the pulled shape is above that at a place of another
    one, or below it, whichever is more: 1/2 is by chance, 1 is always.
    """
    x = of.inputs[:count]
    is_pulled = of.pulled[:count] > 0.5
    is_shape = x[:, 0] > 0.5
    maps = ll.activation_maps(network, torch.from_numpy(x), network.layers, "all")
    best = {}
    for name, layer in maps.items():
        values = np.moveaxis(layer.values, 1, -1)[is_shape]  # (places, channels)
        shares = np.array([roc_auc_score(is_pulled[is_shape], one) for one in values.T])
        shares = np.maximum(shares, 1 - shares)
        best[name] = int(shares.argmax()), float(shares.max())
    return best


def report(best: dict[str, tuple[int, float]]) -> None:
    print("how often a channel's value tells a place of the grasped shape from one of another:")
    for name, (channel, share) in best.items():
        print(f"  {name:14} channel {channel:2}: {share:.3f}")


def draw(network: Dynamics, of: Samples, scene: int, path: str) -> Path:
    x = torch.from_numpy(of.inputs[scene : scene + 1])
    maps = ll.activation_maps(network, x, network.layers, channels=8)
    shown = {
        "start": x[0, 0], "grasp": x[0, 1], "target": of.targets[scene, 0],
        "prediction": predicted(network, of)[scene, 0].clip(0, 1),
    }  # fmt: skip
    title = "What happens when one shape is pulled up"
    return maps.save(path, title=title, first_row=shown, tile=0.6, dpi=90)


if __name__ == "__main__":
    main()
