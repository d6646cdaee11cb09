"""Nothing half-written, whatever happens."""

import os
import stat
import sys

import pytest

from layerlens.errors import StoreError
from layerlens.sinks._atomic import AtomicFile


def test_the_file_appears_on_commit_and_nothing_lies_beside_it(tmp_path):
    file = AtomicFile(tmp_path / "a.bin")
    file.open().write(b"whole")
    assert not (tmp_path / "a.bin").exists()
    file.commit()
    assert (tmp_path / "a.bin").read_bytes() == b"whole"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_discarding_keeps_the_old_file_and_twice_is_harmless(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"old")
    file = AtomicFile(tmp_path / "a.bin")
    file.open().write(b"new")
    file.discard()
    file.discard()
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"the folder .*missing' does not exist"):
        AtomicFile(tmp_path / "missing" / "a.bin").open()


def test_a_folder_in_the_file_s_place_is_named(tmp_path):
    with pytest.raises(StoreError, match="a folder lies there"):
        AtomicFile(tmp_path).open()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path):
    (tmp_path / "pipe").symlink_to(tmp_path / "behind")
    os.mkfifo(tmp_path / "behind")
    with pytest.raises(StoreError, match="a device, pipe or socket lies there.*path of a file"):
        AtomicFile(tmp_path / "pipe").open()
    assert stat.S_ISFIFO((tmp_path / "behind").stat().st_mode)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
def test_rights_are_those_of_the_umask_or_of_the_old_file(tmp_path):
    before = os.umask(0o027)
    try:
        for name, old in (("new", None), ("old", 0o604)):
            path = tmp_path / name
            if old:
                path.touch()
                path.chmod(old)
            file = AtomicFile(path)
            file.open()
            file.commit()
            assert stat.S_IMODE(path.stat().st_mode) == (old or 0o640)
    finally:
        os.umask(before)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data" / "a.bin")
    file = AtomicFile(tmp_path / "link")
    file.open().write(b"x")
    file.commit()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "data" / "a.bin").read_bytes() == b"x"


def test_a_failing_rename_leaves_nothing_behind(tmp_path, monkeypatch):
    file = AtomicFile(tmp_path / "a.bin")
    file.open()

    def no_space(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", no_space)
    with pytest.raises(StoreError, match="No space left on device"):
        file.commit()
    assert [p.name for p in tmp_path.iterdir()] == []
