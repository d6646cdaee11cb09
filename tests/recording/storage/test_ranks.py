"""Several processes record one run, and several recordings are seen as one."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

import layerlens as ll

EXAMPLES = Path(__file__).parents[3] / "examples" / "ranks"


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))


def data(count):
    net()  # what the examples draw before the data
    x = torch.randn(count, 16)
    return x, torch.arange(count) % 4


def batches(x, y, size=8):
    ids = torch.arange(len(x))
    return [
        {"input": x[a : a + size], "label": y[a : a + size], "ids": ids[a : a + size]}
        for a in range(0, len(x), size)
    ]


def rank(path, number, size, given, **options):
    return ll.Probe(net(), store=path, rank=number, world_size=size, **options).run(given)


def test_ranks_that_share_the_batches_are_one_process_to_the_bit(tmp_path):
    given = batches(*data(100))
    single = ll.Probe(net(), store=tmp_path / "single").run(given)
    for number in (2, 0, 1):
        rank(tmp_path / "a", number, 3, given[number::3])
    acts = ll.Activations.open(tmp_path / "a")
    assert acts.meta["complete"] and acts.verify() > 30
    assert list(acts) == list(single)
    for name in single:
        np.testing.assert_array_equal(np.asarray(acts[name]), np.asarray(single[name]))
        np.testing.assert_array_equal(acts[name][17:60:3], single[name][17:60:3])
        np.testing.assert_array_equal(acts[name][[99, 0, 50]], single[name][[99, 0, 50]])
        assert acts[name].rows is None
    assert acts.ids.tolist() == list(range(100))
    assert acts.labels.tolist() == single.labels.tolist()
    again = pickle.loads(pickle.dumps(acts["1"]))
    np.testing.assert_array_equal(np.asarray(again), np.asarray(single["1"]))


@pytest.mark.parametrize("shuffle", [False, True])
def test_padding_of_a_distributed_sampler_is_dropped(tmp_path, shuffle):
    x, y = data(103)
    whole = TensorDataset(x, y)
    for number in range(4):
        sampler = DistributedSampler(whole, 4, number, shuffle=shuffle, seed=3)
        assert len(sampler) * 4 == 104
        ll.Probe(nn.Identity(), store=tmp_path / "a", rank=number, world_size=4).run(
            DataLoader(whole, batch_size=8, sampler=sampler)
        )
    acts = ll.Activations.open(tmp_path / "a")
    assert acts.ids.tolist() == list(range(103))
    np.testing.assert_array_equal(np.asarray(acts[""]), x.numpy())
    np.testing.assert_array_equal(acts.labels, y.numpy())


def test_part_of_the_ranks_can_be_read_and_each_goes_on(tmp_path):
    given = batches(*data(64))

    def broken():
        yield from given[1::2][:2]
        raise KeyboardInterrupt

    with pytest.raises(ll.StoreError, match="no store"):
        ll.Activations.open(tmp_path / "a")
    rank(tmp_path / "a", 0, 2, given[::2])
    assert not ll.Activations.open(tmp_path / "a").meta["complete"]
    with pytest.raises(KeyboardInterrupt):
        rank(tmp_path / "a", 1, 2, broken())
    acts = ll.Activations.open(tmp_path / "a")
    assert acts.n_samples == 32 + 16 and not acts.meta["complete"]
    rank(tmp_path / "a", 1, 2, given[1::2])
    acts = ll.Activations.open(tmp_path / "a")
    assert acts.n_samples == 64 and acts.meta["complete"]


def test_the_environment_of_a_launcher_is_taken(tmp_path, monkeypatch):
    given = batches(*data(40))
    for number in range(2):
        monkeypatch.setenv("RANK", str(number))
        monkeypatch.setenv("WORLD_SIZE", "2")
        ll.Probe(net(), store=tmp_path / "a").run(given[number::2])
    assert ll.Activations.open(tmp_path / "a").n_samples == 40
    assert ll.Probe(net()).run(given).n_samples == 40  # in memory, ranks are nothing special
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    ll.Probe(net(), store=tmp_path / "alone").run(given)
    assert "world_size" not in ll.Activations.open(tmp_path / "alone").meta


def test_what_does_not_fit_a_store_of_ranks(tmp_path):
    given = batches(*data(40))
    rank(tmp_path / "a", 0, 2, given[::2])
    with pytest.raises(ll.StoreError, match="a recording of 2 ranks, and this is rank 1 of 3"):
        rank(tmp_path / "a", 1, 3, given)
    with pytest.raises(ll.StoreError, match="recording of 2 ranks; pass rank= and world_size="):
        ll.Probe(net(), store=tmp_path / "a").run(given)
    ll.Probe(net(), store=tmp_path / "b").run(given)
    with pytest.raises(ll.StoreError, match="recorded by one process, and this is rank 0 of 2"):
        rank(tmp_path / "b", 0, 2, given)
    chunk = next((tmp_path / "a").glob("shards/S00000/layers/L00001/c.*"))
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(ll.StoreError, match=str(chunk)):
        ll.Activations.open(tmp_path / "a").verify()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rank": 0}, "go together"),
        ({"rank": 2, "world_size": 2}, "from 0 to world_size - 1; got rank=2"),
        ({"rank": True, "world_size": 2}, "got rank=True"),
    ],
)
def test_what_is_no_rank(tmp_path, options, named):
    with pytest.raises(ll.ArgumentError, match=named):
        ll.Probe(net(), store=tmp_path / "a", **options)
    with pytest.raises(ll.ArgumentError, match="pass store="):
        ll.Probe(net(), rank=0, world_size=2)


def test_stores_of_separate_jobs_are_merged(tmp_path):
    given = batches(*data(96))
    single = ll.Probe(net()).run(given)
    parts = [
        ll.Probe(net(), store=tmp_path / "a").run(given[6:]),
        ll.Probe(net()).run(given[:8]),  # two batches of it are in the other, too
    ]
    acts = ll.Activations.merge(parts)
    assert acts.ids.tolist() == list(range(96))
    for name in single:
        np.testing.assert_array_equal(np.asarray(acts[name]), np.asarray(single[name]))
    assert acts.verify() > 5


def test_a_layer_that_only_some_samples_have(tmp_path):
    class Twice(nn.Linear):
        pass

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = Twice(16, 4)

        def forward(self, input):  # noqa: A002
            return self.a(input) + (self.a(input) if input[0, 0] > 0 else 0)

    model, x = Net(), torch.randn(80, 16)
    given = batches(x, torch.arange(80))
    single = ll.Probe(model).run(given)
    assert 0 < len(single["a:1"]) < 80
    for number in range(2):
        ll.Probe(model, store=tmp_path / "a", rank=number, world_size=2).run(given[number::2])
    acts = ll.Activations.open(tmp_path / "a")
    np.testing.assert_array_equal(acts["a:1"].rows, single["a:1"].rows)
    np.testing.assert_array_equal(np.asarray(acts["a:1"]), np.asarray(single["a:1"]))
    assert acts["a:1"].ids.tolist() == single["a:1"].ids.tolist()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"random_state": 1, "sketch": 32}, r"random_state \(0 there, 1 here\)"),
        ({"sketch": 16}, r"sketch \(32 there, 16 here\)"),
        ({"dtype": "float16"}, "dtype"),
    ],
)
def test_parts_that_do_not_fit_say_in_what(other, named):
    given = batches(*data(16))
    one = ll.Probe(net(), sketch=32).run(given)
    with pytest.raises(ll.ArgumentError, match=f"part 2 does not go with part 1.*{named}"):
        ll.Activations.merge([one, ll.Probe(net(), **{"sketch": 32, **other}).run(given)])


def test_parts_whose_samples_nothing_tells_apart():
    x, _ = data(16)
    parts = [ll.Probe(net()).run([piece]) for piece in x.split(8)]
    with pytest.raises(ll.ArgumentError, match="samples of part 1 have no ids of their own"):
        ll.Activations.merge(parts)
    with pytest.raises(ll.ArgumentError, match="there are no parts"):
        ll.Activations.merge([])


def launch(script, out, **environment):
    env = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [sys.executable, *script, "--out", str(out)],
        capture_output=True, text=True, env={**env, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def check(out):
    x, y = data(203)
    acts = ll.Activations.open(out)
    assert acts.meta["complete"] and acts.ids.tolist() == list(range(203))
    np.testing.assert_array_equal(acts.labels, y.numpy())
    expected = net()[0](x).detach().numpy()
    # batches of other samples may round otherwise
    np.testing.assert_allclose(np.asarray(acts["0"]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_two_ranks_by_torchrun(tmp_path):
    script = [
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        str(EXAMPLES / "torchrun.py"),
    ]  # fmt: skip
    assert "203 samples" in launch(script, tmp_path / "a")
    check(tmp_path / "a")


@pytest.mark.slow
def test_a_slurm_array(tmp_path):
    for task in range(2):
        said = launch(
            [str(EXAMPLES / "slurm_array.py")], tmp_path / "a",
            SLURM_ARRAY_TASK_ID=str(task), SLURM_ARRAY_TASK_COUNT="2",
        )  # fmt: skip
    assert "203 samples" in said
    check(tmp_path / "a")


@pytest.mark.slow
def test_accelerate(tmp_path):
    pytest.importorskip("accelerate")
    script = [
        "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no", str(EXAMPLES / "with_accelerate.py"),
    ]  # fmt: skip
    assert "203 samples" in launch(script, tmp_path / "a")
    check(tmp_path / "a")
