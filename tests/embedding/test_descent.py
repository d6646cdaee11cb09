import numpy as np
import pytest

from layerlens.embedding import _tree_kernels as kernels
from layerlens.embedding import descent as module
from layerlens.embedding.affinities import affinities
from layerlens.embedding.descent import Anchor, Descent, Phase
from layerlens.embedding.neighbors import nearest_neighbors


def _forces(picture, theta):
    """Our repulsion, in the samples' own order."""
    n = len(picture)
    depth, begin, end = module._layout(n)
    order = np.arange(n, dtype=np.int32)
    points = np.ascontiguousarray(picture.T, dtype=np.float32)
    kernels.sort_into_leaves(depth, begin, end, points, order)
    ordered = np.ascontiguousarray(points[:, order])
    force = np.empty_like(ordered)
    theta2 = np.float32(-1 if theta is None else theta**2)
    total = kernels.repulsion(theta2, depth, begin, end, ordered, force)
    back = np.empty_like(force)
    back[:, order] = force
    return total, back.T


def _true_forces(picture):
    picture = picture.astype(np.float64)
    apart = picture[:, None] - picture
    q = 1 / (1 + (apart**2).sum(-1))
    return q.sum() - len(picture), (q[..., None] ** 2 * apart).sum(1)


@pytest.mark.parametrize("n_components", [2, 3])
@pytest.mark.parametrize(("theta", "allowed"), [(None, 1e-5), (0.3, 0.01), (0.7, 0.03)])
def test_repulsion_is_the_sum_over_all_pairs(n_components, theta, allowed):
    rng = np.random.default_rng(0)
    picture = rng.normal(size=(1000, n_components)) * 15 + rng.integers(0, 2, (1000, 1)) * 40
    total, force = _forces(picture, theta)
    true_total, true_force = _true_forces(picture.astype(np.float32))
    assert total == pytest.approx(true_total, rel=allowed)
    error = np.linalg.norm(force - true_force) / np.linalg.norm(true_force)
    assert error < allowed


@pytest.mark.parametrize("n", [1, 2, 31, 33, 1000, 1025])
def test_the_tree_has_every_sample_once_in_small_leaves(n):
    depth, begin, end = module._layout(n)
    points = np.random.default_rng(0).normal(size=(2, n)).astype(np.float32)
    order = np.arange(n, dtype=np.int32)
    kernels.sort_into_leaves(depth, begin, end, points, order)
    assert sorted(order.tolist()) == list(range(n))
    leaves = slice(1 << depth, 2 << depth)
    sizes = (end - begin)[leaves]
    assert sizes.sum() == n
    assert sizes.max() <= 32
    assert sizes.min() >= 1


def test_sorting_stands_points_at_one_place():
    depth, begin, end = module._layout(500)
    order = np.arange(500, dtype=np.int32)
    kernels.sort_into_leaves(depth, begin, end, np.zeros((2, 500), np.float32), order)
    assert sorted(order.tolist()) == list(range(500))


def _layer(n=300, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
    return X, affinities(nearest_neighbors(X, 60), 20.0)


def test_a_first_step_goes_down_the_gradient():
    X, joint = _layer()
    start = X[:, :2] - X[:, :2].mean(axis=0)
    descent = Descent(joint, start, 0.5)
    rate = 300.0
    descent.run(Phase(1, 1.0, 0.0, rate / 300), 1)
    moved = descent.coordinates - start
    table = np.zeros((300, 300))
    table[joint.rows, joint.columns] = joint.values
    apart = start[:, None].astype(np.float64) - start
    q = 1 / (1 + (apart**2).sum(-1))
    normalizer = q.sum() - 300
    pull = ((table - q / normalizer) * q)[..., None] * apart
    # the first gain is .8, the gradient without its constant 4, and the centre is kept
    expected = -0.8 * rate * pull.sum(1)
    expected -= expected.mean(0)
    assert np.abs(expected).max() > 0.1
    assert moved == pytest.approx(expected, abs=1e-5)


def test_an_anchor_pulls_a_point_by_its_weight():
    X, joint = _layer()
    start = X[:, :2].copy()
    weights = np.zeros(300, np.float32)
    weights[7] = 0.25
    anchor = Anchor(np.ascontiguousarray(start.T + 1), weights)
    free, held = Descent(joint, start, 0.5), Descent(joint, start, 0.5)
    phase = Phase(1, 1.0, 0.0, 1e-3 / 300)
    free.run(phase, 1)
    held.run(phase, 1, above=anchor)
    pulled = (held.coordinates - start) - (free.coordinates - start)
    pulled -= pulled[0]  # the free picture was shifted to its centre
    # twice the weight times the distance of -1, by rate and gain
    assert pulled[7] == pytest.approx([0.8e-3 * 2 * 0.25] * 2, rel=0.01)
    assert np.abs(np.delete(pulled, 7, axis=0)).max() < 1e-6


def test_one_dimension_stays_one():
    X, joint = _layer()
    descent = Descent(joint, X[:, :1].copy() * np.float32(1e-4), 0.5)
    descent.run(Phase(30, 4.0, 0.8, 1.0), 30)
    assert descent.coordinates.shape == (300, 1)
    assert (descent.points[1] == 0).all()


def test_divergence_is_that_of_the_picture(divergence):
    X = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    joint = affinities(nearest_neighbors(X, 91), 30.0)
    descent = Descent(joint, X[:, :3].copy(), 0.5)
    assert descent.divergence() == pytest.approx(divergence(X, X[:, :3]), rel=1e-3)


def test_the_tree_and_the_exact_sum_give_pictures_of_one_quality(monkeypatch):
    X, joint = _layer(900)
    start = X[:, :2] * np.float32(1e-4)
    found = []
    for exact_up_to in (0, 10_000):
        monkeypatch.setattr(module, "EXACT_UP_TO", exact_up_to)
        descent = Descent(joint, start, 0.7)
        descent.run(Phase(60, 12.0, 0.8, 1.0), 60)
        descent.run(Phase(200, 1.0, 0.8, 1.0), 200)
        monkeypatch.setattr(descent, "_theta2", np.float32(-1))
        found.append(descent.divergence())
    assert found[0] == pytest.approx(found[1], rel=0.01)
