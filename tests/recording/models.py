"""Small networks that do what real ones do."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """A residual block whose sum is a plain plus."""

    def __init__(self, channels: int, inplace: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(channels)
        self.inplace = inplace

    def forward(self, x):
        y = self.bn(self.conv(x))
        if self.inplace:
            y += x
            return y
        return x + y


class ResNet(nn.Module):
    """Stem, two stages of blocks, head: with in-place activations."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True))
        self.stage = nn.Sequential(Block(8, inplace), Block(8, inplace))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))

    def forward(self, x):
        return self.head(self.stage(self.stem(x)))


class Reused(nn.Module):
    """One activation module, called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.c(self.act(self.b(self.act(self.a(x))))))


class Sometimes(nn.Module):
    """Calls a layer twice where the batch's mean is positive, once elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        y = self.layer(x)
        return self.layer(y) if x.mean() > 0 else y


@dataclass
class Out:
    mask: torch.Tensor
    scores: torch.Tensor


Pair = namedtuple("Pair", ["first", "second"])


class Structured(nn.Module):
    """Submodules that return every kind of structure."""

    class Tuple(nn.Module):
        def forward(self, x):
            return (x.long(), x * 2, x * 3)

    class Dict(nn.Module):
        def forward(self, x):
            return {"ids": x.long(), "aux": x * 5, "main": x * 4}

    class Data(nn.Module):
        def forward(self, x):
            return Out(x > 0, x * 6)

    class Named(nn.Module):
        def forward(self, x):
            return Pair(x * 7, [x * 8, x * 9])

    class Integer(nn.Module):
        def forward(self, x):
            return x.long()

    class Scalar(nn.Module):
        def forward(self, x):
            return x.sum()

    class Nothing(nn.Module):
        def forward(self, x):
            return None

    def __init__(self) -> None:
        super().__init__()
        self.tup, self.dic, self.dat, self.nam = (
            self.Tuple(), self.Dict(), self.Data(), self.Named()
        )  # fmt: skip
        self.integer, self.scalar, self.nothing = self.Integer(), self.Scalar(), self.Nothing()

    def forward(self, x):
        for module in self.children():
            module(x)
        return x + 1


class Functional(nn.Module):
    """Ends in an operation that is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return functional.log_softmax(self.fc(x), -1)
