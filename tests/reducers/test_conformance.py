"""The built-in reducers pass the kit that third parties' reducers pass, and draw every cloud."""

import functools

import pytest
from threadpoolctl import threadpool_limits

import layerlens as ll
from layerlens.testing import REDUCER_CHECKS, TOTAL_REDUCER_CHECKS

CHECKS = {**REDUCER_CHECKS, **TOTAL_REDUCER_CHECKS}
# what needs an extra, and the package of it
EXTRAS = {"opentsne": "openTSNE", "pacmap": "pacmap", "torchdr": "torchdr"}


@pytest.fixture(autouse=True)
def one_thread():
    # clouds of sixty points: threads cost t-SNE more than they bring
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize(
    "name",
    [
        *("kmeans", "pca", "series-tsne", "tsne", "umap", *EXTRAS),
        # umap-learn compiles its series anew in every process: a minute and more
        pytest.param("aligned-umap", marks=pytest.mark.slow),
    ],
)
def test_a_built_in_reducer_keeps_the_contract(name, check):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    check(ll.reducers.factory(name))


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_pca_in_one_basis_keeps_it_too(check):
    check(functools.partial(ll.reducers.factory("pca"), basis="common"))
