"""How alike two layers are: linear CKA and shared neighbours, also of sketched rows.

A sketch keeps inner products in expectation, and adds noise to each. The noise makes a layer's
similarity to itself look larger than it is, so CKA would come out too small; what it adds is known
and is taken off. What is left is random, and how large it is can be seen by sketching the sketch
once more, to half its width: that adds as much noise again.

Of shared neighbours noise only hides some. A neighbour is lost where the noise of a distance is
larger than what it is ahead by, and of those that are ahead by little there are as many as the
little is large: what is lost grows as the noise's standard deviation. So what the second sketch
loses says what the first has lost.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerlens.embedding.distances import fold
from layerlens.embedding.neighbors import nearest_neighbors, shared_neighbors

__all__ = ["Rows", "View", "cka", "hidden", "overlap"]

Array = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What is known of a layer's rows.

    `values`: (n_samples, width), float32.
    `sketch`: which sketch they are, if they are one: equal text is the same projection.
    """

    values: Matrix
    sketch: str | None
    dim: int

    def again(self, number: int) -> Rows:
        """Return the rows sketched to half their width; rows that are no sketch, as they are.

        Every number is another random projection, and so is every sketch: two layers share one
        where they shared one before.
        """
        if self.sketch is None:
            return self
        width = self.values.shape[1]
        seed = zlib.crc32(f"{number} {self.sketch}".encode())
        order = np.random.default_rng(seed).permutation(width)
        half = fold(
            np.ascontiguousarray(self.values[:, order]), (width + 1) // 2, random_state=seed
        )
        return Rows(half, f"{self.sketch}, again {number}", self.dim)


class View:
    """A layer as it is compared: its inner products, and its nearest neighbours."""

    def __init__(self, rows: Rows, k: int) -> None:
        self.sketch = rows.sketch
        centred = rows.values - rows.values.mean(axis=0, dtype=np.float64).astype(np.float32)
        scale = float(np.sqrt((centred**2).sum(axis=1, dtype=np.float64).mean()))
        if scale > 0:
            centred /= np.float32(scale)
        self.rows = centred
        gram = centred @ centred.T
        self.norms = np.diag(gram).astype(np.float64)
        np.fill_diagonal(gram, 0.0)
        self.gram = gram
        self.sums = gram.sum(axis=1, dtype=np.float64)
        self.neighbors = nearest_neighbors(rows.values, k).indices
        # how likely two values of a row are to fall into one bucket, all of one size
        self.collision = 1 / rows.values.shape[1] - 1 / rows.dim if rows.sketch else 0.0
        self.own = _hsic(self, self)

    @property
    def is_dot(self) -> bool:
        """Whether all rows lie at one point, so that nothing can be said."""
        return not self.norms.any()


def _hsic(a: View, b: View) -> float:
    """Return the unbiased estimate of HSIC [1]_ of two layers, without the sketches' share.

    References
    ----------
    .. [1] L. Song, A. Smola, A. Gretton, J. Bedo, K. Borgwardt, Feature selection via dependence
       maximization, JMLR 13 (2012), equation 5.
    """
    n = len(a.gram)
    products = float(np.einsum("ij,ij->", a.gram, b.gram, dtype=np.float64))
    products -= _noise(a, b)
    whole = float(a.sums.sum() * b.sums.sum()) / ((n - 1) * (n - 2))
    margins = 2 * float(a.sums @ b.sums) / (n - 2)
    return (products + whole - margins) / (n * (n - 3))


def _noise(a: View, b: View) -> float:
    """Return what one projection of both adds to the sum of their products, in expectation.

    Of a CountSketch in which two values share a bucket with probability p, the estimates of
    <x, x'> and <y, y'> covary by p (<x, y> <x', y'> + <x, y'> <x', y>), up to a share of about
    one in the number of values. The products here are estimates themselves, and larger by the
    factor 1 + p. Projections of their own do not covary.
    """
    if a.sketch is None or a.sketch != b.sketch:
        return 0.0
    between = a.gram if a is b else a.rows @ b.rows.T
    diagonal = a.norms if a is b else np.diag(between).astype(np.float64)
    pairs = float(np.einsum("ij,ji->", between, between, dtype=np.float64))
    if a is not b:
        pairs -= float(diagonal @ diagonal)
    same = float(diagonal.sum() ** 2 - diagonal @ diagonal)
    return (same + pairs) * a.collision / (1 + a.collision)


def cka(a: View, b: View) -> float:
    """Return the linear CKA [1]_ of two layers, debiased for the number of samples [2]_.

    1 where the layers are the same up to rotation and scale; about 0 where they have nothing in
    common, and a little below it by chance. NaN where a layer is a dot.

    References
    ----------
    .. [1] S. Kornblith, M. Norouzi, H. Lee, G. Hinton, Similarity of neural network
       representations revisited, ICML 2019.
    .. [2] T. Nguyen, M. Raghu, S. Kornblith, Do wide and deep networks learn the same things?,
       ICLR 2021, equations 3 and 4.
    """
    scale = a.own * b.own
    return float("nan") if scale <= 0 else _hsic(a, b) / float(np.sqrt(scale))


def overlap(a: View, b: View) -> float:
    """Return the share of a sample's nearest neighbours that it has in both layers, on average."""
    if a.is_dot or b.is_dot:
        return float("nan")
    return float(shared_neighbors(a.neighbors, b.neighbors).mean(dtype=np.float64))


def hidden(seen: Array, again: Array, noise: Array, more: Array) -> Array:
    """Return how much of the overlap sketches hide at most, from what further sketches hide.

    `seen`: (...). The overlap.
    `again`: (n_rounds, ...). The overlap where sketches were sketched again; two rounds or more.
    `noise`, `more`: (...). Variance of the noise, then and now.
    Returned: (...). What is lost if it grows as the noise's standard deviation, and two standard
    errors of it. 0 where there is no noise.
    """
    before, after = np.sqrt(noise), np.sqrt(more)
    steps = np.divide(before, after - before, out=np.zeros_like(before), where=before > 0)
    lost = np.maximum(seen - again.mean(axis=0), 0.0) * steps
    around = 2 * again.std(axis=0, ddof=1) / np.sqrt(len(again))
    return np.where(before > 0, lost + around, 0.0)
