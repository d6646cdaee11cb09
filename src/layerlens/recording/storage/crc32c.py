"""CRC-32C (Castagnoli), the checksum of Zarr's ``crc32c`` codec, in NumPy.

A checksum is a chain from byte to byte, which Python would walk at a few megabytes a second. Here
the bytes are cut into many short lanes of one length, and NumPy takes one step in all of them at
once, eight bytes a step by tables of 16 bits [1]_. The lanes are joined in pairs: what the left one
leaves is moved on by the right one's length of zeros, which is linear over GF(2), and so a table.

`google-crc32c` does the same with the processor's own instruction, and is used where it is
installed; the sums are equal.

References
----------
.. [1] Kounavis, Berry. A systematic approach to building high performance software-based CRC
   generators. ISCC 2005.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["crc32c", "crc32c_numpy"]

_POLYNOMIAL = 0x82F63B78
_LANE = 128
"""Bytes in a lane: a multiple of 8. Short lanes are many, and NumPy likes many."""

_PIECE = 1 << 20
"""Bytes that are walked at once, so that the lanes and tables stay in the cache."""

Words = npt.NDArray[np.uint32]


def _after_one_byte(states: Words, table: Words) -> Words:
    after: Words = (states >> np.uint32(8)) ^ table[states & np.uint32(0xFF)]
    return after


@cache
def _byte_table() -> Words:
    states = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        odd = (states & np.uint32(1)).astype(bool)
        states = np.where(odd, (states >> np.uint32(1)) ^ np.uint32(_POLYNOMIAL), states >> 1)
    return states


@cache
def _step_tables() -> tuple[Words, ...]:
    """Return what each 16 bits of eight bytes leave in the sum, the first 16 first."""
    table = _byte_table()
    states = np.arange(1 << 16, dtype=np.uint32)
    found = []
    for _ in range(4):
        states = _after_one_byte(_after_one_byte(states, table), table)
        found.append(states)
    return tuple(reversed(found))


@lru_cache(maxsize=64)
def _shift_tables(n_bytes: int) -> Words:
    """Return how a sum moves on over so many zero bytes: a table for each of its four bytes."""
    basis = np.uint32(1) << np.arange(32, dtype=np.uint32)
    columns = basis
    square = _after_one_byte(basis, _byte_table())  # over one zero byte, then 2, 4, 8, ...
    while n_bytes:
        if n_bytes & 1:
            columns = _apply(square, columns)
        square = _apply(square, square)
        n_bytes >>= 1
    values = np.arange(256, dtype=np.uint32)
    tables = np.zeros((4, 256), np.uint32)
    for bit in range(32):
        has = (values >> np.uint32(bit % 8)) & np.uint32(1)
        tables[bit // 8] ^= has * columns[bit]
    return tables


def _apply(matrix: Words, vectors: Words) -> Words:
    """Multiply vectors of 32 bits by a matrix over GF(2), given by its columns."""
    result = np.zeros_like(vectors)
    for bit in range(32):
        result ^= ((vectors >> np.uint32(bit)) & np.uint32(1)) * matrix[bit]
    return result


def _shifted(states: Words, n_bytes: int) -> Words:
    tables = _shift_tables(n_bytes)
    result: Words = tables[3][states >> np.uint32(24)]
    for place in range(3):
        result ^= tables[place][(states >> np.uint32(8 * place)) & np.uint32(0xFF)]
    return result


def _walk(state: int, data: npt.NDArray[np.uint8]) -> int:
    """Return the sum after whole lanes of bytes."""
    lanes = data.reshape(-1, _LANE).view("<u4").T.copy()
    states = np.zeros(lanes.shape[1], np.uint32)
    states[0] = state
    first, second, third, fourth = _step_tables()
    low = np.uint32(0xFFFF)
    half = np.uint32(16)
    for place in range(0, len(lanes), 2):
        near, far = states ^ lanes[place], lanes[place + 1]
        states = first[near & low] ^ second[near >> half] ^ third[far & low] ^ fourth[far >> half]
    length = _LANE
    while len(states) > 1:
        if len(states) % 2:  # zeros in front of everything leave nothing
            states = np.concatenate([np.zeros(1, np.uint32), states])
        states = _shifted(states[::2], length) ^ states[1::2]
        length *= 2
    return int(states[0])


def crc32c_numpy(data: Any) -> int:
    """Return the CRC-32C of bytes, by NumPy.

    Parameters
    ----------
    data : bytes-like, contiguous
    """
    array = np.frombuffer(memoryview(data).cast("B"), np.uint8)
    state = 0xFFFFFFFF
    whole = len(array) - len(array) % _LANE
    for start in range(0, whole, _PIECE):
        state = _walk(state, array[start : min(start + _PIECE, whole)])
    table = _byte_table()
    for byte in array[whole:].tolist():
        state = (state >> 8) ^ int(table[(state ^ byte) & 0xFF])
    return state ^ 0xFFFFFFFF


@cache
def _fastest() -> Callable[[Any], int]:
    try:
        from google_crc32c import implementation, value
    except ImportError:
        return crc32c_numpy
    if implementation != "c":  # its pure Python is far slower than NumPy
        return crc32c_numpy

    def crc(data: Any) -> int:
        array = np.frombuffer(memoryview(data).cast("B"), np.uint8)
        array.flags.writeable = False  # the only memory that it takes without a copy
        return int(value(array)) if len(array) else 0

    return crc


def crc32c(data: Any) -> int:
    """Return the CRC-32C of contiguous bytes, the fastest way there is."""
    return _fastest()(data)
