"""The mechanics of the dynamics example keep what mechanics keeps."""

from dataclasses import replace

import numpy as np
import pytest


@pytest.fixture
def world(example):
    return example("rectangles")


def _polygons_overlap(one, other):
    """Tell whether two rectangles of corners (4, 2) overlap, by a fine grid of points of each."""
    ticks = np.linspace(0, 1, 60)
    for a, b in ((one, other), (other, one)):
        origin, u, v = a[0], a[1] - a[0], a[3] - a[0]
        points = origin + ticks[:, None, None] * u + ticks[None, :, None] * v
        origin, u, v = b[0], b[1] - b[0], b[3] - b[0]
        along = (points - origin) @ u / (u @ u)
        across = (points - origin) @ v / (v @ v)
        if ((along > 0) & (along < 1) & (across > 0) & (across < 1)).any():
            return True
    return False


def _corners(scenes):
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    local = signs * scenes.halves[:, :, None]
    cos, sin = np.cos(scenes.angles)[..., None], np.sin(scenes.angles)[..., None]
    x, y = local[..., 0], local[..., 1]
    turned = np.stack([cos * x - sin * y, sin * x + cos * y], -1)
    return scenes.centers[:, :, None] + turned


def test_rectangles_lie_inside_and_apart_at_the_start(world):
    scenes = world.draw(60, 5, (0.05, 0.12), seed=3)
    corners = _corners(scenes)
    assert corners.min() >= 0
    assert corners.max() <= 1
    for scene in corners:
        for i in range(5):
            for j in range(i):
                assert not _polygons_overlap(scene[i], scene[j])
    assert (np.abs(scenes.grasp) <= scenes.halves[np.arange(60), scenes.pulled]).all()


def test_the_gap_between_rectangles_is_known_by_hand(world):
    def square(x, y, angle):
        return np.array([[x, y]]), np.array([angle]), np.array([[0.1, 0.1]])

    assert world.gap(square(0, 0, 0), square(0.5, 0.1, 0)) == pytest.approx(0.3)
    turned = square(0.5, 0, np.pi / 4)  # a corner points at the other's side
    assert world.gap(square(0, 0, 0), turned) == pytest.approx(0.4 - 0.1 * np.sqrt(2))
    assert world.gap(square(0, 0, 0), square(0.15, 0.15, 0.3)) < 0


def test_the_same_seed_gives_the_same_pictures_and_another_others(world):
    one, again, other = (world.samples(6, 16, seed=seed) for seed in (4, 4, 5))
    for name in ("inputs", "targets", "pulled"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
        assert (getattr(one, name) != getattr(other, name)).any()
        assert np.isfinite(getattr(one, name)).all()
        assert 0 <= getattr(one, name).min() < getattr(one, name).max() <= 1


def _collision(world):
    """Three bodies, two of which fly at the third, off its middle."""
    centers = np.array([[[0.3, 0.45], [0.5, 0.5], [0.72, 0.56]]])
    zeros = np.zeros((1, 3))
    return world.Scenes(
        centers=centers, angles=np.array([[0.2, 0.0, 0.7]]),
        halves=np.array([[[0.08, 0.05], [0.06, 0.1], [0.05, 0.05]]]),
        pulled=np.array([1]), grasp=np.zeros((1, 2)),
        velocities=np.array([[[0.5, 0.05], [0.0, 0.0], [-0.6, -0.1]]]), spins=zeros.copy(),
    )  # fmt: skip


def test_a_collision_keeps_momentum_and_angular_momentum(world):
    free = world.Physics(pull=0, friction=0, step=1e-3)
    scenes = _collision(world)
    before = world.momentum(scenes, free)
    start = scenes.copy()
    for _ in range(300):
        world.advance(scenes, free)
    assert np.abs(scenes.velocities - start.velocities).max() > 0.3  # they did collide
    assert np.abs(scenes.spins).max() > 0.3
    for now, then in zip(world.momentum(scenes, free), before, strict=True):
        np.testing.assert_allclose(now, then, atol=1e-9)


def test_a_collision_without_friction_is_elastic(world):
    # the error of the scheme falls with the step, so the step is what the tolerance depends on
    free = world.Physics(pull=0, friction=0, step=5e-4)
    scenes = _collision(world)
    before = world.energy(scenes, free)
    most = 0.0
    for _ in range(800):
        world.advance(scenes, free)
        most = max(most, np.abs(world.energy(scenes, free) / before - 1).max())
    assert 0 < most < 0.01


def test_energy_never_grows_without_a_pull(world):
    physics = replace(world.Physics(), pull=0)
    scenes = world.draw(20, 4, (0.06, 0.12), seed=1)
    rng = np.random.default_rng(0)
    scenes.velocities[:] = rng.normal(0, 0.5, scenes.velocities.shape)
    scenes.spins[:] = rng.normal(0, 2, scenes.spins.shape)
    last = first = world.energy(scenes, physics)
    for _ in range(physics.steps):
        world.advance(scenes, physics)
        now = world.energy(scenes, physics)
        assert (now <= last + 1e-3 * first).all()
        last = now
    assert (last < 1e-3 * first).all()


def test_a_free_body_moves_as_the_closed_form_says(world):
    scenes = world.draw(1, 1, (0.05, 0.05))
    scenes.centers[:] = 0.5, 0.8
    scenes.grasp[:] = 0
    physics = world.Physics(pull=0.3, step=1e-3, steps=200)
    end = world.simulate(scenes, physics)
    mass, rate, time = 4 * 0.05**2 * 100, 4.0, 0.2
    risen = 0.3 / mass / rate * (time - (1 - np.exp(-rate * time)) / rate)
    np.testing.assert_allclose(end.centers[0, 0], (0.5, 0.8 - risen), atol=2e-5)
    assert end.angles == scenes.angles
    assert (scenes.centers == (0.5, 0.8)).all()  # the scene given is left as it was


def test_a_pull_beside_the_middle_turns_the_body_to_hang_below_the_grasp(world):
    scenes = world.draw(1, 1, (0.1, 0.1))
    scenes.centers[:], scenes.angles[:] = (0.5, 0.9), 0.0
    scenes.grasp[:] = 0.08, 0
    end = world.simulate(scenes)
    arm = end.grasp_points()[0] - end.centers[0, 0]
    assert arm[1] < -0.04  # the grasp is above the middle now
    assert end.spins[0, 0] != 0


def test_pictures_are_as_bright_as_the_shapes_are_large(world):
    scenes = world.draw(40, 3, (0.06, 0.16), seed=2)
    area = 4 * scenes.halves.prod(-1)
    # corners are taken for products, which is right to some thousandths of the image
    np.testing.assert_allclose(
        world.images(scenes, 64).mean((1, 2)), area.sum(1), atol=2e-3
    )  # fmt: skip
    pulled = world.images(scenes, 64, only_pulled=True)
    np.testing.assert_allclose(pulled.mean((1, 2)), area[np.arange(40), scenes.pulled], atol=1e-3)
    dots = world.marks(scenes, 64)
    row, column = np.unravel_index(dots.reshape(40, -1).argmax(1), (64, 64))
    assert np.abs(scenes.grasp_points() * 64 - 0.5 - np.stack([column, row], 1)).max() <= 0.5
