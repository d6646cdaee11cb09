"""What comes of a layer: an output on its way into a record, and all of its rows there."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy.typing as npt
import torch

from layerlens.errors import LayerlensWarning
from layerlens.recording.directions import DirectionSketch
from layerlens.recording.loss import PairSums
from layerlens.recording.meter import PairMeter
from layerlens.recording.readout import Readout
from layerlens.recording.sketch import FoldedSketch
from layerlens.records import LayerInfo

__all__ = ["Arrivals", "Output", "RecordedLayer", "RowTaker", "Taker", "to_host"]

_DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a layer on its way into the record.

    Parameters
    ----------
    tensor : Tensor of shape (B, ...)
        The output, batch first.
    channel_axis : int
        Which axis holds the channels.
    module_type : str
        Class of the module.
    path : str
        Where the tensor lay in the module's output.
    readout : Readout
        How it becomes rows.
    maker : str or None
        The layer that put out this very tensor before, and whose values were folded.
    is_certain : bool
        Whether that is certain: nothing can have been written into it since.
    """

    tensor: torch.Tensor
    channel_axis: int
    module_type: str
    path: str
    readout: Readout
    maker: str | None = None
    is_certain: bool = True


class RowTaker(Protocol):
    """Rows of one layer as they grow."""

    @property
    def count(self) -> int:
        """How many rows were taken."""
        ...

    def reserve(self, n_rows: int) -> npt.NDArray[Any]:
        """Return memory for the next rows; they count once `commit` says so."""
        ...

    def commit(self, n_rows: int) -> None:
        """Keep the first rows of what was last reserved."""
        ...


Taker = TypeVar("Taker", bound=RowTaker)


@dataclass(slots=True)
class RecordedLayer(Generic[Taker]):
    """One layer of a record.

    Parameters
    ----------
    info : LayerInfo
        What is known of it.
    rows : RowTaker
        Its rows.
    sketch : FoldedSketch, DirectionSketch or None
        What makes them narrower.
    order : int
        Its place among the layers.
    spans : list of (int, int)
        Which samples the rows are of.
    meter : PairMeter
        What measures the sketch, where there is one.
    """

    info: LayerInfo
    rows: Taker
    sketch: FoldedSketch | DirectionSketch | None
    order: int
    spans: list[tuple[int, int]] = field(default_factory=list)
    meter: PairMeter = field(default_factory=PairMeter)

    @property
    def pairs(self) -> PairSums | None:
        """What was measured of the sketch, where there is one."""
        return None if self.sketch is None else self.meter.of_rows(self.rows.count)

    @property
    def sketch_text(self) -> str | None:
        """How the rows were made narrower, for the record."""
        if self.sketch is None:
            return None
        if self.signs is None:
            return f"pca {self.sketch!r}"
        handed = "" if self.signs == self.info.name else f", signs of {self.signs!r}"
        return f"fold {self.sketch!r}{handed}"

    @property
    def signs(self) -> str | None:
        """The layer whose signs rows are folded with; None where they are not folded."""
        return self.sketch.layer if isinstance(self.sketch, FoldedSketch) else None

    def note_span(self, start: int, stop: int) -> None:
        """Note which samples the last rows belong to; neighbouring spans are one."""
        if self.spans and self.spans[-1][1] == start:
            self.spans[-1] = (self.spans[-1][0], stop)
        elif stop > start:
            self.spans.append((start, stop))


@dataclass(frozen=True, slots=True)
class _InFlight:
    """Rows on their way from an accelerator."""

    host: torch.Tensor
    target: npt.NDArray[Any]
    device: torch.device


class Arrivals:
    """Where the rows of each layer came to, and copies that are still on their way.

    `dtype`: of the record.
    """

    def __init__(self, dtype: str) -> None:
        self.rows: dict[str, npt.NDArray[Any]] = {}
        self._dtype = _DTYPES[dtype]
        self._in_flight: dict[str, _InFlight] = {}
        self._overflowed: set[str] = set()

    def put(
        self,
        name: str,
        rows: RowTaker,
        values: torch.Tensor,
        shaped: torch.Tensor | None = None,
    ) -> None:
        """Write a layer's rows, which are all of `shaped` where that is given."""
        target = rows.reserve(len(values))
        if values.device.type == "cpu":
            memory = torch.from_numpy(target)
            if shaped is not None:
                # straight from the output, whatever its strides: flattening might copy it first
                memory.view(shaped.shape).copy_(shaped)
            else:
                memory.copy_(values)
            if memory.dtype == torch.float16:
                self._look_for_overflow(name, memory, values)
        else:
            self._in_flight[name] = _InFlight(to_host(values, self._dtype), target, values.device)
        self.rows[name] = target

    def here(self, name: str) -> npt.NDArray[Any] | None:
        """Return the rows of a layer, where they have come."""
        return None if name in self._in_flight else self.rows.get(name)

    def land(self) -> None:
        """Wait once for all copies from an accelerator, and put them where they belong."""
        for device in {copy.device for copy in self._in_flight.values()}:
            if device.type == "cuda":  # copies of products came before those of their rows
                torch.cuda.current_stream(device).synchronize()
        for name, copy in self._in_flight.items():
            torch.from_numpy(copy.target).copy_(copy.host)
            if copy.host.dtype == torch.float16:
                self._look_for_overflow(name, copy.host)
        self._in_flight.clear()

    def clear(self) -> None:
        """Forget what came, and what is still to come."""
        self._in_flight.clear()
        self.rows.clear()

    def _look_for_overflow(
        self, name: str, stored: torch.Tensor, values: torch.Tensor | None = None
    ) -> None:
        """Say once of a layer that its values are beyond what float16 holds."""
        if name in self._overflowed or not torch.isinf(stored).any():
            return
        if values is not None and not torch.isfinite(values[torch.isinf(stored)]).any():
            return  # it was infinite before
        self._overflowed.add(name)
        warnings.warn(
            f"layer {name!r} has values beyond float16's 65,504, which are recorded as infinity: "
            f"record with dtype='float32'",
            LayerlensWarning,
            stacklevel=2,
        )


def to_host(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Begin to copy rows to the host without waiting for them."""
    values = values.to(dtype)
    if values.device.type != "cuda":
        return values.cpu()
    host = torch.empty(values.shape, dtype=dtype, pin_memory=True)
    return host.copy_(values, non_blocking=True)
