"""Rows of the batch under way, from where they were computed into the memory of a record."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch

from layerlens.errors import LayerlensWarning
from layerlens.recording.recorded import RowTaker

__all__ = ["Arrivals", "to_host"]

_DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


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
