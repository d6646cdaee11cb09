"""A layer's picture as columns of a table: one row a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.records import LayerEmbedding, RunInfo

__all__ = ["axis_names", "label_names", "layer_table"]

Array = npt.NDArray[Any]


def axis_names(n_components: int) -> list[str]:
    """Return the names of the coordinates' columns: x, y, z, or c0, c1, … beyond three."""
    if n_components <= 3:
        return ["x", "y", "z"][:n_components]
    return [f"c{i}" for i in range(n_components)]


def label_names(run: RunInfo) -> Array | None:
    """Return how to show each sample's label, or None where labels are missing or numbers.

    Labels of floating point are values and not classes: they have no names.
    """
    if run.labels is None or np.asarray(run.labels).dtype.kind == "f":
        return None
    _, names = run.class_names()
    _, codes = np.unique(run.labels, return_inverse=True)
    return np.asarray(names, dtype=str)[codes]


def layer_table(embedding: LayerEmbedding, names: Array | None = None) -> dict[str, Array | None]:
    """Return a layer's picture as columns, None for those that it does not have.

    `names`: (n_samples,). `label_names` of the run, where the caller has them already: they are the
    same for all layers.
    Returned: each (n_rows,). ``id``, ``label``, ``label_name``, the coordinates, ``cluster``,
    ``stress``, ``spread``, then the run's own columns. One of these whose name is taken already is
    called ``column_NAME``.
    """
    run = embedding.run
    coordinates = np.asarray(embedding.coordinates)
    if names is None:
        names = label_names(run)
    table: dict[str, Array | None] = {
        "layer": np.full(len(coordinates), embedding.layer, dtype=object),
        "index": np.full(len(coordinates), embedding.index),
        "id": embedding.of_rows(run.ids),
        "label": None if run.labels is None else embedding.of_rows(run.labels),
        "label_name": None if names is None else embedding.of_rows(names),
    }
    axes = axis_names(coordinates.shape[1])
    table.update({axis: coordinates[:, i] for i, axis in enumerate(axes)})
    table["cluster"] = embedding.clusters
    table["stress"] = embedding.stress
    table["spread"] = embedding.spread
    for name, values in run.columns.items():
        free = name
        while free in table:
            free = f"column_{free}"
        table[free] = embedding.of_rows(np.asarray(values))
    return table
