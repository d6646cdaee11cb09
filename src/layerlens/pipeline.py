"""The short way: record and reduce in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

from layerlens.embedding.reduce import check_reduction, reduce
from layerlens.recording.probe import Probe

if TYPE_CHECKING:
    from torch import nn

    from layerlens.embedding.drawing import Align
    from layerlens.embedding.embeddings import Embeddings
    from layerlens.recording.readout import ReadoutSpec
    from layerlens.recording.selection import Selector
    from layerlens.recording.storing import Store

__all__ = ["embed"]


def embed(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    layers: Selector = "*",
    reducer: Any = "series-tsne",
    readout: ReadoutSpec = "flatten",
    sketch: str | int | None = "auto",
    call: str = "each",
    capture: str = "output",
    dtype: str = "float32",
    store: str | os.PathLike[str] | Store | None = None,
    limit: int | None = None,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    stop_early: bool = False,
    memory_limit: int | str | None = "auto",
    rank: int | None = None,
    world_size: int | None = None,
    n_components: int = 2,
    align: Align = True,
    supervised: bool = False,
    metrics: bool = True,
    keep_neighbors: int = 15,
    max_samples: int | Literal["auto"] | None = "auto",
    in_blocks: bool | Literal["auto"] = "auto",
    n_seeds: int = 1,
    n_jobs: int | None = None,
    progress: bool = False,
    random_state: int = 0,
    **params: Any,
) -> Embeddings:
    """Send batches through a model and turn every layer into a picture.

    `Probe.run` and `reduce` in one call.

    Parameters
    ----------
    model, batches, layers, readout, sketch, call, capture, dtype, store, memory_limit, rank,
    world_size
        See `Probe`.
    limit, forward, stop_early
        See `Probe.run`.
    reducer, n_components, align, supervised, metrics, keep_neighbors, **params
        See `reduce`; `params` are the reducer's own.
    max_samples, in_blocks, n_seeds, n_jobs
        See `reduce`.
    progress : bool, default False
        Show how far it is, on standard error.
    random_state : int, default 0
        Seed of the sketch and of the reducer.

    Returns
    -------
    Embeddings

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> embeddings = embed(model, torch.randn(20, 4), reducer="pca")
    >>> embeddings["1"].coordinates.shape
    (20, 2)
    """
    reduction: dict[str, Any] = {
        "n_components": n_components,
        "align": align,
        "supervised": supervised,
        "metrics": metrics,
        "keep_neighbors": keep_neighbors,
        "max_samples": max_samples,
        "in_blocks": in_blocks,
        "n_seeds": n_seeds,
        "n_jobs": n_jobs,
        "progress": progress,
        "random_state": random_state,
    }
    # what is wrong with it is said before the model runs for an hour
    check_reduction(reducer, params, **reduction)
    probe = Probe(
        model,
        layers,
        readout=readout,
        sketch=sketch,
        call=call,
        capture=capture,
        dtype=dtype,
        store=store,
        random_state=random_state,
        memory_limit=memory_limit,
        rank=rank,
        world_size=world_size,
    )
    activations = probe.run(
        batches, progress=progress, limit=limit, forward=forward, stop_early=stop_early
    )
    return reduce(activations, reducer, **reduction, **params)
