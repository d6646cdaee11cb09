"""What a store says of itself: the commit, and the Zarr v3 metadata that follow from it.

The root's ``zarr.json`` is the commit. It says how many samples count, which arrays there are and
how many rows each has; whatever else lies in the folder does not count. Keys on disk are numbers
that match a pattern before anything is opened; names, of layers and columns, live in JSON alone.

The form that the checksum covers is frozen: the ``layerlens`` attributes without their checksum,
and the consolidated metadata, as one JSON list with sorted keys, no white space and ASCII only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from layerlens.errors import StoreError
from layerlens.recording.storage.bucket import Source
from layerlens.recording.storage.crc32c import crc32c

__all__ = [
    "DTYPES",
    "GROUPS",
    "ROOT",
    "VERSION",
    "Entry",
    "Manifest",
    "dump",
    "group_json",
    "read_manifest",
]

FORMAT = "layerlens activations"
VERSION = 1
"""Of the layout described here; a store of a later one is refused."""

ROOT = "zarr.json"
GROUPS = ("layers", "samples")
TEXT = "string"
DTYPES = frozenset(
    ["bool", "float16", "float32", "float64", TEXT]
    + [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
)

KEY = re.compile(r"(?:layers/L|samples/C)[0-9]{5}")
CHUNK = re.compile(r"c\.([0-9]{1,12})(?:\.0)*")

_MAX_CHUNK = 1 << 30
_MAX_METADATA = 256 << 20
_MAX_SIDE = 1 << 40


def dump(value: Any) -> bytes:
    """Return the one JSON form that files have and checksums cover."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


@dataclass(frozen=True, slots=True)
class Entry:
    """One array: a layer's rows, or one fact of the samples.

    `key`: its folder, ``layers/L00017`` or ``samples/C00002``.
    `name`: the layer's name, or ``ids``, ``labels``, ``index``, ``thumbnails``, ``column:NAME``.
    """

    key: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    chunk: int
    rows: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """Dtype of the bytes on disk."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def row_bytes(self) -> int:
        """Bytes of one row; 0 for text, whose rows differ."""
        return 0 if self.dtype == TEXT else math.prod(self.shape) * self.numpy_dtype.itemsize

    @property
    def n_chunks(self) -> int:
        """How many chunks hold the rows that count."""
        return -(-self.rows // self.chunk)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows that count, without those of text."""
        return self.rows * self.row_bytes

    def chunk_name(self, number: int) -> str:
        """Return the name of a chunk's file."""
        return f"{self.key}/c.{number}" + ".0" * len(self.shape)

    def as_json(self) -> dict[str, Any]:
        """Return what the commit says of it."""
        return {
            "key": self.key,
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "chunk": self.chunk,
            "rows": self.rows,
            **self.facts,
        }

    def zarr(self, n_samples: int) -> dict[str, Any]:
        """Return its Zarr v3 metadata.

        The first axis is ``sample`` where there is a row for every sample, so that arrays of other
        lengths can lie in one group for readers that compare axes by name.
        """
        short = self.key.rpartition("/")[2]
        facts = self.facts
        whole = self.rows == n_samples and "spans" not in facts and "fitted" not in facts
        text = self.dtype == TEXT
        serializer: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
        if text:
            serializer = {"name": "vlen-utf8", "configuration": {}}
        empty: Any = "" if text else False if self.dtype == "bool" else 0
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [self.rows, *self.shape],
            "data_type": self.dtype,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [self.chunk, *self.shape]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": float(empty) if self.dtype.startswith("float") else empty,
            "codecs": [serializer, {"name": "crc32c"}],
            "dimension_names": [
                "sample" if whole else f"{short}_sample",
                *(f"{short}_{axis}" for axis in range(len(self.shape))),
            ],
            "attributes": {"name": self.name},
            "storage_transformers": [],
        }

    def check(self) -> None:
        """Raise `ValueError` where something is not as it must be."""
        numbers = (self.chunk, self.rows, *self.shape)
        fits = (
            isinstance(self.key, str)
            and KEY.fullmatch(self.key) is not None
            and isinstance(self.name, str)
            and self.dtype in DTYPES
            and all(type(n) is int and 0 <= n < _MAX_SIDE for n in numbers)
            and self.chunk > 0
            and len(self.shape) < 8
        )
        if not fits or self.chunk * self.row_bytes > _MAX_CHUNK:
            raise ValueError(f"an array {str(self.key)[:40]!r} that no store has")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One commit.

    `limit`: where it was told to end, if that was before the batches ended.
    `chunk_rows`: samples between two commits; 0 before the first batch.
    `about`: what else is known of the run: versions, names of classes, the layers left out.
    `batches`: the batches that hold the samples: how many samples one makes, of how many that were
    given (texts, where each token is a sample), and how many such batches follow each other.
    `sketches`: what layers' rows were multiplied by, where that was fitted: by the layer's name,
    with keys like those of layers.
    """

    rows: int = 0
    complete: bool = False
    limit: int | None = None
    chunk_rows: int = 0
    created: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    batches: tuple[tuple[int, int, int], ...] = ()
    counters: tuple[int, int] = (0, 0)
    layers: tuple[Entry, ...] = ()
    samples: tuple[Entry, ...] = ()
    sketches: tuple[Entry, ...] = ()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All arrays."""
        return self.layers + self.samples + self.sketches

    def _own(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "rows": self.rows,
            "complete": self.complete,
            "limit": self.limit,
            "chunk_rows": self.chunk_rows,
            "created": self.created,
            "spec": dict(self.spec),
            "about": dict(self.about),
            "batches": [list(run) for run in self.batches],
            "counters": list(self.counters),
            "layers": [entry.as_json() for entry in self.layers],
            "samples": [entry.as_json() for entry in self.samples],
            # older stores, and those without, say nothing of them
            **({"sketches": [one.as_json() for one in self.sketches]} if self.sketches else {}),
        }

    def document(self) -> dict[str, Any]:
        """Return the root's ``zarr.json``."""
        own = self._own()
        nodes = {name: group_json() for name in GROUPS}
        nodes |= {entry.key: entry.zarr(self.rows) for entry in self.entries}
        consolidated = {"kind": "inline", "must_understand": False, "metadata": nodes}
        own["checksum"] = _checksum(own, consolidated)
        return {**group_json(), "attributes": {"layerlens": own},
                "consolidated_metadata": consolidated}  # fmt: skip


def group_json() -> dict[str, Any]:
    """Return the metadata of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": {}}


def _checksum(own: Mapping[str, Any], consolidated: Any) -> str:
    covered = {name: value for name, value in own.items() if name != "checksum"}
    return f"crc32c {crc32c(dump([covered, consolidated])):08x}"


def read_own(folder: Source) -> dict[str, Any]:
    """Return the ``layerlens`` attributes of a root whose checksum holds.

    Their ``format`` says of what kind it is: a recording, or one of several ranks.

    Raises
    ------
    StoreError
        If there is no store, a damaged one, or one of a newer layerlens.
    """
    if not folder.holds(ROOT):
        raise StoreError(folder.why_no_store(ROOT))
    raw = folder.read(ROOT, limit=_MAX_METADATA)
    try:
        document = json.loads(raw)
        attributes = document["attributes"]
        own = attributes.get("layerlens")
        if own is not None:
            _, version, checksum = own["format"], own["version"], own["checksum"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise folder.damaged(ROOT, f"it is not what a store writes ({error})") from error
    if own is None:
        raise StoreError(
            f"{folder.path(ROOT)!r} is a Zarr group that layerlens did not write; to reduce arrays "
            "from elsewhere, pass Activations.of({name: array})"
        )
    if type(version) is int and version > VERSION:
        raise StoreError(
            f"{str(folder.root)!r} was written by a newer layerlens (store version {version}, this "
            f"one reads up to {VERSION}). pip install -U torch-layerlens"
        )
    if checksum != _checksum(own, document.get("consolidated_metadata")):
        raise folder.damaged(ROOT, "its checksum does not fit what it says")
    return dict(own)


def read_manifest(folder: Source, own: Mapping[str, Any] | None = None) -> Manifest:
    """Read the commit of a store; `own` is what `read_own` gave, where that was called.

    Raises
    ------
    StoreError
        If there is no store, a damaged one, or one of a newer layerlens.
    """
    own = read_own(folder) if own is None else own
    if own["format"] != FORMAT:
        raise StoreError(f"{folder.path(ROOT)!r} holds no single recording")
    try:
        return _manifest(own)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise folder.damaged(ROOT, f"it says what cannot be: {error}") from error


def _entry(about: Mapping[str, Any]) -> Entry:
    known = {"key", "name", "dtype", "shape", "chunk", "rows"}
    facts = {name: value for name, value in about.items() if name not in known}
    entry = Entry(
        about["key"], about["name"], about["dtype"], tuple(about["shape"]), about["chunk"],
        about["rows"], facts,
    )  # fmt: skip
    entry.check()
    return entry


def _manifest(own: Mapping[str, Any]) -> Manifest:
    layers, samples = (tuple(_entry(one) for one in own[group]) for group in GROUPS)
    rows = own["rows"]
    for entry in samples:
        if entry.rows != rows:
            raise ValueError(f"{entry.key} has {entry.rows} rows for {rows} samples")
    for entry in layers:
        _check_spans(entry, rows)
    sketches = tuple(_entry(one) for one in own.get("sketches", ()))
    keys = [entry.key for entry in (*layers, *samples, *sketches)]
    if len(set(keys)) != len(keys) or type(rows) is not int:
        raise ValueError("arrays of one key")
    return Manifest(
        rows=rows,
        complete=bool(own["complete"]),
        limit=own["limit"],
        chunk_rows=int(own["chunk_rows"]),
        created=str(own["created"]),
        spec=dict(own["spec"]),
        about=dict(own["about"]),
        batches=tuple((int(a), int(b), int(times)) for a, b, times in own["batches"]),
        counters=(int(own["counters"][0]), int(own["counters"][1])),
        layers=layers,
        samples=samples,
        sketches=sketches,
    )


def _check_spans(entry: Entry, n_samples: int) -> None:
    spans = entry.facts.get("spans", [[0, n_samples]] if n_samples else [])
    edges = [edge for span in spans for edge in span]
    fits = all(type(edge) is int for edge in edges) and edges == sorted(edges)
    if not fits or (edges and edges[-1] > n_samples) or _length(spans) != entry.rows:
        raise ValueError(f"{entry.key} has rows for other samples than there are")


def _length(spans: Iterable[Iterable[int]]) -> int:
    return sum(stop - start for start, stop in spans)
