"""``layerlens show FILE``: a result, or a run, in the browser; or what they hold, in words."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layerlens.cli.text import table
from layerlens.errors import ArgumentError, StoreError
from layerlens.records import LayerEmbedding

if TYPE_CHECKING:
    from layerlens.embedding.embeddings import Embeddings
    from layerlens.recording.activations import Activations

__all__ = ["LEGEND", "add_parser", "layer_table"]

REDUCER = "series-tsne"
"""What draws the layers of a run, unless it is said otherwise."""

LEGEND = """\
trust: how far points that are close in the picture are close in the layer too (1 is all).
recall: share of a point's 15 nearest neighbours in the layer that the picture shows."""

_SHORT = {
    "trustworthiness": "trust",
    "neighbor_recall": "recall",
    "knn_accuracy": "10-NN",
    "knn_accuracy_native": "native",
    "neighbor_recall_sketch": "sketch",
}


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "show",
        parents=[common],
        help="open a result in the browser, or print what it holds",
        description=(
            "Write the page of a result (.npz) and open it in the browser. Of a store (a folder "
            "that was recorded to, or its URL), say how far it is and what it holds, draw its "
            "layers, and do the same. With --print: only say it."
        ),
    )
    parser.add_argument("file", type=_place_of, metavar="FILE")
    parser.add_argument(
        "--print", action="store_true", dest="table", help="print a table; draw and write nothing"
    )
    parser.add_argument(
        "--out", type=Path, metavar="PAGE", help="where the page goes (beside FILE, as .html)"
    )
    parser.add_argument(
        "--max-points", type=int, metavar="N", help="show a sample of so many points (all)"
    )
    parser.add_argument(
        "--reducer",
        metavar="R",
        help=f"of a store: what draws it, see layerlens plugins ({REDUCER})",
    )
    parser.add_argument(
        "--max-samples",
        type=int,
        metavar="N",
        help="of a store: draw so many samples, and place the others by them (as the reducer says)",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="of a store: read every file and check it; draw and write nothing",
    )
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    from layerlens.embedding.embeddings import Embeddings

    if isinstance(given.file, str) or given.file.is_dir():
        if given.table or given.verify:
            return _show_store(given.file, verify=given.verify)
        return _show_run(given)
    for option, value in (("--reducer", given.reducer), ("--max-samples", given.max_samples)):
        if value is not None:
            raise ArgumentError(
                f"{option} says how a store is drawn; {given.file} is no store, which is a folder"
            )
    if given.file.suffix.lower() != ".npz":
        raise StoreError(
            f"{given.file}: show reads .npz results, and stores, which are folders; a "
            'result is saved so that it can be read again by embeddings.save("NAME.npz")'
        )
    embeddings = Embeddings.load(given.file)
    if given.table:
        _print(given.file, embeddings)
        return 0
    return _show_page(embeddings, given.out or _place(given.file), given.max_points)


def _show_run(given: argparse.Namespace) -> int:
    """Draw what a store has by now, and show the page."""
    from layerlens.embedding.reduce import reduce
    from layerlens.plugins.registry import REDUCERS
    from layerlens.recording.activations import Activations

    name = REDUCER if given.reducer is None else given.reducer
    REDUCERS.factory(name)  # a mistyped name must not cost the reading
    page = given.out or _place(_local(given.file))
    _show_store(given.file, verify=False)
    activations = Activations.open(given.file)
    count = activations.run.n_samples
    if not activations or not count:
        print("\nThere is nothing to draw yet.")
        return 0
    print(
        f"\ndrawing {len(activations)} layers of {count:,} samples by {name}: that may take "
        "minutes (fewer by --max-samples N, faster by --reducer pca; --print draws nothing)",
        flush=True,
    )
    sampled = {} if given.max_samples is None else {"max_samples": given.max_samples}
    embeddings = reduce(activations, name, random_state=0, progress=True, **sampled)
    return _show_page(embeddings, page, given.max_points)


def _local(place: Path | str) -> Path:
    """Return what a page lies beside: the store, or of a store that is elsewhere this folder."""
    if isinstance(place, Path):
        return place.resolve()
    return Path.cwd() / (place.rstrip("/").rpartition("/")[2] or "run")


def _show_page(embeddings: Embeddings, page: Path, max_points: int | None) -> int:
    path = embeddings.save(page, sink="html", max_points=max_points)
    print(f"wrote {path}")
    if not _opened(path):
        print("No browser could be opened from here. The file needs no network: open it anywhere.")
    return 0


def _place_of(text: str) -> Path | str:
    """Return a path, or the URL of a store as it is: two slashes of a path are one."""
    return text if "://" in text else Path(text)


def _place(file: Path) -> Path:
    """Return where the page goes: beside the result, where that harms nothing."""
    from layerlens.plugins.registry import SINKS

    page = file.with_suffix(".html")
    if not os.access(page.parent, os.W_OK):
        return Path(tempfile.mkdtemp(prefix="layerlens-")) / page.name
    if page.exists() and not SINKS.factory("html").made(page):  # type: ignore[attr-defined]
        raise StoreError(
            f"{page} is there and not a page of layerlens's; it stays as it is. Say where the page "
            "is to go: --out PAGE"
        )
    return page


def _opened(path: Path) -> bool:
    """Open the page, if there is something to open it with that has a window."""
    windows = sys.platform in ("win32", "darwin", "cygwin")
    # without a display a browser of the terminal would be found, which runs no script
    if not windows and not {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & os.environ.keys():
        return False
    try:
        return webbrowser.open(path.resolve().as_uri())
    except webbrowser.Error:
        return False


def _print(file: Path, embeddings: Embeddings) -> None:
    run = embeddings.run
    classes = "" if run.labels is None else f", {len(np.unique(run.labels))} classes"
    made = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    print(f"{file}: {run.n_samples} samples{classes}, {len(embeddings)} layers")
    print(f"made {run.created or 'at an unknown time'} with {made or 'unknown versions'}")
    for name, values in run.columns.items():
        print(f"column {name}: {values.dtype}, {len(np.unique(values))} distinct values")
    print("\n".join(["", *layer_table(list(embeddings.values()))]))


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


def _show_store(path: Path | str, *, verify: bool) -> int:
    """Print what a store holds, in a folder or at a URL; with `verify`, read all files first."""
    from layerlens.recording.activations import Activations

    activations = Activations.open(path)
    print("\n".join(_head(path, activations)))
    print("\n".join(["", *_layers(activations)]))
    if verify:
        count = activations.verify()
        print(f"\nverified: all {count:,} files are whole")
    return 0


def _head(path: Path | str, activations: Activations) -> list[str]:
    meta, run = activations.meta, activations.run
    if meta["complete"]:
        state = f"complete, {run.n_samples:,} samples"
    else:
        state = (
            f"unfinished, {run.n_samples:,} samples committed; the same recording into this store "
            "goes on from there"
        )
    made = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    parameters = meta.get("n_parameters")
    size = "" if parameters is None else f", {parameters:,} parameters"
    recorded = ("layers", "readout", "sketch", "random_state")
    lines = [
        f"{path}: {state}",
        f"{meta.get('model', 'a model')}{size}, weights {meta.get('weights', 'not known')}",
        f"made {run.created or 'at an unknown time'} with {made or 'unknown versions'}",
        ", ".join(f"{name} {_said(meta.get(name))}" for name in recorded),
    ]
    facts = {"labels": run.labels, "ids": run.ids, **run.columns}
    for name, values in facts.items():
        if values is not None:
            distinct = len(np.unique(values))
            lines.append(f"{name}: {_dtype(values)}, {distinct:,} distinct values")
    if run.thumbnails is not None:
        lines.append("thumbnails: " + " x ".join(map(str, run.thumbnails.shape[1:])))
    return lines


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_said(one)}" for name, one in value.items())
    return "none" if value is None else str(value)


def _dtype(values: Any) -> str:
    return "text" if values.dtype.kind == "U" else str(values.dtype)


def _layers(activations: Activations) -> list[str]:
    from layerlens.recording.loss import loss_to_show

    losses = {name: loss_to_show(layer) for name, layer in activations.items()}
    known = [loss for loss in losses.values() if loss is not None]
    rows = [["layer", "type", "rows", "width", "kept", "dtype", "size", *["keeps"] * bool(known)]]
    for name, layer in activations.items():
        info = layer.info
        kept = f"{layer.shape[1]:,}" if layer.sketch else "all"
        numbers = [f"{len(layer):,}", f"{layer.dim:,}", kept]
        size = size_text(layer.nbytes)
        loss = losses[name]
        keeps = ["" if loss is None else loss.short] if known else []
        rows.append([info.title, info.module_type, *numbers, str(layer.dtype), size, *keeps])
    lines = table(rows, right=[2, 3, 4, 6])
    total = size_text(activations.nbytes)
    skipped = activations.meta.get("skipped", {})
    left_out = [f"left out: {name!r} ({why})" for name, why in skipped.items()]
    if known:
        ratios = [loss.distance_ratio for loss in known]
        spread = max(loss.distance_spread for loss in known)
        left_out.insert(
            0,
            f"keeps: share of the {known[0].k} nearest that sketches keep, and where it lies 19 "
            f"times in 20, estimated from {sum(loss.n_pairs for loss in known):,} pairs; their "
            f"squared distances are {min(ratios):.3f} to {max(ratios):.3f} of the native ones, "
            f"spread by {spread:.3f} at most",
        )
    return [*lines, f"{len(activations)} layers, {total}", *left_out]


def size_text(size: float) -> str:
    """Return a size in bytes, to read."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
