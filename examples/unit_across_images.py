"""A channel that answers to one kind of thing, found among all channels, across images.

    python examples/unit_across_images.py [--thing chelsea] [--views 360] [--out PREFIX] [--quick]

Hundreds of squares of six photographs, cut out at random, of many scales and half of them mirrored,
go through the EfficientNet-Lite0. How well a channel tells the thing is how often a view of it
drives the channel more than a view of another photograph does: 1/2 by chance, 1 always. That is
asked for large, middle and small cut-outs apart, and the channel whose lowest of the three is
highest is taken: it answers to the thing at every scale, and not to one scale or to one texture.
(pip install "torch-layerlens[photos]")
"""

from __future__ import annotations

import argparse

import numpy as np
from photos import Views, efficientnet, photographs, square, views
from sklearn.metrics import roc_auc_score

import layerlens as ll

LAYER = "_blocks.15"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thing", default="chelsea", choices=list(photographs()))
    parser.add_argument("--views", type=int, default=360)
    parser.add_argument("--out", default="unit_")
    parser.add_argument("--quick", action="store_true", help="few small views, for tests")
    given = parser.parse_args()
    size, count = (96, 36) if given.quick else (224, given.views)
    model = efficientnet()
    seen = views(count, size)
    top = ll.top_samples(model, seen.images.split(20), LAYER, "all", k=count)
    channel, told = most_selective(top.layers[LAYER], seen, given.thing)
    print(f"{LAYER}, channel {channel}: told by it from views of other photographs")
    for scale, share in zip(("large", "middle", "small"), told, strict=True):
        print(f"  {scale:6} views of {given.thing}: {share:.3f}")
    unit = ll.top_samples(model, seen.images.split(20), LAYER, channel, k=9)
    of = [seen.names[i] for i in unit.ids]
    print(f"  {of.count(given.thing)} of the 9 strongest views are of it")
    thing = f"{LAYER}, channel {channel}"
    print("wrote", unit.save(f"{given.out}top.png", title=f"What drives {thing}", dpi=90))
    names, images = scenes(given.thing, 2 * size)
    sheet = ll.activation_maps(model, images[0][None], LAYER, "all")[LAYER].plot_sheet(top=unit)
    sheet.savefig(f"{given.out}sheet.png", dpi=90)
    print("wrote", f"{given.out}sheet.png")
    across = ll.unit_across(model, images, LAYER, channel, names=names, boxes=True)
    print("wrote", across.save(f"{given.out}across.png", columns=5, dpi=90))


def most_selective(found: ll.TopSamples, seen: Views, thing: str) -> tuple[int, list[float]]:
    """Return the channel that tells the thing best at the scale at which it tells it worst."""
    is_thing = np.array([name == thing for name in seen.names])
    # the strongest samples were asked for to the last: put back into the order of the samples
    values = np.empty_like(found.values)
    np.put_along_axis(values, found.ids, found.values, 1)
    edges = np.quantile(seen.shares, [1 / 3, 2 / 3])
    scale = 2 - np.digitize(seen.shares, edges)  # large cut-outs first
    told = np.array(
        [[roc_auc_score(is_thing[scale == s], v[scale == s]) for s in range(3)] for v in values]
    )
    # of equals the one that is stronger on the thing, in units of its strength on the others
    stronger = values[:, is_thing].mean(1) / np.abs(values[:, ~is_thing]).mean(1)
    best = max(range(len(told)), key=lambda i: (told[i].min(), stronger[i]))
    return int(found.channels[best]), told[best].tolist()


def scenes(thing: str, size: int) -> tuple[list[str], list]:
    """Return the thing at several scales and places, and the other photographs."""
    photos = photographs()
    cuts = {"whole": (1, 0.5, 0.5), "left": (0.8, 0.1, 0), "right": (0.7, 0.3, 1),
            "near": (0.5, 0.4, 0.5), "nearer": (0.35, 0.3, 0.45)}  # fmt: skip
    images = {f"{thing}, {how}": square(photos[thing], size, *cut) for how, cut in cuts.items()}
    images |= {name: square(photo, size) for name, photo in photos.items() if name != thing}
    return list(images), list(images.values())


if __name__ == "__main__":
    main()
