import numpy as np
import pytest
import scipy.spatial

from layerlens.embedding.align import motion, procrustes, rms_radius
from layerlens.errors import ShapeError


def _cloud(seed=0, n=200, c=2):
    return np.random.default_rng(seed).normal(size=(n, c))


def _turn(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize("mirror", [1, -1])
def test_a_moved_picture_is_laid_back_on_itself(mirror):
    fixed = _cloud()
    moving = (fixed @ _turn(1.1) * [1, mirror]) * 7 + [3, -5]
    transform = procrustes(moving, fixed)
    assert transform(moving) == pytest.approx(fixed, abs=1e-5)
    assert transform.reflects == (mirror < 0)
    assert transform.scale == pytest.approx(1 / 7)


def test_the_turn_is_that_of_scipy():
    fixed, moving = _cloud(0), _cloud(1)
    fixed, moving = fixed - fixed.mean(0), moving - moving.mean(0)
    turn, _ = scipy.linalg.orthogonal_procrustes(moving, fixed)
    assert procrustes(moving, fixed).turn == pytest.approx(turn)


def test_unrelated_pictures_keep_their_size():
    fixed, moving = _cloud(0), 30 * _cloud(1)
    laid = procrustes(moving, fixed)(moving)
    assert rms_radius(laid) == pytest.approx(rms_radius(fixed), rel=1e-5)
    # the least-squares scale would have shrunk it
    assert scipy.spatial.procrustes(fixed, moving)[2] > 0.9


def test_there_and_back_is_where_it_was():
    a, b = _cloud(0), _cloud(1) * 3
    there, back = procrustes(a, b), procrustes(b, a)
    assert back(there(a)) == pytest.approx(a, abs=1e-5)


def test_a_dot_is_only_shifted():
    fixed = _cloud()
    transform = procrustes(np.zeros((200, 2)), fixed)
    assert transform.scale == 1
    assert transform(np.zeros((200, 2))) == pytest.approx(
        np.tile(fixed.mean(0), (200, 1)), abs=1e-6
    )


def test_rms_radius_of_tiny_and_huge_pictures():
    unit = _cloud()
    for scale in (1e-200, 1.0, 1e200):
        assert rms_radius(unit * scale) == pytest.approx(rms_radius(unit) * scale)
    assert rms_radius(np.ones((3, 2))) == 0


def test_different_shapes_are_refused_with_a_remedy():
    with pytest.raises(ShapeError, match="pick the samples that both have"):
        procrustes(_cloud(n=4), _cloud(n=5))


def test_motion_is_zero_for_the_same_picture_and_1_25_for_unrelated_ones():
    a, b = _cloud(0, 20_000), _cloud(1, 20_000)
    assert motion(a @ _turn(2.0) * 4 + 1, a) == pytest.approx(0, abs=1e-6)
    # two independent plane Gaussians of RMS radius 1 each: mean distance sqrt(pi / 2)
    assert motion(a, b) == pytest.approx(np.sqrt(np.pi / 2), abs=0.02)


def test_motion_of_a_dot_is_not_a_number():
    assert np.isnan(motion(np.zeros((5, 2)), _cloud(n=5)))
