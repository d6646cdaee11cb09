"""What the benchmarks of the series measure by: one function for ours and for theirs."""

from __future__ import annotations

import itertools
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.manifold._t_sne import _joint_probabilities_nn
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from layerlens.embedding.align import motion

PACKAGES = ("torch-layerlens", "numpy", "numba", "scikit-learn", "umap-learn", "openTSNE")


def say(*words: object) -> None:
    print(*words, flush=True)


@dataclass
class Verdicts:
    """The bounds that were looked at, and those that were missed."""

    looked_at: int = 0
    missed: list[str] = field(default_factory=list)

    def __call__(self, name: str, value: float, limit: float, *, least: bool = False) -> str:
        """Compare a figure with its limit, and return how that reads in a table."""
        self.looked_at += 1
        holds = value >= limit if least else value <= limit
        if not holds:
            self.missed.append(f"{name} {value:.4g}")
        return f"{value:.4g} ({'>=' if least else '<='} {limit:.4g}){'' if holds else ' MISSED'}"

    def line(self, name: str, value: float, limit: float, *, least: bool = False) -> None:
        say(f"  {name}: {self(name, value, limit, least=least)}")


@dataclass(frozen=True)
class Seconds:
    """Of a clock on the wall, and of all cores together."""

    wall: float
    cpu: float

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    def __str__(self) -> str:
        return f"{self.wall:.2f} s ({self.cpu:.2f} s CPU)"


NOTHING = Seconds(0.0, 0.0)


def timed(make: Callable[[], Any]) -> tuple[Any, Seconds]:
    wall, cpu = time.perf_counter(), time.process_time()
    made = make()
    return made, Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def median(taken: Sequence[Seconds]) -> Seconds:
    return Seconds(
        float(np.median([each.wall for each in taken])),
        float(np.median([each.cpu for each in taken])),
    )


@contextmanager
def stages(**places: list[tuple[Any, str]]) -> Iterator[dict[str, Seconds]]:
    """Time functions where they are called from: a name, and the modules that hold it by a name.

    A function that is called by another one of these counts only for the outer one.
    """
    spent = dict.fromkeys(places, NOTHING)
    inside = False

    def wrapped(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal inside
            if inside:
                return function(*given, **named)
            inside = True
            try:
                made, taken = timed(lambda: function(*given, **named))
            finally:
                inside = False
            spent[stage] += taken
            return made

        return call

    before = [
        (holder, name, getattr(holder, name)) for each in places.values() for holder, name in each
    ]
    try:
        for stage, each in places.items():
            for holder, name in each:
                setattr(holder, name, wrapped(stage, getattr(holder, name)))
        yield spent
    finally:
        for holder, name, function in before:
            setattr(holder, name, function)


def joint_probabilities(X: np.ndarray, perplexity: float = 30.0) -> Any:
    """Return scikit-learn's joint probabilities of the rows as they are."""
    k = min(len(X) - 1, int(3 * perplexity + 1))
    graph = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(X)
    graph = graph.kneighbors_graph(mode="distance")
    graph.data **= 2
    return _joint_probabilities_nn(graph, perplexity, 0).tocoo()


def divergence(joint: Any, picture: np.ndarray) -> float:
    """Return the Kullback-Leibler divergence of a picture, summed in double precision."""
    Y = np.asarray(picture, np.float64)
    normalizer = -float(len(Y))
    for start in range(0, len(Y), 1000):
        apart = ((Y[start : start + 1000, None] - Y) ** 2).sum(-1)
        normalizer += (1 / (1 + apart)).sum()
    squared = ((Y[joint.row] - Y[joint.col]) ** 2).sum(1)
    known = joint.data > 0
    p = joint.data[known]
    return float((p * (np.log(p) + np.log1p(squared[known]))).sum() + np.log(normalizer))


def accuracy(picture: np.ndarray, labels: np.ndarray) -> float:
    """Return the accuracy of the 10 nearest neighbours, each sample left out."""
    near = KNeighborsClassifier(10).fit(picture, labels).kneighbors(return_distance=False)
    votes = np.apply_along_axis(np.bincount, 1, labels[near], minlength=labels.max() + 1)
    return float((votes.argmax(1) == labels).mean())


def motions(pictures: Sequence[np.ndarray]) -> list[float]:
    """Return how far points go from each picture to the next, in radii."""
    return [motion(b, a) for a, b in itertools.pairwise(pictures)]


def rounded(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def machine() -> None:
    about = Path("/proc/cpuinfo")
    named = about.read_text().partition("model name")[2] if about.exists() else ""
    model = named.partition(":")[2].partition("\n")[0].strip() or platform.machine()
    say(f"{model}, {os.cpu_count()} cores, {platform.platform()}, load {os.getloadavg()[0]:.1f}")
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} -")
    say(", ".join(found))
