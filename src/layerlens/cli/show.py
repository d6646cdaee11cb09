"""``layerlens show FILE``: what a result holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from layerlens.cli.text import table
from layerlens.errors import StoreError
from layerlens.records import LayerEmbedding

__all__ = ["add_parser", "layer_table"]

_SHORT = {
    "trustworthiness": "trust",
    "neighbor_recall": "recall",
    "knn_accuracy": "10-NN",
    "knn_accuracy_native": "native",
}


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "show",
        parents=[common],
        help="print what a result holds",
        description="Print what a result (.npz) holds: the run, and a table of its layers.",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    from layerlens.embedding.embeddings import Embeddings

    if given.file.suffix.lower() != ".npz":
        raise StoreError(
            f"{given.file}: show reads .npz results; a result is saved so that it can be read "
            'again by embeddings.save("NAME.npz")'
        )
    embeddings = Embeddings.load(given.file)
    run = embeddings.run
    classes = "" if run.labels is None else f", {len(np.unique(run.labels))} classes"
    made = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    print(f"{given.file}: {run.n_samples} samples{classes}, {len(embeddings)} layers")
    print(f"made {run.created or 'at an unknown time'} with {made or 'unknown versions'}")
    for name, values in run.columns.items():
        print(f"column {name}: {values.dtype}, {len(np.unique(values))} distinct values")
    print("\n".join(["", *layer_table(list(embeddings.values()))]))
    return 0


def layer_table(layers: list[LayerEmbedding]) -> list[str]:
    """Return the lines of a table of layers: widths, figures, seconds, and notes below."""
    known = [name for name in _SHORT if any(name in layer.metrics for layer in layers)]
    head = ["layer", "type", "width", "kept", *(_SHORT[name] for name in known), "seconds"]
    rows = [head]
    for layer in layers:
        info = layer.info
        figures = [f"{layer.metrics[name]:.3f}" if name in layer.metrics else "" for name in known]
        kept = str(info.width) if info.sketched else "all"
        seconds = layer.params.get("seconds")
        took = "" if seconds is None else f"{seconds:.1f}"
        rows.append([info.title, info.module_type, str(info.dim), kept, *figures, took])
    lines = table(rows, right=range(2, len(head)))
    notes = [f"{layer.info.title}: {note}" for layer in layers for note in layer.notes]
    return [*lines, *notes]
