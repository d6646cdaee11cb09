"""The result as it is, in NumPy's own archive: written layer by layer, read without pickle.

An ``.npz`` is a zip of ``.npy`` files. This one holds

- ``layerlens.json``: the schema's version, every name and string, every number that is no array;
- ``layers/0/coordinates.npy``, and ``clusters``, ``stress``, ``spread``, ``rows``, ``neighbors``
  and ``metrics`` where the layer has them, then ``layers/1/…`` and so on in depth order;
- ``run/ids.npy``, ``run/labels.npy``, ``run/thumbnails.npy``, ``run/columns/0.npy``, ….

Layers and columns are numbered, never named, in the archive: whatever a layer is called, it
cannot become a path. The same result gives the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from layerlens import _options
from layerlens.errors import StoreError
from layerlens.records import LayerEmbedding, LayerInfo, RunInfo
from layerlens.sinks._atomic import AtomicFile, writing
from layerlens.sinks._whole import AtomicSink, require_same_run

__all__ = ["NpzSink"]

Array = npt.NDArray[Any]

_FORMAT = "layerlens-embeddings"
# Raised when an older layerlens would misread the file. An array more is no such change: readers
# pass over what they do not know, and take what is missing for not there.
_VERSION = 1
_JSON = "layerlens.json"
_LAYER_ARRAYS = ("coordinates", "clusters", "stress", "spread", "rows")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,  # among them what json and NumPy raise
    NotImplementedError,  # zipfile, for a kind of compression that it does not know
    RuntimeError,  # zipfile, for an encrypted member
)


class NpzSink(AtomicSink[AtomicFile]):
    """Write everything of a result to one ``.npz``, without loss and without pickle.

    Arrays keep their dtype and every bit, strings every character; neighbours alone lie in the
    file as the smallest unsigned integers that hold them, and are int32 again when they are
    read. The memory needed is that of one layer. Files are read back with `Embeddings.load`, or
    array by array with ``numpy.load(path)``.

    Parameters
    ----------
    path : str or path-like
        Where the archive goes.
    compress : bool
        Whether members are deflated. Thumbnails and identifiers shrink much, coordinates by a
        tenth.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    def __init__(self, path: str | os.PathLike[str], *, compress: bool = True) -> None:
        _options.flag("compress", compress)
        super().__init__(path, AtomicFile(path))
        self.compress = compress
        self._zip: zipfile.ZipFile | None = None
        self._run: RunInfo | None = None
        self._layers: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        """Make the temporary file."""
        self._zip = zipfile.ZipFile(self._file.open(), "w", allowZip64=True)
        self._run = None
        self._layers = []
        return self

    def write(self, embedding: LayerEmbedding, /) -> None:
        """Append a layer.

        Raises
        ------
        StoreError
            Outside of the ``with`` block, if the layer belongs to another run than the first, if
            it holds something that needs pickle or that JSON does not have, or if the file
            cannot be written to, for want of space say.
        """
        if self._zip is None:
            raise self._outside()
        require_same_run(embedding, self._run)
        self._run = embedding.run
        where = f"the layer {embedding.layer!r}"
        entry = {
            "layer": embedding.layer,
            "index": int(embedding.index),
            "reducer": embedding.reducer,
            "metrics": list(embedding.metrics),
            "params": _encode(embedding.params, f"params of {where}"),
        }
        with writing(self.path):
            self._put_arrays(embedding, where)
        self._layers.append(entry)

    def _put_arrays(self, embedding: LayerEmbedding, where: str) -> None:
        number = len(self._layers)
        for name in _LAYER_ARRAYS:
            self._put(f"layers/{number}/{name}", getattr(embedding, name), where)
        if embedding.neighbors is not None:
            small = _smallest(embedding.neighbors, len(embedding.coordinates), where)
            self._put(f"layers/{number}/neighbors", small, where)
        if embedding.metrics:
            # an array rather than JSON, which has neither NaN nor infinity
            values = np.array(list(embedding.metrics.values()), dtype=np.float64)
            self._put(f"layers/{number}/metrics", values, where)

    def _release(self) -> None:
        archive, self._zip = self._zip, None
        if archive is not None:
            # closed after a failure, too: left open, it would write once more when it is collected
            with contextlib.suppress(OSError, ValueError):
                archive.close()

    def _finish(self) -> None:
        run, archive = self._run, self._zip
        if run is None or archive is None:
            raise self._nothing_came()
        self._put("run/ids", run.ids, "the run")
        self._put("run/labels", run.labels, "the run")
        pictures = None if run.thumbnails is None else np.asarray(run.thumbnails)
        self._put("run/thumbnails", pictures, "the run")
        for number, (name, column) in enumerate(run.columns.items()):
            self._put(f"run/columns/{number}", column, f"the column {name!r}")
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "layers": self._layers,
            "run": {
                # a list of pairs: objects of JSON have no order that one may rely on
                "layers": [[name, asdict(info)] for name, info in run.layers.items()],
                "label_names": run.label_names,
                "columns": list(run.columns),
                "created": run.created,
                "versions": _encode(run.versions, "versions of the run"),
                "comparison": _encode(run.comparison, "comparison of the run"),
            },
        }
        text = json.dumps(content, allow_nan=False, indent=1)
        archive.writestr(self._member(_JSON), text.encode("ascii"))
        archive.close()

    def _put(self, name: str, array: Array | None, where: str) -> None:
        if array is None or self._zip is None:
            return
        array = _plain(array, f"{name.rpartition('/')[2]} of {where}")
        # force_zip64: whether a member passes 2 GiB is known only when it is written
        with self._zip.open(self._member(f"{name}.npy"), "w", force_zip64=True) as stream:
            np.lib.format.write_array(stream, array, allow_pickle=False)

    def _member(self, name: str) -> zipfile.ZipInfo:
        # a fixed date, system and mode: the same result gives the same bytes anywhere
        info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
        info.create_system = 3
        info.external_attr = 0o644 << 16
        info.compress_type = zipfile.ZIP_DEFLATED if self.compress else zipfile.ZIP_STORED
        return info

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> list[LayerEmbedding]:
        """Read the layers of a file that this sink wrote.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        list of LayerEmbedding
            The layers in depth order, with one `run` in common.

        Raises
        ------
        StoreError
            If there is no such file, it is broken, it is not layerlens's, or a newer layerlens
            wrote it.
        """
        path = Path(path)
        try:
            with zipfile.ZipFile(path) as archive:
                if _JSON not in archive.namelist():
                    raise StoreError(
                        f"{str(path)!r} is an archive, but not one of layerlens's: it has no "
                        f"{_JSON}. It holds {', '.join(archive.namelist()[:5]) or 'nothing'}."
                    )
                content = json.loads(archive.read(_JSON))
                _check_version(content, path)
                return _read_layers(archive, content)
        except FileNotFoundError as error:
            raise StoreError(f"there is no file {str(path)!r}") from error
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
        except _BROKEN as error:
            raise StoreError(
                f"{str(path)!r} is broken, or no .npz of layerlens's: "
                f"{type(error).__name__}: {error}. Save the result again."
            ) from error


def _check_version(content: Any, path: Path) -> None:
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise StoreError(f"{str(path)!r} is not a result of layerlens's: its {_JSON} says not so")
    version = content.get("version")
    if not isinstance(version, int) or version < 1:
        raise StoreError(f"{str(path)!r} is broken: its schema version is {version!r}")
    if version > _VERSION:
        raise StoreError(
            f"{str(path)!r} has schema version {version}, and this layerlens reads up to "
            f"{_VERSION}: a newer one wrote it. Upgrade: pip install -U torch-layerlens"
        )


def _read_layers(archive: zipfile.ZipFile, content: dict[str, Any]) -> list[LayerEmbedding]:
    members = set(archive.namelist())
    for member in members:  # one whose name is damaged must not count as one that is not there
        archive.open(member).close()

    def get(name: str) -> Array | None:
        if f"{name}.npy" not in members:
            return None
        with archive.open(f"{name}.npy") as stream:
            array: Array = np.lib.format.read_array(stream, allow_pickle=False)
            # the zip's checksum is looked at when the end is reached
            if stream.read(1):
                raise ValueError(f"{name} is longer than it says")
            return array

    def need(name: str) -> Array:
        array = get(name)
        if array is None:
            raise KeyError(f"{name}.npy is missing")
        return array

    about = content["run"]
    names = about["label_names"]
    run = RunInfo(
        layers={name: _layer_info(info) for name, info in about["layers"]},
        ids=need("run/ids"),
        labels=get("run/labels"),
        label_names=None if names is None else tuple(names),
        thumbnails=get("run/thumbnails"),
        columns={name: need(f"run/columns/{i}") for i, name in enumerate(about["columns"])},
        created=about["created"],
        versions=_decode(about["versions"]),
        comparison=_decode(about.get("comparison")),  # 0.1's first files have none
    )
    layers = []
    for number, entry in enumerate(content["layers"]):
        metrics = need(f"layers/{number}/metrics").tolist() if entry["metrics"] else []
        layer = LayerEmbedding(
            layer=entry["layer"],
            index=entry["index"],
            coordinates=need(f"layers/{number}/coordinates"),
            run=run,
            clusters=get(f"layers/{number}/clusters"),
            metrics=dict(zip(entry["metrics"], metrics, strict=True)),
            stress=get(f"layers/{number}/stress"),
            reducer=entry["reducer"],
            params=_decode(entry["params"]),
            rows=get(f"layers/{number}/rows"),
            neighbors=get(f"layers/{number}/neighbors"),
            spread=get(f"layers/{number}/spread"),
        )
        n_rows = run.n_samples if layer.rows is None else len(layer.rows)
        if layer.coordinates.ndim != 2 or len(layer.coordinates) != n_rows:
            raise ValueError(f"layers/{number}/coordinates has shape {layer.coordinates.shape}")
        if layer.neighbors is not None:
            if not _are_rows(layer.neighbors, n_rows):
                raise ValueError(f"layers/{number}/neighbors are not rows of the layer")
            layer = replace(layer, neighbors=layer.neighbors.astype(np.int32))
        layers.append(layer)
    return layers


def _are_rows(neighbors: Array, n_rows: int) -> bool:
    """Whether it is one line of row numbers a row."""
    if neighbors.ndim != 2 or len(neighbors) != n_rows or neighbors.dtype.kind not in "iu":
        return False
    return neighbors.size == 0 or bool(neighbors.min() >= 0 and neighbors.max() < n_rows)


def _smallest(neighbors: Array, n_rows: int, where: str) -> Array:
    """Return row numbers in the smallest dtype that holds them."""
    neighbors = np.asarray(neighbors)
    if not _are_rows(neighbors, n_rows):
        raise StoreError(
            f"neighbors of {where} are of shape {neighbors.shape} and dtype {neighbors.dtype}; "
            f"they must be ({n_rows}, k) integers from 0 to {n_rows - 1}, numbers of its rows"
        )
    return neighbors.astype(np.min_scalar_type(max(n_rows - 1, 0)))


def _layer_info(entry: dict[str, Any]) -> LayerInfo:
    known = {field.name for field in fields(LayerInfo)}
    values = {name: value for name, value in entry.items() if name in known}
    values["output_shape"] = tuple(values["output_shape"])
    return LayerInfo(**values)


def _plain(array: Array, what: str) -> Array:
    """Return the array in a dtype that needs no pickle."""
    array = np.asarray(array)
    if array.dtype.kind == "T" or (
        array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat)
    ):
        return array.astype(str)
    if array.dtype.hasobject:
        kinds = sorted({type(item).__name__ for item in array.flat})
        raise StoreError(
            f"{what} is an array of objects ({', '.join(kinds[:5])}), which could only be "
            f"pickled. Make it an array of numbers or of strings."
        )
    return array


def _encode(value: Any, what: str) -> Any:
    """Return the value in JSON's types; numbers that JSON does not have are spelled out."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, np.generic):
        return _encode(value.item(), what)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, np.ndarray):
        return _encode(value.tolist(), what)
    if isinstance(value, (list, tuple)):
        return [_encode(item, what) for item in value]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise StoreError(f"{what} has keys that are no str: {list(value)!r}")
        encoded = {key: _encode(item, what) for key, item in value.items()}
        # a mapping that looks like our own spelling is wrapped, so that it comes back as it was
        return {"$map": encoded} if encoded.keys() <= {"$float", "$map"} and encoded else encoded
    raise StoreError(
        f"{what} holds {value!r} of type {type(value).__name__}, which JSON does not have. "
        f"Use str, numbers, bool, None, lists and mappings of them."
    )


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"$float"} and isinstance(value["$float"], str):
            return float(value["$float"])
        if value.keys() == {"$map"}:
            return {key: _decode(item) for key, item in value["$map"].items()}
        return {key: _decode(item) for key, item in value.items()}
    return value
