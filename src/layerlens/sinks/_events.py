"""TensorBoard's event files, written without TensorFlow or TensorBoard.

An event file is a row of TFRecords, each of which holds one `Event` message of Protocol Buffers.
We need two kinds: the version that a file begins with, and a scalar under a tag at a step.

References
----------
TFRecord: https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details".
`Event` and `Summary`: tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto.
CRC-32C (Castagnoli): RFC 3720, appendix B.4.
"""

from __future__ import annotations

import functools
import struct

import numpy as np

__all__ = ["scalar_event", "tf_record", "version_event"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def version_event(wall_time: float) -> bytes:
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


def tf_record(message: bytes) -> bytes:
    """Return a message as one record: its length and its bytes, each with a checksum."""
    length = struct.pack("<Q", len(message))
    return length + _checksum(length) + message + _checksum(message)


def _checksum(data: bytes) -> bytes:
    crc = _crc32c(data)
    # masked, since a checksum of data that holds checksums is a poor one
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return struct.pack("<I", masked)


@functools.cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


def _crc32c(data: bytes) -> int:
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


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
