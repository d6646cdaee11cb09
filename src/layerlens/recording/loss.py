"""What a sketch loses: from pairs whose distances are known before and after it.

The 15 nearest of a batch are not the 15 nearest of the whole record, so the share of neighbours
that a sketch kept cannot be counted in batches. What can be measured there is its error: by how
much the logarithm of a squared distance changes. How far that upsets the record's neighbours
depends on how close together the distances from one sample to its next neighbours lie, and that
the sketched rows tell, all of them.

**The error.** Only what differs between two distances from one sample can change their order. So
the error's variance is taken within each row of a batch's pairs, among the quarter of them that is
nearest by the native distances: `PairSums` adds it up. On layers of networks and on clouds it is
the same at all distances within a few per cent, near 2 / width, and smaller by what all distances
from a sample have in common.

**The neighbours.** Let s be the logarithms of the sketched squared distances from a sample to all
others, and v the error's variance. With Tweedie's formula [1]_ the native one of a pair has, given
s, the mean ``s + v (log f)'(s)`` and the variance ``v + v^2 (log f)''(s)``, where f is the density
of the *sketched* ones, which is known. About the edge of a neighbourhood (log f)'' is taken to be
one number c, fitted within three standard errors of it. Orders stay under shifts and scales, so
the native order is that of ``s + e z``, z normal and ``e^2 = v / (1 + v c)``. Of the k nearest by
s, the one at s_j is among the k nearest natively with the probability ``Phi((t - s_j) / e)``, t
such that these add up to k over all samples; their mean over the k is the recall [2]_.

**The interval** holds the truth about nineteen times in twenty. It adds up the variances from the
few pairs (between blocks of them), from c, from the samples that are asked for their neighbours,
and an allowance for the model, which the tests hold to the truth.

Above 4,096 rows so many of them are looked at, spread over the record, and the neighbourhood is
that of the same share of them, but of five at least: closer in, the distances are taken to be as
close together (in their logarithm) as they are there.

References
----------
.. [1] B. Efron, Tweedie's formula and selection bias, JASA 106 (2011).
.. [2] The threshold in place of each draw's own k-th distance is a mean-field approximation; the
   tests compare both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from layerlens.errors import StoreError

__all__ = ["K", "PairSums", "SketchLoss", "loss_to_show", "sketch_loss"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

K = 15
"""Neighbours that are asked for, as in the metrics of a picture."""

_QUERIES = 128
_ROWS = 4096
_PIECES = 16  # of rows that follow each other, where not all are looked at
_LEAST_K = 5
_AT_MOST_NEAR = 1024
_WINDOW = 3.0  # standard errors, about the edge of a neighbourhood
_LEAST_SHRINK = 0.02
_TWO_SIDED = 1.96
# the model's own standard error, where all else is known: of the recall, with a share of R (1 - R)
# where the sketch's error is as large as the spread of the distances, and of 1 + v c
_MODEL = 0.005
_MODEL_SHARE = 0.1
_MODEL_SHRINK = 0.05
# where the error is nearly all of the spread, the rest of it tells little: it may be much more
_TELLS_LITTLE = 0.1
_FAR = 0.5


@dataclass(frozen=True, slots=True)
class PairSums:
    """Sums over the blocks of pairs of one layer; sums of parts of a record add up.

    `ratio`, `ratio2`: sum of the ratios of sketched to native squared distances, and of their
    squares.
    `freedom`, `variance`: degrees of freedom of the errors within rows, and their squares about the
    row's mean.
    `freedom2`, `variance2`, `product`: the squares and the product of the last two, added up over
    blocks.
    """

    blocks: float = 0.0
    pairs: float = 0.0
    ratio: float = 0.0
    ratio2: float = 0.0
    freedom: float = 0.0
    variance: float = 0.0
    freedom2: float = 0.0
    variance2: float = 0.0
    product: float = 0.0

    @classmethod
    def of_block(cls, native: Floats, sketched: Floats) -> PairSums:
        """Return the sums of one block.

        `native`, `sketched`: (m, m), float64. Squared distances between m rows.
        """
        m = len(native)
        known = (native > 0) & (sketched > 0) & np.isfinite(native) & np.isfinite(sketched)
        known[np.arange(m), np.arange(m)] = False
        upper = np.triu(known)
        if not upper.any():
            return cls()
        ratio = sketched[upper] / native[upper]
        near = max(3, m // 4)
        order = np.argsort(np.where(known, native, np.inf), axis=1)[:, :near]
        there = np.take_along_axis(known, order, axis=1)
        logs = np.log(
            np.where(known, sketched, 1.0) / np.where(known, native, 1.0), dtype=np.float64
        )
        errors = np.where(there, np.take_along_axis(logs, order, axis=1), 0.0)
        count = there.sum(axis=1)
        mean = errors.sum(axis=1) / np.maximum(count, 1)
        squares = np.where(there, errors - mean[:, None], 0.0) ** 2
        freedom = float(np.maximum(count - 1, 0).sum())
        variance = float(squares.sum())
        return cls(
            1.0,
            float(len(ratio)),
            float(ratio.sum()),
            float((ratio**2).sum()),
            freedom,
            variance,
            freedom**2,
            variance**2,
            freedom * variance,
        )

    def __add__(self, other: PairSums) -> PairSums:
        return PairSums(*(a + b for a, b in zip(self._numbers(), other._numbers(), strict=True)))

    def beside(self, other: PairSums, share: float) -> PairSums:
        """Return the sums of two kinds of rows, the first of which are a share of all.

        An error is a mean of what both of its rows bring, so that its variance is that of the
        first kind with the weight `share`, and of the other with the rest.
        """
        whole = self.freedom + other.freedom
        if not self.freedom or not other.freedom:
            return self + other
        weights = share * whole / self.freedom, (1 - share) * whole / other.freedom
        return sum((one._times(by) for one, by in zip((self, other), weights, strict=True)),
                   PairSums())  # fmt: skip

    def _times(self, by: float) -> PairSums:
        linear = self._numbers()[1:6]
        squares = self._numbers()[6:]
        return PairSums(
            self.blocks, *(by * one for one in linear), *(by * by * one for one in squares)
        )

    def _numbers(self) -> tuple[float, ...]:
        # dataclasses.astuple copies each number, layer by layer
        return tuple(getattr(self, name) for name in self.__slots__)

    def as_json(self) -> list[float]:
        """Return the sums as a list of numbers."""
        return list(self._numbers())

    @classmethod
    def of_json(cls, numbers: Sequence[Any]) -> Self:
        """Return what `as_json` gave.

        Raises
        ------
        ValueError
            If that is not what it is.
        """
        if len(numbers) != 9 or not all(
            isinstance(n, int | float) and math.isfinite(n) for n in numbers
        ):
            raise ValueError("the sums over pairs of a layer are nine numbers")
        return cls(*map(float, numbers))

    @property
    def ratio_mean(self) -> float:
        """Mean of sketched over native squared distance; NaN without pairs."""
        return self.ratio / self.pairs if self.pairs else math.nan

    @property
    def ratio_spread(self) -> float:
        """Standard deviation of it."""
        if self.pairs < 2:
            return math.nan
        about = self.ratio2 - self.ratio**2 / self.pairs
        return math.sqrt(max(0.0, about) / (self.pairs - 1))

    def error(self) -> tuple[float, float]:
        """Return the variance of the logarithm's error within rows, and how well it is known.

        Returned `relative`: standard error of the variance, as a share of it: from the differences
        between blocks, or from the number of pairs where that tells more.
        """
        if not self.freedom:
            return math.nan, math.nan
        variance = self.variance / self.freedom
        # each pair is in two rows, and pairs of three rows hang together
        relative = math.sqrt(4 / self.freedom)
        if self.blocks > 1 and variance > 0:
            between = self.variance2 - 2 * variance * self.product + variance**2 * self.freedom2
            between *= self.blocks / (self.blocks - 1)
            relative = max(relative, math.sqrt(max(0.0, between)) / self.freedom / variance)
        return variance, relative


@dataclass(frozen=True, slots=True)
class SketchLoss:
    """What the sketch of one layer lost.

    Parameters
    ----------
    n_pairs : int
        Pairs of rows whose distance was taken before and after the sketch.
    distance_ratio, distance_spread : float
        Mean and standard deviation, over these pairs, of sketched over native squared distance.
    neighbor_recall : float
        Estimate of the share of the k nearest neighbours that still are among the k nearest, over
        the record's samples; NaN where nothing tells.
    low, high : float
        Interval that holds the true share about nineteen times in twenty.
    k : int
        15, or less where there are not so many others.
    """

    n_pairs: int
    distance_ratio: float
    distance_spread: float
    neighbor_recall: float
    low: float
    high: float
    k: int = K

    @property
    def is_known(self) -> bool:
        """Whether there is an estimate of the recall."""
        return math.isfinite(self.neighbor_recall)

    def metrics(self) -> dict[str, float]:
        """Return what is known, by the names that it has among the metrics of a picture."""
        figures = {
            "neighbor_recall_sketch": self.neighbor_recall,
            "neighbor_recall_sketch_low": self.low,
            "neighbor_recall_sketch_high": self.high,
            "distance_ratio_sketch": self.distance_ratio,
            "distance_spread_sketch": self.distance_spread,
        }
        return {name: value for name, value in figures.items() if math.isfinite(value)}

    def __str__(self) -> str:
        if not self.is_known:
            return "what it keeps is not known"
        return f"keeps {self.short} of the {self.k} nearest"

    @property
    def short(self) -> str:
        """The recall and its interval: ``~.93 [.91, .95]``."""
        low, high = (_two_digits(edge) for edge in (self.low, self.high))
        return f"~{_two_digits(self.neighbor_recall)} [{low}, {high}]"


def _two_digits(share: float) -> str:
    """Return ``.93``, or ``1.0``, which is shown only for what rounds to it."""
    return f"{share:.2f}".removeprefix("0") if round(share, 2) < 1 else "1.0"


class _Rows(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


def sketch_loss(sums: PairSums, rows: _Rows, k: int = K) -> SketchLoss:
    """Estimate what a sketch lost.

    `rows`: (n_samples, width). The sketched rows, of which at most 4,096 are read.
    Returned: the same for the same rows and sums; no random state but its own takes part.
    """
    n = int(rows.shape[0])
    k = min(k, n - 1)
    about = (round(sums.pairs), sums.ratio_mean, sums.ratio_spread)
    variance, relative = sums.error()
    if k < 1 or k == n - 1 or not math.isfinite(variance):  # all others are the nearest
        return SketchLoss(*about, math.nan, math.nan, math.nan, max(k, 0))
    if variance == 0:
        return SketchLoss(*about, 1.0, 1.0, 1.0, k)
    nearest, n_rows = _nearest(rows, n)
    if nearest is None:
        return SketchLoss(*about, math.nan, math.nan, math.nan, k)
    # whole neighbours: part of one would never be told from the next, however small the error
    inside = k if n_rows == n else max(round(k * n_rows / n), min(_LEAST_K, k))
    edge = nearest[:, math.ceil(inside) - 1]
    curvature, error_of_it = _curvature(nearest, edge, math.sqrt(variance))

    shrink = 1 + variance * curvature

    def at(scale: float = 1.0, by: float = 0.0) -> Floats:
        """Return each row's share for another variance, and another spread of the distances."""
        v = variance * max(scale, 0.05)
        bent = max(1 + (shrink - 1) * v / variance, _LEAST_SHRINK) + by
        error = math.sqrt(v / min(max(bent, _LEAST_SHRINK), 2.0))
        return _kept(nearest[:rows_of], edge[:rows_of], inside, error)

    rows_of = len(nearest)
    each = at()
    estimate = float(each.mean())
    # differences are as well seen on fewer rows
    rows_of = len(nearest) // 4 + 1
    here = float(at().mean())
    far = _TWO_SIDED * np.array([-1, 1])
    reach = _TWO_SIDED * _MODEL_SHRINK
    by_pairs, by_density, by_model = (
        np.array([at(**{name: base + step}).mean() - here for step in steps])
        for name, base, steps in (
            ("scale", 1.0, -far * relative),
            ("by", 0.0, far * variance * error_of_it),
            ("by", 0.0, (-reach, reach if shrink > _TELLS_LITTLE else _FAR)),
        )
    )
    others = float(each.std()) / math.sqrt(len(each)) * math.sqrt(1 - len(each) / n)
    # how close together distances lie farther in was not looked at
    inward = 0.05 * (1 - estimate) * abs(math.log(inside * n / (k * n_rows))) if n_rows < n else 0.0
    model = _MODEL + _MODEL_SHARE * (1 - min(max(shrink, 0), 1)) * estimate * (1 - estimate)
    half = _TWO_SIDED**2 * (others**2 + inward**2 + model**2)
    low, high = estimate + np.array([-1, 1]) * np.sqrt(
        by_pairs**2 + by_density**2 + by_model**2 + half
    )
    return SketchLoss(*about, estimate, max(0.0, float(low)), min(1.0, float(high)), k)


def loss_to_show(layer: Any) -> SketchLoss | None:
    """Return what a layer's sketch lost, or None where there is no sketch or nothing tells.

    Rows on disk that cannot be read are for who reads them to hear of, or for `verify`.
    """
    try:
        loss: SketchLoss | None = layer.sketch_loss
    except StoreError:
        return None
    return loss if loss is not None and loss.is_known else None


def _nearest(rows: _Rows, n: int) -> tuple[Floats | None, int]:
    """Return logarithms of squared distances from some rows to their nearest, in order."""
    if n <= _ROWS:
        taken = np.asarray(rows[0:n], np.float32)
    else:
        size = _ROWS // _PIECES
        starts = np.linspace(0, n - size, _PIECES).astype(np.int64)
        taken = np.concatenate([np.asarray(rows[a : a + size], np.float32) for a in starts])
    n_rows = len(taken)
    with np.errstate(over="ignore", invalid="ignore"):
        taken = taken - taken.mean(axis=0, dtype=np.float64).astype(np.float32)
        norms = np.einsum("ij,ij->i", taken, taken, dtype=np.float64)
    scale = float(norms.mean())
    if not 0 < scale < math.inf:
        return None, n_rows
    draw = np.random.default_rng(0)
    asked = np.sort(draw.choice(n_rows, min(n_rows, _QUERIES), replace=False))
    squared = norms[asked, None] + norms - 2 * (taken[asked] @ taken.T)
    squared[np.arange(len(asked)), asked] = np.inf
    kept = min(n_rows - 1, _AT_MOST_NEAR)
    squared = np.sort(np.partition(squared, kept - 1, axis=1)[:, :kept], axis=1)
    # float32 knows no smaller ones
    return np.log(np.maximum(squared, 1e-6 * scale)), n_rows


def _curvature(nearest: Floats, edge: Floats, error: float) -> tuple[float, float]:
    """Return the second derivative of the log density of distances at the edge, and its error.

    The density ``exp(b t + c t^2 / 2)`` is fitted within three errors of the edge by maximum
    likelihood; the distance that is the edge itself tells nothing and is left out.
    """
    from numpy.linalg import inv, solve

    reach = _WINDOW * error
    t = (nearest - edge[:, None]).ravel()
    t = t[(np.abs(t) < reach) & (t != 0)] / reach
    if len(t) < 50:
        return 0.0, 0.0
    grid = np.linspace(-1, 1, 201)
    basis = np.stack([grid, grid**2 / 2])
    found = np.array([t.mean(), (t**2 / 2).mean()])
    slope = np.zeros(2)
    for _ in range(50):
        logs = slope @ basis
        weights = np.exp(logs - logs.max())
        weights /= weights.sum()
        expected = basis @ weights
        information = (basis * weights) @ basis.T - np.outer(expected, expected)
        information += 1e-9 * np.eye(2)
        step = solve(information, found - expected)
        slope += step * min(1.0, 5 / float(np.abs(step).max() + 1e-12))
        if float(np.abs(step).max()) < 1e-6:
            break
    error_of_it = math.sqrt(float(inv(information)[1, 1]) / len(t))
    return float(slope[1]) / reach**2, error_of_it / reach**2


def _kept(nearest: Floats, edge: Floats, inside: float, error: float) -> Floats:
    """Return, for each row of distances, the expected share of neighbours that stay."""
    from scipy.special import ndtr

    far = int((nearest < edge[:, None] + 8 * error).sum(axis=1).max())
    near = nearest[:, : max(far, math.ceil(inside))]
    low, high = near[:, 0] - 8 * error, near[:, -1] + 8 * error
    for _ in range(24):
        middle = (low + high) / 2
        over = ndtr((middle[:, None] - near) / error).sum(axis=1) > inside
        high = np.where(over, middle, high)
        low = np.where(over, low, middle)
    weights = np.clip(inside - np.arange(near.shape[1]), 0, 1)
    shares: Floats = ndtr((low[:, None] - near) / error) @ weights / inside
    return shares
