"""Two models layer by layer: against the formulas written out, and sketches against whole rows."""

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll
from layerlens.embedding.similarity import hidden


def centred_cka(x, y):
    """Debiased linear CKA as Nguyen et al. (2021) write it, with matrices in full."""

    def hsic(k, m):
        n = len(k)
        k, m, one = k.copy(), m.copy(), np.ones(n)
        np.fill_diagonal(k, 0)
        np.fill_diagonal(m, 0)
        trace = np.trace(k @ m)
        whole = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
        return (trace + whole - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def shared(x, y, k):
    def nearest(z):
        away = ((z[:, None] - z[None]) ** 2).sum(-1)
        np.fill_diagonal(away, np.inf)
        return np.argsort(away, 1)[:, :k]

    pairs = zip(nearest(x), nearest(y), strict=True)
    return np.mean([len(set(a) & set(b)) / k for a, b in pairs])


def clouds(n=120, seed=0):
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 8))
    return {
        f"l{i}": np.maximum(hidden @ rng.normal(size=(8, 40)) + i * rng.normal(size=(n, 40)), 0)
        for i in range(3)
    }


def test_figures_are_those_of_the_formulas():
    a, b = clouds(), {"m0": clouds(seed=1)["l0"], **clouds()}
    seen = ll.compare(a, b, k=7)
    assert seen.shape == (3, 4) and seen.layers == (("l0", "l1", "l2"), ("m0", "l0", "l1", "l2"))
    for i, x in enumerate(a.values()):
        for j, y in enumerate(b.values()):
            assert seen.cka[i, j] == pytest.approx(centred_cka(x, y), abs=1e-4)
            assert seen.overlap[i, j] == pytest.approx(shared(x, y, 7), abs=1e-6)
    assert not seen.cka_error.any() and not seen.overlap_error.any()
    assert seen.chance == 7 / 119
    assert seen.cka[0, 1] == pytest.approx(1, abs=1e-6) and seen.overlap[0, 1] == 1


def test_rotation_shift_and_scale_change_nothing():
    rng = np.random.default_rng(0)
    x = clouds()["l1"]
    turn, _ = np.linalg.qr(rng.normal(size=(40, 40)))
    seen = ll.compare({"x": x}, {"y": 3 * x @ turn + 5})
    assert seen.cka[0, 0] == pytest.approx(1, abs=1e-5)
    assert seen.overlap[0, 0] > 0.99


def test_unrelated_layers_are_at_chance_however_few_samples():
    values = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        seen = ll.compare({"x": rng.normal(size=(40, 300))}, {"y": rng.normal(size=(40, 300))})
        values.append((seen.cka[0, 0], seen.overlap[0, 0] - seen.chance))
    # without debiasing CKA would be near 0.9 here
    assert np.abs(np.mean(values, 0)).max() < 0.02


def sketched(width):
    """Wide layers of two networks, whole, and sketched with several seeds."""
    rng = np.random.default_rng(0)
    hidden = torch.tensor(rng.normal(size=(150, 20)) * np.linspace(2, 0.2, 20)).float()

    def network(seed):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(20, 5000), nn.ReLU(), nn.Linear(5000, 3000), nn.ReLU(), nn.Linear(3000, 30)
        )

    with torch.random.fork_rng():
        first, second = network(0), network(1)
        second[0].weight.data.lerp_(first[0].weight.data, 0.5)
    layers = ["0", "1", "3", "4"]

    def record(model, **options):
        return ll.Probe(model, layers, **options).run([hidden])

    whole = ll.compare(record(first, sketch=None), record(second, sketch=None))
    parts = []
    for seed in range(4):
        # one seed for both: layers of one name share their projection
        pair = [record(m, sketch=width, random_state=seed) for m in (first, second)]
        parts.append(ll.compare(*pair))
    return whole, parts


@pytest.fixture(scope="module", params=[256, 1024])
def pairs(request):
    return request.param, *sketched(request.param)


def test_sketches_change_cka_by_their_error_and_not_in_one_direction(pairs):
    _, whole, parts = pairs
    off = np.array([one.cka - whole.cka for one in parts])
    error = np.array([one.cka_error for one in parts])
    wide = error > 0
    assert (np.abs(off) <= 4 * error + 0.002)[wide].mean() > 0.95
    # on the whole the error is what is seen, within a factor of three either way
    ratio = np.sqrt((off[wide] ** 2).mean() / (error[wide] ** 2).mean())
    assert 1 / 3 < ratio < 1.5
    assert np.abs(off.mean(0)).max() < 2 * np.sqrt((error**2).mean())


def test_sketches_only_hide_shared_neighbours_and_no_more_than_their_error(pairs):
    _, whole, parts = pairs
    lost = np.array([whole.overlap - one.overlap for one in parts])
    error = np.array([one.overlap_error for one in parts])
    wide = error > 0
    assert lost.mean(0).min() > -0.03
    # in 95 of 100 pairs of layers; of these 60 some may miss it, and none by much
    assert (lost <= error)[wide].mean() >= 0.85
    assert (lost - error)[wide].max() < 0.03
    # and it is no cheap promise: not much larger than what is lost
    assert error[wide].mean() < 2.5 * lost[wide].mean() + 0.02


def test_what_sketches_hide_follows_from_what_further_ones_hide():
    # planted: what is lost is 0.2 times the noise's standard deviation, noise 1 and then 4
    seen = np.array([0.9 - 0.2, 0.5])
    again = np.array([[0.9 - 0.4, 0.5]] * 3)
    lost = hidden(seen, again, np.array([1.0, 0.0]), np.array([4.0, 0.0]))
    assert lost == pytest.approx([0.2, 0.0])
    # rounds that differ make it larger by two standard errors; a gain by chance is no loss
    around = again + np.array([[-0.03], [0.0], [0.03]])
    wider = hidden(seen, around, np.array([1.0, 0.0]), np.array([4.0, 0.0]))
    assert wider == pytest.approx([0.2 + 2 * 0.03 / np.sqrt(3), 0.0])
    assert hidden(seen[:1], again[:, :1] + 0.5, np.ones(1), np.full(1, 4.0)) == pytest.approx(0)


def test_layers_that_are_no_sketch_have_no_error(pairs):
    _, _, parts = pairs
    assert parts[0].cka_error[-1, -1] == 0 and (parts[0].cka_error[0, :-1] > 0).all()
    assert parts[0].cka_error[0, 0] < parts[0].cka_error.max() + 1e-12


def test_one_projection_for_both_models_is_no_likeness():
    rng = np.random.default_rng(0)
    x, y = (torch.tensor(rng.normal(size=(120, 2000))).float() for _ in range(2))
    model = nn.Sequential(nn.Identity())
    values = []
    for seed in range(10):
        a, b = (ll.Probe(model, "0", sketch=128, random_state=seed).run([z]) for z in (x, y))
        values.append(ll.compare(a, b).cka[0, 0])
    assert abs(np.mean(values)) < 0.1


def labelled(order, **more):
    x = clouds()["l0"][order]
    return ll.Activations.of({"x": x}, ids=[f"s{i}" for i in order], labels=order % 3, **more)


def test_samples_are_matched_by_their_ids():
    order = np.random.default_rng(1).permutation(120)
    seen = ll.compare(labelled(np.arange(120)), labelled(order))
    assert seen.cka[0, 0] == pytest.approx(1, abs=1e-6) and seen.overlap[0, 0] == 1
    rows = [np.asarray(layer) for layer in seen.together().values()]
    np.testing.assert_array_equal(*rows)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (np.arange(100), "120 and 100"),
        (np.arange(1, 121) % 200, "id 's0' is in the first alone"),
    ],
)
def test_other_samples_are_refused(other, said):
    x = np.zeros((len(other), 3))
    second = ll.Activations.of({"x": x}, ids=[f"s{i}" for i in other])
    with pytest.raises(ll.ShapeError, match=said):
        ll.compare(labelled(np.arange(120)), second)


def test_subsample_has_each_class_its_share_and_says_so():
    acts = labelled(np.arange(120))
    seen = ll.compare(acts, acts, max_samples=60)
    assert seen.n_samples == 60 and seen.notes == ("60 of 120 samples were compared",)
    assert seen.cka[0, 0] == pytest.approx(1)


def test_dots_and_layers_of_some_samples_are_told_apart():
    flat = {"flat": np.ones((20, 4)), "x": np.random.default_rng(0).normal(size=(20, 4))}
    seen = ll.compare(flat, flat)
    assert np.isnan(seen.cka[0]).all() and np.isnan(seen.overlap[0]).all()
    assert seen.cka[1, 1] == pytest.approx(1)


def test_together_is_one_series_whose_layers_are_laid_on_their_namesakes():
    a, b = clouds(), clouds()
    seen = ll.compare(a, b, names=("old", "new"))
    emb = ll.reduce(seen.together(), "pca")
    assert list(emb) == [f"l{i}@{m}" for m in ("old", "new") for i in range(3)]
    assert emb["l1@new"].params["alignment"]["to"] == ["l1@old", "l0@new"]
    assert emb["l0@new"].params["alignment"]["to"] == "l0@old"
    np.testing.assert_allclose(emb["l2@new"].coordinates, emb["l2@old"].coordinates, atol=0.3)


def test_says_which_layer_is_most_like():
    text = repr(ll.compare(clouds(), clouds(), names=("old", "new")))
    assert text.startswith("old (3 layers) beside new (3 layers): 120 samples")
    assert "l1  most like l1: CKA 1.000, 100% of neighbours shared" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": ("a", "a")}, "two different"),
        ({"names": ("a@b", "c")}, "without an '@'"),
        ({"k": 0}, "k is a number"),
        ({"max_samples": 3}, "5 or more"),
    ],
)
def test_mistakes_say_what_is_allowed(options, said):
    with pytest.raises(ll.ArgumentError, match=said):
        ll.compare(clouds(), clouds(), **options)


def test_too_few_samples_are_refused():
    few = {"x": np.eye(4)}
    with pytest.raises(ll.ShapeError, match="five samples or more; there are 4"):
        ll.compare(few, few)
