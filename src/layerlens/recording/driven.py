"""What drives units, as a result: the strongest samples of one unit, and of many."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from layerlens.errors import ArgumentError
from layerlens.recording.activations import UnknownLayerError
from layerlens.recording.boxes import Box
from layerlens.recording.pictures import PICTURES, save
from layerlens.recording.shown import samples_html, unit_html
from layerlens.records import LayerInfo

__all__ = ["LayerTop", "TopSamples", "TopUnit", "UnitAcross"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class LayerTop:
    """The strongest samples of some units of one layer.

    Parameters
    ----------
    info : LayerInfo
        The layer.
    grid : tuple of int
        Shape of its maps.
    channels : ndarray of shape (n,), int64
        The units.
    ids : ndarray of shape (n, k)
        Identifiers of their strongest samples, strongest first; of equals the smaller id first.
    values : ndarray of shape (n, k), float64
        How strong; -inf where there were fewer than k samples.
    cells : ndarray of shape (n, k), int64
        Where in the grid the map is largest, the first of equals, counted through.
    n_samples : int
        How many samples were looked at.
    reduce : {"max", "mean"}
        What of a map counts.
    maps : ndarray of shape (n, k), object, or None
        The maps.
    inputs : ndarray of shape (n, k), object, or None
        What went in.
    boxes : ndarray of shape (n, k), object, or None
        What of the input the strongest place sees.
    diverse : bool
        Whether samples that are like stronger ones gave way to others.
    notes : tuple of str
        What is otherwise than one might expect.
    """

    info: LayerInfo
    grid: tuple[int, ...]
    channels: npt.NDArray[np.int64]
    ids: Array
    values: npt.NDArray[np.float64]
    cells: npt.NDArray[np.int64]
    n_samples: int
    reduce: str
    maps: Array | None = None
    inputs: Array | None = None
    boxes: Array | None = None
    diverse: bool = False
    notes: tuple[str, ...] = ()

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """Where in the grid each map is largest, shape (n, k, n_axes)."""
        return np.stack(np.unravel_index(self.cells, self.grid), axis=-1)

    def unit(self, row: int) -> TopUnit:
        """Return one unit by its place among `channels`."""
        there = self.values[row] > -np.inf

        def some(of: Array | None) -> Any:
            return None if of is None else tuple(of[row][there])

        return TopUnit(
            info=self.info,
            channel=int(self.channels[row]),
            grid=self.grid,
            ids=self.ids[row][there],
            values=self.values[row][there],
            places=self.places[row][there],
            n_samples=self.n_samples,
            reduce=self.reduce,
            maps=some(self.maps),
            inputs=some(self.inputs),
            boxes=some(self.boxes),
            diverse=self.diverse,
            notes=self.notes,
        )

    def merged(self, other: LayerTop) -> LayerTop:
        """Return the strongest of both."""
        same = self.grid == other.grid and self.reduce == other.reduce
        if not same or self.info.name != other.info.name:
            raise ArgumentError(
                f"results of {self.info.title} ({self.reduce}, grid {self.grid}) and of "
                f"{other.info.title} ({other.reduce}, grid {other.grid}) do not go together"
            )
        if not np.array_equal(self.channels, other.channels):
            raise ArgumentError(f"the results of {self.info.title} are of other channels")
        if self.diverse or other.diverse:
            raise ArgumentError(
                "samples chosen to be unlike each other do not merge: the ones that gave way in "
                "one part may be wanted in the whole. Take both parts in one pass"
            )
        k = max(self.values.shape[1], other.values.shape[1])
        values = np.concatenate([self.values, other.values], 1)
        ids = np.concatenate([self.ids, other.ids], 1)
        order = np.lexsort((ids, -values), axis=1)[:, :k]

        def take(mine: Array | None, theirs: Array | None) -> Array | None:
            if mine is None or theirs is None:
                return None
            both = np.concatenate([mine, theirs], 1)
            return np.take_along_axis(both, order, 1)

        kept = np.take_along_axis(values, order, 1)
        count = self.n_samples + other.n_samples
        full = bool((kept > -np.inf).all())
        return replace(
            self,
            ids=np.take_along_axis(ids, order, 1),
            values=kept,
            cells=np.take_along_axis(np.concatenate([self.cells, other.cells], 1), order, 1),
            n_samples=count,
            maps=take(self.maps, other.maps),
            inputs=take(self.inputs, other.inputs),
            boxes=take(self.boxes, other.boxes),
            notes=() if full else tuple(dict.fromkeys(self.notes + other.notes)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class TopUnit:
    """The samples that drive one unit most, strongest first.

    Parameters
    ----------
    info : LayerInfo
        The layer.
    channel : int
        The unit.
    grid : tuple of int
        Shape of its maps.
    ids : ndarray of shape (k,)
        Identifiers of the samples.
    values : ndarray of shape (k,), float64
        Maximum, or mean, of the map.
    places : ndarray of shape (k, n_axes), int64
        Where in the grid the map is largest.
    n_samples : int
        How many samples were looked at.
    reduce : {"max", "mean"}
        Which of the two.
    maps : tuple of ndarray of shape `grid`, or None
        The maps.
    inputs : tuple of ndarray of shape (C, ...), or None
        What went in.
    boxes : tuple of Box, or None
        What of the input the strongest place sees.
    diverse : bool
        Whether samples that are like stronger ones gave way to others.
    notes : tuple of str
        What is otherwise than one might expect.
    """

    info: LayerInfo
    channel: int
    grid: tuple[int, ...]
    ids: Array
    values: npt.NDArray[np.float64]
    places: npt.NDArray[np.int64]
    n_samples: int
    reduce: str
    maps: tuple[Array, ...] | None = None
    inputs: tuple[Array, ...] | None = None
    boxes: tuple[Box, ...] | None = None
    diverse: bool = False
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Layer and channel, to show."""
        return f"{self.info.title}, channel {self.channel}"

    @property
    def subtitle(self) -> str:
        """What the layer is, to show."""
        return _subtitle(self.info, self.grid)

    @property
    def crops(self) -> tuple[Array, ...] | None:
        """The parts of the inputs that the strongest places see."""
        if self.inputs is None or self.boxes is None:
            return None
        pairs = zip(self.inputs, self.boxes, strict=True)
        return tuple(one[(slice(None), *box.slices)] for one, box in pairs)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        lines = [f"TopUnit {self.title}: {len(self)} of {self.n_samples} samples by {self.reduce}"]
        for one, value, place in zip(self.ids, self.values, self.places, strict=True):
            lines.append(f"  {value:10.4g}  id {one}  at {tuple(map(int, place))}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        facts = [f"the {len(self)} strongest of {self.n_samples:,} samples by {self.reduce}"]
        return unit_html(self, f"TopUnit {self.title}", [*facts, *self.notes])

    def plot(self, **options: Any) -> Any:
        """Draw input, map and crop of each sample; return the matplotlib Figure.

        Parameters
        ----------
        **options
            ``columns``, ``tile``, ``title``.

        Raises
        ------
        ArgumentError
            If inputs and maps were not kept.
        PluginError
            If matplotlib is not installed.
        """
        return PICTURES.get("top", self, **options)

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Draw into a .png, .svg or .pdf file and return its path; options as for `plot`."""
        return save("top", self, path, **options)


class TopSamples(Mapping[tuple[str, int], TopUnit]):
    """The samples that drive many units most: (layer, channel) -> `TopUnit`.

    Attributes
    ----------
    layers : dict of str to LayerTop
        The same as arrays, layer by layer.
    skipped : dict of str to str
        Layers that have no maps, and why.
    """

    def __init__(
        self, layers: Mapping[str, LayerTop], skipped: Mapping[str, str] | None = None
    ) -> None:
        self.layers = dict(layers)
        self.skipped = dict(skipped or {})

    def __getitem__(self, key: tuple[str, int]) -> TopUnit:
        layer, channel = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
        if layer not in self.layers:
            known = ", ".join(map(repr, list(self.layers)[:12]))
            raise UnknownLayerError(f"no unit {key!r}; a unit is (layer, channel), of {known}")
        found = np.flatnonzero(self.layers[layer].channels == channel)
        if not found.size:
            count = len(self.layers[layer].channels)
            raise UnknownLayerError(f"no channel {channel!r} among the {count} of {layer!r}")
        return self.layers[layer].unit(int(found[0]))

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for name, layer in self.layers.items():
            for channel in layer.channels.tolist():
                yield name, channel

    def __len__(self) -> int:
        return sum(len(layer.channels) for layer in self.layers.values())

    def __repr__(self) -> str:
        lines = [f"TopSamples: {len(self)} units of {len(self.layers)} layers"]
        for layer in list(self.layers.values())[:40]:
            k = layer.values.shape[1]
            lines.append(f"  {layer.info.title}  {len(layer.channels)} channels, {k} samples each")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return samples_html(self)

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Return what one pass over all parts' samples would have given.

        Parameters
        ----------
        parts : sequence of TopSamples
            Of the same units, and of samples with ids of their own (`top_samples`' ``first_id``,
            or ids in the batches).

        Raises
        ------
        ArgumentError
            If there are none, or they do not go together.
        """
        if not parts:
            raise ArgumentError("there is nothing to merge")
        layers = dict(parts[0].layers)
        for part in parts[1:]:
            if part.layers.keys() != layers.keys():
                raise ArgumentError("the parts are of other layers")
            layers = {name: layer.merged(part.layers[name]) for name, layer in layers.items()}
        return cls(layers, parts[0].skipped)


@dataclass(frozen=True, slots=True, eq=False)
class UnitAcross:
    """One unit's map for each of several images.

    Parameters
    ----------
    info : LayerInfo
        The layer.
    channel : int
        The unit.
    names : tuple of str
        What the images are called.
    inputs : tuple of ndarray of shape (C, ...)
        The images.
    maps : tuple of ndarray
        The unit's map for each.
    values : ndarray of shape (n,), float64
        The maps' maxima.
    places : ndarray of shape (n, n_axes), int64
        Where they are.
    boxes : tuple of Box, or None
        What of the image each of these places sees.
    """

    info: LayerInfo
    channel: int
    names: tuple[str, ...]
    inputs: tuple[Array, ...]
    maps: tuple[Array, ...]
    values: npt.NDArray[np.float64]
    places: npt.NDArray[np.int64]
    boxes: tuple[Box, ...] | None = None

    @property
    def title(self) -> str:
        """Layer and channel, to show."""
        return f"{self.info.title}, channel {self.channel}"

    @property
    def subtitle(self) -> str:
        """What the layer is, to show."""
        return _subtitle(self.info, self.maps[0].shape)

    def __len__(self) -> int:
        return len(self.maps)

    def __repr__(self) -> str:
        lines = [f"UnitAcross {self.title}: {len(self)} image{'s' * (len(self) != 1)}"]
        for name, value, place in zip(self.names, self.values, self.places, strict=True):
            lines.append(f"  {value:10.4g}  {name}  at {tuple(map(int, place))}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        count = f"{len(self)} image{'s' * (len(self) != 1)}"
        return unit_html(self, f"UnitAcross {self.title}", [count])

    def plot(self, **options: Any) -> Any:
        """Draw each image and the unit's map below it; return the matplotlib Figure.

        Parameters
        ----------
        **options
            ``columns``, ``tile``, ``title``.

        Raises
        ------
        PluginError
            If matplotlib is not installed.
        """
        return PICTURES.get("across", self, **options)

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Draw into a .png, .svg or .pdf file and return its path; options as for `plot`."""
        return save("across", self, path, **options)


def _subtitle(info: LayerInfo, grid: tuple[int, ...]) -> str:
    size = " \N{MULTIPLICATION SIGN} ".join(map(str, grid))
    return f"{info.module_type}, maps of {size}; the number above an image is the map's value"
