"""What comes of a layer: an output on its way into a record, and all of its rows there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy.typing as npt
import torch

from layerlens.recording.directions import DirectionSketch
from layerlens.recording.loss import PairSums
from layerlens.recording.meter import PairMeter
from layerlens.recording.readout import Readout
from layerlens.recording.sketch import FoldedSketch
from layerlens.records import LayerInfo

__all__ = ["Output", "RecordedLayer", "RowTaker", "Taker"]


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
    """

    tensor: torch.Tensor
    channel_axis: int
    module_type: str
    path: str
    readout: Readout
    maker: str | None = None


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
