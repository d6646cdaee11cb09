"""A disk that is full while layers are written: the file is named, and what was there stays."""

import os
import signal
import sys

import numpy as np
import pytest

import layerlens as ll


@pytest.fixture
def little_room():
    """Let no file grow beyond 2,000 bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_a_write_that_finds_no_room_names_the_file(tmp_path, little_room, suffix):
    cloud = np.random.default_rng(0).normal(size=(500, 5)).astype(np.float32)
    embeddings = ll.reduce({"a": cloud}, "pca")
    path = tmp_path / f"result.{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(ll.StoreError, match=rf"cannot write '.*result\.{suffix}': File too large"):
        embeddings.save(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208
