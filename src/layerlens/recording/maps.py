"""Activation maps: the channels of a layer as images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from layerlens import _options
from layerlens.errors import ArgumentError, LayerSelectionError
from layerlens.recording import feeding
from layerlens.recording.fields import FieldFinder, Seer
from layerlens.recording.grids import Gridded, GridReader
from layerlens.recording.mapped import ActivationMaps, LayerMaps
from layerlens.recording.passes import Forward, model_input, require_grids, send
from layerlens.recording.readout import NotApplicableError
from layerlens.recording.recorded import Output
from layerlens.recording.samples import Annotation
from layerlens.recording.selection import INPUT, Selector, original
from layerlens.records import LayerInfo

__all__ = ["ChannelSpec", "activation_maps", "as_numpy", "wanted_channels"]

Array = npt.NDArray[Any]
ChannelSpec: TypeAlias = int | str | Sequence[int]

_TOP = 8


def activation_maps(
    model: nn.Module,
    x: Any,
    layers: Selector = "*",
    channels: ChannelSpec = 8,
    *,
    random_state: int = 0,
    grid: Sequence[int] | None = None,
    layout: str = "auto",
    boxes: bool = False,
    forward: Forward | None = None,
) -> ActivationMaps:
    """Return the maps of some channels of a model's layers for one batch.

    A convolution keeps the structure of its input: each channel is an image, and a place in it
    belongs to the same place of the input. The tokens of a vision transformer are a grid too.

    Parameters
    ----------
    model : torch.nn.Module
        The model. It runs once, in eval mode and without gradients.
    x : Tensor of shape (B, C, ...), ndarray, (x, y), or mapping
        One batch, as for `Probe.run`.
    layers : str, type, module, callable, or iterable of these, default "*"
        Which layers, as for `Probe`. Of a glob, layers without a grid are left out.
    channels : int, sequence of int, "all", "top", or "top:N", default 8
        How many, drawn at random, the same at every call with one seed and in all layers that have
        as many channels; which ones; all of them; or those (8, or N) with the highest mean over
        this batch, highest first.
    random_state : int, default 0
        Seed of the draw.
    grid : sequence of int, optional
        Grid of the tokens, ``(14, 14)`` say; by default it is read from the patch embedding.
    layout : {"auto", "channels_first", "channels_last"}, default "auto"
        Where the channels of an output are. By default, where the nearest module declares them.
    boxes : bool, default False
        Find what of the input the strongest place of each map sees. The fields of
        all layers come from one more forward; where a field is the whole input, a box takes a
        backward. An operation that is not known makes it dozens of forwards.
    forward : callable, optional
        ``forward(model, x)`` calls the model, in place of ``model(x)``.

    Returns
    -------
    ActivationMaps
        Layer -> `LayerMaps`, array-like of shape (B, n_channels, *grid), in call order. The values
        are copies: an operation that changes an output in place afterwards changes nothing.

    Raises
    ------
    LayerSelectionError
        If a selector matches nothing, or a layer has no such channel.
    ShapeError
        If a layer that was named, or every layer, has no grid; if the input does not fit.
    ArgumentError
        If an argument is not one of those above.

    References
    ----------
    J. Yosinski, J. Clune, A. Nguyen, T. Fuchs, H. Lipson. Understanding neural networks through
    deep visualization. ICML workshop on deep learning, 2015.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2))
    >>> maps = activation_maps(model, torch.zeros(1, 1, 28, 28), channels=[0, 5])
    >>> {name: layer.shape for name, layer in maps.items()}
    {'0': (1, 2, 24, 24), '1': (1, 2, 24, 24), '2': (1, 2, 12, 12)}
    """
    check_channels(channels)
    _options.flag("boxes", boxes)
    if boxes and forward is not None:
        raise ArgumentError("boxes are found by changing the input, so forward cannot be given")
    reader = GridReader(original(model), grid, layout)
    taker = _Maps(channels, random_state, reader)
    skipped = send(model, layers, [x], taker, reader=reader, forward=forward)
    require_grids(model, layers, taker.layers, skipped)
    if boxes:
        _add_boxes(taker.layers, FieldFinder(model, x, grid=grid, layout=layout))
    return ActivationMaps(
        taker.layers,
        inputs=taker.inputs,
        model=type(original(model)).__name__,
        skipped=skipped,
    )


def _add_boxes(layers: dict[str, LayerMaps], finder: FieldFinder) -> None:
    seers = {
        name: [
            Seer(name, layer.strongest(b, i), int(layer.channels[i]), b)
            for b, i in np.ndindex(layer.shape[:2])
        ]
        for name, layer in layers.items()
    }
    found = iter(finder.boxes([seer for mine in seers.values() for seer in mine]))
    for name, layer in layers.items():
        samples, count = layer.shape[:2]
        boxes = tuple(tuple(next(found) for _ in range(count)) for _ in range(samples))
        layers[name] = replace(layer, boxes=boxes)


class _Maps:
    """Takes the maps of one batch."""

    def __init__(self, channels: ChannelSpec, random_state: int, reader: GridReader) -> None:
        self.layers: dict[str, LayerMaps] = {}
        self.inputs: Array | None = None
        self._channels = channels
        self._seed = random_state
        self._reader = reader

    def begin(self, fed: feeding.Fed | None) -> None:
        given = None if fed is None else model_input(fed)
        self.inputs = None if given is None else as_numpy(given.detach().clone())

    def add(self, layer: str, output: Output) -> None:
        gridded = read_grid(self._reader, layer, output)
        maps, extra = gridded.maps, gridded.extra
        chosen = self._choose(layer, maps)
        index = torch.as_tensor(chosen, device=maps.device)
        self.layers[layer] = LayerMaps(
            info=layer_info(layer, output),
            values=as_numpy(maps.index_select(1, index)),
            channels=chosen,
            n_channels=maps.shape[1],
            layout=gridded.layout,
            extra=None if extra is None else as_numpy(extra.index_select(1, index)),
        )

    def _choose(self, layer: str, maps: torch.Tensor) -> npt.NDArray[np.int64]:
        count = maps.shape[1]
        if isinstance(self._channels, str) and self._channels.startswith("top"):
            n = int(self._channels.partition(":")[2] or _TOP)
            means = maps.mean([0, *range(2, maps.ndim)], dtype=torch.float32)
            order = np.argsort(-means.nan_to_num(-torch.inf).cpu().numpy(), kind="stable")
            return order[:n].astype(np.int64)
        return wanted_channels(self._channels, count, layer, self._seed)

    def commit(self, batch: int, annotation: Annotation | None, keep: int | None) -> None:
        pass

    def drop(self) -> None:
        self.layers.clear()


def read_grid(reader: GridReader, layer: str, output: Output) -> Gridded:
    """Return an output with its channels in front and its grid behind.

    Raises
    ------
    NotApplicableError
        If it has no grid.
    """
    axis = 1 if layer == INPUT else output.channel_axis
    gridded = reader.read(output.tensor, axis)
    if not gridded.maps.numel():
        raise NotApplicableError(f"its output is empty: {tuple(output.tensor.shape)}")
    return gridded


def layer_info(layer: str, output: Output) -> LayerInfo:
    """Return what is known of a layer beside its values."""
    shape = tuple(output.tensor.shape[1:])
    width = int(np.prod(shape))
    return LayerInfo(
        layer, output.module_type, width, width, shape, output_path=output.path, readout="maps"
    )


def check_channels(channels: ChannelSpec) -> None:
    """Raise `ArgumentError` where the argument cannot be a choice of channels."""
    if isinstance(channels, str):
        kind, colon, count = channels.partition(":")
        if channels == "all" or (kind == "top" and (not colon or _is_count(count))):
            return
    elif isinstance(channels, int | np.integer):
        if not isinstance(channels, bool) and channels >= 1:
            return
    elif (
        isinstance(channels, Sequence | np.ndarray)
        and len(channels)
        and all(isinstance(c, int | np.integer) and not isinstance(c, bool) for c in channels)
    ):
        return
    raise ArgumentError(
        "channels is a number of channels to draw, a list of channels, 'all', 'top' or 'top:N'; "
        f"got {channels!r}"
    )


def _is_count(text: str) -> bool:
    return text.isdecimal() and int(text) >= 1


def wanted_channels(
    channels: ChannelSpec, count: int, layer: str, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Return which of a layer's channels are meant.

    Raises
    ------
    LayerSelectionError
        If there is no such channel.
    """
    if isinstance(channels, str):
        return np.arange(count)
    if isinstance(channels, int | np.integer):
        # not on the layer's name: a convolution and the rectifier behind it show the same channels
        key = hashlib.shake_128(f"layerlens channels {seed} {count}".encode()).digest(8)
        rng = np.random.default_rng(int.from_bytes(key, "little"))
        return np.sort(rng.permutation(count)[: int(channels)])
    wrong = [int(channel) for channel in channels if not 0 <= channel < count]
    if wrong:
        raise LayerSelectionError(
            f"layer {layer!r} has {count} channels, 0 to {count - 1}; there is no channel "
            f"{', '.join(map(str, wrong))}"
        )
    return np.asarray(channels, np.int64)


def as_numpy(tensor: torch.Tensor) -> Array:
    """Return a tensor's values in NumPy; bfloat16 and float8 become float32, which holds them."""
    if tensor.element_size() < 2 or tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().cpu().numpy()
