"""What a layer's cloud is like, whatever the picture of it, and how it differs from the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding.labels import label_accuracy, label_purity
from layerlens.embedding.metrics import K_LABELS, K_RECALL, has_extent
from layerlens.embedding.neighbors import Neighbors, shared_neighbors
from layerlens.recording.loss import SketchLoss

__all__ = ["LayerFacts", "intrinsic_dimension", "layer_facts", "linear_cka", "search_recall"]

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]

# Linear CKA is taken over so many samples, by the estimator that has no bias for few of them.
_CKA_SAMPLES = 1000
_RECALL_QUERIES = 64


@dataclass(frozen=True, slots=True, eq=False)
class LayerFacts:
    """What is known of a layer, and what is kept to compare the next layer with it.

    `nearest`: (n_samples, at most 15), int32. Nearest neighbours.
    `gram`: (m, m), float64. Inner products of m samples, without diagonal, centred for the unbiased
    CKA; None for a dot.
    """

    metrics: dict[str, float]
    nearest: npt.NDArray[np.int32]
    gram: Array | None

    def beside(self, before: LayerFacts) -> dict[str, float]:
        """Compare with the layer before, of the same samples."""
        shared = shared_neighbors(self.nearest, before.nearest)
        figures = {"neighbor_overlap_previous": float(shared.mean(dtype=np.float64))}
        if self.gram is not None and before.gram is not None:
            figures["cka_previous"] = _alignment(self.gram, before.gram)
        return figures


def layer_facts(
    X: Matrix,
    rows: Matrix,
    native: Neighbors,
    labels: Array | None,
    *,
    loss: SketchLoss | None = None,
    random_state: int = 0,
) -> LayerFacts:
    """Learn what there is to know of a layer.

    `X`: (n_samples, n_features), float32. The layer as it was given.
    `rows`: (n_samples, width), float32. X, or the sketch of it that neighbours were searched in.
    `labels`: (n_samples,).
    `loss`: what the layer lost when it was recorded, where it was sketched then.
    Returned: ``intrinsic_dimension``; ``neighbor_recall_sketch`` and what else is known of the
    sketch that the layer was recorded by; ``neighbor_recall_search`` where neighbours were searched
    in a sketch of what was recorded, or not exactly; with labels ``knn_accuracy_native`` and
    ``knn_purity_native``.
    """
    nearest = native.indices[:, :K_RECALL]
    metrics: dict[str, float] = {}
    if len(X) < 3 or not has_extent(rows):
        return LayerFacts(metrics, nearest, None)
    dimension = intrinsic_dimension(native)
    if dimension is not None:
        metrics["intrinsic_dimension"] = dimension
    if rows is not X or not native.exact:
        metrics["neighbor_recall_search"] = search_recall(X, native, random_state=random_state)
    if loss is not None:
        metrics |= loss.metrics()
    if labels is not None:
        near = native.indices[:, :K_LABELS]
        for name, figure in (
            ("knn_accuracy_native", label_accuracy(labels, near)),
            ("knn_purity_native", label_purity(labels, near)),
        ):
            if figure is not None:
                metrics[name] = figure
    return LayerFacts(metrics, nearest, _gram(rows, random_state))


def intrinsic_dimension(native: Neighbors) -> float | None:
    """Estimate the dimension of the cloud from the distances to two neighbours.

    TwoNN [1]_: the ratio of the second to the first distance follows ``F(r) = 1 - r^-d``; d is
    the slope of ``-log(1 - F)`` over ``log r`` through the origin, the largest tenth of the
    ratios left out. It is the dimension at the scale of nearest neighbours.

    Returned: None with fewer than ten samples that have two different neighbours.

    References
    ----------
    .. [1] E. Facco, M. d'Errico, A. Rodriguez, A. Laio, Estimating the intrinsic dimension of
       datasets by a minimal neighborhood information, Scientific Reports 7 (2017).
    """
    if native.k < 2:
        return None
    first, second = native.distances[:, 0], native.distances[:, 1]
    apart = first > 0
    ratios = np.sort(second[apart].astype(np.float64) / first[apart])
    n = len(ratios)
    if n < 10 or ratios[-1] <= 1:
        return None
    kept = int(0.9 * n)
    log_ratio = np.log(ratios[:kept])
    rises = -np.log1p(-np.arange(1, kept + 1) / n)
    square = float(log_ratio @ log_ratio)
    return float(log_ratio @ rises) / square if square > 0 else None


def search_recall(X: Matrix, found: Neighbors, *, random_state: int = 0) -> float:
    """Share of the rows' 15 nearest neighbours that were found, over 64 samples.

    What an approximate search, or one in a sketch of the rows, has cost.

    `X`: (n_samples, n_features), float32. The layer as it was given.
    """
    n = len(X)
    draw = np.random.default_rng(random_state)
    queries = np.sort(draw.choice(n, min(n, _RECALL_QUERIES), replace=False))
    k = min(K_RECALL, found.k)
    norms = np.einsum("ij,ij->i", X, X)
    order = norms - 2 * (X[queries] @ X.T)
    order[np.arange(len(queries)), queries] = np.inf
    true = np.argpartition(order, k - 1, axis=1)[:, :k].astype(np.int32)
    return float(shared_neighbors(true, found.indices[queries, :k]).mean(dtype=np.float64))


def linear_cka(X: Matrix, Y: Matrix) -> float:
    """Linear centred kernel alignment of two layers, without the bias that few samples bring.

    1 where one layer is the other but for rotation and scale; 0 in expectation where they have
    nothing in common.

    `X`, `Y`: (n_samples, any), float32. The same samples, at least four.

    References
    ----------
    .. [1] S. Kornblith, M. Norouzi, H. Lee, G. Hinton, Similarity of neural network
       representations revisited, ICML 2019.
    .. [2] L. Song et al., Feature selection via dependence maximization, JMLR 13 (2012): the
       unbiased estimator of HSIC.
    """
    return _alignment(_centred_gram(X), _centred_gram(Y))


def _gram(rows: Matrix, random_state: int) -> Array | None:
    if len(rows) < 4:
        return None
    if len(rows) > _CKA_SAMPLES:
        # the same samples in every layer
        draw = np.random.default_rng(random_state)
        rows = rows[np.sort(draw.choice(len(rows), _CKA_SAMPLES, replace=False))]
    return _centred_gram(rows)


def _centred_gram(X: Matrix) -> Array:
    """Inner products with the diagonal left out and rows and columns of sum zero (U-centred)."""
    n = len(X)
    X = X - X.mean(axis=0)
    gram = (X @ X.T).astype(np.float64)
    np.fill_diagonal(gram, 0)
    means = gram.sum(axis=1) / (n - 2)
    gram -= means[:, None] + means[None, :] - means.sum() / (n - 1)
    np.fill_diagonal(gram, 0)
    return gram


def _alignment(a: Array, b: Array) -> float:
    own = float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
    return float(np.vdot(a, b)) / own if own > 0 else float("nan")
