"""Networks whose layers have maps: the kinds that must be told apart."""

from __future__ import annotations

import torch
from torch import nn


class LeNet(nn.Sequential):
    """Convolutions with in-place rectifiers behind them."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 32, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(1024, 200), nn.ReLU(inplace=True), nn.Linear(200, 10),
        )  # fmt: skip


class Mixer(nn.Module):
    """One block of an MLP-Mixer on 4 x 4 patches."""

    def __init__(self, channels: int = 10) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, channels, 4, stride=4)
        self.norm1 = nn.LayerNorm(channels)
        self.tokens = nn.Linear(16, 16)
        self.norm2 = nn.LayerNorm(channels)
        self.channels = nn.Linear(channels, channels)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


def plain_outputs(model: nn.Module, x) -> dict[str, torch.Tensor]:
    """Return a clone of the first tensor of what each module gives, the plain way."""
    out: dict[str, torch.Tensor] = {}
    handles = []
    for name, module in model.named_modules():

        def hook(module, args, output, name=name):
            while not isinstance(output, torch.Tensor):
                output = next(iter(output.values() if hasattr(output, "values") else output))
            out.setdefault(name, output.clone())

        handles.append(module.register_forward_hook(hook))
    try:
        with torch.no_grad():
            model.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
    return out
