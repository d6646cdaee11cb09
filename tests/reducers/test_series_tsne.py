import os
import subprocess
import sys

import numpy as np
import pytest

import layerlens as ll
from layerlens.embedding.align import motion, rms_radius
from layerlens.embedding.neighbors import nearest_neighbors
from layerlens.errors import ArgumentError, LayerlensWarning, ShapeError
from layerlens.reducers import series_tsne as module
from layerlens.reducers.series_tsne import SeriesTSNE


@pytest.fixture
def cloud():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(240, 8)) + rng.integers(0, 3, (240, 1)) * 8).astype(np.float32)


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_pictures_have_one_to_three_dimensions(cloud, n_components):
    coordinates = SeriesTSNE(n_components).fit_transform(cloud)
    assert coordinates.shape == (240, n_components)
    assert np.linalg.matrix_rank(coordinates - coordinates.mean(0)) == n_components


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 10, 31, 33])
@pytest.mark.parametrize("width", [1, 3])
def test_any_number_of_samples_gives_a_finite_picture(n, width):
    X = np.random.default_rng(0).normal(size=(n, width)).astype(np.float32)
    reducer = SeriesTSNE()
    coordinates = reducer.fit_transform(X)
    assert coordinates.shape == (n, 2)
    assert np.isfinite(coordinates).all()
    assert reducer.notes_


def test_a_constant_layer_is_a_dot_and_the_others_go_on(cloud):
    reducer = SeriesTSNE()
    first, dot, last = reducer.fit_transform_series([cloud, np.ones_like(cloud), cloud])
    assert rms_radius(dot) == 0
    assert reducer.series_notes_[1] == ["all samples are the same point"]
    assert reducer.series_metrics_[1] == {}
    assert motion(last, first) < 0.01


def test_duplicates_lie_on_their_originals(cloud):
    X = np.repeat(cloud, 3, axis=0)
    reducer = SeriesTSNE()
    coordinates = reducer.fit_transform(X)
    assert (coordinates[0::3] == coordinates[1::3]).all()
    assert (coordinates[0::3] == coordinates[2::3]).all()
    assert reducer.notes_ == ["480 duplicates lie on their originals"]
    alone = SeriesTSNE()
    alone.fit_transform(cloud)
    assert reducer.kl_divergence_ == pytest.approx(alone.kl_divergence_, rel=0.05)


def test_a_layer_with_duplicates_fits_into_a_series(cloud):
    poor = cloud.copy()
    poor[:100] = poor[0]
    first, second = SeriesTSNE().fit_transform_series([cloud, poor])
    assert first.shape == second.shape == (240, 2)
    assert (second[:100] == second[0]).all()
    assert motion(second[100:], first[100:]) < 0.9


def test_one_far_outlier_does_not_press_the_rest_into_a_dot(cloud):
    X = cloud.copy()
    X[0] = 1e6
    coordinates = SeriesTSNE().fit_transform(X)
    assert np.isfinite(coordinates).all()
    spread = coordinates[1:].std(0).min()
    assert spread > 0.1 * np.abs(coordinates).max()


def test_two_clusters_far_apart_are_drawn_apart_and_unfolded():
    rng = np.random.default_rng(0)
    side = np.arange(300) % 2
    X = (rng.normal(size=(300, 4)) + 1e5 * side[:, None]).astype(np.float32)
    coordinates = SeriesTSNE().fit_transform(X)
    near = nearest_neighbors(coordinates, 5).indices
    assert (side[near] == side[:, None]).mean() > 0.99
    assert coordinates[side == 0].std(0).min() > 1


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_scale_means_nothing(cloud, scale):
    a = SeriesTSNE().fit_transform(cloud)
    b = SeriesTSNE().fit_transform(cloud * np.float32(scale))
    assert motion(b, a) < 0.2


def test_threads_change_no_byte(cloud):
    layers = [cloud, np.maximum(cloud, 0), cloud[:, :3]]
    one = SeriesTSNE(n_jobs=1).fit_transform_series(layers)
    many = SeriesTSNE(n_jobs=3).fit_transform_series(layers)
    assert [a.tobytes() for a in one] == [b.tobytes() for b in many]


def test_seeds_give_other_pictures(cloud):
    a, b = (SeriesTSNE(random_state=seed).fit_transform(cloud) for seed in (0, 1))
    assert motion(b, a) > 1e-3


def test_two_processes_give_the_same_bytes():
    code = (
        "import numpy as np, hashlib\n"
        "from layerlens.reducers.series_tsne import SeriesTSNE\n"
        "X = np.random.default_rng(0).normal(size=(400, 5)).astype('float32')\n"
        "print(hashlib.sha256(SeriesTSNE().fit_transform(X).tobytes()).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(found) == 1


def test_neighbours_that_were_found_give_the_same_bytes(cloud):
    reducer = SeriesTSNE()
    found = nearest_neighbors(cloud, reducer.n_neighbors_needed(len(cloud)))
    given = reducer.fit_transform(cloud, neighbors=(found.indices, found.distances))
    assert given.tobytes() == SeriesTSNE().fit_transform(cloud).tobytes()


def test_layers_of_different_samples_are_refused(cloud):
    with pytest.raises(ShapeError, match=r"these layers have \[200, 240\] of them"):
        SeriesTSNE().fit_transform_series([cloud, cloud[:200]])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 4}, "n_components 1, 2 or 3, got 4"),
        ({"perplexity": 0.5}, "perplexity is a number from 1 up, got 0.5"),
        ({"coupling": -1}, "coupling is a number from 0 up, got -1"),
        ({"angle": np.nan}, "angle is a number from 0 up, got nan"),
    ],
)
def test_parameters_out_of_range_are_refused(cloud, parameters, message):
    with pytest.raises(ArgumentError, match=message):
        SeriesTSNE(**parameters).fit_transform(cloud)


def test_without_numba_scikit_learn_draws_and_says_so(cloud, monkeypatch):
    monkeypatch.setattr(module, "numba_runs", lambda: False)
    reducer = SeriesTSNE()
    with pytest.warns(LayerlensWarning, match="numba cannot run here"):
        first, second = reducer.fit_transform_series([cloud, cloud * 2])
    assert first.shape == (240, 2)
    assert "drawn by scikit-learn" in reducer.series_notes_[0][0]
    assert motion(second, first) < 0.1


def test_without_a_folder_for_compiled_code_it_runs_and_says_so_once(tmp_path):
    # numba's own search, with every place that it looks at taken: a file where a folder must be
    (tmp_path / "__pycache__").write_text("")
    (tmp_path / "kernels.py").write_text(
        "from layerlens.embedding._compiling import compiled\n"
        "@compiled\ndef double(x):\n    return 2 * x\n"
        "@compiled\ndef triple(x):\n    return 3 * x\n"
        "print(double(3), triple(3))\n"
    )
    nowhere = str(tmp_path / "kernels.py" / "no")
    places = ("HOME", "XDG_CACHE_HOME", "IPYTHONDIR", "NUMBA_CACHE_DIR")
    done = subprocess.run(
        [sys.executable, "kernels.py"],
        cwd=tmp_path,
        env={**os.environ, **dict.fromkeys(places, nowhere)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "6 9\n"
    assert done.stderr.count("numba finds no folder") == 1
    assert "set NUMBA_CACHE_DIR" in done.stderr


@pytest.mark.slow
def test_threads_change_no_byte_of_a_whole_reduction():
    # enough rows for the blocks of the neighbour search and for the tree of repulsion
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(4000, 12)) + rng.integers(0, 5, (4000, 1)) * 4).astype(np.float32)
    layers = {"a": X, "b": np.maximum(X, 0), "c": X[:, :4]}
    one, many = (ll.reduce(layers, "series-tsne", n_jobs=n, metrics=False) for n in (1, 3))
    for name in layers:
        assert one[name].coordinates.tobytes() == many[name].coordinates.tobytes()


def test_reduce_draws_the_series_and_reports_its_divergence(cloud):
    pictures = ll.reduce({"a": cloud, "b": np.maximum(cloud, 0)}, "series-tsne")
    assert pictures["a"].params["alignment"]["started_from"] == "series"
    assert pictures["b"].metrics["kl_divergence"] > 0
    assert pictures["b"].metrics["motion_previous"] < 0.6
