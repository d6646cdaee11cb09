"""Layers as the page's data: one head of JSON, and sections of bytes.

What they are stands in ``layerlens/viewer/FORMAT.md``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens.records import LayerEmbedding, RunInfo
from layerlens.sinks._axes import comparison, counted, plural, steps
from layerlens.sinks._columns import CLIPPED, Column, clip, columns_of
from layerlens.sinks._sampling import PageRows, page_rows
from layerlens.sinks._sprites import PER_SHEET, sprites

__all__ = ["PackedPage", "as_json", "pack"]

Array = npt.NDArray[Any]

NEIGHBORS = 8
"""Neighbours of a point in a layer that the page has."""

ALL_NEIGHBORS_UP_TO = 10_000
"""Points of a page up to which every one has its neighbours in it."""

SOME_NEIGHBORS = 5_000
"""Points that have, above that."""

_FULL = 65_535
_MARGIN = 1.04  # of the frame over the farthest points
_THUMBNAIL_BYTES = 200  # in the file, for each point, up to the budget


@dataclass(frozen=True, slots=True, eq=False)
class PackedPage:
    """What a page holds.

    `sections`: by name; texts are lists.
    `samples`: (n,). Which sample of the run each row of the page is.
    """

    head: dict[str, Any]
    sections: dict[str, bytes | list[str]]
    samples: npt.NDArray[np.int64]


def as_json(value: Any) -> str:
    """Return JSON of ASCII alone that may lie inside of a script element.

    A ``<`` could begin an end tag or a comment there, and ``&`` an entity in XHTML; everything
    beyond ASCII is escaped, U+2028 and U+2029 with it.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def pack(
    layers: Sequence[LayerEmbedding],
    *,
    title: str | None = None,
    max_points: int | None = None,
    neighbors: bool = True,
    thumbnail_bytes: int = 6_000_000,
    seed: int = 0,
) -> PackedPage:
    """Turn layers of one run into a page's data.

    `max_points`: most points; of more, a sample is drawn, from each class in proportion.
    `thumbnail_bytes`: most bytes that thumbnails take in the file.
    """
    run = layers[0].run
    columns = columns_of(run)
    rows = page_rows(run.n_samples, columns, max_points, seed)
    notes = list(rows.notes)
    components = 3 if max(layer.coordinates.shape[1] for layer in layers) > 2 else 2
    placed = [_placed(layer, rows, components) for layer in layers]
    frame, positions = _positions(layers, placed, len(rows.samples), components)
    sections: dict[str, bytes | list[str]] = {"positions": positions.tobytes()}
    present = np.zeros(positions.shape[:2], np.uint8)
    for row, (page, _) in zip(present, placed, strict=True):
        row[page] = 1
    if not present.all():
        sections["present"] = present.tobytes()
    for i, column in enumerate(columns):
        taken = column.taken(rows.samples)
        sections[f"column-{i}"] = taken if isinstance(taken, list) else taken.tobytes()
    per_layer = _per_layer(layers, rows, sections)
    found = _neighbors(layers, rows, sections, notes) if neighbors else None
    pictures = _thumbnails(run, rows, sections, notes, thumbnail_bytes)
    reducers = list(dict.fromkeys(layer.reducer for layer in layers if layer.reducer))
    second = steps(layers)
    size = f"{counted(len(layers), second)}, {plural(run.n_samples, 'sample')}"
    head = {
        "version": 1,
        "title": clip(title or f"layerlens: {size}"),
        "n": len(rows.samples),
        "total": run.n_samples,
        "components": components,
        "seed": seed,
        "reducer": ", ".join(map(clip, reducers)),
        "created": clip(run.created),
        "versions": {clip(name): clip(said) for name, said in run.versions.items()},
        "layers": [_layer(layer, layers) for layer in layers],
        "steps": second,
        "comparison": comparison(layers),
        "frame": frame,
        "columns": [_column(column) for column in columns],
        "roles": {column.role: i for i, column in enumerate(columns) if column.role},
        "per_layer": per_layer,
        "neighbors": found,
        "thumbnails": pictures,
        "clipped": CLIPPED,
        "notes": notes,
    }
    return PackedPage(head, sections, rows.samples)


def _positions(
    layers: Sequence[LayerEmbedding],
    placed: Sequence[tuple[Array, Array]],
    n_rows: int,
    components: int,
) -> tuple[dict[str, Any], Array]:
    """Return the frame of all layers, and where in it each point is.

    `placed`: of each layer, what `_placed` found.
    """
    clouds = [np.asarray(layer.coordinates, dtype=np.float64)[:, :components] for layer in layers]
    low, high = np.full(components, np.inf), np.full(components, -np.inf)
    for cloud in clouds:
        known, width = cloud[np.isfinite(cloud).all(1)], cloud.shape[1]
        if len(known):
            low[:width] = np.minimum(low[:width], known.min(0))
            high[:width] = np.maximum(high[:width], known.max(0))
    low, high = (np.where(np.isfinite(edge), edge, 0.0) for edge in (low, high))
    center = low / 2 + high / 2
    scale = float((high - low).max()) * _MARGIN or 1.0
    out = np.full((len(layers), n_rows, components), _FULL, dtype="<u2")
    for i, (cloud, (page, own)) in enumerate(zip(clouds, placed, strict=True)):
        full = np.tile(center, (len(cloud), 1))
        full[:, : cloud.shape[1]] = cloud
        shares = np.nan_to_num((full - center) / scale) + 0.5
        quantised = np.rint(np.clip(shares, 0, 1) * _FULL)
        quantised[:, 1] = _FULL - quantised[:, 1]  # on a screen y grows downwards
        out[i, page] = quantised[own]
    return {"center": center.tolist(), "scale": scale}, out


def _placed(layer: LayerEmbedding, rows: PageRows, components: int) -> tuple[Array, Array]:
    """Return which rows of the page a layer has a place for, and which of its own they are."""
    page, own = rows.of(layer)
    known = np.isfinite(layer.coordinates[own, :components]).all(1)
    return page[known], own[known]


def _per_layer(
    layers: Sequence[LayerEmbedding], rows: PageRows, sections: dict[str, bytes | list[str]]
) -> dict[str, bool]:
    """Add what each point has in each layer; return what there is."""
    there = {}
    for name in ("stress", "spread", "clusters"):
        values = [getattr(layer, name) for layer in layers]
        there[name] = any(value is not None for value in values)
        if not there[name]:
            continue
        shape = (len(layers), len(rows.samples))
        if name == "clusters":
            out = np.full(shape, _FULL, dtype="<u2")
        else:
            out = np.zeros(shape, dtype=np.uint8)
        for i, (layer, value) in enumerate(zip(layers, values, strict=True)):
            if value is not None:
                page, own = rows.of(layer)
                coded = _cluster_codes(value) if name == "clusters" else _as_byte(value)
                out[i, page] = coded[own]
        sections[name] = out.tobytes()
    return there


def _cluster_codes(clusters: Array) -> Array:
    clusters = np.asarray(clusters)
    if clusters.max(initial=0) >= _FULL:  # the numbers do not fit, their order does
        kept, codes = np.unique(clusters, return_inverse=True)
        codes = codes - np.searchsorted(kept, 0)
        clusters = np.where(clusters < 0, -1, np.minimum(codes, _FULL - 1))
    return np.where(clusters < 0, _FULL, clusters)


def _as_byte(values: Array) -> Array:
    return np.rint(np.clip(np.nan_to_num(np.asarray(values, np.float64)), 0, 1) * 255)


def _neighbors(
    layers: Sequence[LayerEmbedding],
    rows: PageRows,
    sections: dict[str, bytes | list[str]],
    notes: list[str],
) -> dict[str, int] | None:
    known = [layer.neighbors for layer in layers]
    k = min(NEIGHBORS, max((found.shape[1] for found in known if found is not None), default=0))
    if not k:
        return None
    n = len(rows.samples)
    shown = np.arange(n) if n <= ALL_NEIGHBORS_UP_TO else rows.some(SOME_NEIGHBORS)
    dtype = "<u2" if n <= _FULL else "<u4"
    out = np.full((len(layers), len(shown), k), np.iinfo(dtype).max, dtype=dtype)
    page_of = rows.page_of(fill=int(np.iinfo(dtype).max))
    for i, (layer, found) in enumerate(zip(layers, known, strict=True)):
        if found is None:
            continue
        samples = np.arange(rows.total) if layer.rows is None else np.asarray(layer.rows)
        row_of = np.full(rows.total, -1)
        row_of[samples] = np.arange(len(samples))
        own = row_of[rows.samples[shown]]
        here = own >= 0
        near = np.asarray(found)[own[here], :k]
        out[i, here, : near.shape[1]] = page_of[samples[near]]
    sections["neighbors"] = out.tobytes()
    if len(shown) < n:
        sections["neighbor-rows"] = shown.astype("<u4").tobytes()
        notes.append(f"Neighbours are here for {len(shown):,} of the {n:,} points.")
    return {"k": k, "rows": len(shown)}


def _thumbnails(
    run: RunInfo,
    rows: PageRows,
    sections: dict[str, bytes | list[str]],
    notes: list[str],
    budget: int,
) -> dict[str, Any] | None:
    pictures, n = run.thumbnails, len(rows.samples)
    if pictures is None or not n or 0 in pictures.shape:
        return None
    allowed = min(budget, max(500_000, _THUMBNAIL_BYTES * n))
    packed = sprites(
        lambda page: np.asarray(pictures[rows.samples[page]]), n, allowed * 3 // 4, rows.some
    )
    if packed is None:
        return None
    for i, sheet in enumerate(packed.sheets):
        sections[f"thumbnails-{i}"] = sheet
    if len(packed.rows) < n:
        sections["thumbnail-rows"] = packed.rows.astype("<u4").tobytes()
        notes.append(f"Thumbnails are here for {len(packed.rows):,} of the {n:,} points.")
    return {
        "width": packed.width,
        "height": packed.height,
        "per_sheet": PER_SHEET,
        "columns": packed.columns,
        "mime": packed.mime,
        "sheets": len(packed.sheets),
        "rows": len(packed.rows),
    }


def _layer(layer: LayerEmbedding, layers: Sequence[LayerEmbedding]) -> dict[str, Any]:
    info = layer.info
    n_components = layer.coordinates.shape[1]
    notes = [clip(note) for note in layer.notes]
    if n_components > 3:
        notes.append(f"The first 3 of the picture's {n_components} dimensions are shown.")
    return {
        "name": clip(layer.layer),
        "title": clip(info.title),
        "type": clip(info.module_type),
        "dim": info.dim,
        "width": info.width,
        "shape": list(info.output_shape),
        "sketched": info.sketched,
        "reducer": clip(layer.reducer),
        "metrics": {
            clip(name): float(value)
            for name, value in layer.metrics.items()
            if math.isfinite(value)
        },
        "notes": notes,
        "lacks": [
            name
            for name in ("stress", "spread", "clusters", "neighbors")
            if getattr(layer, name) is None
            and any(getattr(other, name) is not None for other in layers)
        ],
    }


def _column(column: Column) -> dict[str, Any]:
    about: dict[str, Any] = {"name": column.name, "kind": column.kind}
    if column.kind == "category":
        about["levels"] = list(column.levels)
        if column.missing:
            about["missing"] = len(column.levels)
    return about
