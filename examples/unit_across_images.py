"""A channel that answers to one kind of thing, found among all channels, across images.

    python examples/unit_across_images.py [--thing chelsea] [--views 240] [--out PREFIX] [--quick]

Random squares of six photographs, of many scales, go through the EfficientNet-Lite0. Of all
channels of one layer, the one is taken that has the most views of the thing among its nine
strongest, and of these the one whose mean over all of them stands highest above that over the other
views, in units of the others' spread.
(pip install "torch-layerlens[photos]")
"""

from __future__ import annotations

import argparse

import numpy as np
from photos import efficientnet, photographs, prepared, views

import layerlens as ll

LAYER = "_blocks.10"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thing", default="chelsea", choices=list(photographs()))
    parser.add_argument("--views", type=int, default=240)
    parser.add_argument("--out", default="unit_")
    parser.add_argument("--quick", action="store_true", help="few small views, for tests")
    given = parser.parse_args()
    size, count = (96, 36) if given.quick else (224, given.views)
    model = efficientnet()
    images, names = views(count, size)
    top = ll.top_samples(model, images.split(20), LAYER, "all", k=count)
    is_thing = np.array(names) == given.thing
    found = top.layers[LAYER]
    of_thing = is_thing[found.ids]
    # rows are sorted: the places of the thing's views among all of them
    inside = np.array([v[m].mean() for v, m in zip(found.values, of_thing, strict=True)])
    outside = np.array([v[~m].mean() for v, m in zip(found.values, of_thing, strict=True)])
    spread = np.array([v[~m].std() for v, m in zip(found.values, of_thing, strict=True)])
    score = (inside - outside) / spread
    among_first = of_thing[:, :9].sum(1)
    best = max(range(len(score)), key=lambda i: (among_first[i], score[i]))
    channel, first = int(found.channels[best]), among_first[best]
    print(f"{LAYER}, channel {channel}: {first} of its 9 strongest views are of {given.thing}")
    unit = ll.top_samples(model, images.split(20), LAYER, channel, k=9)
    print("wrote", unit.save(f"{given.out}top.png", dpi=90))
    photos = {name: prepared(photo, size) for name, photo in photographs().items()}
    across = ll.unit_across(model, list(photos.values()), LAYER, channel, names=list(photos))
    print("wrote", across.save(f"{given.out}across.png", dpi=90))


if __name__ == "__main__":
    main()
