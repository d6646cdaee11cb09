"""An AnnData file, in which every layer is an embedding of the observations."""

from __future__ import annotations

import warnings
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt

from layerlens.embedding.table import label_names
from layerlens.plugins.extras import needed
from layerlens.records import LayerEmbedding, RunInfo
from layerlens.sinks._about import about
from layerlens.sinks._whole import WholeFileSink

__all__ = ["AnnDataSink"]

Array = npt.NDArray[Any]

_WHO = "the sink 'anndata'"


class AnnDataSink(WholeFileSink):
    """Write an ``.h5ad``, as scanpy, CELLxGENE and Vitessce read it.

    Samples are the observations. Each layer is ``obsm["X_LAYER"]``, which scanpy draws by
    ``sc.pl.embedding(adata, "LAYER", color="label_name")``; labels, the run's columns and each
    layer's ``LAYER_cluster``, ``LAYER_stress`` and ``LAYER_spread`` are columns of ``obs``;
    its native neighbours are the sparse matrix ``obsp["LAYER_neighbors"]``, one where the sample of
    the column is a neighbour of the row's; thumbnails are ``obsm["thumbnails"]``. A sample that a
    layer does not have is NaN there. ``uns["layerlens"]`` is JSON: names, metrics, parameters.

    In a name ``/`` becomes ``.``, since HDF5 takes it for a folder.

    Parameters
    ----------
    path : str or path-like
        Where the file goes.

    Examples
    --------
    >>> emb.save("lenet.h5ad")                                         # doctest: +SKIP
    >>> scanpy.pl.embedding(anndata.read_h5ad("lenet.h5ad"), "conv1")  # doctest: +SKIP
    """

    suffixes: ClassVar[tuple[str, ...]] = (".h5ad",)

    def _require(self) -> None:
        needed("anndata", _WHO, "anndata")

    def _put(self, layers: list[LayerEmbedding], stream: BinaryIO) -> None:
        anndata = needed("anndata", _WHO, "anndata")
        h5py = needed("h5py", _WHO, "anndata")
        pandas = needed("pandas", _WHO, "anndata")
        sparse = needed("scipy.sparse", _WHO, "anndata")
        run = layers[0].run
        columns = _observations(run, pandas)
        pictures: dict[str, Array] = {}
        graphs: dict[str, Any] = {}
        for layer in layers:
            key = _key(layer.info.title)
            while f"X_{key}" in pictures:
                key = f"{key}#{layer.index}"
            pictures[f"X_{key}"] = _of_all(np.asarray(layer.coordinates, np.float32), layer)
            for name in ("cluster", "stress", "spread"):
                values = getattr(layer, "clusters" if name == "cluster" else name)
                if values is not None:
                    whole = _of_all(np.asarray(values), layer)
                    columns[_free(f"{key}_{name}", columns)] = (
                        pandas.Categorical(whole) if name == "cluster" else whole
                    )
            if layer.neighbors is not None:
                graphs[f"{key}_neighbors"] = _graph(layer, sparse)
        for name, values in run.columns.items():
            columns[_free(_key(name), columns)] = _column(values, pandas)
        if run.thumbnails is not None:
            pictures["thumbnails"] = np.asarray(run.thumbnails)
        with warnings.catch_warnings():
            # anndata 0.13 asks pandas 3 for an option that pandas is about to drop
            warnings.filterwarnings("ignore", ".*future.infer_string.*")
            data = anndata.AnnData(
                obs=pandas.DataFrame(columns, index=_names(run, pandas)),
                obsm=pictures,
                obsp=graphs,
                uns={"layerlens": about(layers)},
            )
            with h5py.File(stream, "w") as file:
                _write_elem(anndata)(file, "/", data)


def _write_elem(anndata: Any) -> Any:
    # where it is has changed: anndata.io since 0.11
    if hasattr(anndata, "io"):
        return anndata.io.write_elem
    return needed("anndata.experimental", _WHO, "anndata").write_elem


def _observations(run: RunInfo, pandas: Any) -> dict[str, Any]:
    columns: dict[str, Any] = {"id": _column(run.ids, pandas)}
    if run.labels is not None:
        columns["label"] = _column(run.labels, pandas)
    names = label_names(run)
    if names is not None:
        columns["label_name"] = pandas.Categorical([_text(name) for name in names.tolist()])
    return columns


def _names(run: RunInfo, pandas: Any) -> Any:
    """Return the observations' names: the ids, or numbers where two are the same."""
    names = [_text(str(value)) for value in np.asarray(run.ids).tolist()]
    if len(set(names)) < len(names):
        names = [str(i) for i in range(len(names))]
    return pandas.Index(np.array(names, dtype=object), dtype=object)


def _column(values: Any, pandas: Any) -> Any:
    values = np.asarray(values)
    if values.dtype.kind in "biuf":
        return values.astype(np.float64) if values.dtype.itemsize > 8 else values
    if values.dtype.kind in "mM":
        values = values.astype(str)  # HDF5 has no dates
    texts = [_text(str(value)) for value in values.tolist()]
    # few words for many samples are a category, which is what scanpy colours by
    if len(set(texts)) <= len(texts) // 2:
        return pandas.Categorical(texts)
    return np.array(texts, dtype=object)


def _of_all(values: Array, layer: LayerEmbedding) -> Array:
    """Return a layer's values for all samples, NaN where the layer does not have one."""
    if layer.rows is None:
        return values
    whole = np.full((layer.run.n_samples, *values.shape[1:]), np.nan, np.float32)
    if values.dtype.kind in "iu":
        whole = whole.astype(np.float64)  # whole numbers up to 2**53 stay what they are
    whole[layer.rows] = values
    return whole


def _graph(layer: LayerEmbedding, sparse: Any) -> Any:
    near = np.asarray(layer.neighbors)
    samples = np.arange(len(near)) if layer.rows is None else np.asarray(layer.rows)
    n = layer.run.n_samples
    rows = np.repeat(samples, near.shape[1])
    ones = np.ones(near.size, np.float32)
    return sparse.csr_matrix((ones, (rows, samples[near].ravel())), shape=(n, n))


def _text(text: str) -> str:
    # HDF5 ends a string at NUL; lone surrogates are no UTF-8
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _key(name: str) -> str:
    return _text(name).replace("/", ".")


def _free(name: str, taken: dict[str, Any]) -> str:
    while name in taken or name in ("", ".", "_index"):
        name = f"column_{name}"
    return name
