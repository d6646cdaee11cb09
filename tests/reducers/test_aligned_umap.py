import numpy as np
import pytest

import layerlens as ll
from layerlens.embedding.align import motion
from layerlens.errors import ShapeError
from layerlens.reducers.aligned_umap import AlignedUMAP
from layerlens.reducers.umap import umap


@pytest.fixture
def cloud():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(120, 6)) + rng.integers(0, 3, (120, 1)) * 8).astype(np.float32)


def test_it_has_umap_learns_parameters():
    assert AlignedUMAP().get_params() == umap.AlignedUMAP().get_params()


@pytest.mark.slow
def test_layers_are_related_sample_by_sample(cloud):
    layers = {"a": cloud, "dot": np.ones_like(cloud), "b": np.maximum(cloud, 0)}
    pictures = ll.reduce(layers, "aligned-umap", n_epochs=60)
    assert pictures["a"].params["alignment"]["started_from"] == "series"
    assert motion(pictures["b"].coordinates, pictures["a"].coordinates) < 0.6
    assert pictures["dot"].notes == ("all samples are the same point",)


def test_one_layer_is_plain_umap(cloud):
    assert AlignedUMAP(random_state=0, n_epochs=30).fit_transform(cloud).shape == (120, 2)


def test_layers_of_different_samples_are_refused(cloud):
    with pytest.raises(ShapeError, match=r"\[100, 120\]"):
        AlignedUMAP().fit_transform_series([cloud, cloud[:100]])
