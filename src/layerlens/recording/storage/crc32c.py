"""CRC-32C (Castagnoli), the checksum of Zarr's ``crc32c`` codec, in NumPy or as a compiled loop.

A checksum is a chain from byte to byte, which Python would walk at a few megabytes a second. Here
the bytes are cut into many short lanes of one length, and NumPy takes one step in all of them at
once, eight bytes a step by tables of 16 bits [1]_. The lanes are joined in pairs: what the left one
leaves is moved on by the right one's length of zeros, which is linear over GF(2), and so a table.

Where there are many bytes, a loop that takes 16 of them a step is compiled, six times as fast, and
other threads go on meanwhile. `google-crc32c` does the same with the processor's own instruction,
and is used where it is installed. The sums are all equal.

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

from layerlens.recording.compiling import compiled

__all__ = ["crc32c", "crc32c_compiled", "crc32c_numpy"]

_POLYNOMIAL = 0x82F63B78
_LANE = 128
"""Bytes in a lane: a multiple of 8. Short lanes are many, and NumPy likes many."""

_PIECE = 1 << 20
"""Bytes that are walked at once, so that the lanes and tables stay in the cache."""

_WORTH_COMPILING = 1 << 25
"""Bytes that NumPy walks before the loop is compiled, or loaded."""

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
    return _finished(state, array[whole:])


def _finished(state: int, rest: npt.NDArray[np.uint8]) -> int:
    """Return the sum once the last few bytes are in it."""
    table = _byte_table()
    for byte in rest.tolist():
        state = (state >> 8) ^ int(table[(state ^ byte) & 0xFF])
    return state ^ 0xFFFFFFFF


def _loop(state: np.uint32, words: Words, tables: Words) -> np.uint32:
    """Return the sum after words of four bytes, four at a time."""
    low = np.uint32(0xFF)
    for place in range(0, len(words), 4):
        found = np.uint32(0)
        for number in range(4):
            word = words[place + number]
            if number == 0:
                word ^= state
            row = 15 - 4 * number
            found ^= tables[row, word & low]
            found ^= tables[row - 1, (word >> np.uint32(8)) & low]
            found ^= tables[row - 2, (word >> np.uint32(16)) & low]
            found ^= tables[row - 3, word >> np.uint32(24)]
        state = found
    return state


@cache
def _loop_tables() -> Words:
    """Return what a byte leaves in the sum when 0 to 15 others have followed it."""
    tables = [_byte_table()]
    for _ in range(15):
        tables.append(_after_one_byte(tables[-1], tables[0]))
    return np.stack(tables)


@cache
def _compiled_loop() -> Callable[[np.uint32, Words, Words], np.uint32] | None:
    return compiled(_loop)


def crc32c_compiled(data: Any) -> int:
    """Return the CRC-32C of bytes, by the compiled loop; by NumPy where there is none."""
    loop = _compiled_loop()
    if loop is None:
        return crc32c_numpy(data)
    array = np.frombuffer(memoryview(data).cast("B"), np.uint8)
    whole = len(array) - len(array) % 16
    words = np.require(array[:whole].view("<u4"), np.uint32, "A")
    words.flags.writeable = False  # one kind of array, so that it is compiled once
    state = int(loop(np.uint32(0xFFFFFFFF), words, _loop_tables()))
    return _finished(state, array[whole:])


class _CompiledLater:
    """NumPy for the first bytes of a process, and the loop from when it is worth compiling."""

    def __init__(self) -> None:
        self._walked = 0

    def __call__(self, data: Any) -> int:
        self._walked += memoryview(data).nbytes
        return (crc32c_compiled if self._walked > _WORTH_COMPILING else crc32c_numpy)(data)


@cache
def _fastest() -> Callable[[Any], int]:
    try:
        from google_crc32c import implementation, value
    except ImportError:
        return _CompiledLater()
    if implementation != "c":  # its pure Python is far slower than NumPy
        return _CompiledLater()

    def crc(data: Any) -> int:
        array = np.frombuffer(memoryview(data).cast("B"), np.uint8)
        array.flags.writeable = False  # the only memory that it takes without a copy
        return int(value(array)) if len(array) else 0

    return crc


def crc32c(data: Any) -> int:
    """Return the CRC-32C of contiguous bytes, the fastest way there is."""
    return _fastest()(data)
