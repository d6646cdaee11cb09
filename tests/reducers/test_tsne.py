import numpy as np
import pytest
import sklearn.manifold
from sklearn.base import clone

from layerlens.embedding.align import motion
from layerlens.reducers.tsne import TSNE


@pytest.fixture
def cloud():
    return np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)


def test_it_has_scikit_learns_parameters(cloud):
    assert TSNE().get_params() == sklearn.manifold.TSNE().get_params()
    assert clone(TSNE(perplexity=7)).perplexity == 7


def test_it_is_as_good_as_scikit_learn_from_its_own_start(cloud):
    ours, theirs = TSNE(random_state=0), sklearn.manifold.TSNE(random_state=0)
    ours.fit_transform(cloud)
    theirs.fit_transform(cloud)
    assert ours.kl_divergence_ == pytest.approx(theirs.kl_divergence_, rel=0.1)
    assert ours.metrics_ == {"kl_divergence": ours.kl_divergence_}


def test_perplexity_is_cut_to_what_the_samples_allow(cloud):
    reducer = TSNE(random_state=0)
    assert reducer.fit_transform(cloud[:10]).shape == (10, 2)
    assert reducer.notes_ == ["perplexity 3: 10 samples allow no more"]
    assert reducer.perplexity == 30


@pytest.mark.parametrize("n_components", [1, 2, 3, 4])
def test_one_feature_and_any_dimension_give_a_finite_picture(n_components):
    X = np.linspace(0, 1, 40, dtype=np.float32)[:, None]
    reducer = TSNE(n_components, random_state=0, max_iter=300)
    coordinates = reducer.fit_transform(X)
    assert coordinates.shape == (40, n_components)
    assert np.isfinite(coordinates).all()
    assert ("method exact" in " ".join(reducer.notes_)) == (n_components == 4)


@pytest.mark.parametrize("distinct", [1, 2, 4])
def test_few_distinct_points_are_drawn_plainly_and_said(cloud, distinct):
    X = np.repeat(cloud[:distinct], 10, axis=0)
    reducer = TSNE(random_state=0)
    coordinates = reducer.fit_transform(X)
    assert len(np.unique(coordinates.round(3), axis=0)) == distinct
    assert len(reducer.notes_) == 1


def test_a_start_is_shrunk_so_that_it_holds_nothing(cloud):
    alone = TSNE(random_state=0).fit_transform(cloud)
    # the same start, expanded 2^20 times: had it been taken as it is, points would stay
    expanded = TSNE(random_state=0).fit_transform(cloud, init=alone * 2.0**20)
    usual = TSNE(random_state=0).fit_transform(cloud, init=alone)
    assert motion(expanded, usual) < 1e-3
    mixed = np.random.default_rng(0).permutation(120)
    elsewhere = TSNE(random_state=0).fit_transform(cloud[mixed], init=alone)
    assert motion(elsewhere, alone) > 1


def test_a_precomputed_metric_is_passed_through(cloud):
    distances = np.linalg.norm(cloud[:, None] - cloud, axis=-1)
    reducer = TSNE(metric="precomputed", init="random", random_state=0, max_iter=300)
    assert reducer.fit_transform(distances).shape == (120, 2)
