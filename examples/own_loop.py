"""The probe inside a loop of your own.

    python examples/own_loop.py [--out own_loop.png]

A network learns two interlocked rings. After each epoch the same samples go through it in a loop
that is written out here, with the probe around it, and the last layer but one is kept. The probe
changes nothing: the training is the same with and without it.
"""

from __future__ import annotations

import argparse

import torch
from torch import nn

import layerlens as ll


def rings(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points on two interlocked rings in three dimensions, and which ring each is on."""
    angle = torch.rand(count) * 2 * torch.pi
    label = torch.arange(count) % 2
    flat = torch.stack([angle.cos(), angle.sin(), torch.zeros(count)], 1)
    upright = torch.stack([1 + angle.cos(), torch.zeros(count), angle.sin()], 1)
    points = torch.where(label[:, None] == 1, upright, flat)
    return points + 0.1 * torch.randn(count, 3), label


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="own_loop.png")
    parser.add_argument("--epochs", type=int, default=6)
    given = parser.parse_args()

    torch.manual_seed(0)
    x, y = rings(600)
    model = nn.Sequential(
        nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 2)
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    epochs = {}
    for epoch in range(given.epochs):
        for batch in torch.randperm(len(x)).split(50):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        with ll.Probe(model, "3") as probe, torch.no_grad():
            for points, labels in zip(x.split(100), y.split(100), strict=True):
                probe.annotate(labels=labels)
                scores = model(points)
        print(f"epoch {epoch}: loss {loss.item():.3f}, {probe.activations['3']}")
        epochs[f"epoch {epoch}"] = probe.activations["3"]

    # arrays from anywhere can be reduced: here the axis is training time, not depth
    series = ll.Activations.of(epochs, labels=y, label_names=["flat", "upright"])
    embeddings = ll.reduce(series, "pca", random_state=0)
    print(f"scores of the last batch: {tuple(scores.shape)}")
    print(f"wrote {embeddings.save(given.out)}")


if __name__ == "__main__":
    main()
