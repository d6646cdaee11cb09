"""``layerlens maps IMAGE`` and ``layerlens top FOLDER``: maps, and what drives a unit."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from layerlens.errors import ArgumentError

__all__ = ["add_parser", "add_parsers"]


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add both commands."""
    add_parsers(commands, [common])


def add_parsers(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add both commands to a parser's subparsers."""
    maps = commands.add_parser(
        "maps",
        parents=parents,
        help="draw the activation maps of an image",
        description="Send one image through a model and draw channels of its layers as images.",
    )
    maps.add_argument("image", type=Path, metavar="IMAGE")
    _add_model(maps)
    maps.add_argument("--layers", nargs="+", default=["*"], metavar="GLOB", help="(%(default)s)")
    maps.add_argument(
        "--channels", default="8", metavar="N", help="a number, all, top or top:N (%(default)s)"
    )
    maps.add_argument(
        "--scale", default="layer", choices=["layer", "channel", "shared"], help="(%(default)s)"
    )
    maps.add_argument("--overlay", action="store_true", help="lay the maps over the image")
    maps.add_argument("--seed", type=int, default=0, help="of the channels' draw (%(default)s)")
    maps.add_argument("--out", type=Path, default=Path("maps.png"), help="(%(default)s)")
    maps.set_defaults(run=_maps)

    top = commands.add_parser(
        "top",
        parents=parents,
        help="draw the images of a folder that drive a channel most",
        description="Send all images of a folder through a model and draw those that drive a "
        "channel most, with the places that do.",
    )
    top.add_argument("folder", type=Path, metavar="FOLDER")
    _add_model(top)
    top.add_argument("--layer", required=True, metavar="L")
    top.add_argument("--channel", required=True, type=int, metavar="C")
    top.add_argument("-k", type=int, default=9, help="how many images (%(default)s)")
    top.add_argument("--reduce", default="max", choices=["max", "mean"], help="(%(default)s)")
    top.add_argument("--diverse", action="store_true", help="images that are unlike each other")
    top.add_argument("--batch", type=int, default=32, help="images in a forward (%(default)s)")
    top.add_argument("--out", type=Path, default=Path("top.png"), help="(%(default)s)")
    top.set_defaults(run=_top)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", required=True, metavar="NAME", help="MODULE:FACTORY, timm:NAME or hf:NAME"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help=".safetensors or state dict")
    parser.add_argument("--size", type=int, default=224, help="side in pixels (%(default)s)")
    parser.add_argument("--grey", action="store_true", help="one channel in place of three")
    for name in ("mean", "std"):
        parser.add_argument(
            f"--{name}", type=float, nargs="+", default=[0.5], metavar="V",
            help="of the model's inputs, for pixels from 0 to 1 (%(default)s)",
        )  # fmt: skip


def _images(given: argparse.Namespace, paths: list[Path]) -> Any:
    from layerlens.models import load_images

    channels = 1 if given.grey else 3
    for name in ("mean", "std"):
        if len(getattr(given, name)) not in (1, channels):
            raise ArgumentError(f"--{name} is one number, or one for each of {channels} channels")
    return load_images(
        paths, given.size, channels=channels, mean=tuple(given.mean), std=tuple(given.std)
    )


def _maps(given: argparse.Namespace) -> int:
    from layerlens.models import load_model
    from layerlens.recording.maps import activation_maps

    channels = int(given.channels) if given.channels.isdecimal() else given.channels
    if given.image.is_dir():
        raise ArgumentError(f"{given.image} is a folder; maps are of one image")
    image, _ = _images(given, [given.image])
    model = load_model(given.model, given.weights)
    maps = activation_maps(
        model, image, given.layers, channels, random_state=given.seed, boxes=given.overlay
    )
    print(maps)
    path = maps.save(given.out, scale=given.scale, overlay=given.overlay)
    print(f"wrote {path}")
    return 0


def _top(given: argparse.Namespace) -> int:
    import numpy as np

    from layerlens.models import load_model
    from layerlens.recording.driven import TopUnit
    from layerlens.recording.units import top_samples

    if given.batch < 1:
        raise ArgumentError(f"--batch is 1 or more, got {given.batch}")
    images, names = _images(given, [given.folder])
    model = load_model(given.model, given.weights)
    unit = top_samples(
        model, images.split(given.batch), given.layer, given.channel, given.k,
        reduce=given.reduce, diverse=given.diverse, progress=True,
    )  # fmt: skip
    if not isinstance(unit, TopUnit):
        raise ArgumentError(f"--layer {given.layer!r} is several layers; name one")
    unit = replace(unit, ids=np.array(names)[unit.ids])  # files are in the order of their names
    print(unit)
    print(f"wrote {unit.save(given.out)}")
    return 0
