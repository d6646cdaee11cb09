"""What drives a unit: the samples, and the places in them, at which it is strongest."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from layerlens import _options
from layerlens.errors import ArgumentError, LayerlensWarning, RecordingError, ShapeError
from layerlens.progress import Progress
from layerlens.recording import feeding
from layerlens.recording.driven import LayerTop, TopSamples, TopUnit
from layerlens.recording.fields import FieldFinder, Seer
from layerlens.recording.grids import GridReader
from layerlens.recording.maps import (
    as_numpy,
    check_channels,
    layer_info,
    read_grid,
    wanted_channels,
)
from layerlens.recording.passes import Forward, model_input, require_grids, send
from layerlens.recording.recorded import Output
from layerlens.recording.samples import Annotation
from layerlens.recording.selection import Selector, original
from layerlens.recording.toplist import TopList, strongest_cells
from layerlens.records import LayerInfo

__all__ = ["top_samples"]

Array = npt.NDArray[Any]

_KEEP_AT_MOST = 256  # maps and inputs of a layer under keep="auto"
_POOL = 4  # times k candidates from which unlike ones are chosen


def top_samples(
    model: nn.Module,
    batches: Iterable[Any],
    layer: Selector,
    channel: int | Sequence[int] | str,
    k: int = 9,
    *,
    reduce: str = "max",
    diverse: bool = False,
    keep: bool | str = "auto",
    first_id: int = 0,
    grid: Sequence[int] | None = None,
    layout: str = "auto",
    progress: bool = False,
    forward: Forward | None = None,
) -> TopUnit | TopSamples:
    """Return the samples of any number of batches that drive units most, in one pass.

    Parameters
    ----------
    model : torch.nn.Module
        The model. It runs in eval mode and without gradients.
    batches : iterable, Tensor, (X, y), or Dataset
        As for `Probe.run`. Ids that a batch holds (an entry ``"ids"``) are those of the result.
    layer : str, type, module, callable, or iterable of these
        Which layer, or layers, as for `Probe`.
    channel : int, sequence of int, or "all"
        Which unit, or units, of each layer.
    k : int, default 9
        How many samples.
    reduce : {"max", "mean"}, default "max"
        What of a map counts.
    diverse : bool, default False
        Of the 4 k strongest, take the strongest, and then always the one that is least like those
        taken: whose channels, at its strongest place, have the smallest cosine to theirs.
    keep : bool or "auto", default "auto"
        Keep maps, inputs and boxes of the samples. "auto": where channels are named, and that is
        at most 256 maps of a layer. Values, ids and places are always there. The fields
        of all layers come from one forward for each size of the inputs; where a field is the whole
        input, a box takes a backward, and its sample a forward of its own a layer. An operation
        that is not known makes it dozens of forwards.
    first_id : int, default 0
        Id of the first sample, where batches hold none: the parts of a run that are looked at
        apart go on where the part before ended, and then merge to what one pass would give.
    grid, layout
        As for `activation_maps`.
    progress : bool, default False
        Show how far it is, on standard error.
    forward : callable, optional
        ``forward(model, batch)`` calls the model. Inputs and boxes are then not kept.

    Returns
    -------
    TopUnit or TopSamples
        The one for one channel of one layer, else a mapping (layer, channel) -> TopUnit.

    Raises
    ------
    LayerSelectionError
        If a selector matches nothing, or a layer has no such channel.
    ShapeError
        If a layer that was named, or every layer, has no grid, or its grid changes.
    ArgumentError
        If an argument is not one of those above.
    RecordingError
        If there is no batch.

    Notes
    -----
    Memory is that of one batch's forward and of what is kept, whatever the number of samples. A
    sample for which a map holds NaN counts for nothing. With fewer than k samples there are all
    of them, and a note.

    References
    ----------
    J. Yosinski, J. Clune, A. Nguyen, T. Fuchs, H. Lipson. Understanding neural networks through
    deep visualization. ICML workshop on deep learning, 2015.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False))
    >>> _ = model[0].weight.data.fill_(1.0)
    >>> images = torch.zeros(5, 1, 4, 4)
    >>> images[3, 0, 2, 1] = 7.0
    >>> top_samples(model, images, "0", 0, k=1)
    TopUnit 0, channel 0: 1 of 5 samples by max
               7  id 3  at (2, 1)
    """
    one = isinstance(channel, int | np.integer) and not isinstance(channel, bool)
    _check(channel, keep, one=one)
    given = {
        "k": k, "reduce": reduce, "diverse": diverse, "first_id": first_id, "progress": progress,
    }  # fmt: skip
    _options.check(_OPTIONS, given)
    reader = GridReader(original(model), grid, layout)
    wanted = [int(channel)] if one else channel  # type: ignore[arg-type]
    taker = _Strongest(reader, wanted, k, reduce, diverse, keep, first_id)
    total = feeding.expected_samples(batches)
    with Progress("looking", total, shown=progress, unit="samples") as shown:
        taker.shown = shown
        skipped = send(
            model, layer, feeding.as_batches(batches), taker, reader=reader, forward=forward
        )
    if not taker.count:
        raise RecordingError("batches is empty: no sample was looked at")
    require_grids(model, layer, taker.layers, skipped)
    found = TopSamples(taker.results(model, grid, layout), skipped)
    notes = dict.fromkeys(note for part in found.layers.values() for note in part.notes)
    for note in notes:
        warnings.warn(note, LayerlensWarning, stacklevel=2)
    if one and len(found) == 1:
        return next(iter(found.values()))
    return found


_OPTIONS: dict[str, _options.Check] = {
    "k": _options.whole(),
    "reduce": _options.one_of("max", "mean"),
    "diverse": _options.flag,
    "first_id": _options.whole(None),
    "progress": _options.flag,
}


def _check(channel: Any, keep: Any, *, one: bool) -> None:
    if isinstance(channel, bool) or (isinstance(channel, str) and channel != "all"):
        raise ArgumentError(f"channel is a channel, a list of channels or 'all'; got {channel!r}")
    if not one:
        check_channels(channel)
    _options.one_of(True, False, "auto")("keep", keep)


@dataclass(slots=True)
class _Layer:
    info: LayerInfo
    grid: tuple[int, ...]
    channels: npt.NDArray[np.int64]
    top: TopList
    keep: bool
    with_nan: set[int] = field(default_factory=set)
    maps: dict[tuple[int, int], Array] = field(default_factory=dict)
    looks: dict[tuple[int, int], Array] = field(default_factory=dict)

    def forget(self) -> None:
        """Drop what belongs to samples that others pushed out."""
        held = {
            (unit, number)
            for unit, line in enumerate(self.top.numbers.tolist())
            for number in line
            if number >= 0
        }
        for table in (self.maps, self.looks):
            for key in table.keys() - held:
                del table[key]


class _Strongest:
    """Takes the strongest samples of each unit."""

    def __init__(
        self,
        reader: GridReader,
        channels: Any,
        k: int,
        reduce: str,
        diverse: bool,
        keep: bool | str,
        first_id: int,
    ) -> None:
        self.layers: dict[str, _Layer] = {}
        self.count = 0
        self.shown: Progress | None = None
        self._reader = reader
        self._channels = channels
        self._k = k
        self._reduce = reduce
        self._diverse = diverse
        self._keep = keep
        self._first_id = first_id
        self._given: torch.Tensor | None = None
        self._ids: Array | None = None
        self._inputs: dict[int, torch.Tensor] = {}
        self._feeds_alone = True

    # --- a batch ---------------------------------------------------------------------------

    def begin(self, fed: feeding.Fed | None) -> None:
        self._given = None if fed is None else model_input(fed)
        self._ids = None if fed is None else fed.annotation.facts.get("ids")
        if fed is None or fed.kwargs or len(fed.args) != 1:
            self._feeds_alone = False  # the input alone is not enough to call the model again

    def _ids_of(self, batch: int) -> Array:
        if self._ids is not None:
            return self._ids
        return np.arange(self.count, self.count + batch) + self._first_id

    def add(self, layer: str, output: Output) -> None:
        maps = read_grid(self._reader, layer, output).maps
        state = self.layers.get(layer) or self._first(layer, output, maps)
        if tuple(maps.shape[2:]) != state.grid:
            raise ShapeError(
                f"layer {layer!r} gave maps of {state.grid} and now of {tuple(maps.shape[2:])}; "
                "give it inputs of one size, or look at each size by itself"
            )
        everything = maps
        if len(state.channels) != maps.shape[1]:
            maps = maps.index_select(1, torch.as_tensor(state.channels, device=maps.device))
        values = self._strengths(maps)
        ids = self._ids_of(len(values))
        state.top.start(ids)
        if np.isnan(values).any():
            state.with_nan.update((self.count + np.flatnonzero(np.isnan(values).any(1))).tolist())
        mask = state.top.wanted(values)
        samples, units = np.nonzero(mask)
        if not samples.size:
            return
        cells = np.zeros(values.shape, np.int64)
        cells[mask] = strongest_cells(maps, samples, units)
        state.top.add(mask, values, cells, ids, self.count)
        if state.keep or self._diverse:
            self._remember(state, samples, units, maps, cells, everything)

    def _strengths(self, maps: torch.Tensor) -> Array:
        places = list(range(2, maps.ndim))
        if self._reduce == "max":
            strengths = maps.amax(places)
        else:
            # half precision would lose the mean of many values
            strengths = maps.mean(places, dtype=torch.float32 if maps.element_size() < 4 else None)
        return strengths.double().cpu().numpy()

    def _first(self, layer: str, output: Output, maps: torch.Tensor) -> _Layer:
        channels = wanted_channels(self._channels, maps.shape[1], layer)
        few = len(channels) * self._k <= _KEEP_AT_MOST
        listed = not isinstance(self._channels, str)
        if self._diverse and not few:
            raise ArgumentError(
                f"diverse compares the samples of each unit and is for at most {_KEEP_AT_MOST} of "
                f"them a layer; {layer!r} has {len(channels)} units of {self._k}"
            )
        state = _Layer(
            info=layer_info(layer, output),
            grid=tuple(maps.shape[2:]),
            channels=channels,
            top=TopList(len(channels), self._k * (_POOL if self._diverse else 1)),
            keep=few and listed if self._keep == "auto" else bool(self._keep),
        )
        self.layers[layer] = state
        return state

    def _remember(
        self,
        state: _Layer,
        samples: Array,
        units: Array,
        maps: torch.Tensor,
        cells: Array,
        everything: torch.Tensor,
    ) -> None:
        numbers = state.top.numbers
        for sample, unit in zip(samples.tolist(), units.tolist(), strict=True):
            number = self.count + sample
            if number not in numbers[unit]:
                continue
            if state.keep:
                state.maps[unit, number] = as_numpy(maps[sample, unit].clone())
                if self._given is not None and number not in self._inputs:
                    self._inputs[number] = self._given[sample].detach().cpu().clone()
            if self._diverse:
                place = np.unravel_index(int(cells[sample, unit]), state.grid)
                look = everything[(sample, slice(None), *map(int, place))]
                state.looks[unit, number] = as_numpy(look.clone()).astype(np.float64)
        state.forget()

    def commit(self, batch: int, annotation: Annotation | None, keep: int | None) -> None:
        self.count += batch
        held = {number for state in self.layers.values() for _, number in state.maps}
        for number in self._inputs.keys() - held:
            del self._inputs[number]
        if self.shown is not None:
            self.shown.advance(batch)

    def drop(self) -> None:
        pass

    # --- the result ------------------------------------------------------------------------

    def results(
        self, model: nn.Module, grid: Sequence[int] | None, layout: str
    ) -> dict[str, LayerTop]:
        """Return what was found, layer by layer."""
        finders: dict[tuple[int, ...], tuple[FieldFinder, list[int]]] = {}
        if self._feeds_alone:
            sizes = sorted({tuple(one.shape) for one in self._inputs.values()})
            for size in sizes:
                numbers = sorted(n for n, one in self._inputs.items() if tuple(one.shape) == size)
                x = torch.stack([self._inputs[number] for number in numbers])
                finders[size] = FieldFinder(model, x, grid=grid, layout=layout), numbers
        return {name: self._result(name, state, finders) for name, state in self.layers.items()}

    def _result(self, name: str, state: _Layer, finders: dict[Any, Any]) -> LayerTop:
        top = state.top
        order = self._unlike(state) if self._diverse else np.arange(self._k)[None]
        order = np.broadcast_to(order, (len(state.channels), order.shape[1]))
        values = np.take_along_axis(top.values, order, 1)
        numbers = np.take_along_axis(top.numbers, order, 1)
        cells = np.take_along_axis(top.cells, order, 1)
        maps = inputs = boxes = None
        if state.keep:
            maps = self._table(numbers, lambda unit, number: state.maps[unit, number])
            if self._inputs:
                inputs = self._table(numbers, lambda unit, number: as_numpy(self._inputs[number]))
            if finders:
                boxes = self._boxes(name, state, numbers, cells, finders)
        short = (values == -np.inf).any()
        few = f"there are {self.count} samples, fewer than the k = {self._k} asked for"
        spoiled = (
            f"layer {name!r} gave NaN for {len(state.with_nan)} samples, which count for nothing"
        )
        notes = [few] * bool(short and self.count < self._k) + [spoiled] * bool(state.with_nan)
        return LayerTop(
            info=state.info,
            grid=state.grid,
            channels=state.channels,
            ids=np.take_along_axis(top.ids, order, 1),
            values=values,
            cells=cells,
            n_samples=self.count,
            reduce=self._reduce,
            maps=maps,
            inputs=inputs,
            boxes=boxes,
            diverse=self._diverse,
            notes=tuple(notes),
        )

    def _table(self, numbers: Array, make: Any) -> Array:
        table = np.empty(numbers.shape, object)
        for unit, place in np.argwhere(numbers >= 0):
            table[unit, place] = make(int(unit), int(numbers[unit, place]))
        return table

    def _boxes(
        self, name: str, state: _Layer, numbers: Array, cells: Array, finders: dict[Any, Any]
    ) -> Array:
        table = np.empty(numbers.shape, object)
        for size, (finder, known) in finders.items():
            asked = [
                (int(unit), int(place))
                for unit, place in np.argwhere(numbers >= 0)
                if tuple(self._inputs[int(numbers[unit, place])].shape) == size
            ]
            places = [np.unravel_index(cells[at], state.grid) for at in asked]
            found = finder.boxes(
                [
                    Seer(
                        layer=name,
                        place=tuple(map(int, place)),
                        channel=int(state.channels[at[0]]),
                        sample=known.index(int(numbers[at])),
                    )
                    for at, place in zip(asked, places, strict=True)
                ]
            )
            for at, box in zip(asked, found, strict=True):
                table[at] = box
        return table

    def _unlike(self, state: _Layer) -> npt.NDArray[np.int64]:
        """Choose k of each unit's candidates: the strongest, then the least like those taken."""
        order = np.zeros((len(state.channels), self._k), np.int64)
        for unit, line in enumerate(state.top.numbers):
            pool = [place for place, number in enumerate(line) if number >= 0]
            looks = np.array([state.looks[unit, int(line[place])] for place in pool])
            looks /= np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-300)
            taken = [0] if pool else []
            nearest = looks @ looks[0] if pool else np.zeros(0)
            while len(taken) < min(self._k, len(pool)):
                nearest[taken] = np.inf
                taken.append(int(nearest.argmin()))
                nearest = np.maximum(nearest, looks @ looks[taken[-1]])
            rest = [place for place, number in enumerate(line) if number < 0]
            order[unit] = (sorted(taken) + rest)[: self._k]
        return order
