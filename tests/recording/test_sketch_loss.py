"""What a sketch loses is measured while it is made, and the estimate holds the truth."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from tests.recording.storage.runs import tree
from torch import nn

import layerlens as ll
from layerlens.recording import loss as module
from layerlens.recording.loss import PairSums, sketch_loss
from layerlens.recording.meter import PairMeter, products_of
from layerlens.recording.sketch import FoldedSketch

K = 15


def squared(rows):
    """Return squared distances by definition, in double precision."""
    rows = np.asarray(rows, np.float64)
    return np.stack([((rows - one) ** 2).sum(1) for one in rows])


def recall(native, kept, k=K):
    """Return the share of the k nearest that stay, over all rows, from squared distances."""

    def nearest(distances):
        distances = distances.copy()
        np.fill_diagonal(distances, np.inf)
        return np.argpartition(distances, k, axis=1)[:, :k]

    pairs = zip(nearest(native), nearest(kept), strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in pairs]))


def fast_squared(rows):
    rows = rows.astype(np.float64) - rows.mean(0, dtype=np.float64)
    norms = (rows**2).sum(1)
    return np.maximum(norms[:, None] + norms - 2 * rows @ rows.T, 0)


# --- the sums ------------------------------------------------------------------------------------


def test_sums_of_a_block_are_those_of_its_pairs():
    draw = np.random.default_rng(0)
    native = squared(draw.normal(size=(16, 5)))
    sketched = native * np.exp(draw.normal(0, 0.1, native.shape))
    sketched = np.triu(sketched) + np.triu(sketched).T
    sums = PairSums.of_block(native, sketched)
    ratios = [sketched[i, j] / native[i, j] for i in range(16) for j in range(i)]
    assert sums.pairs == len(ratios)
    assert sums.ratio_mean == pytest.approx(np.mean(ratios))
    assert sums.ratio_spread == pytest.approx(np.std(ratios, ddof=1))
    within = []
    for i in range(16):
        near = sorted((j for j in range(16) if j != i), key=lambda j: native[i, j])[:4]
        within.append(np.var([np.log(sketched[i, j] / native[i, j]) for j in near], ddof=1))
    assert sums.error()[0] == pytest.approx(np.mean(within))


def test_rows_that_are_the_same_or_not_finite_tell_nothing():
    rows = np.random.default_rng(0).normal(size=(6, 3))
    rows[1] = rows[0]
    native = squared(rows)
    broken = native.copy()
    broken[2, :] = broken[:, 2] = np.nan
    assert PairSums.of_block(native, native).pairs == 14
    assert PairSums.of_block(native, broken).pairs == 9
    assert PairSums.of_block(native * 0, native * 0) == PairSums()


def test_sums_add_up_and_travel_as_json():
    draw = np.random.default_rng(0)
    parts = [PairSums.of_block(*[squared(draw.normal(size=(8, 4)))] * 2) for _ in range(3)]
    whole = parts[0] + parts[1] + parts[2]
    assert whole.pairs == 3 * 28
    assert PairSums.of_json(whole.as_json()) == whole
    with pytest.raises(ValueError, match="nine numbers"):
        PairSums.of_json([1.0, float("nan")])


# --- what is looked at ---------------------------------------------------------------------------


def looked(meter, sizes):
    """Return the blocks that a meter takes of batches of these sizes."""
    start, found = 0, []
    for size in sizes:
        blocks = meter.blocks(start, size)
        m = min(size, 32)
        meter.count(np.ones((len(blocks), 2, m, m)), start, size)
        found += [(start + b.start, start + b.stop, b.step) for b in blocks]
        start += size
    return found


@pytest.mark.parametrize("size", [2, 8, 32, 50, 1000])
def test_blocks_get_fewer_as_the_record_grows_and_lie_inside_their_batches(size):
    found = looked(PairMeter(), [size] * (20_000 // size))
    assert found
    starts = np.array([start for start, _, _ in found])
    first, last = (starts < 5_000).sum(), (starts >= 15_000).sum()
    assert last < first or size == 2  # pairs of two rows are too few to be enough of them
    for start, stop, step in found:
        assert start // size == (stop - step) // size


def test_a_meter_that_goes_on_looks_at_what_it_would_have_looked_at():
    whole = PairMeter()
    expected = looked(whole, [40] * 50)
    first = PairMeter()
    looked(first, [40] * 20)
    second = PairMeter(first.as_json())
    found = looked(second, [40] * 50)
    assert found == [one for one in expected if one[0] >= 800]
    assert second.as_json() == whole.as_json()


def test_batches_of_one_sample_have_no_pairs():
    assert looked(PairMeter(), [1] * 10) == []
    acts = ll.Probe(nn.Flatten(), sketch=8).run(torch.randn(20, 30).split(1))
    assert acts[""].sketch_loss.n_pairs == 0
    assert not acts[""].sketch_loss.is_known
    assert "keeps" not in repr(acts[""])


# --- in a record ---------------------------------------------------------------------------------


def rows_of(n=200, dim=300):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(0)) + 100


def test_a_record_holds_the_distances_of_its_rows():
    x = rows_of()
    acts = ll.Probe(nn.Flatten(), sketch=64).run(x.split(20))
    expected = PairSums()
    for start in range(0, 200, 160):  # every eighth batch
        inside = slice(start, start + 20)
        expected += PairSums.of_block(squared(x[inside]), squared(acts[""][inside]))
    np.testing.assert_allclose(acts[""].pairs.as_json(), expected.as_json(), rtol=1e-4)
    kept = acts[""].sketch_loss
    assert kept.n_pairs == 2 * 190
    assert kept.distance_ratio == pytest.approx(1, abs=0.05)
    assert kept.distance_spread == pytest.approx(np.sqrt(2 / 64 - 2 / 300), rel=0.2)


@pytest.mark.parametrize("common", ["nothing", "a level", "a level behind the first piece"])
def test_distances_are_exact_whatever_rows_have_in_common(common):
    x = torch.randn(6, 40_000, generator=torch.Generator().manual_seed(0))
    if common != "nothing":
        x[:, 20_000 if "behind" in common else 0 :] += 1000
    (found,) = products_of(x, [slice(0, 6)]).numpy()
    norms = np.diag(found)
    np.testing.assert_allclose(norms[:, None] + norms - 2 * found, squared(x), rtol=1e-4, atol=1e-3)


def test_measuring_draws_no_random_number_and_changes_no_row():
    x = rows_of()
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002  the user's, whatever it is
    state = torch.get_rng_state()
    acts = ll.Probe(nn.Flatten(), sketch=64).run(x.split(20))
    assert acts[""].sketch_loss is not None
    assert torch.equal(torch.get_rng_state(), state)
    after = np.random.rand()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    assert np.random.rand() == after  # noqa: NPY002
    assert np.array_equal(np.asarray(acts[""]), FoldedSketch("", 300, 64)(x).numpy())


def test_layers_that_are_not_sketched_lose_nothing():
    acts = ll.Probe(nn.Flatten(), sketch=None).run(rows_of().split(20))
    assert acts[""].sketch_loss is None
    assert acts[""].pairs is None


def test_a_broken_fold_shows_in_the_distances(monkeypatch):
    """A piece of each row that is lost takes its share of every squared distance along."""

    def broken(self, rows):
        rows = rows.clone()
        rows[:, -(self.dim // 4) :] = 0
        return original(self, rows)

    original = FoldedSketch.__call__
    whole = ll.Probe(nn.Flatten(), sketch=128).run(rows_of().split(20))[""].sketch_loss
    monkeypatch.setattr(FoldedSketch, "__call__", broken)
    lost = ll.Probe(nn.Flatten(), sketch=128).run(rows_of().split(20))[""].sketch_loss
    assert whole.distance_ratio == pytest.approx(1, abs=0.03)
    assert lost.distance_ratio == pytest.approx(0.75, abs=0.03)


def test_signs_that_are_all_the_same_show_in_the_spread(monkeypatch):
    from layerlens.recording import sketch

    def ones(seed, length, device):
        return torch.ones(length, device=device)

    x = rows_of(200, 2000).abs()
    x *= torch.rand(200, 1, generator=torch.Generator().manual_seed(1))
    whole = ll.Probe(nn.Flatten(), sketch=128).run(x.split(20))[""].sketch_loss
    monkeypatch.setattr(sketch, "_pool", ones)
    lost = ll.Probe(nn.Flatten(), sketch=128).run(x.split(20))[""].sketch_loss
    assert abs(whole.distance_ratio - 1) < 0.3
    assert lost.distance_ratio > 5


# --- on disk, over ranks, merged -----------------------------------------------------------------


class Stop(Exception):  # noqa: N818
    pass


def failing(batches, at):
    for number, batch in enumerate(batches):
        if number == at:
            raise Stop
        yield batch


def probe(path, **options):
    return ll.Probe(nn.Flatten(), sketch=64, store=ll.Store(path, buffer=2**20), **options)


def test_a_run_that_was_interrupted_measures_what_an_undisturbed_one_does(tmp_path):
    batches = rows_of(3000).split(48)
    whole = probe(tmp_path / "whole").run(batches)
    for at in (11, 30, 45):
        with pytest.raises(Stop):
            probe(tmp_path / "parts").run(failing(batches, at))
    parts = probe(tmp_path / "parts").run(batches)
    assert parts[""].pairs == whole[""].pairs
    assert parts[""].sketch_loss == whole[""].sketch_loss
    trees = [tree(tmp_path / name) for name in ("whole", "parts")]
    created = [ll.Activations.open(tmp_path / n).run.created for n in ("whole", "parts")]
    if created[0] == created[1]:  # within one second: then nothing at all differs
        assert trees[0] == trees[1]
    assert trees[0].keys() == trees[1].keys()
    memory = ll.Probe(nn.Flatten(), sketch=64).run(batches)
    assert memory[""].pairs == whole[""].pairs


def test_a_limit_inside_a_batch_changes_nothing_of_what_comes_later(tmp_path):
    batches = rows_of(400).split(48)
    whole = probe(tmp_path / "whole").run(batches)
    probe(tmp_path / "parts").run(batches, limit=110)
    assert probe(tmp_path / "parts").run(batches)[""].pairs == whole[""].pairs


def test_ranks_and_separate_jobs_add_up(tmp_path):
    x = rows_of(400)
    for rank in range(2):
        given = [{"input": x[rank::2][a : a + 25], "ids": np.arange(400)[rank::2][a : a + 25]}
                 for a in range(0, 200, 25)]  # fmt: skip
        probe(tmp_path / "run", rank=rank, world_size=2).run(
            given, forward=lambda model, batch: model(batch["input"])
        )
    merged = ll.Activations.open(tmp_path / "run")[""]
    alone = [ll.Probe(nn.Flatten(), sketch=64).run(x[rank::2].split(25))[""] for rank in (0, 1)]
    assert merged.pairs == alone[0].pairs + alone[1].pairs
    assert merged.sketch_loss.n_pairs == sum(one.sketch_loss.n_pairs for one in alone)
    assert merged.sketch_loss.is_known


def test_a_store_from_before_is_read_and_goes_on(tmp_path, monkeypatch):
    from layerlens.recording import stored

    batches = rows_of(600).split(48)
    original = stored._layer_facts

    def older(layer):
        return {name: fact for name, fact in original(layer).items() if name != "pairs"}

    with monkeypatch.context() as patch:
        patch.setattr(stored, "_layer_facts", older)
        with pytest.raises(Stop):
            probe(tmp_path / "run").run(failing(batches, 6))
    before = ll.Activations.open(tmp_path / "run")[""]
    assert before.pairs is None
    assert not before.sketch_loss.is_known
    after = probe(tmp_path / "run").run(batches)[""]
    assert after.shape == (600, 64)
    assert after.sketch_loss.is_known


def test_it_travels_with_its_layer():
    acts = ll.Probe(nn.Flatten(), sketch=64).run(rows_of().split(20))
    again = pickle.loads(pickle.dumps(acts[""]))
    assert again.pairs == acts[""].pairs
    timeline = ll.Timeline(nn.Sequential(nn.Linear(300, 300)), rows_of(), sketch=64)
    timeline.record()
    state = copy.deepcopy(timeline.state_dict())
    other = ll.Timeline(nn.Sequential(nn.Linear(300, 300)), rows_of(), sketch=64)
    other.load_state_dict(state)
    name = next(iter(timeline.activations))
    assert timeline.activations[name].pairs.pairs > 0
    assert other.activations[name].pairs == timeline.activations[name].pairs


def test_the_line_the_metrics_and_the_table_say_it(tmp_path, capsys):
    from layerlens.cli import main

    acts = probe(tmp_path / "run.zarr").run(rows_of().split(20))
    kept = acts[""].sketch_loss
    assert kept.low < kept.neighbor_recall < kept.high
    assert f"keeps {kept.short} of the 15 nearest" in repr(acts[""])
    assert kept.short in acts._repr_html_()
    metrics = ll.reduce(acts, "pca")[""].metrics
    assert metrics["neighbor_recall_sketch"] == kept.neighbor_recall
    assert metrics["neighbor_recall_sketch_low"] == kept.low
    assert metrics["neighbor_recall_sketch_high"] == kept.high
    assert metrics["distance_ratio_sketch"] == kept.distance_ratio
    assert "neighbor_recall_search" not in metrics  # it was exact, in the rows themselves
    assert main(["show", str(tmp_path / "run.zarr"), "--print"]) == 0
    shown = capsys.readouterr().out
    assert kept.short in shown
    for chunk in (tmp_path / "run.zarr" / "layers" / "L00000").glob("c.*"):
        chunk.write_bytes(b"")
    damaged = ll.Activations.open(tmp_path / "run.zarr")
    assert "200 x 300 -> 64 sketched" in repr(damaged)
    assert "keeps" not in repr(damaged)
    assert "estimated from 380 pairs" in shown


# --- the estimate holds the truth ----------------------------------------------------------------


def digits(draw):
    images = torch.from_numpy(load_digits().data).float().view(-1, 1, 8, 8) / 16
    return images[torch.from_numpy(draw.permutation(len(images))[:900])]


def lenet_layers(draw):
    """Return the two convolutions of a small LeNet that was trained on digits for a moment."""
    everything = load_digits()
    x = torch.from_numpy(everything.data).float().view(-1, 1, 8, 8) / 16
    y = torch.from_numpy(everything.target)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = nn.Conv2d(1, 32, 3, padding=1)
        second = nn.Conv2d(32, 48, 3, padding=1)
        model = nn.Sequential(
            first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), nn.Linear(48 * 64, 10)
        )
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        for batch in torch.randperm(len(y)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        one = first(digits(draw))
        return one.flatten(1).numpy(), second(one.relu()).flatten(1).numpy()


def random_layer(draw):
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(7)
        net = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 40, 3, padding=1), nn.ReLU()
        )
        return net(digits(draw)).flatten(1).numpy()


def gaussian(dimension):
    def cloud(draw):
        rows = draw.normal(size=(900, dimension)) @ draw.normal(size=(dimension, 3000))
        return rows.astype(np.float32)

    return cloud


def clustered(draw):
    centres = 3 * draw.normal(size=(20, 3000))
    inside = draw.normal(size=(900, 20)) @ draw.normal(size=(20, 3000)) / 3
    return (centres[draw.integers(0, 20, 900)] + inside).astype(np.float32)


CLOUDS = {
    "first convolution": lambda draw: lenet_layers(draw)[0],
    "second convolution": lambda draw: lenet_layers(draw)[1],
    "random net": random_layer,
    "gaussian of 10": gaussian(10),
    "gaussian of 50": gaussian(50),
    "gaussian of 300": gaussian(300),
    "clustered": clustered,
}


def measured(rows, width, seed, batch=50):
    """Return truth and estimate, with pairs taken batch by batch as a record takes them."""
    x = torch.from_numpy(rows)
    acts = ll.Probe(nn.Flatten(), sketch=width, random_state=seed).run(x.split(batch))
    kept = np.asarray(acts[""])
    return recall(fast_squared(rows), fast_squared(kept)), acts[""].sketch_loss


@pytest.fixture(scope="module")
def trials():
    """Clouds of several kinds, at several widths and seeds: (name, truth, estimate)."""
    found = []
    for name, cloud in CLOUDS.items():
        for seed in range(3):
            rows = cloud(np.random.default_rng(seed))
            for width in (128, 256, 512, 1024):
                batch = (8, 50, 128)[seed]
                found.append((name, *measured(rows, width, seed, batch)))
    return found


def test_the_interval_holds_the_truth_as_often_as_it_says(trials):
    held = [kept.low <= truth <= kept.high for _, truth, kept in trials]
    # 19 in 20 of 84; below .88 has a chance of 1 % if each is one trial of .95
    assert np.mean(held) >= 0.88, [
        (name, round(truth, 3), str(kept))
        for (name, truth, kept), inside in zip(trials, held, strict=True)
        if not inside
    ]


def test_the_estimate_is_close_and_has_no_side(trials):
    misses = np.array([kept.neighbor_recall - truth for _, truth, kept in trials])
    truths = np.array([truth for _, truth, _ in trials])
    high = truths > 0.7
    assert high.sum() > 30
    assert np.abs(misses[high]).max() < 0.04
    assert abs(misses[high].mean()) < 0.01
    assert np.abs(misses).mean() < 0.03


def test_intervals_are_narrow_enough_to_tell_something(trials):
    high = [kept for _, truth, kept in trials if truth > 0.8]
    assert np.mean([kept.high - kept.low for kept in high]) < 0.05
    # and follow the truth: a constant answer would not
    truths, found = zip(*((truth, kept.neighbor_recall) for _, truth, kept in trials), strict=True)
    assert np.corrcoef(truths, found)[0, 1] > 0.98


def test_what_is_counted_inside_a_batch_is_another_thing():
    """The 15 nearest of a batch lie far apart, so more of them stay: the reason for the model."""
    rows = gaussian(50)(np.random.default_rng(0))
    kept = FoldedSketch("", 3000, 256)(torch.from_numpy(rows)).numpy()
    truth, estimate = measured(rows, 256, 0)
    inside = np.mean(
        [recall(squared(rows[a : a + 50]), squared(kept[a : a + 50])) for a in range(0, 900, 50)]
    )
    assert not estimate.low <= inside <= estimate.high
    assert estimate.low <= truth <= estimate.high


def test_where_not_all_rows_are_looked_at_the_interval_holds_too(monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 640)
    for seed, cloud in enumerate((gaussian(10), gaussian(50), random_layer)):
        rows = cloud(np.random.default_rng(seed))
        truth, kept = measured(rows, 512, seed)
        assert kept.low <= truth <= kept.high


def test_an_error_that_is_next_to_nothing_loses_nothing_however_many_rows_are_looked_at(
    monkeypatch,
):
    monkeypatch.setattr(module, "_ROWS", 640)
    rows = np.random.default_rng(0).normal(size=(780, 20)).astype(np.float32)
    sums = PairSums(2.0, 1000.0, 1000.0, 1000.0, 400.0, 400e-10, 8e4, 8e-16, 8e-6)
    assert sketch_loss(sums, rows).neighbor_recall > 0.995


def test_the_threshold_stands_for_the_draws():
    """The closed form is the mean of what it stands for: native distances drawn at random."""
    draw = np.random.default_rng(0)
    nearest = np.sort(np.cumsum(draw.exponential(0.02, size=(40, 300)), axis=1), axis=1)
    shares = module._kept(nearest, nearest[:, K - 1], K, 0.1)
    drawn = nearest[None] + draw.normal(0, 0.1, (400, *nearest.shape))
    order = np.argsort(drawn, axis=2)[:, :, :K]
    assert shares.mean() == pytest.approx((order < K).mean(), abs=0.005)


def test_rows_that_all_lie_at_one_point_have_no_estimate():
    sums = PairSums.of_block(*[squared(np.random.default_rng(0).normal(size=(8, 4)))] * 2)
    noisy = PairSums(*[n or 1.0 for n in sums.as_json()])
    assert not sketch_loss(noisy, np.ones((50, 4), np.float32)).is_known
    assert not sketch_loss(PairSums(), np.random.default_rng(0).normal(size=(50, 4))).is_known
