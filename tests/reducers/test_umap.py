import numpy as np
import pytest
from sklearn.base import clone

from layerlens.embedding.align import motion
from layerlens.embedding.neighbors import nearest_neighbors
from layerlens.reducers.umap import UMAP, umap


def test_it_has_umap_learns_parameters():
    assert UMAP().get_params() == umap.UMAP().get_params()
    assert clone(UMAP(n_neighbors=7)).n_neighbors == 7


def test_its_picture_is_umap_learns(cloud):
    ours = UMAP(random_state=0).fit_transform(cloud)
    theirs = umap.UMAP(random_state=0, n_jobs=1).fit_transform(cloud)
    assert ours == pytest.approx(theirs, abs=1e-4)


def test_neighbours_that_were_found_give_the_picture_that_a_search_gives(cloud):
    reducer = UMAP(random_state=0)
    k = reducer.n_neighbors_needed(len(cloud))
    assert k == 14
    found = nearest_neighbors(cloud, k)
    given = reducer.fit_transform(cloud, neighbors=(found.indices, found.distances))
    reducer_alone = UMAP(random_state=0)
    alone = reducer_alone.fit_transform(cloud)
    assert abs(reducer.graph_ - reducer_alone.graph_).max() < 1e-3
    # UMAP carries differences of a graph far, by versions differently; unrelated pictures: 1.2
    assert motion(given, alone) < 0.8


def test_few_neighbours_are_said():
    reducer = UMAP(random_state=0)
    X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    assert np.isfinite(reducer.fit_transform(X)).all()
    assert reducer.notes_[0] == "n_neighbors 7: 8 samples"


@pytest.mark.parametrize("distinct", [1, 2, 4])
def test_few_distinct_points_are_drawn_plainly_and_said(cloud, distinct):
    reducer = UMAP(random_state=0)
    coordinates = reducer.fit_transform(np.repeat(cloud[:distinct], 10, axis=0))
    assert len(np.unique(coordinates.round(3), axis=0)) == distinct
    assert len(reducer.notes_) == 1


def test_a_warm_start_keeps_an_unchanged_layer_and_not_a_shuffled_one(cloud):
    first = UMAP(random_state=0).fit_transform(cloud)
    same = UMAP(random_state=0).fit_transform(cloud, init=first)
    mixed = cloud[np.random.default_rng(0).permutation(len(cloud))]
    other = UMAP(random_state=0).fit_transform(mixed, init=first)
    assert motion(same, first) < 0.25
    assert motion(other, first) > 0.9
