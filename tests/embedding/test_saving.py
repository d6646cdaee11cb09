"""Several sinks open at once: no row is lost, and one that fails leaves the others alone."""

import csv
import json

import numpy as np
import pytest
import torch

import layerlens as ll
from layerlens.errors import ArgumentError, StoreError


@pytest.fixture(scope="module")
def recorded():
    """Return a result that came the whole way from a model."""
    rng = np.random.default_rng(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    batches = [
        (torch.tensor(rng.normal(size=(n, 6)), dtype=torch.float32), torch.arange(n) % 3)
        for n in (16, 16, 5)
    ]
    return ll.embed(model, batches, layers="*", reducer="pca", random_state=0)


class Failing:
    """A sink that fails where it is told to."""

    suffixes = ()

    def __init__(self, path, *, at):
        self.path = path
        self.at = at
        self.seen = []
        self.left = None

    def _maybe(self, place):
        self.seen.append(place)
        if place == self.at:
            raise ZeroDivisionError(f"at {place}")

    def __enter__(self):
        self._maybe("enter")
        return self

    def write(self, embedding):
        self._maybe(f"write {embedding.index}")

    def __exit__(self, kind, error, traceback):
        self.left = kind
        if kind is None:
            self._maybe("exit")


def rows_of(path):
    """Return how many rows of how many layers lie in a file, by its own format's reader."""
    if path.is_dir():
        tensors = [p for p in path.glob("*.tsv") if "metadata" not in p.name]
        return [len(p.read_text().splitlines()) for p in sorted(tensors)]
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as stream:
            layers = [int(row["index"]) for row in csv.DictReader(stream)]
        return np.bincount(layers).tolist()
    if path.suffix == ".npz":
        return [len(x.coordinates) for x in ll.Embeddings.load(path).values()]
    if path.suffix == ".parquet":
        table = pytest.importorskip("pyarrow.parquet").read_table(path)
        names = [name for name in table.column_names if name.endswith(".x")]
        return [len(table) - table[name].null_count for name in names]
    if path.suffix == ".safetensors":
        tensors = pytest.importorskip("safetensors.numpy").load_file(path)
        return [len(v) for k, v in sorted(tensors.items()) if k.endswith("/coordinates")]
    if path.suffix == ".h5ad":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path) as file:
            return [len(file["obsm"][key]) for key in sorted(file["obsm"])]
    return None


def test_with_every_sink_open_at_once_no_row_is_lost(recorded, tmp_path):
    for package in ("anndata", "pyarrow", "safetensors"):
        pytest.importorskip(package)
    names = [name for name in ll.sinks.available() if "." not in name]
    suffixes = {name: (*ll.sinks.factory(name).suffixes, "")[0] for name in names}
    sinks = [ll.sinks.get(name, tmp_path / f"{name}{suffixes[name]}") for name in names]
    paths = recorded.save(sinks)
    assert paths == [tmp_path / f"{name}{suffixes[name]}" for name in names]
    counted = {path.name: rows_of(path) for path in paths}
    assert sum(rows is not None for rows in counted.values()) >= 6
    for name, rows in counted.items():
        assert rows in (None, [37] * len(recorded)), name
    # the same bytes as when each is alone
    alone = recorded.save(tmp_path / "alone.npz")
    assert alone.read_bytes() == (tmp_path / "npz.npz").read_bytes()


def test_paths_choose_their_sinks(recorded, tmp_path):
    paths = recorded.save([tmp_path / "a.npz", str(tmp_path / "b.csv")])
    assert paths == [tmp_path / "a.npz", tmp_path / "b.csv"]
    assert ll.Embeddings.load(paths[0]).keys() == recorded.keys()
    assert rows_of(paths[1]) == [37] * len(recorded)


@pytest.mark.parametrize("at", ["enter", "write 0", "write 2", "exit"])
def test_one_that_fails_names_itself_and_the_others_finish(recorded, tmp_path, at):
    bad = Failing(tmp_path / "bad.dat", at=at)
    with pytest.raises(StoreError) as caught:
        recorded.save([tmp_path / "a.npz", bad, tmp_path / "b.csv"])
    message = str(caught.value)
    assert message.startswith("1 of 3 sinks failed, the others are written. Failing (")
    assert "bad.dat" in message and message.endswith(f"ZeroDivisionError: at {at}")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.csv"]
    assert rows_of(tmp_path / "a.npz") == rows_of(tmp_path / "b.csv") == [37] * len(recorded)
    # after the failure it is asked for nothing more, and is told why it is closed
    assert bad.seen[-1] == at
    assert bad.left is (ZeroDivisionError if at.startswith("write") else None)


def test_several_that_fail_are_all_named_and_all_there_as_causes(recorded, tmp_path):
    missing = tmp_path / "missing" / "c.npz"
    with pytest.raises(StoreError, match="2 of 3 sinks failed") as caught:
        recorded.save([Failing("first.dat", at="exit"), missing, tmp_path / "a.npz"])
    assert "first.dat" in str(caught.value) and str(missing) in str(caught.value)
    cause = caught.value.__cause__
    assert isinstance(cause, ExceptionGroup)
    assert [type(e) for e in cause.exceptions] == [ZeroDivisionError, StoreError]
    assert (tmp_path / "a.npz").exists()


def test_a_failing_close_after_a_failure_is_noted_beside_it(recorded, tmp_path):
    class Worse(Failing):
        def __exit__(self, kind, error, traceback):
            raise RuntimeError("and the door is jammed")

    with pytest.raises(StoreError, match="at write 1") as caught:
        recorded.save([Worse("w.dat", at="write 1"), tmp_path / "a.npz"])
    assert "the door is jammed" in caught.value.__cause__.__notes__[0]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_closes_all_and_leaves_nothing(recorded, tmp_path, kind):
    class Interrupted(Failing):
        def write(self, embedding):
            raise kind

    with pytest.raises(kind):
        recorded.save([tmp_path / "a.npz", Interrupted("i.dat", at=None), tmp_path / "folder.csv"])
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_shared_or_is_no_target_is_refused(recorded, tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(ArgumentError, match="the list of paths is empty"):
        recorded.save([])
    with pytest.raises(ArgumentError, match=r"both write .*a\.npz"):
        recorded.save([path, tmp_path / "." / "a.npz"])
    with pytest.raises(ArgumentError, match="7 is neither"):
        recorded.save([path, 7])
    with pytest.raises(ArgumentError, match="sink, dpi cannot be shared"):
        recorded.save([path], sink="npz", dpi=3)
    with pytest.raises(ll.PluginError, match="no installed sink"):
        recorded.save([path, tmp_path / "a.nosuch"])
    assert not list(tmp_path.iterdir())


def test_where_it_comes_from_is_in_every_file(recorded, tmp_path):
    folder = recorded.save(tmp_path / "layers", sink="tensorboard")
    about = json.loads((folder / "layerlens.json").read_text())
    assert [x["layer"] for x in about["layers"]] == list(recorded)
    assert about["layers"][0]["info"]["dim"] == recorded["0"].info.dim
