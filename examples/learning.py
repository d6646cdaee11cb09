"""A LeNet while it learns: the same digits in the same layers at several steps of the training.

    python examples/learning.py [--out learning.png] [--page learning.html] [--samples 1000]

All layers of all steps are one series, in which a point keeps its place both from layer to layer
and from step to step unless the network moves it: a row is a step, a column a layer.
"""

import argparse

import torch
from torch import nn

import layerlens as ll
from layerlens.cli.lenet import LeNet, digits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="learning.png")
    parser.add_argument("--page", help="where a page goes, with a slider for the steps")
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    data = digits()
    torch.manual_seed(0)
    model = LeNet()
    seen = data.test_x[: options.samples], data.test_y[: options.samples]
    layers = ["pool1", "pool2", "relu3", "fc2"]
    timeline = ll.Timeline(model, seen, layers, every=[10, 30, 120])
    timeline.record()  # before the first step
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(120):
        rows = torch.randint(0, len(data.train_x), (100,))
        loss = nn.functional.cross_entropy(model(data.train_x[rows]), data.train_y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        timeline.step()
    embeddings = ll.reduce(timeline.activations, "series-tsne", random_state=0)
    embeddings.save(options.out, columns=len(layers), title="A LeNet at steps of its training")
    if options.page:
        embeddings.save(options.page, title="A LeNet while it learns")
    print(embeddings)


if __name__ == "__main__":
    main()
