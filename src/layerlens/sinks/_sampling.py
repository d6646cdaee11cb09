"""Which samples a page shows, and in what order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.records import LayerEmbedding
from layerlens.sinks._columns import Column

__all__ = ["PageRows", "page_rows"]

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PageRows:
    """The samples of a page in its order.

    `samples`: (n,). Which sample of the run each row is.
    """

    samples: Indices
    total: int
    n_wrong: int = 0
    notes: tuple[str, ...] = ()

    def page_of(self, fill: int = -1) -> Indices:
        """Return the page's row of each sample of the run, `fill` for those that it lacks."""
        rows = np.full(self.total, fill, dtype=np.int64)
        rows[self.samples] = np.arange(len(self.samples))
        return rows

    def of(self, layer: LayerEmbedding) -> tuple[Indices, Indices]:
        """Return which rows of the page a layer has, and which rows of the layer they are."""
        if layer.rows is None:
            return np.arange(len(self.samples)), self.samples
        page = self.page_of()[layer.rows]
        own = np.flatnonzero(page >= 0)
        return page[own], own

    def some(self, count: int) -> Indices:
        """Return so many rows of the page, ascending: mistakes, for up to half, and others.

        The order being random, the first rows are a sample as good as any.
        """
        n = len(self.samples)
        wrong = min(self.n_wrong, max(count // 2, count - (n - self.n_wrong)))
        return np.concatenate([np.arange(count - wrong), np.arange(n - wrong, n)])


def page_rows(total: int, columns: Sequence[Column], max_points: int | None, seed: int) -> PageRows:
    """Choose and shuffle.

    Class order must not decide which points lie on top of which, so the order is drawn. Mistakes
    come last, on top: they are what one looks for.

    `columns`: of which the label says what classes there are, and ``correct`` what mistakes.
    `max_points`: most samples. Of more, a sample is drawn from each class in proportion, at least
    one.
    """
    random = np.random.default_rng(seed)
    samples = np.arange(total)
    notes: tuple[str, ...] = ()
    if max_points is not None and total > max_points:
        label = next((c for c in columns if c.role == "label" and c.kind == "category"), None)
        classes = np.zeros(total, int) if label is None else np.asarray(label.values)
        samples = _stratified(classes, max_points, random)
        each = "" if label is None else ", from each class in proportion"
        note = (
            f"These are {len(samples):,} of the run's {total:,} samples, drawn at random "
            f"(seed {seed}){each}. Figures of layers are those of the whole run."
        )
        notes = (note,)
    samples = random.permutation(samples)
    correct = next((column for column in columns if column.role == "correct"), None)
    if correct is None:
        return PageRows(samples, total, notes=notes)
    wrong = np.asarray(correct.values)[samples] == 0
    return PageRows(
        np.concatenate([samples[~wrong], samples[wrong]]), total, int(wrong.sum()), notes
    )


def _stratified(classes: Array, count: int, random: np.random.Generator) -> Indices:
    """Draw so many, from each class its share by largest remainders, and one at least."""
    _, codes, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    exact = sizes * (count / len(classes))
    shares = np.maximum(np.floor(exact).astype(int), 1 if count >= len(sizes) else 0)
    order = np.argsort(shares - exact, kind="stable")  # who is owed most comes first
    missing = count - int(shares.sum())
    shares[order[: max(missing, 0)]] += 1
    # what rare classes were given goes at the cost of the large ones
    for code in np.argsort(-shares, kind="stable"):
        if missing >= 0:
            break
        given = min(-missing, int(shares[code]) - 1)
        shares[code] -= given
        missing += given
    chosen = [
        random.choice(np.flatnonzero(codes == code), share, replace=False)
        for code, share in enumerate(shares)
    ]
    return np.sort(np.concatenate(chosen))
