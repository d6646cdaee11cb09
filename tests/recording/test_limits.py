"""What recording leaves out of a forward, and what it refuses to keep in memory."""

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll
from layerlens.recording import memory


class Counting(nn.Module):
    """Counts its forwards, and tolerates what its parts raise."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 5)
        self.twice = nn.Linear(5, 5)
        self.behind = nn.Linear(5, 3)
        self.drop = nn.Dropout(0.5)
        self.reached = 0

    def forward(self, x):
        x = self.twice(self.twice(self.a(x)))
        self.reached += 1
        return self.drop(self.behind(x))


def test_the_forward_ends_after_the_last_layer_that_was_asked_for():
    net, x = Counting(), torch.randn(50, 4)
    whole = ll.Probe(net, ["a", "twice"]).run(x.split(10))
    assert net.reached == 5
    early = ll.Probe(net, ["a", "twice"]).run(x.split(10), stop_early=True)
    assert net.reached == 6  # the first forward is whole: it tells which call is the last
    assert list(early) == list(whole) == ["a", "twice", "twice:1"]
    for name in whole:
        np.testing.assert_array_equal(early[name], whole[name])


def test_the_model_is_whole_afterwards():
    net, x = Counting(), torch.randn(50, 4)
    net.behind.eval()
    before = torch.get_rng_state(), [m.training for m in net.modules()]
    expected = net.eval()(x)
    for module, mode in zip(net.modules(), before[1], strict=True):
        module.training = mode
    ll.Probe(net, "a").run(x.split(10), stop_early=True)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert [m.training for m in net.modules()] == before[1]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    torch.testing.assert_close(net.eval()(x), expected, rtol=0, atol=0)


def test_a_forward_of_ones_own_and_the_last_call_alone():
    net, x = Counting(), torch.randn(30, 4)
    options = {"call": "last", "sketch": 3}
    whole = ll.Probe(net, "twice", **options).run(x.split(10))
    early = ll.Probe(net, "twice", **options).run(
        x.split(10), stop_early=True, forward=lambda m, batch: m(batch)
    )
    np.testing.assert_array_equal(early["twice"], whole["twice"])


def test_stopping_early_on_disk(tmp_path):
    net, x = Counting(), torch.randn(50, 4)
    early = ll.Probe(net, "a", store=tmp_path / "a").run(x.split(10), stop_early=True)
    np.testing.assert_array_equal(early["a"], ll.Probe(net, "a").run(x.split(10))["a"])


def test_operations_end_a_forward_too():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.behind = Counting()

        def forward(self, x):
            return self.behind(x + self.a(x))

    net, x = Sum(), torch.randn(30, 4)
    whole = ll.Probe(net, ["op:add"]).run(x.split(10))
    net.behind.reached = 0
    early = ll.Probe(net, ["op:add"]).run(x.split(10), stop_early=True)
    assert net.behind.reached == 1
    assert list(early) == list(whole)
    for name in whole:
        np.testing.assert_array_equal(early[name], whole[name])


def test_an_error_of_the_model_is_still_an_error():
    with pytest.raises(RuntimeError):
        ll.Probe(Counting(), "a").run([torch.randn(2, 4), torch.randn(2, 9)], stop_early=True)


REMEDIES = r"narrower.*record to disk \(store=.*fewer layers"


def test_a_record_that_is_too_large_is_refused_before_a_batch_is_kept():
    net, x = nn.Linear(4, 1000), torch.randn(1000, 4)
    probe = ll.Probe(net, memory_limit="1 MiB")
    with pytest.raises(ll.RecordingError, match=rf"will have 1,000 samples.*{REMEDIES}"):
        probe.run(x)
    assert probe.activations.n_samples == 0
    assert ll.Probe(net, memory_limit="4 MiB").run(x).nbytes == 4_000_000
    assert ll.Probe(net, memory_limit=2**20).run(x, limit=100).n_samples == 100


def test_a_record_that_grows_too_large_keeps_what_it_has():
    net, x = nn.Linear(4, 1000), torch.randn(1000, 4)
    probe = ll.Probe(net, memory_limit="1 MiB")
    with pytest.raises(ll.RecordingError, match=rf"has by now 300 samples.*{REMEDIES}"):
        probe.run(x for x in x.split(100))
    assert probe.activations.n_samples == 200


def test_a_record_on_disk_needs_no_memory(tmp_path):
    net, x = nn.Linear(4, 1000), torch.randn(1000, 4)
    acts = ll.Probe(net, memory_limit=2**20, store=tmp_path / "a").run(x)
    assert acts.n_samples == 1000


def test_half_of_what_is_available_is_the_default(monkeypatch):
    available = memory.available_memory()
    assert available is not None and 2**27 < available < 2**46
    monkeypatch.setattr(memory, "available_memory", lambda: 2**20)
    with pytest.raises(ll.RecordingError, match="memory_limit is"):
        ll.Probe(nn.Linear(4, 1000)).run(torch.randn(1000, 4))
    assert ll.Probe(nn.Linear(4, 1000), memory_limit=None).run(torch.randn(1000, 4)).n_samples


@pytest.mark.parametrize("given", ["much", -1, True, "3 XB"])
def test_what_is_no_limit(given):
    with pytest.raises(ll.ArgumentError, match="memory_limit is a size"):
        ll.Probe(nn.Linear(2, 2), memory_limit=given)
