"""Whatever interrupts a recording: nothing committed is lost or doubled; each has its error."""

import errno
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.recording.storage.runs import (
    NO_SPACE,
    READ_ONLY,
    FaultyOS,
    Killed,
    batches,
    model,
    record,
    tree,
)
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import layerlens as ll
from layerlens.recording.storage import files
from layerlens.recording.storage.crc32c import crc32c
from layerlens.recording.storage.tree import dump

pytestmark = pytest.mark.filterwarnings("ignore:without a record")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the tree of a recording that nothing happened to, and how many changes it took."""
    from layerlens.recording import storing

    class Clock:
        @staticmethod
        def now(zone):
            from datetime import datetime

            return datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone)

    root = tmp_path_factory.mktemp("whole") / "run.zarr"
    faulty = FaultyOS()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", ll.LayerlensWarning)
        patch.setattr(storing, "datetime", Clock)
        patch.setattr(files, "os", faulty)
        record(root)
    return tree(root), faulty


def committed(root):
    """Return how many samples count, having read them all: none is anything but right."""
    if not (root / "zarr.json").exists():
        return 0
    acts = ll.Activations.open(root)
    expected = ll.Probe(model(), sketch=None).run(batches())
    for name, layer in acts.items():
        truth = np.asarray(expected[name]) if name in expected else None
        if truth is not None:
            np.testing.assert_array_equal(np.asarray(layer), truth[: len(layer)])
    assert acts.ids.tolist() == list(range(acts.n_samples))
    return acts.n_samples


def killed_at(root, monkeypatch, number):
    with monkeypatch.context() as patch:
        patch.setattr(files, "os", FaultyOS(number))
        try:
            record(root)
        except Killed:
            return True
    return False


def test_a_kill_at_every_change_of_the_disk(undisturbed, tmp_path, monkeypatch):
    whole, faulty = undisturbed
    assert faulty.count > 150
    before = 0
    for number in range(1, faulty.count + 1):
        root = tmp_path / f"{number}.zarr"
        assert killed_at(root, monkeypatch, number)
        # a later kill never leaves fewer samples
        now = committed(root) if number % 5 == 0 else before
        assert now >= before
        before = now
        if (root / "zarr.json").exists():
            ll.Activations.open(root).verify()
        record(root)
        assert tree(root) == whole, faulty.log[number - 1]
    assert not killed_at(tmp_path / "last.zarr", monkeypatch, faulty.count + 1)


def test_kills_while_going_on(undisturbed, tmp_path, monkeypatch):
    """One store that is killed over and over, a little later each time, comes to the same."""
    whole, faulty = undisturbed
    root = tmp_path / "run.zarr"
    for number in range(3, faulty.count, 11):
        if not killed_at(root, monkeypatch, number):
            break
    record(root)
    assert tree(root) == whole


@pytest.mark.parametrize("error", [NO_SPACE, READ_ONLY, errno.EIO], ids=["full", "read-only", "io"])
def test_a_disk_that_takes_no_more(undisturbed, tmp_path, monkeypatch, error):
    whole, faulty = undisturbed
    for number in range(1, faulty.count, 13):
        root = tmp_path / f"{error}-{number}.zarr"
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", FaultyOS(number, error))
            if "unlink" in faulty.log[number - 1] and number + 1 >= faulty.count:
                continue
            with pytest.raises(ll.StoreError, match=os.strerror(error)) as caught:
                record(root)
        assert str(tmp_path) in str(caught.value)
        committed(root)
        record(root)
        assert tree(root) == whole


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ll.StoreError, match="Permission denied"):
        record(tmp_path / "run.zarr")


def test_a_flipped_byte_in_any_file_is_named(tmp_path):
    root = tmp_path / "run.zarr"
    record(root)
    assert ll.Activations.open(root).verify() == len(tree(root)) - sum(
        1 for name in tree(root) if name.endswith("/") or name == "writer.lock"
    )
    rng = np.random.default_rng(0)
    tried = 0
    for name, content in tree(root).items():
        if not content:
            continue
        for place in {0, len(content) - 1, *rng.integers(0, len(content), 4).tolist()}:
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(rng.integers(8))
            (root / name).write_bytes(flipped)
            with pytest.raises(ll.StoreError) as caught:
                ll.Activations.open(root).verify()
            assert str(root / name) in str(caught.value), (name, place)
            tried += 1
        (root / name).write_bytes(content)
    assert tried > 100
    assert ll.Activations.open(root).verify()


@pytest.mark.parametrize("change", ["truncated", "missing", "longer", "link", "folder"])
def test_a_chunk_that_is_something_else_is_named_and_recorded_again(tmp_path, change):
    root = tmp_path / "run.zarr"
    record(root, batches()[:3])
    _make_unfinished(root)
    chunk = sorted((root / "layers/L00000").glob("c.*"))[1]
    content = chunk.read_bytes()
    if change in ("truncated", "longer"):
        chunk.write_bytes(content[:-100] if change == "truncated" else content + b"0")
    else:
        chunk.unlink()
    if change == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        chunk.symlink_to(tmp_path / "elsewhere")
    if change == "folder":
        chunk.mkdir()
    with pytest.raises(ll.StoreError, match=f"1 of .* damaged:\n.*{chunk.name}") as caught:
        ll.Activations.open(root).verify()
    assert caught.value.files == (str(chunk),)
    with pytest.raises(ll.StoreError, match=chunk.name):
        np.asarray(ll.Activations.open(root)["first"])
    with pytest.warns(ll.LayerlensWarning, match=f"{chunk.name}.*recorded again"):
        record(root)
    if change == "link":
        assert (tmp_path / "elsewhere").read_bytes() == content
    same_rows(root)


def same_rows(root):
    expected = ll.Probe(model(), sketch=None).run(batches())
    acts = ll.Activations.open(root)
    assert acts.verify()
    for name in expected:
        np.testing.assert_array_equal(np.asarray(acts[name]), np.asarray(expected[name]))


def _edit(root, change):
    """Change what a root says, and put its checksum right."""
    document = json.loads((root / "zarr.json").read_text())
    own = document["attributes"]["layerlens"]
    change(own)
    covered = {k: v for k, v in own.items() if k != "checksum"}
    own["checksum"] = f"crc32c {crc32c(dump([covered, document['consolidated_metadata']])):08x}"
    (root / "zarr.json").write_bytes(dump(document))


def _make_unfinished(root):
    _edit(root, lambda own: own.update(complete=False))


def test_damage_to_each_file_of_an_unfinished_store_is_recorded_again(tmp_path):
    root = tmp_path / "run.zarr"
    record(root, batches()[:3])
    _make_unfinished(root)
    chunks = [name for name in tree(root) if "/c." in name]
    assert len(chunks) > 8
    for number, name in enumerate(chunks):
        copy = tmp_path / f"{number}.zarr"
        shutil.copytree(root, copy)
        (copy / name).write_bytes((root / name).read_bytes()[:-1] + b"\0\0")
        with pytest.warns(ll.LayerlensWarning, match="recorded again"):
            record(copy)
        same_rows(copy)


def test_a_store_of_a_newer_layerlens(tmp_path):
    record(tmp_path / "a")
    _edit(tmp_path / "a", lambda own: own.update(version=2, layers="other"))
    for attempt in (ll.Activations.open, record):
        with pytest.raises(ll.StoreError, match=r"newer layerlens \(store version 2.*pip install"):
            attempt(tmp_path / "a")


@pytest.mark.parametrize(
    "change",
    [
        {"key": "../../etc/passwd"}, {"key": "layers/L1"}, {"dtype": "object"}, {"shape": [-1]},
        {"shape": [2**31, 2**31]}, {"chunk": 0}, {"chunk": 2**40}, {"rows": 10**9}, {"rows": "3"},
        {"spans": [[0, 10**6]]}, {"spans": [[5, 2]]}, {"name": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_root_that_says_what_cannot_be(tmp_path, change):
    record(tmp_path / "a")
    _edit(tmp_path / "a", lambda own: own["layers"][0].update(change))
    with pytest.raises(ll.StoreError, match=r"zarr.json.*what cannot be"):
        ll.Activations.open(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1", b"null", b'{"attributes": 3}', b"\xff" * 9])
def test_a_root_that_is_no_metadata(tmp_path, content):
    record(tmp_path / "a")
    (tmp_path / "a/zarr.json").write_bytes(content)
    for attempt in (ll.Activations.open, record):
        with pytest.raises(ll.StoreError, match=r"zarr\.json"):
            attempt(tmp_path / "a")


def test_what_is_no_store(tmp_path):
    with pytest.raises(ll.StoreError, match="there is no store at .*gone"):
        ll.Activations.open(tmp_path / "gone")
    with pytest.raises(ll.StoreError, match=r"a folder without 'zarr\.json'"):
        ll.Activations.open(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ll.StoreError, match="is a file, and a store is a folder"):
        ll.Activations.open(tmp_path / "file")
    with pytest.raises(ll.StoreError, match="a file lies there|Not a directory"):
        record(tmp_path / "file")
    with pytest.raises(ll.StoreError, match="no store, and it is not empty: there is 'file'"):
        record(tmp_path)
    with pytest.raises(ll.StoreError, match=r"folder .*nowhere.* does not exist"):
        record(tmp_path / "nowhere/run.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path):
    net = nn.Linear(3, 2)
    with ll.Probe(net, store=tmp_path / "a") as probe:
        net(torch.ones(4, 3))
        assert probe.activations.n_samples == 4
        with pytest.raises(ll.StoreError, match=rf"another recording \(process {os.getpid()} on"):
            ll.Probe(net, store=tmp_path / "a").run([torch.ones(4, 3)])
        code = (
            "import sys, torch, layerlens as ll\n"
            "try: ll.Probe(torch.nn.Linear(3, 2), store=sys.argv[1]).run([torch.ones(4, 3)])\n"
            "except ll.StoreError as error: print(error)\n"
            "print(ll.Activations.open(sys.argv[1]).n_samples)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True
        )
        assert "is being written by another recording" in done.stdout, done.stderr
        assert done.stdout.endswith("4\n")
    assert ll.Activations.open(tmp_path / "a").verify()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"random_state": 1}, r"random_state \(0 there, 1 here\)"),
        ({"layers": "first"}, r"layers \('\*' there, 'first' here\).*selected \(without"),
        ({"readout": "max"}, "readout"),
        ({"dtype": "float16"}, "dtype"),
        ({"capture": "input"}, "capture"),
        ({"call": "last"}, "call"),
    ],
)
def test_another_recording_is_refused_by_what_differs(tmp_path, other, named):
    record(tmp_path / "a")
    before = tree(tmp_path / "a")
    with pytest.raises(ll.StoreError, match=f"40 samples of another recording.*{named}"):
        record(tmp_path / "a", **other)
    assert tree(tmp_path / "a") == before


def test_other_weights_are_another_recording(tmp_path):
    net = nn.Linear(3, 2)
    ll.Probe(net, store=tmp_path / "a").run([torch.ones(4, 3)])
    with torch.no_grad():
        net.bias[1] += 1e-6
    with pytest.raises(ll.StoreError, match=r"differs in weights \('sha256 "):
        ll.Probe(net, store=tmp_path / "a").run([torch.ones(4, 3)])


def test_an_exception_keeps_the_whole_batches_and_the_run_goes_on(tmp_path):
    root = tmp_path / "run.zarr"

    def failing():
        yield from batches()[:4]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(root, failing())
    acts = ll.Activations.open(root)
    assert acts.n_samples == 32 and not acts.meta["complete"]
    record(root, iter(batches()))
    same_rows(root)


def test_a_batch_that_fails_half_way_is_not_kept(tmp_path):
    net = model()
    bad = batches()
    bad[3] = {"x": torch.randn(8, 5)}
    with pytest.raises(RuntimeError):
        ll.Probe(net, store=ll.Store(tmp_path / "a", buffer=2**20), sketch=None).run(bad)
    assert ll.Activations.open(tmp_path / "a").n_samples == 24
    record(tmp_path / "a")
    same_rows(tmp_path / "a")


def test_a_finished_run_is_not_run_again(tmp_path):
    calls = []

    class Counting(nn.Linear):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    net = Counting(3, 2)
    x = torch.randn(20, 3)
    probe = ll.Probe(net, store=tmp_path / "a")
    first = probe.run(x)
    again = probe.run(x)
    assert calls == [20]
    np.testing.assert_array_equal(first[""], again[""])
    with pytest.raises(ll.StoreError, match="complete with 20 samples, and the batches hold 10"):
        probe.run(x[:10])
    with pytest.raises(ll.StoreError, match="limit=5 asks for fewer"):
        probe.run(x, limit=5)


def test_a_limit_can_be_raised(tmp_path):
    net = nn.Linear(3, 2)
    x = torch.randn(100, 3)
    probe = ll.Probe(net, store=tmp_path / "a")
    assert probe.run(x.split(30), limit=40).n_samples == 40
    assert probe.run(x.split(30), limit=40).n_samples == 40
    assert probe.run(x.split(30)).n_samples == 100
    expected = torch.cat([net(p) for p in x.split(30)]).detach().numpy()
    np.testing.assert_array_equal(probe.activations[""], expected)
    assert ll.Activations.open(tmp_path / "a").meta["complete"]


class Watched(TensorDataset):
    def __init__(self, *tensors):
        super().__init__(*tensors)
        self.loaded = []

    def __getitem__(self, place):
        self.loaded.append(place)
        return super().__getitem__(place)


def shuffled(data, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(data, batch_size=8, shuffle=True, generator=generator)


def interrupted(net, root, loader, after):
    def forward(net, batch):
        nonlocal after
        after -= 1
        if after < 0:
            raise KeyboardInterrupt
        return net(batch[0])

    with pytest.raises(KeyboardInterrupt):
        ll.Probe(net, store=root).run(loader, forward=forward)


def test_a_loader_goes_on_without_loading_what_is_recorded(tmp_path):
    net = nn.Linear(3, 2)
    data = Watched(torch.randn(50, 3), torch.arange(50))
    interrupted(net, tmp_path / "a", shuffled(data), after=4)
    data.loaded.clear()
    forward = lambda net, batch: net(batch[0])  # noqa: E731
    acts = ll.Probe(net, store=tmp_path / "a").run(shuffled(data), forward=forward)
    assert len(data.loaded) == 50 - 32
    whole = ll.Probe(net, store=tmp_path / "b").run(shuffled(data), forward=forward)
    np.testing.assert_array_equal(acts[""], whole[""])


def test_a_loader_that_shuffles_anew_is_refused(tmp_path):
    net = nn.Linear(3, 2)
    data = Watched(torch.randn(50, 3), torch.arange(50))
    interrupted(net, tmp_path / "a", shuffled(data), after=4)
    with pytest.raises(ll.StoreError, match="the loader takes other samples.*from sample 0"):
        ll.Probe(net, store=tmp_path / "a").run(shuffled(data, seed=1))


@pytest.mark.parametrize("skip", [True, False])
def test_an_own_loop_goes_on(tmp_path, skip):
    net = nn.Linear(3, 2)
    x = torch.randn(50, 3)

    def loop(stop=None):
        with ll.Probe(net, store=tmp_path / "a") as probe:
            pieces = probe.remaining(x.split(8)) if skip else x.split(8)
            for number, piece in enumerate(pieces):
                if number == stop:
                    raise KeyboardInterrupt
                probe.annotate(labels=piece[:, 0] > 0)
                net(piece)
        return probe.activations

    with pytest.raises(KeyboardInterrupt):
        loop(stop=3)
    assert ll.Activations.open(tmp_path / "a").n_samples == 24
    acts = loop()
    expected = torch.cat([net(p) for p in x.split(8)]).detach().numpy()
    np.testing.assert_array_equal(acts[""], expected)
    assert acts.labels.tolist() == (x[:, 0] > 0).int().tolist()


def test_tokens_are_numbered_on(tmp_path):
    net = nn.Sequential(nn.Embedding(20, 5))
    texts = [torch.randint(0, 20, (4, 3 + number)) for number in range(5)]
    whole = ll.Probe(net, store=tmp_path / "whole", readout="tokens").run(texts)

    def broken():
        yield from texts[:3]
        raise KeyboardInterrupt

    probe = ll.Probe(net, store=tmp_path / "a", readout="tokens")
    with pytest.raises(KeyboardInterrupt):
        probe.run(broken())
    acts = probe.run(texts)
    assert acts.ids.tolist() == whole.ids.tolist()
    np.testing.assert_array_equal(acts["0"], whole["0"])
    assert tree(tmp_path / "a") == tree(tmp_path / "whole")


def test_going_on_with_other_batches_is_refused(tmp_path):
    net = nn.Linear(3, 2)
    x = torch.randn(50, 3)
    interrupted(net, tmp_path / "a", [(p,) for p in x.split(8)], after=3)
    with pytest.raises(ll.StoreError, match="holds 3 batches, and there are only 1"):
        ll.Probe(net, store=tmp_path / "a").run([x[:8]])
    with pytest.raises(ll.StoreError, match="from sample 0 on had 8 samples.*now has 10"):  # noqa: SIM117
        with ll.Probe(net, store=tmp_path / "a"):
            net(x[:10])


KILLED = """
import os, random, signal, sys, time, warnings
import torch
from tests.recording.storage.runs import batches, model
import layerlens as ll
torch.set_num_threads(1)
warnings.simplefilter("ignore")
root, wanted, rng = sys.argv[1], int(sys.argv[2]), random.Random(0)
slow = lambda net, batch: (time.sleep(0.01), net(batch["x"]))
kills = whole = rows = grown = 0
while True:
    child = os.fork()
    if not child:
        store = ll.Store(root, buffer=2**20)
        ll.Probe(model(), store=store, sketch=None).run(batches(40, 3), forward=slow)
        os._exit(0)
    if kills < wanted:
        time.sleep(rng.uniform(0.05, 0.5))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        kills += 1
        if os.path.exists(os.path.join(root, "zarr.json")):
            acts = ll.Activations.open(root)
            acts.verify()
            assert acts.n_samples >= rows, "what was committed is gone"
            grown += acts.n_samples > rows
            rows = acts.n_samples
    elif os.WEXITSTATUS(status):
        sys.exit("a run failed")
    elif kills >= wanted:
        break
    else:  # it came to its end before the kill: from the start again
        os.remove(os.path.join(root, "zarr.json"))
        whole, rows = whole + 1, 0
print(kills, "kills,", grown, "after further commits,", whole + 1, "whole runs")
"""

# by hand: LAYERLENS_KILLS=100 python -m pytest -s -k kills_at_random tests/recording/storage
KILLS = int(os.environ.get("LAYERLENS_KILLS", "10"))


@pytest.mark.slow
def test_kills_at_random_moments(tmp_path):
    """After each the store is whole, with all that was committed; in the end it is undisturbed."""
    root = tmp_path / "run.zarr"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(root), str(KILLS)],
        capture_output=True, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.stdout.startswith(f"{KILLS} kills, "), done.stderr[-2000:]
    print(done.stdout, end="")
    forward = lambda net, batch: net(batch["x"])  # noqa: E731
    store = ll.Store(tmp_path / "whole.zarr", buffer=2**20)
    ll.Probe(model(), store=store, sketch=None).run(batches(40, 3), forward=forward)
    killed, whole = tree(root), tree(tmp_path / "whole.zarr")
    _edit(root, lambda own: own.update(created="2026-01-02T03:04:05+00:00"))
    killed["zarr.json"] = (root / "zarr.json").read_bytes()
    assert killed == whole
