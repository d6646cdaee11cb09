"""Small results to write."""

import numpy as np
import pytest

import layerlens as ll


def make_result(
    names=("input", "conv1", "fc"), *, n=40, n_components=2, rows=None, notes=None, **facts
):
    """Return an Embeddings; `facts` of a layer are lists, all others go to the run."""
    rng = np.random.default_rng(0)
    per_layer = {k: facts.pop(k) for k in ("clusters", "metrics", "coordinates") if k in facts}
    infos = {name: ll.LayerInfo(name, "Conv2d", 18432, 2048, (32, 24, 24)) for name in names}
    run = ll.RunInfo(layers=infos, ids=facts.pop("ids", np.arange(n)), **facts)
    layers = []
    for i, name in enumerate(names):
        here = (rows or {}).get(i)
        own = {key: values[i] for key, values in per_layer.items()}
        n_rows = n if here is None else len(here)
        own.setdefault("coordinates", rng.normal(size=(n_rows, n_components)).astype(np.float32))
        own.setdefault(
            "metrics",
            {
                "trustworthiness": 0.971,
                "neighbor_recall": 0.52,
                "knn_accuracy": 0.93,
                "knn_accuracy_native": 0.95,
            },
        )
        params = {"notes": (notes or {}).get(i, [])}
        layers.append(
            ll.LayerEmbedding(name, i, run=run, reducer="tsne", params=params, rows=here, **own)
        )
    return ll.Embeddings(layers)


@pytest.fixture(name="make_result")
def make_result_fixture():
    return make_result
