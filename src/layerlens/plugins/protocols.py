"""What a reducer and a sink must be able to do, and what they may be able to do besides.

A plugin imports nothing of layerlens: it has these methods, and that is all.
An optional ability is a protocol of its own. A class that has the methods has the ability,
and one that does not is never asked, so there is no method that raises "not supported".
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from layerlens.records import LayerEmbedding

__all__ = [
    "Reducer",
    "Sink",
    "SupportsInit",
    "SupportsNeighbors",
    "SupportsPartialFit",
    "SupportsRead",
    "SupportsSeries",
    "accepts",
    "draws_series",
    "learns_from_blocks",
]

Matrix = npt.NDArray[np.float32]


@runtime_checkable
class Reducer(Protocol):
    """Turns a cloud of points into a picture of few dimensions.

    Any scikit-learn transformer is one. The constructor stores its parameters and does nothing
    else; ``n_components``, ``random_state`` and ``n_jobs`` are passed to it where it takes them.
    With one ``random_state`` the same cloud gives the same picture. The cloud may be read-only or
    strided; it is never written to, nor kept in the picture. A cloud that is too small or too
    poor is refused with a ValueError which says so, or drawn as well as it can be, and never gives
    NaN. `layerlens.testing.check_reducer` holds a reducer to all of it.

    After fitting, the attribute ``labels_`` of shape (n_samples,) is taken as the clusters, the
    attribute ``notes_`` (a sequence of str) as what was done differently from what was asked
    for, and the attribute ``metrics_`` (a mapping of str to float) as figures of its own.
    The attribute ``n_samples_limit`` (an int), where there is one, says above how many samples
    it takes unreasonably long: `layerlens.reduce` then embeds a subsample and places the others.
    """

    def fit_transform(self, X: Matrix, y: Any = None) -> Any:
        """Return coordinates of shape (n_samples, n_components) for X (n_samples, n_features)."""
        ...


@runtime_checkable
class SupportsInit(Protocol):
    """A reducer that can start from given coordinates, ``init`` of shape (n_samples, C)."""

    def fit_transform(self, X: Matrix, y: Any = None, *, init: Matrix | None = None) -> Any:
        """Return coordinates, having started from ``init`` where it is given."""
        ...


@runtime_checkable
class SupportsNeighbors(Protocol):
    """A reducer that can use nearest neighbours which were found already.

    ``neighbors`` is a pair ``(indices, distances)`` of shape (n_samples, k), int32 and float32:
    for each sample the k nearest others, itself not among them, nearest first, Euclidean.
    The attribute or parameter ``n_neighbors_needed(n_samples)`` says how many it wants.
    """

    def n_neighbors_needed(self, n_samples: int) -> int:
        """Return how many neighbours of each sample the reducer wants."""
        ...

    def fit_transform(
        self,
        X: Matrix,
        y: Any = None,
        *,
        neighbors: tuple[npt.NDArray[np.int32], Matrix] | None = None,
    ) -> Any:
        """Return coordinates, using ``neighbors`` where they are given."""
        ...


@runtime_checkable
class SupportsSeries(Protocol):
    """A reducer that takes all layers of a run at once and keeps them comparable itself.

    Afterwards ``series_notes_`` (a list of str for each layer) and ``series_metrics_`` (a mapping
    for each layer) are to it what ``notes_`` and ``metrics_`` are to a reducer of one layer.
    A true attribute ``one_frame`` says that the axes of its pictures mean the same in every layer:
    they are then not laid on each other, and it may refuse layers of several widths. Where it
    takes a keyword ``neighbors`` it gets one pair of neighbours for each layer, as
    `SupportsNeighbors` has them. Where it takes a keyword ``pairs`` and the series has steps of a
    training run too, it gets the numbers of the layers that are next to each other, along the
    depth and along the steps, all layers of a step before those of the next; one that does not
    gets the layers in an order in which neighbours are next to each other.
    """

    def fit_transform_series(self, layers: Sequence[Matrix], y: Any = None) -> Sequence[Any]:
        """Return one picture a layer, the same rows in all; layers have the same samples."""
        ...


@runtime_checkable
class SupportsPartialFit(Protocol):
    """A reducer that learns from blocks of rows and places rows afterwards.

    Layers larger than memory go to it so: each row once, in blocks of about one size that
    depend on the seed; then ``transform`` for one stretch of rows after the other. Blocks
    are its own to write into. Where it has ``predict`` and, once it has learnt, ``labels_``, the
    clusters are what ``predict`` gives, one integer a row. ``notes_`` and ``metrics_`` are read
    after that. `layerlens.reduce` decides by its `in_blocks`, and measures a subsample.

    scikit-learn's IncrementalPCA and MiniBatchKMeans are such reducers.
    """

    def partial_fit(self, X: Matrix, y: Any = None) -> Self:
        """Learn from one block, of shape (n_rows, n_features)."""
        ...

    def transform(self, X: Matrix) -> Any:
        """Return the coordinates of some rows, of shape (n_rows, n_components)."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Writes pictures somewhere, one layer at a time.

    A sink is made with a path and options, ``Sink(path, **options)``, which touches nothing; an
    option that it does not have is a TypeError. It is a context manager: nothing lies under the
    final name before the block is left, and leaving it on an exception, or on Ctrl-C, leaves
    nothing there at all (what lay there before stays). A file that cannot be written, because
    its folder is missing say, is an OSError. `layerlens.testing.check_sink` holds a sink to all
    of it.
    """

    suffixes: ClassVar[tuple[str, ...]]
    """File endings that choose this sink, lower case, with the dot: ``(".npz",)``."""

    def __enter__(self) -> Self: ...

    def write(self, embedding: LayerEmbedding, /) -> None:
        """Take one layer; layers come in depth order and share their ``run``."""
        ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool | None: ...


@runtime_checkable
class SupportsRead(Protocol):
    """A sink whose files can be read back; `Embeddings.load` finds it by the file's suffix."""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Sequence[LayerEmbedding]:
        """Return the layers of a file, in depth order, with one `run` in common."""
        ...


def draws_series(reducer: Any) -> bool:
    """Tell whether a reducer takes all layers at once.

    ``isinstance`` looks at the class; a reducer may have the method for some parameters only, as
    scikit-learn's ``available_if`` makes it.
    """
    return isinstance(reducer, SupportsSeries) and hasattr(reducer, "fit_transform_series")


def learns_from_blocks(reducer: Any) -> bool:
    """Tell whether a reducer learns from blocks of rows, with the parameters that it has."""
    return isinstance(reducer, SupportsPartialFit) and all(
        callable(getattr(reducer, name, None)) for name in ("partial_fit", "transform")
    )


def accepts(function: Callable[..., Any], keyword: str) -> bool:
    """Tell whether a callable has a parameter of that name.

    ``isinstance`` with a protocol sees names of methods, not their parameters; abilities that
    are a further parameter of a method are asked for with this.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins without a signature
        return False
    parameter = parameters.get(keyword)
    return parameter is not None and parameter.kind not in (
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    )
