import ast
import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from layerlens.errors import ArgumentError
from layerlens.recording import sketch as module
from layerlens.recording.sketch import FoldedSketch, check_sketch, sketch_width


def scatter(x, sketch):
    """Sketch by definition: value i goes with its sign to its bucket, one after the other."""
    stride, width = sketch._stride, sketch.width
    signs = module._pool(sketch.seed, module._POOL + stride, torch.device("cpu")).double().numpy()
    result = np.zeros((len(x), width))
    for i in range(x.shape[1]):
        group, inside = divmod(i, stride)
        piece, place = divmod(inside, width)
        bucket = (place + sketch._turns[piece]) % width
        result[:, bucket] += x[:, i] * signs[sketch._windows[group] + inside]
    return result


@pytest.mark.parametrize("dim", [70, 128, 1000, 1111])
def test_fold_is_the_count_sketch_of_its_signs_and_buckets(dim):
    x = np.random.default_rng(0).normal(size=(3, dim))
    sketch = FoldedSketch("layer", dim, 64)
    np.testing.assert_allclose(sketch(torch.from_numpy(x)).numpy(), scatter(x, sketch), atol=1e-12)


def test_compiled_loop_and_torch_give_the_same_bits(monkeypatch):
    x = torch.randn(9, 20_011, generator=torch.Generator().manual_seed(0))
    sketch = FoldedSketch("layer", x.shape[1], 2048)
    monkeypatch.setattr(module, "_WORTH_COMPILING", 0)
    compiled = sketch(x)
    monkeypatch.setattr(module, "compiled_fold", functools.cache(lambda: None))
    assert torch.equal(compiled, sketch(x))


def test_rows_are_the_same_in_any_batch_and_order():
    x = torch.randn(70, 20_000, generator=torch.Generator().manual_seed(1))
    sketch = FoldedSketch("layer", 20_000, 2048)
    whole = sketch(x)
    order = torch.randperm(70, generator=torch.Generator().manual_seed(2))
    parts = torch.cat([sketch(part) for part in x[order].split(3)])
    assert torch.equal(parts, whole[order])


def test_squared_distances_are_kept_in_expectation():
    x = torch.randn(2, 3000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    truth = (x[0] - x[1]).square().sum().item()
    kept = []
    for seed in range(200):
        a, b = FoldedSketch("layer", 3000, 256, seed)(x)
        kept.append((a - b).square().sum().item())
    # a CountSketch of width w has a relative variance of at most 2 / w
    error = np.sqrt(2 / 256 / len(kept)) * truth
    assert abs(np.mean(kept) - truth) < 4 * error
    assert np.std(kept) < 1.3 * np.sqrt(2 / 256) * truth


def test_no_two_values_of_a_bucket_share_a_sign():
    sketch = FoldedSketch("layer", 802_816, 2048)
    stride = sketch._stride
    places = np.concatenate([window + np.arange(stride) for window in sketch._windows])
    inside = np.tile(np.arange(stride), len(sketch._windows))
    buckets = (inside % 2048 + np.asarray(sketch._turns)[inside // 2048]) % 2048
    pairs = np.stack([buckets, places], 1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def recall(truth, kept, k=15):
    def nearest(x):
        finder = NearestNeighbors(n_neighbors=k).fit(x)
        return finder.kneighbors(return_distance=False)

    return np.mean(
        [len(np.intersect1d(a, b)) / k for a, b in zip(nearest(truth), nearest(kept), strict=True)]
    )


def test_width_that_divides_the_maps_keeps_neighbours_too():
    """32 x 32 places in 2,048 buckets: like places of all channels would meet without turns."""
    digits = torch.from_numpy(load_digits().data[:600]).float().view(-1, 1, 8, 8) / 16
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv = torch.nn.Conv2d(1, 32, 3, padding=1)
        maps = torch.nn.functional.interpolate(conv(digits), (24, 24)).detach()
    maps = torch.nn.functional.pad(maps, (4, 4, 4, 4)).flatten(1)
    kept = FoldedSketch("layer", maps.shape[1], 2048)(maps)
    assert recall(maps.numpy(), kept.numpy()) >= 0.9


def test_seed_and_layer_decide_and_processes_agree():
    code = (
        "import torch; from layerlens.recording.sketch import FoldedSketch as F;"
        "x = torch.arange(5000.)[None] % 7 - 3;"
        "print([F(n, 5000, 64, s)(x).sum().item() for n in 'ab' for s in (0, 1)])"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert first.stdout == second.stdout
    assert len(set(ast.literal_eval(first.stdout))) == 4


@pytest.mark.parametrize(
    ("sketch", "dim", "width"),
    [("auto", 4096, None), ("auto", 4097, 2048), (None, 10**6, None), (100, 100, None), (9, 10, 9)],
)
def test_which_rows_are_sketched(sketch, dim, width):
    assert sketch_width(sketch, dim) == width


@pytest.mark.parametrize("sketch", ["automatic", 0, -3, 2.5, True, [4]])
def test_other_sketches_are_refused(sketch):
    with pytest.raises(ArgumentError, match="sketch is"):
        check_sketch(sketch)
