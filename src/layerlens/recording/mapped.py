"""Activation maps as a result: for every layer the maps of some of its channels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from layerlens import _options
from layerlens.errors import ArgumentError
from layerlens.recording.activations import UnknownLayerError
from layerlens.recording.boxes import Box
from layerlens.recording.pictures import PICTURES, save
from layerlens.recording.shown import maps_html
from layerlens.records import LayerInfo

__all__ = ["ActivationMaps", "LayerMaps"]

Array = npt.NDArray[Any]

_SHEET: dict[str, _options.Check] = {
    "sample": _options.whole(None),
    "scale": _options.one_of("layer", "channel"),
    "gamma": _options.number(0.01, 100),
}


@dataclass(frozen=True, slots=True, eq=False)
class LayerMaps:
    """Maps of some channels of a layer: array-like, of shape (B, n, *grid).

    Parameters
    ----------
    info : LayerInfo
        The layer's name, module type and output shape.
    values : ndarray of shape (B, n, *grid)
        The layer's own values, bit for bit (bfloat16 as float32, which holds all of them).
    channels : ndarray of shape (n,), int64
        Which channels they are.
    n_channels : int
        How many channels the layer has.
    layout : {"channels first", "channels last", "tokens"}
        How the layer's output held them.
    extra : ndarray of shape (B, n, n_extra) or None
        Values of the tokens that belong to no place, such as the class token.
    boxes : sequence of sequence of Box, or None
        For every sample and channel, what of the input the strongest place sees.
    """

    info: LayerInfo
    values: Array
    channels: npt.NDArray[np.int64]
    n_channels: int
    layout: str
    extra: Array | None = None
    boxes: tuple[tuple[Box, ...], ...] | None = None

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.info.name

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, n, *grid)."""
        return self.values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""
        return self.values.dtype

    @property
    def grid(self) -> tuple[int, ...]:
        """Shape of a map."""
        return self.values.shape[2:]

    @property
    def is_signed(self) -> bool:
        """Whether there are negative values among the maps."""
        return bool((self.values < 0).any())

    @property
    def dead(self) -> npt.NDArray[np.bool_]:
        """Which maps are zero everywhere, shape (B, n)."""
        return np.logical_not(self.values.any(axis=tuple(range(2, self.values.ndim))))

    def strongest(self, sample: int, place: int) -> tuple[int, ...]:
        """Return where in the grid a map is strongest; the first of equals."""
        flat = np.nan_to_num(self.values[sample, place].astype(np.float64), nan=-np.inf)
        return tuple(int(i) for i in np.unravel_index(int(flat.argmax()), self.grid))

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if dtype is not None and np.dtype(dtype) != self.dtype:
            if copy is False:
                raise ValueError(f"cannot give {self.dtype} maps as {np.dtype(dtype)} uncopied")
            return self.values.astype(dtype)
        return self.values.copy() if copy else self.values

    def __getitem__(self, key: Any) -> Any:
        return self.values[key]

    def __repr__(self) -> str:
        size = "x".join(map(str, self.grid))
        return (
            f"{self.info.title}  {len(self)} x {len(self.channels)} of {self.n_channels} channels, "
            f"{size}, {self.layout}, {self.dtype}"
        )

    def _repr_html_(self) -> str:
        return maps_html({self.name: self}, f"LayerMaps {self.info.title}")

    def sheet(self, sample: int = 0, *, scale: str = "layer", gamma: float = 1.0) -> Array:
        """Return one picture of all the maps, ceil(sqrt(n)) wide, with gaps of one pixel.

        Parameters
        ----------
        sample : int
            Which sample.
        scale : {"layer", "channel"}
            Divide all maps by the largest magnitude of the layer, or each by its own.
        gamma : float
            Exponent of the magnitudes after that, from .01 to 100; below 1 shows the weak ones.

        Returns
        -------
        ndarray of shape (rows, columns), float32
            From -1 to 1; NaN in the gaps and where there is no map.

        Raises
        ------
        ArgumentError
            If an option is out of what is allowed, or the maps have three axes.
        """
        _options.check(_SHEET, {"sample": sample, "scale": scale, "gamma": gamma})
        if not -len(self) <= sample < len(self):
            raise ArgumentError(f"sample {sample} of {len(self)}, counted from 0")
        if len(self.grid) > 2:
            raise ArgumentError(
                f"{self.info.title}: a sheet is of maps with one or two axes; these have "
                f"{len(self.grid)}"
            )
        maps = self.values[sample].astype(np.float32)
        maps = maps[:, None] if maps.ndim == 2 else maps
        axes = (1, 2) if scale == "channel" else None
        most = np.nanmax(np.abs(maps), axis=axes, keepdims=True)
        shown = np.divide(maps, most, out=np.zeros_like(maps), where=most > 0)
        shown = np.sign(shown) * np.abs(shown) ** gamma
        n, height, width = shown.shape
        across = int(np.ceil(np.sqrt(n)))
        down = -(-n // across)
        out = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan, np.float32)
        for i in range(n):
            top, left = i // across * (height + 1), i % across * (width + 1)
            out[top : top + height, left : left + width] = shown[i]
        return out

    def plot_sheet(self, sample: int = 0, **options: Any) -> Any:
        """Draw `sheet`, and what drives one unit beside it; return the matplotlib Figure.

        Parameters
        ----------
        sample : int
            Which sample.
        **options
            ``scale``, ``gamma``, ``title``, ``width``, and ``top``: a `TopUnit` of this layer,
            whose map is framed, and beside the sheet its map and the crops of its samples.

        Raises
        ------
        ArgumentError
            If an option is out of what is allowed, or ``top`` is no unit of the sheet.
        PluginError
            If matplotlib is not installed.
        """
        return PICTURES.get("sheet", self, sample=sample, **options)


class ActivationMaps(Mapping[str, LayerMaps]):
    """Maps of a model's layers, in the order in which the layers were called.

    Made by `activation_maps`.

    Attributes
    ----------
    inputs : ndarray of shape (B, C, ...) or None
        What went in, where that has places.
    model : str
        The model's class.
    skipped : dict of str to str
        Layers that have no maps, and why.
    """

    def __init__(
        self,
        layers: Mapping[str, LayerMaps],
        *,
        inputs: Array | None,
        model: str,
        skipped: Mapping[str, str],
    ) -> None:
        self._layers = dict(layers)
        self.inputs = inputs
        self.model = model
        self.skipped = dict(skipped)

    def __getitem__(self, name: str) -> LayerMaps:
        try:
            return self._layers[name]
        except KeyError:
            why = self.skipped.get(name)
            known = ", ".join(map(repr, list(self._layers)[:12]))
            raise UnknownLayerError(
                f"no maps of {name!r}: {why or f'there are those of {known}'}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return next((len(layer) for layer in self._layers.values()), 0)

    def __repr__(self) -> str:
        count = f"{len(self)} layer{'s' * (len(self) != 1)}"
        head = f"ActivationMaps of {self.model}: {self.n_samples} samples, {count}"
        lines = [f"  {layer!r}" for layer in self._layers.values()]
        if len(lines) > 40:
            lines = [*lines[:20], f"  ... {len(lines) - 40} more ...", *lines[-20:]]
        return "\n".join([head, *lines])

    def plot(self, **options: Any) -> Any:
        """Draw rows of layers and columns of channels; return the matplotlib Figure.

        Parameters
        ----------
        **options
            Those of `layerlens.sinks.maps.draw_maps`: ``sample``, ``scale``, ``rows``, ``page``,
            ``overlay``, ``title`` and so on.

        Raises
        ------
        PluginError
            If matplotlib is not installed.
        """
        return PICTURES.get("maps", self, **options)

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Draw into a .png, .svg or .pdf file and return its path; a .pdf has all pages.

        Parameters
        ----------
        path : str or path-like
            Where to.
        **options
            Those of `plot`, and ``dpi``.
        """
        return save("maps", self, path, **options)

    def _repr_html_(self) -> str:
        return maps_html(self, f"ActivationMaps of {self.model}", self)
