"""How the time of a series grows with the number of samples, by stage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import sklearn.manifold
import torch
from series_data import Layers, clothes, clothes_through_lenet, trained
from yardsticks import (
    Seconds,
    Verdicts,
    divergence,
    joint_probabilities,
    median,
    motions,
    rounded,
    say,
    stages,
    timed,
)

import layerlens as ll
from layerlens.embedding import drawing
from layerlens.embedding.finishing import Gauge
from layerlens.embedding.neighbors import EXACT_UP_TO, nearest_neighbors, usable_cores
from layerlens.reducers import series_tsne

SIZES = (1_000, 5_000, 20_000)
FAR_SIZES = (35_000, 70_000)
# at 20,000 samples, of scikit-learn's time for one layer times the number of layers
TIMES_LESS = 15
KL_RATIO = 1.02
# doubling the samples multiplies the CPU time of a stage by 2 to this power: n log n is 1.07 there
POWER = 1.35
COMPARED = ("fc1", "pool2")
CLOCKS = ("wall", "cpu")

PLACES: dict[str, list[tuple[Any, str]]] = {
    "neighbours": [(drawing, "neighbors_of"), (series_tsne, "nearest_neighbors")],
    "start": [
        (series_tsne, "searched_rows"),
        (series_tsne, "consensus_view"),
        (series_tsne, "consensus_start"),
        (series_tsne, "shared_neighbors"),
    ],
    "affinities": [(series_tsne, "affinities")],
    "descent": [(series_tsne, "optimise")],
    "metrics": [(Gauge, "measure")],
}


def scale(verdicts: Verdicts) -> None:
    """Draw LeNet's layers of more and more images, and some by scikit-learn in the end."""
    _by_stages(clothes_through_lenet(1_200))  # loads the kernels
    table: dict[int, dict[str, Seconds]] = {}
    layers = Layers({}, np.empty(0))
    for n in SIZES:
        layers = clothes_through_lenet(n)
        pictures, table[n] = _by_stages(layers)
        say(f"  {n:,}: motion {rounded(motions([p.coordinates for p in pictures.values()]))}")
    _print(table, len(layers))
    theirs = {}
    runs = [table[SIZES[-1]]["all"]]
    for name in COMPARED:
        reducer = sklearn.manifold.TSNE(random_state=0, n_jobs=usable_cores())
        picture, theirs[name] = timed(lambda r=reducer, n=name: r.fit_transform(layers[n]))
        say(f"  scikit-learn, {name} alone ({layers[name].shape[1]} wide): {theirs[name]}")
        joint = joint_probabilities(layers[name])
        kl = [divergence(joint, each) for each in (pictures[name].coordinates, picture)]
        said = verdicts(f"{name} KL at {SIZES[-1]:,}", kl[0] / kl[1], KL_RATIO)
        say(f"    KL {kl[0]:.4f} | {kl[1]:.4f}, ratio {said}")
        runs.append(_by_stages(layers)[1]["all"])
    say(f"  series-tsne, all {len(layers)} and their error bars: {'; '.join(map(str, runs))}")
    # those that are compared are narrow layers: the wide ones would take it longer
    say(f"  against {len(layers)} times scikit-learn's mean of these two:")
    share = len(layers) / len(theirs)
    total = Seconds(*(share * sum(getattr(t, c) for t in theirs.values()) for c in CLOCKS))
    faster(verdicts, total, median(runs), TIMES_LESS)


def faster(verdicts: Verdicts, theirs: Seconds, mine: Seconds, limit: float) -> None:
    """Compare by the clock that means something: see the head of series.py."""
    wall, cpu = theirs.wall / mine.wall, theirs.cpu / mine.cpu
    if usable_cores() == 1:
        verdicts.line("times less CPU time", cpu, limit, least=True)
        say(f"  times less wall time: {wall:.1f}")
    else:
        verdicts.line("times less wall time", wall, limit, least=True)
        say(f"  times less CPU time: {cpu:.1f}")


def far(verdicts: Verdicts) -> None:
    """Draw raw pixels and two layers above where the exact neighbour search ends."""
    images, labels = clothes()
    x = torch.from_numpy(images)
    model = trained(x[:5000], torch.from_numpy(labels[:5000]))
    # what is compiled when it is first called: not what grows
    nearest_neighbors(images[:4000].reshape(4000, -1), 61, method="approximate")
    table: dict[int, dict[str, Seconds]] = {}
    for n in FAR_SIZES:
        assert n > EXACT_UP_TO
        batches = zip(x[:n].split(500), torch.from_numpy(labels[:n]).split(500), strict=True)
        probe = ll.Probe(model, ["input", "conv2", "fc1"], sketch=1024)
        activations = probe.run(batches)
        pictures, table[n] = _by_stages(activations)
        say(f"  {n:,}:")
        for name, picture in pictures.items():
            figures = {key: round(value, 4) for key, value in picture.metrics.items()}
            say(f"    {name}: {figures}")
    _print(table, 3)
    for stage in table[n]:
        once, twice = (table[size][stage].cpu for size in FAR_SIZES)
        power = math.log(twice / once) / math.log(FAR_SIZES[1] / FAR_SIZES[0])
        verdicts.line(f"power of n by which {stage} grows", power, POWER)


def _by_stages(layers: Any) -> tuple[ll.Embeddings, dict[str, Seconds]]:
    with stages(**PLACES) as spent:
        pictures, taken = timed(lambda: ll.reduce(layers, "series-tsne"))
    return pictures, {**spent, "all": taken}


def _print(table: dict[int, dict[str, Seconds]], n_layers: int) -> None:
    say(f"  seconds of CPU | of wall, {n_layers} layers")
    names = list(next(iter(table.values())))
    say(f"  {'samples':>8}" + "".join(f"{name:>20}" for name in names))
    for n, spent in table.items():
        cells = [f"{spent[name].cpu:.2f} | {spent[name].wall:.2f}" for name in names]
        say(f"  {n:>8,}" + "".join(f"{cell:>20}" for cell in cells))
