"""A folder that TensorBoard's projector opens: every layer as a tensor, metrics as curves.

Nothing of TensorBoard or TensorFlow is needed. An event file is a row of TFRecords, each of which
holds one `Event` message of Protocol Buffers: the version that a file begins with, and a scalar
under a tag at a step.

References
----------
TFRecord: https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details".
`Event` and `Summary`: tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto.
"""

from __future__ import annotations

import os
import struct
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from layerlens._pixels import encode_png, sprite
from layerlens.embedding.table import axis_names, label_names, layer_table
from layerlens.recording.storage.crc32c import crc32c_numpy
from layerlens.records import LayerEmbedding
from layerlens.sinks._about import about
from layerlens.sinks._atomic import AtomicFolder, writing
from layerlens.sinks._whole import AtomicSink, require_same_run

__all__ = ["TensorBoardSink", "scalar_event"]

Array = npt.NDArray[Any]

_MARK = "layerlens.json"
# what the projector's browser side can have as one texture
_SPRITE_PIXELS = 8192
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


class TensorBoardSink(AtomicSink[AtomicFolder]):
    """Write a folder for TensorBoard: ``tensorboard --logdir FOLDER``, then *Projector*.

    For each layer there is a tensor (``000.tsv``) with its samples' labels, identifiers, columns,
    clusters and stress (``000-metadata.tsv``); the thumbnails are one image (``sprite.png``). The
    layers' metrics are scalars whose step is the layer's place in depth, so that *Time Series*
    shows them as curves over depth. Where each comes from is in ``layerlens.json``.

    Tensors have three columns at least: the projector shows nothing of two. A picture in the plane
    has zeros in the third.

    Nothing of TensorBoard or TensorFlow is needed to write. A folder that lies there already is
    replaced if it is one of these or empty, and is refused otherwise: put it beside the event
    files of a training run, ``runs/lenet/layers`` say, and TensorBoard shows both.

    Parameters
    ----------
    path : str or path-like
        The folder.

    Notes
    -----
    Choose *PCA* in the projector to see a picture of two or three dimensions as it is, up to a
    turn; its t-SNE and UMAP would draw a picture of the picture.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, AtomicFolder(path, mark=_MARK))
        self._at: Path | None = None
        self._layers: list[LayerEmbedding] = []
        self._config: list[str] = []
        self._names: Array | None = None
        self._sprite: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        """Make the temporary folder."""
        self._at = self._file.open()
        self._layers, self._config = [], []
        return self

    def write(self, embedding: LayerEmbedding, /) -> None:
        """Write a layer's tensor, metadata and, where its samples are others, sprite.

        Raises
        ------
        StoreError
            Outside of the ``with`` block, if the layer belongs to another run than the first, or
            a file cannot be written.
        """
        if self._at is None:
            raise self._outside()
        require_same_run(embedding, self._layers[0].run if self._layers else None)
        if not self._layers:
            self._names = label_names(embedding.run)
        stem = f"{len(self._layers):03}"
        self._layers.append(embedding)
        table = layer_table(embedding, self._names)
        coordinates = np.asarray(embedding.coordinates, np.float32)
        for name in ("layer", "index", *axis_names(coordinates.shape[1])):
            del table[name]
        # the projector labels points by the first column
        table = {"label_name": table.pop("label_name"), **table}
        # of less than three dimensions its PCA makes NaN, and it shows nothing
        flat = max(0, 3 - coordinates.shape[1])
        coordinates = np.pad(coordinates, ((0, 0), (0, flat)))
        with writing(self.path):
            self._put(f"{stem}.tsv", _lines(list(coordinates.T)))
            self._put(f"{stem}-metadata.tsv", _metadata(table))
            picture = self._thumbnails(embedding, stem)
        fields = [
            # numbered: names may repeat once they are printable, and the menu has no order
            f"  tensor_name: {_quoted(f'{stem} {embedding.info.title}')}",
            f"  tensor_shape: {coordinates.shape[0]}",
            f"  tensor_shape: {coordinates.shape[1]}",
            f'  tensor_path: "{stem}.tsv"',
            f'  metadata_path: "{stem}-metadata.tsv"',
        ]
        if picture is not None:
            name, (height, width) = picture
            fields.append(
                f'  sprite {{\n    image_path: "{name}"\n'
                f"    single_image_dim: {width}\n    single_image_dim: {height}\n  }}"
            )
        self._config.append("embeddings {\n" + "\n".join(fields) + "\n}\n")

    def _finish(self) -> None:
        at, layers = self._at, self._layers
        if at is None or not layers:
            raise self._nothing_came()
        (at / "projector_config.pbtxt").write_text("".join(self._config), encoding="ascii")
        (at / _MARK).write_text(about(layers) + "\n", encoding="ascii")
        seconds = _seconds(layers[0].run.created)
        name = f"events.out.tfevents.{int(seconds):010}.layerlens"
        (at / name).write_bytes(_events(layers, seconds))

    def _release(self) -> None:
        self._at, self._layers = None, []

    def _put(self, name: str, text: str) -> None:
        if self._at is not None:
            # newline: the projector splits at \n alone, on every system
            (self._at / name).write_text(text, encoding="utf-8", errors="replace", newline="\n")

    def _thumbnails(self, layer: LayerEmbedding, stem: str) -> tuple[str, tuple[int, int]] | None:
        pictures = layer.run.thumbnails
        if pictures is None or self._at is None:
            return None
        name = "sprite.png" if layer.rows is None else f"{stem}-sprite.png"
        path = self._at / name
        if not path.exists():
            image, size = sprite(layer.of_rows(np.asarray(pictures)), _SPRITE_PIXELS)
            path.write_bytes(encode_png(image))
            if layer.rows is not None:
                return name, size
            self._sprite = size
        return (name, self._sprite) if self._sprite is not None else None


def _lines(columns: list[Array]) -> str:
    # float32's shortest digits give the same float32 back
    texts = [_texts(column) for column in columns]
    return "".join("\t".join(fields) + "\n" for fields in zip(*texts, strict=True))


def _metadata(table: dict[str, Array | None]) -> str:
    columns = {name: values for name, values in table.items() if values is not None}
    head = "\t".join(_clean(name) or "column" for name in columns)
    body = _lines(list(columns.values()))
    # the projector takes a file of one column to have no head
    return body if len(columns) == 1 else f"{head}\n{body}"


def _texts(column: Array) -> list[str]:
    column = np.asarray(column)
    if column.dtype.kind in "fmM":
        return list(column.astype(str).tolist())
    return [_clean(str(value)) for value in column.tolist()]


def _clean(text: str) -> str:
    # whatever a reader might take for the end of a field or a line; an empty field that ends a
    # line would be stripped with it
    return " ".join(text.split()) if text.strip() else "-"


def _quoted(text: str) -> str:
    """Return a string of Protocol Buffers' text format."""
    data = text.encode("utf-8", "replace")
    return (
        '"'
        + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in data)
        + '"'
    )


def _seconds(created: str) -> float:
    try:
        return max(0.0, datetime.fromisoformat(created).timestamp())
    except ValueError:  # a run that was put together by hand need not say when
        return 0.0


def _events(layers: list[LayerEmbedding], seconds: float) -> bytes:
    messages = [_version_event(seconds)]
    messages += [
        scalar_event(f"layerlens/{name}", value, layer.index, seconds)
        for layer in layers
        for name, value in layer.metrics.items()
    ]
    return b"".join(map(_tf_record, messages))


def _version_event(wall_time: float) -> bytes:
    """Return the message that an event file begins with."""
    return _double(1, wall_time) + _bytes(3, b"brain.Event:2")


def scalar_event(tag: str, value: float, step: int, wall_time: float) -> bytes:
    """Return the message of one scalar.

    `step`: where on the curve the value lies, from 0.
    `wall_time`: seconds since 1970.
    """
    with np.errstate(over="ignore"):  # what a float32 cannot hold is infinity
        single = np.array(value, "<f8").astype("<f4").tobytes()
    # Summary.Value: tag = 1, simple_value = 2
    entry = _bytes(1, tag.encode("utf-8", "replace")) + _key(2, _FIXED32) + single
    # Event: wall_time = 1, step = 2, summary = 5; Summary: value = 1
    return _double(1, wall_time) + _key(2, _VARINT) + _varint(step) + _bytes(5, _bytes(1, entry))


def _tf_record(message: bytes) -> bytes:
    """Return a message as one record: its length and its bytes, each with a checksum."""
    length = struct.pack("<Q", len(message))
    return length + _checksum(length) + message + _checksum(message)


def _checksum(data: bytes) -> bytes:
    crc = crc32c_numpy(data)
    # masked, since a checksum of data that holds checksums is a poor one
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return struct.pack("<I", masked)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _double(field: int, value: float) -> bytes:
    return _key(field, _FIXED64) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(value)) + value
