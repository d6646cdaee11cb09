"""Saying how far a run is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

__all__ = ["Progress"]

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts units of work on standard error.

    Parameters
    ----------
    what : str
        What is being done.
    total : int or None
        How many units there are, where that is known.
    shown : bool
        Whether to say anything at all.
    unit : str
        What a unit is called.
    """

    def __init__(self, what: str, total: int | None, *, shown: bool, unit: str) -> None:
        self._what = what
        self._total = total
        self._shown = shown
        self._unit = unit
        self._done = 0
        self._bar: Any = None
        self._start = self._last = time.monotonic()

    def __enter__(self) -> Self:
        self._start = self._last = time.monotonic()
        if self._shown and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self._total, desc=self._what, unit=f" {self._unit}", leave=True)
        return self

    def advance(self, by: int = 1, note: str = "") -> None:
        """Count units that are done; `note` says which was last."""
        self._done += by
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(by)
        elif self._shown and time.monotonic() - self._last > _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._line(note)

    def _line(self, note: str = "") -> None:
        of = f" of {self._total}" if self._total else ""
        seconds = time.monotonic() - self._start
        end = f", {note}" if note else ""
        print(  # noqa: T201  standard error is where progress belongs
            f"{self._what}: {self._done}{of} {self._unit}, {seconds:.0f} s{end}",
            file=sys.stderr,
            flush=True,
        )

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._shown:
            self._line()
