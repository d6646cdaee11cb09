"""A disk that is full while layers are written: the file is named, and what was there stays."""

import subprocess
import sys

import pytest

pytest.importorskip("resource", reason="limits of POSIX")

# in a process of its own: nothing that it writes may grow, pytest's own output neither
WRITE = """
import pathlib, resource, signal, sys
import numpy as np
import layerlens as ll

path = pathlib.Path(sys.argv[1])
cloud = np.random.default_rng(0).normal(size=(500, 5)).astype(np.float32)
embeddings = ll.reduce({"a": cloud}, "pca")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    embeddings.save(path)
except ll.StoreError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_a_write_that_finds_no_room_names_the_file(tmp_path, suffix):
    path = tmp_path / f"result.{suffix}"
    path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(path)], capture_output=True, text=True, check=False
    )
    assert f"cannot write {str(path)!r}: File too large" in done.stderr
    assert done.returncode == 1
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
