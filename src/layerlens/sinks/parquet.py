"""One table of all samples, one row a sample, for data frames and embedding-atlas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt

from layerlens._pixels import encode_png
from layerlens.embedding.table import axis_names, label_names
from layerlens.plugins.extras import needed
from layerlens.records import LayerEmbedding, RunInfo
from layerlens.sinks._about import about
from layerlens.sinks._whole import WholeFileSink

__all__ = ["ParquetSink"]

Array = npt.NDArray[Any]

_WHO = "the sink 'parquet'"


class ParquetSink(WholeFileSink):
    """Write a Parquet table with one row a sample and columns for each layer.

    The table is wide because its readers are: in embedding-atlas and in most plots a row is a
    sample, and a picture is a pair of its columns. So labels and thumbnails are there once however
    many layers there are. (`Embeddings.to_frame` and the sink ``csv`` have the long form.)

    The columns are ``id``, ``label``, ``label_name``, the run's own columns, ``image`` (the
    thumbnail as a PNG, in the form of Hugging Face's datasets: ``{"bytes", "path"}``), then for
    each layer ``LAYER.x``, ``LAYER.y``, ``LAYER.z`` (``LAYER.c0``, … beyond three), and where it
    has them ``LAYER.cluster``, ``LAYER.stress``, ``LAYER.spread``, ``LAYER.neighbors``. What
    nobody has is left out; a sample that a layer does not have is null there. One of the run's
    columns whose name is taken is called ``column_NAME``.

    ``LAYER.neighbors`` is as embedding-atlas wants it, ``{"ids", "distances"}``: row numbers of
    the nearest neighbours in the layer itself, nearest first. A result keeps which they are and
    not how far away, so ``distances`` holds their ranks 1, 2, ….

    The file's metadata has a key ``layerlens``: names, metrics and parameters, as JSON.

    Parameters
    ----------
    path : str or path-like
        Where the table goes.

    Examples
    --------
    >>> emb.save("lenet.parquet")                                      # doctest: +SKIP
    >>> pandas.read_parquet("lenet.parquet").plot.scatter("conv1.x", "conv1.y")  # doctest: +SKIP

    On the command line: ``embedding-atlas lenet.parquet --x conv1.x --y conv1.y``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)

    def _require(self) -> None:
        needed("pyarrow.parquet", _WHO, "parquet")

    def _put(self, layers: list[LayerEmbedding], stream: BinaryIO) -> None:
        pa = needed("pyarrow", _WHO, "parquet")
        run = layers[0].run
        own = _run_columns(run, pa)
        pictures = _layer_columns(layers, pa, taken=own)
        columns = {**own, **_further_columns(run, pa, taken={**own, **pictures}), **pictures}
        table = pa.table(list(columns.values()), names=list(columns))
        table = table.replace_schema_metadata({"layerlens": about(layers)})
        needed("pyarrow.parquet", _WHO, "parquet").write_table(table, stream, compression="zstd")


def _run_columns(run: RunInfo, pa: Any) -> dict[str, Any]:
    columns = {"id": _column(run.ids, pa)}
    if run.labels is not None:
        columns["label"] = _column(run.labels, pa)
    names = label_names(run)
    if names is not None:
        columns["label_name"] = _column(names, pa)
    return columns


def _further_columns(run: RunInfo, pa: Any, taken: Iterable[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    used = {name.casefold() for name in taken}
    if run.thumbnails is not None:
        used.add("image")
    for name, values in run.columns.items():
        columns[_free(_text(name), used, "column_{}")] = _column(values, pa)
    if run.thumbnails is not None:
        images = [
            {"bytes": encode_png(np.asarray(image)), "path": None} for image in run.thumbnails
        ]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        columns["image"] = pa.array(images, type=kind)
    return columns


def _layer_columns(layers: list[LayerEmbedding], pa: Any, taken: Iterable[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    used = {name.casefold() for name in taken}
    n = layers[0].run.n_samples
    for layer in layers:
        coordinates = np.asarray(layer.coordinates, np.float32)
        parts: dict[str, Any] = {
            name: _spread(coordinates[:, i], layer, n, pa)
            for i, name in enumerate(axis_names(coordinates.shape[1]))
        }
        for name in ("cluster", "stress", "spread"):
            values = getattr(layer, "clusters" if name == "cluster" else name)
            if values is not None:
                parts[name] = _spread(np.asarray(values), layer, n, pa)
        if layer.neighbors is not None:
            parts["neighbors"] = _neighbors(layer, n, pa)
        stem = _text(layer.info.title)
        # DuckDB, which embedding-atlas reads with, takes Conv.x and conv.x for one
        while any(f"{stem}.{name}".casefold() in used for name in parts):
            stem = f"{stem}#{layer.index}"
        for name, values in parts.items():
            used.add(f"{stem}.{name}".casefold())
            columns[f"{stem}.{name}"] = values
    return columns


def _spread(values: Array, layer: LayerEmbedding, n: int, pa: Any) -> Any:
    """Return a layer's values as a column of all samples, null where the layer lacks one."""
    if layer.rows is None:
        return pa.array(np.ascontiguousarray(values))
    column = np.zeros(n, values.dtype)
    column[layer.rows] = values
    absent = np.ones(n, bool)
    absent[layer.rows] = False
    return pa.array(column, mask=absent)


def _neighbors(layer: LayerEmbedding, n: int, pa: Any) -> Any:
    near = np.asarray(layer.neighbors)
    samples = np.arange(len(near)) if layer.rows is None else np.asarray(layer.rows)
    near = samples[near]  # rows of the layer -> rows of the table
    ranks = list(map(float, range(1, near.shape[1] + 1)))
    cells: list[dict[str, list[Any]] | None] = [None] * n
    for sample, ids in zip(samples.tolist(), near.tolist(), strict=True):
        cells[sample] = {"ids": ids, "distances": ranks}
    kind = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float32()))])
    return pa.array(cells, type=kind)


def _column(values: Any, pa: Any) -> Any:
    values = np.asarray(values)
    if values.ndim != 1:
        return pa.array(values.tolist())
    if values.dtype.kind in "biu" or values.dtype in (np.float32, np.float64):
        return pa.array(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="))))
    if values.dtype.kind == "f":
        return pa.array(values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64))
    if values.dtype.kind == "M":
        # Parquet's units; a day or an hour is counted in milliseconds
        unit = np.datetime_data(values.dtype)[0]
        return pa.array(values if unit in ("ms", "us", "ns") else values.astype("datetime64[ms]"))
    if values.dtype.kind == "m":
        unit = np.datetime_data(values.dtype)[0]
        return pa.array(values if unit in ("ms", "us", "ns") else values.astype("timedelta64[ms]"))
    return pa.array([_text(str(value)) for value in values.tolist()], type=pa.string())


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates are no UTF-8


def _free(name: str, used: set[str], pattern: str) -> str:
    while name.casefold() in used:
        name = pattern.format(name)
    used.add(name.casefold())
    return name
