"""The series t-SNE: the pictures of all layers of a network in one optimisation.

Each layer minimises its own Kullback-Leibler divergence, as t-SNE does. What makes the pictures
one series are a start that all share, and springs between neighbours in depth, on each point as
strong as the network kept its neighbourhood: a point keeps its place unless the network moves it.
The strength is the share of common neighbours to the fourth power while the pictures unfold, and
to the eighth and sixteenth in the end: a point that kept half of them is held 16 and then 256
times less than one that kept all. (Measured: a uniform spring costs 10 to 16 % of divergence, and
strong enough it makes shuffled layers agree; this one costs at most 1 % on LeNet's layers.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding._compiling import announced
from layerlens.embedding.affinities import Affinities, affinities
from layerlens.embedding.descent import Anchor, Descent, Phase
from layerlens.embedding.distances import fold
from layerlens.embedding.neighbors import Neighbors
from layerlens.embedding.principal import generator, principal_axes, start_from_axes

__all__ = [
    "SCHEDULE",
    "SCHEDULE_OF_FEW",
    "Link",
    "SeriesLayer",
    "consensus_start",
    "consensus_view",
    "optimise",
    "schedule_for",
    "warm_up",
]

Matrix = npt.NDArray[np.float32]
Indices = npt.NDArray[np.integer]

_WIDTH = 64
_SPREAD = 1e-4
# The seed moves the start by this share of its spread: enough that another seed settles
# elsewhere where the layer leaves it open, too little to move what the layers say in common.
_JITTER = 0.05

# Tuned on four kinds of data (LeNet's layers, a swiss roll, digits, structureless Gaussian data):
# schedules that are quicker on one of them lose up to 11 % of divergence on another.
SCHEDULE = (
    Phase(steps=40, exaggeration=12, momentum=0.8, rate=1, coupling=0.1),
    Phase(steps=20, exaggeration=4, momentum=0.8, rate=1, coupling=0.1),
    Phase(steps=60, exaggeration=1, momentum=0.8, rate=1, coupling=1e-3),
    Phase(steps=100, exaggeration=1, momentum=0.95, rate=2, coupling=6e-4, power=8),
    Phase(steps=20, exaggeration=1, momentum=0.8, rate=1, coupling=1e-3, power=16),
)
# Few points: the long steps overshoot (divergence 10 to 40 % up at 200 points and fewer), and
# more of them cost nothing.
SCHEDULE_OF_FEW = (
    Phase(steps=40, exaggeration=12, momentum=0.8, rate=1, coupling=0.1),
    Phase(steps=20, exaggeration=4, momentum=0.8, rate=1, coupling=0.1),
    Phase(steps=120, exaggeration=1, momentum=0.9, rate=1, coupling=1e-3),
    Phase(steps=240, exaggeration=1, momentum=0.9, rate=1, coupling=6e-4, power=8),
)
_FEW = 1_000
_STEPS_BETWEEN_EXCHANGES = 5


@dataclass(frozen=True, slots=True, eq=False)
class SeriesLayer:
    """A layer's distinct points.

    `start`: (n_distinct, n_components), float32.
    `members`: (n_samples,), integers. Which distinct point each sample is; None where all are
    distinct.
    `representatives`: (n_distinct,), integers. One sample of each distinct point.
    """

    joint: Affinities
    start: Matrix
    members: Indices | None = None
    representatives: Indices | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """What two neighbouring layers have in common.

    `shared`: (n_samples,), float32. Share of a sample's neighbours that it has in both.
    """

    ends: tuple[int, int]
    shared: Matrix

    def weights(self, phase: Phase, strength: float) -> Matrix:
        """How much each sample is held in a phase, the strength over the number of samples."""
        scale = np.float32(strength * phase.coupling / len(self.shared))
        return np.asarray(scale * self.shared**phase.power, np.float32)


def schedule_for(n_samples: int) -> tuple[Phase, ...]:
    """Return the schedule that suits a number of samples."""
    return SCHEDULE_OF_FEW if n_samples < _FEW else SCHEDULE


@functools.cache
def warm_up() -> None:
    """Load the compiled kernels, or compile them, with a word where that takes long."""
    with announced("the series t-SNE"):
        ring = np.arange(8, dtype=np.int32)
        near = np.stack([(ring + 1) % 8, (ring + 2) % 8], axis=1)
        joint = affinities(Neighbors(near, np.ones((8, 2), np.float32)), 1.5)
        start = np.zeros((8, 2), np.float32)
        start[:, 0] = ring
        descent = Descent(joint, start, 0.5)
        descent.run(SCHEDULE[0], 1)
        descent.divergence()


def optimise(
    layers: Sequence[SeriesLayer],
    links: Sequence[Link],
    *,
    schedule: Sequence[Phase],
    theta: float,
    coupling: float = 1.0,
    threads: int = 1,
    on_step: Callable[[int], None] | None = None,
) -> tuple[list[Matrix], list[float]]:
    """Optimise all layers side by side.

    `links`: one between each two neighbours, along the depth and whatever other axis there is.
    `coupling`: multiplies the coupling of each phase; 0 lets each layer go alone.
    `threads`: layers that are done at one time. Every layer sees its neighbours as they were at the
    last exchange, so the result does not depend on it.
    Returned `pictures`: each (n_samples, n_components), float32.
    """
    descents = [Descent(layer.joint, layer.start, theta) for layer in layers]
    with ThreadPoolExecutor(max(1, min(threads, len(layers)))) as pool:
        for phase in schedule:
            coupled = phase.coupling * coupling > 0 and len(links) > 0
            held = [between.weights(phase, coupling) for between in links] if coupled else []
            stride = _STEPS_BETWEEN_EXCHANGES if coupled else phase.steps
            for done in range(0, phase.steps, stride):
                steps = min(stride, phase.steps - done)
                anchors: list[tuple[Anchor | None, Anchor | None]] = [(None, None)] * len(layers)
                if coupled:
                    anchors = _anchors(layers, descents, links, held)
                list(
                    pool.map(
                        lambda descent, around, p=phase, n=steps: descent.run(p, n, *around),
                        descents,
                        anchors,
                    )
                )
                if on_step is not None:
                    on_step(steps)
        divergences = list(pool.map(Descent.divergence, descents))
    pictures = [
        descent.coordinates if layer.members is None else descent.coordinates[layer.members]
        for layer, descent in zip(layers, descents, strict=True)
    ]
    return pictures, divergences


def _anchors(
    layers: Sequence[SeriesLayer],
    descents: Sequence[Descent],
    links: Sequence[Link],
    held: Sequence[Matrix],
) -> list[tuple[Anchor | None, Anchor | None]]:
    """Say for each layer where its neighbours are now: one, two, or one that stands for more."""
    now = [
        descent.points.copy() if layer.members is None else descent.points[:, layer.members]
        for layer, descent in zip(layers, descents, strict=True)
    ]
    around: list[list[Anchor]] = [[] for _ in layers]
    for between, weights in zip(links, held, strict=True):
        for at, to in (between.ends, between.ends[::-1]):
            chosen = layers[at].representatives
            around[at].append(
                Anchor(now[to], weights)
                if chosen is None
                else Anchor(np.ascontiguousarray(now[to][:, chosen]), weights[chosen])
            )
    pairs: list[tuple[Anchor | None, Anchor | None]] = []
    for anchors in around:
        if len(anchors) > 2:
            anchors = [_together(anchors)]
        above, below = [*anchors, None, None][:2]
        pairs.append((above, below))
    return pairs


def _together(anchors: Sequence[Anchor]) -> Anchor:
    """Return the one spring that pulls as all do: at their mean, with their whole weight."""
    weights: Matrix = np.stack([anchor.weights for anchor in anchors]).sum(axis=0)
    pull = np.zeros_like(anchors[0].points)
    for anchor in anchors:
        pull += anchor.points * anchor.weights
    mean = np.divide(pull, weights, out=anchors[0].points.copy(), where=weights > 0)
    return Anchor(mean, weights)


def consensus_view(X: Matrix) -> Matrix:
    """Return a narrow sketch of a layer, centred, of RMS radius 1 (or 0 for a dot)."""
    view: Matrix = fold(X, _WIDTH, random_state=1)
    view = view - view.mean(axis=0)
    radius = float(np.sqrt(np.einsum("ij,ij->", view, view, dtype=np.float64) / len(view)))
    return np.asarray(view / np.float32(radius) if radius > 0 else view, np.float32)


def consensus_start(views: Iterable[Matrix], n_components: int, *, random_state: Any = 0) -> Matrix:
    """Return the first principal axes of all layers side by side, each at unit scale.

    Every layer has the same say, and all start from the same places: an unchanged layer stays
    where it was, and a layer whose rows are shuffled is not held anywhere, because the start is
    too small to hold anything. (Starting a layer from the finished picture before it was
    measured: divergence up to 55 % higher, and a shuffled layer that stays where it was.)

    `views`: each (n_samples, any), float32. See `consensus_view`.
    Returned: (n_samples, n_components), float32. The first axis at standard deviation 1e-4, and a
    jitter of 5 % of that by the seed.
    """
    together = np.concatenate(list(views), axis=1)
    axes = principal_axes(together, n_components)
    start = start_from_axes(axes.coordinates, _SPREAD)
    noise = generator(random_state).standard_normal(start.shape)
    return start + (_JITTER * _SPREAD * noise).astype(np.float32)
