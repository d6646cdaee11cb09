"""What the picture shows, and what is said of it."""

import numpy as np

from layerlens_example.phate import Phate


def test_points_along_a_curve_keep_their_neighbours():
    t = np.linspace(0, 1, 200)
    curve = np.stack([t, t**2, np.sin(3 * t)], axis=1).astype(np.float32)
    picture = Phate(n_components=2).fit_transform(curve)
    gaps = np.linalg.norm(picture[:, None] - picture[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    steps = np.abs(gaps.argmin(axis=1) - np.arange(200))
    # who is nearest in the picture is at most three steps away along the curve
    assert (steps <= 3).mean() > 0.95


def test_equal_samples_lie_on_one_spot_and_a_note_says_so():
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(20, 4)).astype(np.float32), 2, axis=0)
    reducer = Phate()
    picture = reducer.fit_transform(X)
    np.testing.assert_array_equal(picture[::2], picture[1::2])
    assert "20 points lie on others" in reducer.notes_


def test_what_phate_says_becomes_a_note_and_is_not_printed(capfd):
    two_islands = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    two_islands[30:] += 1000
    reducer = Phate()
    reducer.fit_transform(two_islands)
    assert any("disconnected" in note for note in reducer.notes_)
    assert capfd.readouterr() == ("", "")


def test_a_few_points_are_shown_by_their_principal_axes():
    X = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [9.0, 0.0, 0.0]], dtype=np.float32)
    reducer = Phate()
    picture = reducer.fit_transform(X)
    assert reducer.notes_ == ["principal axes: PHATE needs 6 distinct points"]
    np.testing.assert_allclose(np.abs(np.diff(picture[:, 0])), [3, 6], rtol=1e-5)
    np.testing.assert_allclose(picture[:, 1], 0, atol=1e-5)
