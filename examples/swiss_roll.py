"""A swiss roll with one dimension of noise, flattened four ways.

    python examples/swiss_roll.py [--out swiss_roll.png] [--samples 1500]

The roll is a sheet, rolled up: two dimensions in three, and a fourth that is noise. PCA and k-means
see the straight lines through the roll; t-SNE and UMAP follow the sheet, though they may tear it.
Colour runs along the sheet.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from sklearn.datasets import make_swiss_roll

import layerlens as ll


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="swiss_roll.png")
    parser.add_argument("--samples", type=int, default=1500)
    given = parser.parse_args()

    points, along = make_swiss_roll(given.samples, random_state=0)
    noise = np.random.default_rng(0).normal(size=(given.samples, 1))
    roll = np.hstack([points, noise])

    pictures = []
    for name, params in [
        ("pca", {}),
        ("kmeans", {"n_clusters": 10}),
        ("tsne", {"perplexity": 50}),
        ("umap", {}),
    ]:
        cloud = ll.Activations.of({name: roll}, labels=along)
        pictures.append(ll.reduce(cloud, name, random_state=0, **params)[name])

    # four pictures of one cloud, side by side as if they were layers
    run = replace(pictures[0].run, layers={one.layer: one.info for one in pictures})
    together = ll.Embeddings(
        replace(one, run=run, index=place) for place, one in enumerate(pictures)
    )
    print(together)
    saved = together.save(given.out, scale="layer", title="A swiss roll with noise, four ways")
    print(f"wrote {saved}")


if __name__ == "__main__":
    main()
