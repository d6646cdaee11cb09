"""The frozen values that one stage hands to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MAIN_METRICS", "LayerEmbedding", "LayerInfo", "RunInfo"]

MAIN_METRICS = (
    "trustworthiness",
    "neighbor_recall",
    "knn_accuracy",
    "knn_accuracy_native",
    "motion_previous",
)
"""The metrics to show where there is room for a few."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """What is known of a layer beside its values.

    Parameters
    ----------
    name : str
        The layer's name, as in `torch.nn.Module.named_modules`; a later call in the same
        forward has ``:1``, ``:2``, … behind it, a further output of it ``[1]`` or ``["aux"]``.
    module_type : str
        Class of the module, ``"Conv2d"`` say; ``"input"`` for the model's own input and
        ``"array"`` where the values did not come from a model.
    dim : int
        Native width: how many values the readout gave for a sample, before the sketch.
    width : int
        Kept width: how many of them (or of their sketch) there are in a row.
    output_shape : tuple of int
        Shape of what the layer puts out for one sample, before the readout.
    output_path : str
        Where the tensor lay in the layer's output: ``""`` for the output itself,
        ``"[0]"`` or ``'["logits"]'`` inside a structure.
    readout : str
        How the output became a row.
    step : int or None
        Of the training run at which it was recorded, by a `Timeline`; the name ends in
        ``@step`` then.
    """

    name: str
    module_type: str = "array"
    dim: int = 0
    width: int = 0
    output_shape: tuple[int, ...] = ()
    output_path: str = ""
    readout: str = "flatten"
    step: int | None = None

    @property
    def title(self) -> str:
        """The name to show: the root module, whose name is empty, is called ``(model)``."""
        return f"(model){self.name}" if self.name[:1] in ("", ":", "[", "/", "@") else self.name

    @property
    def sketched(self) -> bool:
        """Whether the rows are a sketch rather than the values themselves."""
        return self.width != self.dim


@dataclass(frozen=True, slots=True, eq=False)
class RunInfo:
    """What all layers of a run share.

    Parameters
    ----------
    layers : mapping of str to LayerInfo
        The layers in depth order.
    ids : ndarray of shape (n_samples,)
        Identifiers of the samples: integers or strings.
    labels : ndarray of shape (n_samples,) or None
        Classes of the samples: integers or strings; -1 or ``""`` where one is not known.
    label_names : tuple of str or None
        Display names of integer classes ``0, 1, …``.
    thumbnails : array-like of shape (n_samples, height, width, 1 or 3), uint8, or None
        Small pictures of the inputs. Those of a record on disk are read when they are indexed, or
        all at once by ``np.asarray``; a result has them in memory up to 64 MiB.
    columns : mapping of str to ndarray of shape (n_samples,)
        Further facts of the samples.
    created : str
        When the run was made, ISO 8601 in UTC.
    versions : mapping of str to str
        Versions of the packages that took part.
    comparison : mapping or None
        Of two models' layers (`Comparison.together`) how alike they are: the fields of
        `Comparison` by name, of JSON's types only, None in the place of NaN.
    """

    layers: Mapping[str, LayerInfo]
    ids: Array
    labels: Array | None = None
    label_names: tuple[str, ...] | None = None
    thumbnails: Array | None = None
    columns: Mapping[str, Array] = field(default_factory=dict)
    created: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    comparison: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name in ("layers", "columns", "versions"):
            # a copy of one's own: what the caller does with theirs changes nothing here
            object.__setattr__(self, name, dict(getattr(self, name)))
        if self.comparison is not None:
            object.__setattr__(self, "comparison", dict(self.comparison))

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.ids)

    def class_names(self) -> tuple[Array, list[str]]:
        """Return the distinct labels in order, and how to show each.

        Raises
        ------
        ValueError
            If the run has no labels.
        """
        if self.labels is None:
            raise ValueError("this run has no labels")
        classes = np.unique(self.labels)
        names = self.label_names
        if names and classes.dtype.kind in "iu" and classes.min() >= -1:
            shown = [
                "unlabelled" if c < 0 else names[c] if c < len(names) else str(c)
                for c in classes.tolist()
            ]
        else:
            shown = [str(c) for c in classes.tolist()]
        return classes, shown


@dataclass(frozen=True, slots=True, eq=False)
class LayerEmbedding:
    """One layer's picture: where a reducer put each sample.

    Parameters
    ----------
    layer : str
        Name of the layer.
    index : int
        Its place in depth order, from 0.
    coordinates : ndarray of shape (n_rows, n_components), float32
        Where each sample lies. Finite.
    clusters : ndarray of shape (n_rows,), integers, or None
        Cluster of each sample, where the reducer found clusters.
    metrics : mapping of str to float
        How far the picture can be trusted, and what the layer knows.
    stress : ndarray of shape (n_rows,), float32, or None
        Per sample, the share of its native neighbours that the picture does *not* show.
    reducer : str
        Name of the reducer.
    params : mapping
        Provenance, of JSON's types only: the reducer's parameters, seed, notes, and so on.
    run : RunInfo
        What all layers share.
    rows : ndarray of shape (n_rows,), integers, or None
        Which samples of the run the rows are; None where they are all of them, in order.
    neighbors : ndarray of shape (n_rows, k), int32, or None
        Nearest neighbours of each row in the layer itself, nearest first, the row not among
        them: what the picture ought to show. They are numbers of *rows*, like those of
        `coordinates`, and not of samples of the run. None where they were not searched for, or
        all of them lie at distance 0.
    spread : ndarray of shape (n_rows,), float32, or None
        Per sample, how far it lies from its mean place over several seeds, in units of the
        picture's RMS radius; None where only one seed was drawn.
    """

    layer: str
    index: int
    coordinates: Array
    run: RunInfo
    clusters: Array | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    stress: Array | None = None
    reducer: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    rows: Array | None = None
    neighbors: Array | None = None
    spread: Array | None = None

    def __post_init__(self) -> None:
        for name in ("metrics", "params"):
            object.__setattr__(self, name, dict(getattr(self, name)))

    @property
    def info(self) -> LayerInfo:
        """What is known of the layer beside its values."""
        return self.run.layers[self.layer]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done differently from what was asked for, in words."""
        return tuple(self.params.get("notes", ()))

    def of_rows(self, per_sample: Array) -> Array:
        """Pick the entries of a per-sample array that belong to this layer's rows."""
        return per_sample if self.rows is None else per_sample[self.rows]
