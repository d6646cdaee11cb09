"""A page's second axis, the steps of a training run or two models, and how alike the two are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerlens.records import LayerEmbedding
from layerlens.sinks._columns import clip

__all__ = ["comparison", "counted", "plural", "steps"]

_DIGITS = 4


def steps(layers: Sequence[LayerEmbedding]) -> dict[str, Any] | None:
    """Return what a page with a second slider has in its head, None where there is one axis.

    Returned: ``axis`` (``"step"`` or ``"model"``), the ``names`` of its places, the ``layers`` that
    they have between them, and ``at``: for each place and layer its number in the page, -1 where
    the place lacks it. Two models have such an axis only if their layers are the same.
    """
    if any(layer.info.step is None for layer in layers):
        return None
    where: dict[str, dict[str, int]] = {}  # the place's name, then the layer's
    for number, layer in sorted(enumerate(layers), key=lambda one: one[1].info.step or 0):
        name, _, place = layer.info.title.rpartition("@")
        where.setdefault(place, {})[name] = number
    timeline = all(layer.layer.endswith(f"@{layer.info.step}") for layer in layers)
    if len(where) < 2 or not (timeline or len({frozenset(row) for row in where.values()}) == 1):
        return None
    names = _in_one_order([list(row) for row in where.values()])
    return {
        "axis": "step" if timeline else "model",
        "names": [clip(place) for place in where],
        "layers": [clip(name) for name in names],
        "at": [[row.get(name, -1) for name in names] for row in where.values()],
    }


def counted(n_layers: int, second: dict[str, Any] | None) -> str:
    """Return how many layers there are, in words; where there are two axes, along both.

    `second`: what `steps` found.
    """
    if second is None:
        return plural(n_layers, "layer")
    where = f"at {len(second['names'])} steps" if second["axis"] == "step" else "of 2 models"
    return f"{plural(len(second['layers']), 'layer')} {where}"


def plural(n: int, one: str) -> str:
    """Return a count and its noun."""
    return f"{n:,} {one}{'s' * (n != 1)}"


def _in_one_order(rows: list[list[str]]) -> list[str]:
    """Return all names in an order that keeps to that of the rows: each behind its predecessor."""
    order: list[str] = []
    for row in rows:
        place = 0
        for name in row:
            if name not in order:
                order.insert(place, name)
            place = order.index(name) + 1
    return order


def comparison(layers: Sequence[LayerEmbedding]) -> dict[str, Any] | None:
    """Return how alike the layers of two models are, as a page's head has it, or None.

    The figures are those of `Comparison.together`, of the layers that the page has.
    """
    given = layers[0].run.comparison
    if given is None:
        return None
    number = {layer.layer: place for place, layer in enumerate(layers)}
    sides = [
        [(i, name) for i, name in enumerate(names) if f"{name}@{model}" in number]
        for names, model in zip(given["layers"], given["names"], strict=True)
    ]
    if not all(sides):
        return None

    def part(name: str) -> list[list[float | None]]:
        values = given[name]
        return [
            [None if values[i][j] is None else round(values[i][j], _DIGITS) for j, _ in sides[1]]
            for i, _ in sides[0]
        ]

    return {
        "names": [clip(model) for model in given["names"]],
        "layers": [[clip(name or "(model)") for _, name in side] for side in sides],
        "at": [
            [number[f"{name}@{model}"] for _, name in side]
            for side, model in zip(sides, given["names"], strict=True)
        ],
        **{name: part(name) for name in ("cka", "cka_error", "overlap", "overlap_error")},
        "k": given["k"],
        "n_samples": given["n_samples"],
        "chance": round(given["chance"], _DIGITS),
        "notes": [clip(note) for note in given["notes"]],
    }
