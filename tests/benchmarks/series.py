"""Measure every bound of the series t-SNE, beside what else draws layers, and say which hold.

    python tests/benchmarks/series.py                       # everything but "far"
    python tests/benchmarks/series.py --sections lenet controls
    python tests/benchmarks/series.py --sections far        # 35,000 and 70,000 samples, by hand

Each section can be run alone, and makes all that it needs itself:

first-use  what numba's compilation costs
lenet      LeNet's six layers on 5,000 MNIST digits (18,432 to 10 wide), drawn by series-tsne
           through `layerlens.reduce`, error bars included, and each alone by scikit-learn's TSNE
           on the raw rows: time and quality
controls   what the coupling must not do, and what of the motion is the optimiser's
kinds      a swiss roll, digits and structureless Gaussian data beside scikit-learn
others     UMAP alone and warm-started, AlignedUMAP on 1,000 digits, and openTSNE where installed
scale      1,000, 5,000 and 20,000 samples of Fashion-MNIST by stage (Debian:
           dataset-fashion-mnist)
far        the same at 35,000 and 70,000, above where the exact neighbour search ends

Divergence is computed by one function for both: scikit-learn's joint probabilities on native rows
at perplexity 30, sums in double precision. Runs of ours lie between those of scikit-learn, so that
a busy machine slows both alike, and CPU time of the process is given beside the wall's. With one
thread (--threads 1) the ratio of CPU times is the figure to go by, also on a busy machine; with two
it is that of wall times, on a quiet one: OpenMP's threads, which scikit-learn uses, spin while they
wait for each other. A figure with a limit behind it is a bound; the exit status is the number of
those that are missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import warnings
from typing import Any

import numba
import numpy as np
import sklearn.manifold
from series_data import Layers, digits_through_lenet, other_data
from series_scale import far, faster, scale
from threadpoolctl import threadpool_limits
from yardsticks import (
    NOTHING,
    Verdicts,
    accuracy,
    divergence,
    joint_probabilities,
    machine,
    median,
    motions,
    rounded,
    say,
    timed,
)

import layerlens as ll
from layerlens.embedding.neighbors import usable_cores

# what must hold; the aims of those with a floor stand behind it
TIMES_LESS = 20  # aim 30
KL_RATIO = 1.02
TRUST_LOSS = 0.002
ACCURACY_LOSS = 0.005
MEAN_MOTION = 0.22  # aim .15
WORST_MOTION = 0.40
UNCHANGED_MOTION = 0.03
COMPILING = 8.0  # seconds of CPU
# of what two unrelated pictures move; they differ by some percent among themselves
SHUFFLED_SHARE = 0.95


def scikit_learn(X: np.ndarray) -> np.ndarray:
    return sklearn.manifold.TSNE(random_state=0, n_jobs=usable_cores()).fit_transform(X)


def series_of(layers: dict[str, np.ndarray], **options: Any) -> list[np.ndarray]:
    pictures = ll.reduce(layers, "series-tsne", metrics=False, **options)
    return [pictures[name].coordinates for name in layers]


def alone(X: np.ndarray, seed: int = 0) -> np.ndarray:
    return series_of({"layer": X}, random_state=seed)[0]


def trust(X: np.ndarray, picture: np.ndarray) -> float:
    return float(sklearn.manifold.trustworthiness(X, picture, n_neighbors=15))


def first_use(verdicts: Verdicts) -> None:
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
    say(f"  fresh {cold:.1f} s ({cold_cpu:.1f} s CPU), from the cache {warm:.1f} s")
    verdicts.line("seconds of CPU that compiling takes", cold_cpu - warm_cpu, COMPILING)


def lenet(verdicts: Verdicts) -> None:
    layers = digits_through_lenet()
    labels = layers.labels

    def ours() -> ll.Embeddings:
        return ll.reduce(Layers(layers, labels), "series-tsne")

    ours()  # loads the kernels
    runs, theirs, total = [], {}, NOTHING
    for name, X in layers.items():
        pictures, taken = timed(ours)
        runs.append(taken)
        theirs[name], taken = timed(lambda X=X: scikit_learn(X))
        total += taken
        say(f"  {name:6} {X.shape[1]:6} wide: scikit-learn {taken}; series, all six {runs[-1]}")
    mine = median(runs)
    say(f"  series-tsne, six layers and their error bars, median of {len(runs)}: {mine}")
    say(f"  scikit-learn, the six one after the other: {total}")
    faster(verdicts, total, mine, TIMES_LESS)

    for name, X in layers.items():
        joint = joint_probabilities(X)
        both = pictures[name].coordinates, theirs[name]
        quality(verdicts, name, X, joint, *both, labels)

    moved = motions([picture.coordinates for picture in pictures.values()])
    say(f"  motion from layer to layer {rounded(moved)}")
    say(f"  the same of scikit-learn's pictures {rounded(motions(list(theirs.values())))}")
    verdicts.line("motion in the mean, aim .15", float(np.mean(moved)), MEAN_MOTION)
    verdicts.line("motion at most", max(moved), WORST_MOTION)


def quality(
    verdicts: Verdicts,
    name: str,
    X: np.ndarray,
    joint: Any,
    mine: np.ndarray,
    theirs: np.ndarray,
    labels: np.ndarray | None,
) -> None:
    """Print a picture's figures, ours before scikit-learn's, against the bounds."""
    kl = [divergence(joint, each) for each in (mine, theirs)]
    say(
        f"  {name:10} KL {kl[0]:.4f} | {kl[1]:.4f}, ratio "
        f"{verdicts(f'{name} KL', kl[0] / kl[1], KL_RATIO)}"
    )
    kept = [trust(X, each) for each in (mine, theirs)]
    least = kept[1] - TRUST_LOSS
    said = verdicts(f"{name} trustworthiness", kept[0], least, least=True)
    say(f"  {'':10} trustworthiness {said}, theirs {kept[1]:.4f}")
    if labels is not None:
        known = [accuracy(each, labels) for each in (mine, theirs)]
        least = known[1] - ACCURACY_LOSS
        said = verdicts(f"{name} 10-NN accuracy", known[0], least, least=True)
        say(f"  {'':10} 10-NN accuracy {said}, theirs {known[1]:.4f}")


def controls(verdicts: Verdicts) -> None:
    layers = digits_through_lenet()
    every = list(layers.values())
    series = series_of(layers)
    again = series_of(layers, random_state=1)
    seeds = [[alone(X, seed) for X in every] for seed in (0, 1)]
    apart = [seeds[at % 2][at] for at in range(len(every))]
    say(f"  motion from layer to layer, in series     {rounded(motions(series))}")
    say(f"  motion from layer to layer, each alone    {rounded(motions(apart))}")
    one = [motions(pair)[0] for pair in zip(*seeds, strict=True)]
    two = [motions(pair)[0] for pair in zip(series, again, strict=True)]
    say(f"  the optimiser's share: two seeds of each layer alone {rounded(one)}")
    say(f"  and of each layer in the series                     {rounded(two)}")
    X = layers["pool2"]
    mixed = X[np.random.default_rng(0).permutation(len(X))]
    shuffled = motions(series_of({"a": X, "b": mixed, "c": X}))
    free = motions([alone(X), alone(mixed, 1)])[0]
    say(f"  a layer of shuffled rows in between moves {rounded(shuffled)}, alone {free:.3f}")
    verdicts.line("motion of a shuffled layer", min(shuffled), SHUFFLED_SHARE * free, least=True)
    same = motions(series_of({"a": X, "b": X.copy(), "c": X.copy()}))
    verdicts.line("motion of a layer that does not change", max(same), UNCHANGED_MOTION)
    threads = [[picture.tobytes() for picture in series_of(layers, n_jobs=n)] for n in (1, 2)]
    differ = sum(map(bytes.__ne__, *threads))
    verdicts.line("layers whose bytes depend on n_jobs", differ, 0)


def kinds(verdicts: Verdicts) -> None:
    alone(np.random.default_rng(0).normal(size=(2000, 4)).astype(np.float32))  # loads the kernels
    for name, (X, labels) in other_data().items():
        mine, taken = timed(lambda X=X: alone(X))
        theirs, taken_theirs = timed(lambda X=X: scikit_learn(X))
        say(f"  {name}, {X.shape[0]} x {X.shape[1]}: {taken}, scikit-learn {taken_theirs}")
        quality(verdicts, name, X, joint_probabilities(X), mine, theirs, labels)


def others(verdicts: Verdicts) -> None:
    """Run what else draws series, for comparison; nothing here is a bound."""
    layers = digits_through_lenet()
    joints = [joint_probabilities(X) for X in layers.values()]

    def report(
        name: str, pictures: list[np.ndarray], taken: Any, of: Layers, *, kl: bool = False
    ) -> None:
        say(f"  {name}: {taken}")
        say(f"    motion {rounded(motions(pictures))}")
        kept = [trust(X, y) for X, y in zip(of.values(), pictures, strict=True)]
        say(f"    trustworthiness {rounded(kept)}")
        say(f"    10-NN accuracy {rounded([accuracy(y, of.labels) for y in pictures])}")
        if kl:
            found = [divergence(*pair) for pair in zip(joints, pictures, strict=True)]
            say(f"    KL {rounded(found)}")

    series_of(layers)
    found, taken = timed(lambda: series_of(layers))
    report("series-tsne", found, taken, layers, kl=True)
    for name, align in (("umap, each alone", False), ("umap, warm-started", True)):
        found, taken = timed(lambda a=align: ll.reduce(layers, "umap", align=a, metrics=False))
        report(name, [picture.coordinates for picture in found.values()], taken, layers)
    few = Layers({name: X[:1000] for name, X in layers.items()}, layers.labels[:1000])
    found, taken = timed(lambda: series_of(few))
    report("series-tsne on 1,000", found, taken, few)
    found, taken = timed(lambda: ll.reduce(few, "aligned-umap", metrics=False))
    report("umap.AlignedUMAP on 1,000", [p.coordinates for p in found.values()], taken, few)
    try:
        import openTSNE
    except ImportError:
        say("  openTSNE is not installed here: pip install openTSNE")
        return

    def warm() -> list[np.ndarray]:
        pictures: list[np.ndarray] = []
        for X in layers.values():
            start = openTSNE.initialization.rescale(pictures[-1]) if pictures else "pca"
            fitted = openTSNE.TSNE(random_state=0, initialization=start, n_jobs=usable_cores()).fit(
                X
            )
            pictures.append(np.asarray(fitted))
        return pictures

    found, taken = timed(warm)
    report("openTSNE, warm-started", found, taken, layers, kl=True)


SECTIONS = {
    "first-use": first_use,
    "lenet": lenet,
    "controls": controls,
    "kinds": kinds,
    "others": others,
    "scale": scale,
    "far": far,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = [name for name in SECTIONS if name != "far"]
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=usual, metavar="NAME")
    parser.add_argument("--threads", type=int, choices=(1, 2), default=2)
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    verdicts = Verdicts()
    machine()
    say(f"{given.threads} thread{'s' * (given.threads > 1)}")
    # every thread pool of numba's, BLAS's and OpenMP's, and what n_jobs=None means
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-given.threads :])
    numba.set_num_threads(min(given.threads, numba.get_num_threads()))
    with threadpool_limits(given.threads):
        for name in given.sections:
            say(f"\n{name}")
            SECTIONS[name](verdicts)
            say(f"  (load {os.getloadavg()[0]:.1f})")
    missed = verdicts.missed
    say(f"\n{len(missed)} of {verdicts.looked_at} bounds missed{': ' if missed else ''}"
        f"{'; '.join(missed)}")  # fmt: skip
    return len(missed)


if __name__ == "__main__":
    sys.exit(main())
