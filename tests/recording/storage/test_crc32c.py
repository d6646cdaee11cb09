"""The checksum, against its published test vectors and the processor's own."""

import numpy as np
import pytest

from layerlens.recording.storage import crc32c as module
from layerlens.recording.storage.crc32c import crc32c, crc32c_compiled, crc32c_numpy


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # RFC 3720, B.4, and the check value of the catalogue of CRC algorithms
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_vectors(data, expected):
    assert crc32c_numpy(data) == crc32c(data) == expected


def _by_definition(data):
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize("size", [1, 127, 128, 129, 255, 384, 1000, 4101])
def test_sums_are_those_of_the_definition(size):
    data = np.random.default_rng(size).bytes(size)
    assert crc32c_numpy(data) == crc32c_compiled(data) == _by_definition(data)


def test_bytes_that_lie_across_words_have_the_same_sum():
    whole = bytearray(np.random.default_rng(0).bytes(5001))
    for start in (0, 1, 2, 3):
        part = memoryview(whole)[start:-1]
        assert crc32c_compiled(part) == crc32c_numpy(part)


@pytest.mark.parametrize("size", [2**20 - 1, 2**20, 2**20 + 129, 3_333_333])
def test_long_data_against_google(size):
    google = pytest.importorskip("google_crc32c")
    data = np.random.default_rng(size).bytes(size)
    assert crc32c_numpy(data) == crc32c_compiled(data) == crc32c(data) == google.value(data)


def test_arrays_of_any_dtype_are_their_bytes():
    array = np.random.default_rng(0).normal(size=(33, 17)).astype(np.float32)
    assert crc32c(array) == crc32c_numpy(array) == crc32c_numpy(array.tobytes())


def test_the_loop_is_compiled_once_there_are_many_bytes(monkeypatch):
    compiled = []
    monkeypatch.setattr(module, "_WORTH_COMPILING", 1000)
    monkeypatch.setattr(module, "crc32c_compiled", lambda data: compiled.append(data) or 7)
    sum_of = module._CompiledLater()
    assert sum_of(b"123456789") == 0xE3069283
    assert not compiled
    assert [sum_of(bytes(800)) for _ in range(2)] == [crc32c_numpy(bytes(800)), 7]
