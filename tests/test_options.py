"""Options of the wrong type: an error that names the option, and not what stumbled over it."""

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll
from layerlens import _options

ARRAY = np.array([1, 2])  # has no truth value


class Odd:
    pass


@pytest.fixture(scope="module")
def embeddings():
    cloud = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    acts = ll.Activations.of({"a": cloud}, labels=np.arange(12) % 3)
    return ll.reduce(acts, "pca", metrics=False, keep_neighbors=0)


WRONG = {
    ".png": {
        "color": [1, b"label", ARRAY, Odd()],
        "columns": ["a", 0, 1.5, True, ARRAY],
        "title": [1, b"a", ["a"], ARRAY],
        "panel": ["a", True, float("nan"), 30, ARRAY],
        "scale": [None, 1, "loud", ARRAY],
        "font": [None, 1, [], [1], "", ARRAY],
        "dpi": ["a", None, True, float("nan"), 0, 1j, ARRAY],
    },
    ".html": {
        "title": [1, b"a", ARRAY],
        "max_points": ["a", 0, True, ARRAY],
        "neighbors": ["no", None, ARRAY],
        "thumbnail_mb": ["a", None, True, float("inf"), ARRAY],
        "seed": ["a", -1, 1.5, None, ARRAY],
    },
    ".npz": {"compress": ["no", None, 7, ARRAY]},
}


@pytest.mark.parametrize(
    ("suffix", "option", "value"),
    [
        pytest.param(suffix, option, value, id=f"{suffix[1:]}-{option}-{value!r:.12}")
        for suffix, options in WRONG.items()
        for option, values in options.items()
        for value in values
    ],
)
def test_a_sinks_option_is_named(embeddings, tmp_path, suffix, option, value):
    with pytest.raises(ll.ArgumentError, match=f"^{option} is "):
        embeddings.save(tmp_path / f"result{suffix}", **{option: value})
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_numbers(embeddings, tmp_path):
    embeddings.save(tmp_path / "a.png", dpi=np.float32(20), columns=np.int64(1), panel=np.int32(1))
    embeddings.save(tmp_path / "a.npz", compress=np.bool_(False))


@pytest.mark.parametrize("path", [None, 1, Odd(), len], ids=["none", "int", "object", "function"])
def test_what_is_no_path_is_named(embeddings, path):
    with pytest.raises(ll.ArgumentError, match="a path, or a list of paths and sinks"):
        embeddings.save(path)


MODEL = nn.Sequential(nn.Conv2d(1, 2, 3))
IMAGES = torch.rand(2, 1, 6, 6)


def _maps(**options):
    return ll.activation_maps(MODEL, IMAGES).plot(**options)


def _sheet(**options):
    return ll.activation_maps(MODEL, IMAGES)["0"].plot_sheet(**options)


def _top(**options):
    return ll.top_samples(MODEL, IMAGES, "0", 0, k=1).plot(**options)


def _found(**options):
    return ll.top_samples(MODEL, IMAGES, "0", 0, **options)


def _across(**options):
    return ll.unit_across(MODEL, IMAGES, "0", 0, **options)


def _run(**options):
    return ll.Probe(MODEL).run(IMAGES, **options)


def _reduce(**options):
    return ll.reduce({"a": np.eye(6)}, "pca", **options)


@pytest.mark.parametrize(
    ("call", "option", "values"),
    [
        (_maps, "sample", ["a", 1.5, ARRAY]),
        (_maps, "rows", ["a", 0, ARRAY]),
        (_maps, "page", ["a", -1, ARRAY]),
        (_maps, "stride", ["a", 0, ARRAY]),
        (_maps, "overlay", ["no", ARRAY]),
        (_maps, "tile", ["a", 50, ARRAY]),
        (_maps, "first_row", ["a", [1], ARRAY]),
        (_sheet, "sample", ["a", 1.5, ARRAY]),
        (_sheet, "gamma", ["a", 0, ARRAY]),
        (_sheet, "width", ["a", 0, ARRAY]),
        (_sheet, "top", ["a", 1, ARRAY]),
        (_top, "columns", ["a", 0, ARRAY]),
        (_top, "tile", ["a", 0, ARRAY]),
        (_top, "title", [1, ARRAY]),
        (_found, "k", ["a", 0, ARRAY]),
        (_found, "reduce", [1, "sum", ARRAY]),
        (_found, "keep", ["no", ARRAY]),
        (_found, "first_id", ["a", None, ARRAY]),
        (_found, "forward", ["a", 1]),
        (_found, "grid", ["a", 14, ARRAY]),
        (_across, "names", ["a", 1]),
        (_across, "boxes", ["no", ARRAY]),
        (_run, "limit", ["a", 0, 1.5, ARRAY]),
        (_run, "forward", ["a", 1]),
        (_run, "stop_early", ["no", ARRAY]),
        (_run, "progress", ["no", ARRAY]),
        (_reduce, "align", ["no", None, ARRAY]),
        (_reduce, "metrics", ["no", ARRAY]),
        (_reduce, "supervised", ["no", ARRAY]),
        (_reduce, "max_samples", ["a", 1, ARRAY]),
        (_reduce, "in_blocks", ["no", None, ARRAY]),
        (_reduce, "layers", [1, [1], Odd()]),
        (_reduce, "n_components", ["a", True, ARRAY]),
    ],
    ids=lambda value: getattr(value, "__name__", value if isinstance(value, str) else ""),
)
def test_an_option_is_named(call, option, values):
    for value in values:
        with pytest.raises(ll.ArgumentError, match=f"^{option} is "):
            call(**{option: value})


def test_seeds_end_where_random_state_does():
    with pytest.raises(ll.ArgumentError, match=r"n_seeds=9999999999 .* 2\*\*32 - 1"):
        ll.reduce({"a": np.eye(6)}, "tsne", n_seeds=9_999_999_999)


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ll.ArgumentError, match=r"^title is a str or None, got \[0, 1.*\.\.\.$"):
        _options.text("title", list(range(1000)))


@pytest.mark.parametrize("value", [0, "a", 10**30, 1.5, True, ARRAY])
def test_a_number_of_workers_that_is_none_is_refused(value):
    with pytest.raises(ll.ArgumentError, match="n_jobs is a"):
        ll.reduce({"a": np.eye(5), "b": np.eye(5)}, "pca", n_jobs=value)


def test_whole_numbers_beyond_what_computers_count_with_are_refused():
    net, x = nn.Conv2d(1, 1, 2), torch.ones(2, 1, 4, 4)
    with pytest.raises(ll.ArgumentError, match=r"n_components is a whole .* below 2\*\*63, got 10"):
        ll.reduce({"a": np.eye(5)}, "pca", n_components=10**30)
    with pytest.raises(ll.ArgumentError, match="limit is a whole number"):
        ll.Probe(net).run([x], limit=10**30)
    for option in ("k", "first_id"):
        with pytest.raises(ll.ArgumentError, match=f"{option} is a whole number"):
            ll.top_samples(net, [x], "", 0, **{option: 10**30})


@pytest.mark.parametrize(
    "option",
    [
        {"memory_limit": ARRAY},
        {"readout": ARRAY},
        {"readout": {"*": ARRAY}},
        {"readout": {3: "max"}},
    ],
    ids=str,
)
def test_options_of_a_probe_that_are_arrays_or_numbers(option):
    with pytest.raises(ll.ArgumentError, match=f"{next(iter(option))}.* got "):
        ll.Probe(nn.Linear(2, 2), **option).run([torch.ones(3, 2)])


def test_a_perplexity_that_is_no_number_is_named():
    for value in ("a", None, float("nan")):
        with pytest.raises(ll.ArgumentError, match="perplexity is a number from 1 up, got"):
            ll.reduce({"a": np.eye(9)}, "series-tsne", perplexity=value)
