"""Two models on the same samples, layer by layer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.embedding.clouds import LayerCloud, layer_clouds
from layerlens.embedding.placing import subsample
from layerlens.embedding.similarity import Rows, View, cka, hidden, overlap
from layerlens.errors import ArgumentError, ShapeError
from layerlens.progress import Progress
from layerlens.recording.activations import Activations, LayerActivations
from layerlens.recording.pictures import PICTURES, save
from layerlens.recording.rows import Rows as MemoryRows
from layerlens.records import LayerInfo

__all__ = ["Comparison", "compare"]

Array = npt.NDArray[Any]

_AGAIN = 3
"""How often sketches are sketched again, to see how much they lose."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """How alike the layers of two models are.

    Made by `compare`. Rows are the first model's layers, columns the second's.

    Parameters
    ----------
    layers : tuple of (tuple of str, tuple of str)
        The layers of both.
    names : tuple of (str, str)
        What the models are called.
    cka : ndarray of shape (n_first, n_second), float64
        Linear CKA, debiased. NaN where a layer is a dot.
    cka_error : ndarray of shape (n_first, n_second), float64
        Standard error that the sketches leave: 68 % of the same pairs are off by less, 89 % by
        less than twice that. 0 where neither layer is sketched.
    overlap : ndarray of shape (n_first, n_second), float64
        Mean share of a sample's `k` nearest neighbours that it has in both layers.
    overlap_error : ndarray of shape (n_first, n_second), float64
        How much higher it would be without sketches, at most: what they hide, by how much more
        is hidden where they are sketched again, and two standard errors of that. Held by 95 % of
        2,016 pairs of layers whose whole rows are known, missed by .034 at most
        (``tests/benchmarks/compare_errors.py``). 0 where neither layer is sketched.
    k : int
        Neighbours.
    n_samples : int
        How many samples were compared.
    notes : tuple of str
        What was done differently from what was asked for.
    first, second : mapping of str to array-like
        What was compared.
    """

    layers: tuple[tuple[str, ...], tuple[str, ...]]
    names: tuple[str, str]
    cka: Array
    cka_error: Array
    overlap: Array
    overlap_error: Array
    k: int
    n_samples: int
    notes: tuple[str, ...]
    first: Activations
    second: Activations

    @property
    def chance(self) -> float:
        """The overlap of two layers that have nothing in common."""
        return self.k / (self.n_samples - 1)

    @property
    def shape(self) -> tuple[int, int]:
        """How many layers each model has."""
        return len(self.layers[0]), len(self.layers[1])

    def together(self) -> Activations:
        """Return the layers of both models as one series, for `reduce` to draw with one alignment.

        They are called ``conv1@first`` and ``conv1@second``, after `names`. A layer of the second
        model is laid on that of the first that has its name, and on the one before it. Their run
        has the figures, which a page of them shows as a heat map.
        """
        layers = {}
        sides = zip((self.first, self.second), self.layers, self.names, strict=True)
        for place, (side, chosen, model) in enumerate(sides):
            for name in chosen:
                layer = side[name]
                title = f"{name}@{model}"
                layers[title] = LayerActivations(
                    replace(layer.info, name=title, step=place),
                    MemoryRows.of(np.asarray(layer)),
                    ids=layer.ids,
                    sketch=layer.sketch,
                    pairs=layer.pairs,
                )
        run = replace(self.first.run, comparison=self._figures())
        return Activations(layers, run, {"model": " and ".join(self.names)})

    def _figures(self) -> dict[str, Any]:
        """Return the fields, but for what was compared, of JSON's types."""
        figures = {
            name: [[x if np.isfinite(x) else None for x in row] for row in values.tolist()]
            for name, values in (
                ("cka", self.cka), ("cka_error", self.cka_error),
                ("overlap", self.overlap), ("overlap_error", self.overlap_error),
            )
        }  # fmt: skip
        return {
            "layers": [list(side) for side in self.layers],
            "names": list(self.names),
            **figures,
            "k": int(self.k),
            "n_samples": int(self.n_samples),
            "chance": float(self.chance),
            "notes": list(self.notes),
        }

    def plot(self, **options: Any) -> Any:
        """Draw both measures as heat maps and return the matplotlib Figure.

        Parameters
        ----------
        **options
            ``title``.

        Raises
        ------
        PluginError
            If matplotlib is not installed.
        """
        return PICTURES.get("comparison", self, **options)

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Draw both measures into a .png, .svg or .pdf; options are those of `plot`, and dpi."""
        return save("comparison", self, path, **options)

    def __repr__(self) -> str:
        first, second = self.names
        head = f"{first} ({self.shape[0]} layers) beside {second} ({self.shape[1]} layers)"
        lines = [f"{head}: {self.n_samples} samples"]
        for row, name in enumerate(self.layers[0]):
            values = self.cka[row]
            if np.isfinite(values).any():
                at = int(np.nanargmax(values))
                error = self.cka_error[row, at]
                around = f" \N{PLUS-MINUS SIGN} {error:.3f}" if error else ""
                lines.append(
                    f"  {name or '(model)'}  most like {self.layers[1][at] or '(model)'}: CKA "
                    f"{values[at]:.3f}{around}, {self.overlap[row, at]:.0%} of neighbours shared"
                )
        return "\n".join(lines)


def compare(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    *,
    layers: str | Iterable[str] | None = None,
    names: tuple[str, str] = ("first", "second"),
    k: int = 15,
    max_samples: int | None = 1000,
    progress: bool = False,
    random_state: int = 0,
) -> Comparison:
    """Compare two models' layers on the same samples, each with each.

    Parameters
    ----------
    first, second : Activations, or mapping of str to array-like of shape (n_samples, D)
        Of the same samples. Activations are matched by their ids; other arrays lie in one order.
        The same one twice compares a model's layers with each other.
    layers : str, iterable of str, or None
        Which layers of both, by name or glob; all by default.
    names : tuple of (str, str)
        What to call the models.
    k : int, default 15
        How many nearest neighbours are compared.
    max_samples : int or None, default 1000
        Compare so many samples at most, of each class its share; None for all of them. Memory and
        time grow with their square.
    progress : bool
        Whether to show progress on standard error.
    random_state : int
        Seed of the sample.

    Returns
    -------
    Comparison
        Linear CKA and the overlap of neighbours, with the error that sketches leave.

    Raises
    ------
    ArgumentError
        If an argument is not allowed.
    ShapeError
        If the samples are not the same, or fewer than five.
    LayerSelectionError
        If `layers` names one that is in neither.

    Notes
    -----
    The errors are those of the sketches alone. Another draw of samples gives other figures too.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 30))
    >>> turn, _ = np.linalg.qr(rng.normal(size=(30, 30)))
    >>> seen = compare({"a": x, "noise": rng.normal(size=(200, 30))}, {"turned": 2 * x @ turn})
    >>> seen.cka.round(2).ravel().tolist(), seen.overlap.round(1).ravel().tolist()
    ([1.0, -0.0], [1.0, 0.1])
    """
    if len(names) != 2 or names[0] == names[1] or any("@" in name for name in names):
        raise ArgumentError(f"names are two different ones, without an '@'; got {names!r}")
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ArgumentError(f"k is a number of neighbours, 1 or more; got {k!r}")
    if max_samples is not None and max_samples < 5:
        raise ArgumentError(f"max_samples is 5 or more, or None for all; got {max_samples!r}")
    one, other = _as_activations(first), _as_activations(second)
    order = _same_samples(one, other)
    notes: list[str] = []
    sides = [
        _whole(layer_clouds(acts, layers), model, notes)
        for acts, model in zip((one, other), names, strict=True)
    ]
    n_samples = one.n_samples
    chosen = np.arange(n_samples)
    if max_samples is not None and n_samples > max_samples:
        chosen = subsample(one.labels, n_samples, max_samples, random_state)
        notes.append(f"{max_samples} of {n_samples} samples were compared")
    k = min(k, len(chosen) - 1)
    rows = [
        [_rows(cloud, acts[cloud.name], places) for cloud in clouds]
        for clouds, acts, places in zip(sides, (one, other), (chosen, order[chosen]), strict=True)
    ]
    sketched = any(layer.sketch for side in rows for layer in side)
    rounds = range(1, _AGAIN + 1) if sketched else ()
    with Progress("comparing", 1 + len(rounds), shown=progress, unit="rounds") as shown:
        pairs = _Pairs(rows, k)
        shown.advance()
        further = []
        for number in rounds:
            further.append(pairs.again(number))
            shown.advance()
    errors = pairs.errors(further)
    return Comparison(
        layers=(tuple(c.name for c in sides[0]), tuple(c.name for c in sides[1])),
        names=names,
        cka=pairs.figures[0],
        cka_error=errors[0],
        overlap=pairs.figures[1],
        overlap_error=errors[1],
        k=k,
        n_samples=len(chosen),
        notes=tuple(notes),
        first=one,
        second=_in_order(other, order),
    )


def _as_activations(given: Mapping[str, Any]) -> Activations:
    return given if isinstance(given, Activations) else Activations.of(given)


def _same_samples(one: Activations, other: Activations) -> Array:
    """Return where each sample of the first is in the second."""
    a, b = np.asarray(one.ids), np.asarray(other.ids)
    if len(a) < 5:
        raise ShapeError(f"two models are compared on five samples or more; there are {len(a)}")
    if np.array_equal(a, b):
        return np.arange(len(a))
    places = {name: at for at, name in enumerate(b.tolist())}
    missing = [name for name in a.tolist() if name not in places]
    if len(a) != len(b) or len(places) != len(b) or missing:
        example = f" (id {missing[0]!r} is in the first alone)" if missing else ""
        raise ShapeError(
            f"two models are compared on the same samples, and these have {len(a)} and {len(b)} "
            f"whose ids are not the same, each once{example}; record both with the same batches, "
            "or with annotate(ids=...)"
        )
    return np.asarray([places[name] for name in a.tolist()])


def _whole(clouds: list[LayerCloud], model: str, notes: list[str]) -> list[LayerCloud]:
    """Return the layers that have all samples."""
    whole = [cloud for cloud in clouds if cloud.rows is None]
    left = [cloud.name for cloud in clouds if cloud.rows is not None]
    if left:
        notes.append(f"of {model}, not called for every sample and left out: {', '.join(left)}")
    if not whole:
        raise ShapeError(f"no layer of {model} has all samples, so nothing can be compared")
    return whole


def _rows(cloud: LayerCloud, layer: LayerActivations, places: Array) -> Rows:
    sketch = None
    # directions of the data add no noise that two layers could share, and none to take off
    if layer.sketch is not None and not layer.sketch.startswith("pca "):
        fold, _, signs = layer.sketch.partition(", signs of ")
        sketch = f"{signs or repr(_original(layer.info))} {fold}"
    return Rows(np.ascontiguousarray(cloud.matrix()[places]), sketch, layer.dim)


def _original(info: LayerInfo) -> str:
    """Return the name that a layer was recorded, and sketched, under."""
    return info.name if info.step is None else info.name.rpartition("@")[0]


class _Pairs:
    """All pairs of layers, measured with the rows as they are and with sketches sketched again."""

    def __init__(self, rows: list[list[Rows]], k: int) -> None:
        self._rows = rows
        self._k = k
        self._views = [[View(layer, k) for layer in side] for side in rows]
        self._more = np.zeros(0)
        self.figures = self._measure(self._views, None)

    def again(self, number: int) -> tuple[Array, Array]:
        """Return the figures where sketches are sketched to half their width."""
        views = [
            [
                view if layer.sketch is None else View(layer.again(number), self._k)
                for layer, view in zip(layers, known, strict=True)
            ]
            for layers, known in zip(self._rows, self._views, strict=True)
        ]
        self._more = _noise(views)
        return self._measure(views, self.figures)

    def errors(self, further: list[tuple[Array, Array]]) -> tuple[Array, Array]:
        """Return what sketches leave of both figures uncertain, from those of further rounds."""
        likeness, shared = self.figures
        if not further:
            return np.zeros_like(likeness), np.zeros_like(shared)
        again = [np.stack([more[which] for more in further]) for which in (0, 1)]
        off = np.sqrt(np.mean((again[0] - likeness) ** 2, axis=0))
        return off, hidden(shared, again[1], _noise(self._views), self._more)

    def _measure(
        self, views: list[list[View]], known: tuple[Array, Array] | None
    ) -> tuple[Array, Array]:
        first, second = views
        likeness = np.empty((len(first), len(second)))
        shared = np.empty_like(likeness)
        for i, a in enumerate(first):
            for j, b in enumerate(second):
                if known is not None and a.sketch is None and b.sketch is None:
                    likeness[i, j], shared[i, j] = known[0][i, j], known[1][i, j]
                else:
                    likeness[i, j], shared[i, j] = cka(a, b), overlap(a, b)
        return likeness, shared


def _noise(views: list[list[View]]) -> Array:
    """Return the variance of the noise that sketches add to distances, of both layers of a pair."""
    first, second = ([view.collision for view in side] for side in views)
    noise: Array = np.add.outer(first, second)
    return noise


def _in_order(acts: Activations, order: Array) -> Activations:
    """Return a record with its samples in another order."""
    if np.array_equal(order, np.arange(len(order))):
        return acts
    layers = {
        name: LayerActivations(
            layer.info,
            MemoryRows.of(np.asarray(layer)[order]),
            ids=layer.ids[order],
            sketch=layer.sketch,
            pairs=layer.pairs,
        )
        for name, layer in acts.items()
        if layer.rows is None
    }
    run = replace(acts.run, ids=acts.run.ids[order], labels=None, thumbnails=None, columns={})
    return Activations(layers, run, acts.meta)
