"""One unit across images: its map for each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from layerlens import _options
from layerlens.errors import ArgumentError
from layerlens.recording.driven import UnitAcross
from layerlens.recording.mapped import LayerMaps
from layerlens.recording.maps import activation_maps, as_numpy

__all__ = ["unit_across"]


def unit_across(
    model: nn.Module,
    images: Any,
    layer: str,
    channel: int,
    *,
    names: Sequence[str] | None = None,
    boxes: bool = False,
    grid: Sequence[int] | None = None,
    layout: str = "auto",
) -> UnitAcross:
    """Return one unit's map for each of several images.

    Parameters
    ----------
    model : torch.nn.Module
        The model. It runs in eval mode and without gradients.
    images : Tensor of shape (B, C, ...), or sequence of Tensors of shape (C, ...)
        The images; a sequence may hold several sizes.
    layer : str
        Name of the layer.
    channel : int
        The unit.
    names : sequence of str, optional
        What the images are called; their numbers by default.
    boxes : bool, default False
        Find what of the image each strongest place sees.
    grid, layout
        As for `activation_maps`.

    Returns
    -------
    UnitAcross

    Raises
    ------
    LayerSelectionError
        If there is no such layer or channel.
    ShapeError
        If the layer has no grid or the images do not fit.
    ArgumentError
        If there is no image, or names are not one an image.

    References
    ----------
    J. Yosinski, J. Clune, A. Nguyen, T. Fuchs, H. Lipson. Understanding neural networks through
    deep visualization. ICML workshop on deep learning, 2015. Figure 2.
    """
    samples = [torch.as_tensor(one) for one in images]
    if not samples:
        raise ArgumentError("there is no image")
    if names is not None and (isinstance(names, str) or not isinstance(names, Iterable)):
        raise _options.refused("names", "a list of str, one an image", names)
    titles = [str(i) for i in range(len(samples))] if names is None else [str(n) for n in names]
    if len(titles) != len(samples):
        raise ArgumentError(f"{len(titles)} names for {len(samples)} images")
    found: list[LayerMaps] = []
    for sample in samples:
        maps = activation_maps(
            model, sample[None], layer, [channel], grid=grid, layout=layout, boxes=boxes
        )
        if len(maps) != 1:
            raise ArgumentError(f"{layer!r} is {len(maps)} layers: {', '.join(maps)}; name one")
        found.extend(maps.values())
    places = [one.strongest(0, 0) for one in found]
    return UnitAcross(
        info=found[0].info,
        channel=int(channel),
        names=tuple(titles),
        inputs=tuple(as_numpy(sample) for sample in samples),
        maps=tuple(one.values[0, 0] for one in found),
        values=np.array([one.values[(0, 0, *at)] for one, at in zip(found, places, strict=True)]),
        places=np.array(places),
        boxes=tuple(one.boxes[0][0] for one in found if one.boxes) if boxes else None,
    )
