"""Arguments, checked when they are given and not when they are needed."""

from __future__ import annotations

import contextlib
import operator
from typing import Any

from layerlens.errors import ArgumentError

__all__ = ["dtype_name", "one_of", "parse_size", "seed"]

_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30,
          "kb": 10**3, "mb": 10**6, "gb": 10**9}  # fmt: skip


def one_of(argument: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return a value that is one of those allowed, or raise `ArgumentError`."""
    if not isinstance(value, str) or value not in allowed:
        raise ArgumentError(f"{argument} is one of {', '.join(allowed)}; got {value!r}")
    return value


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype given as text, or as NumPy's or torch's own."""
    text = getattr(dtype, "__name__", None) or str(dtype)
    return text.removeprefix("torch.")


def seed(random_state: Any) -> int:
    """Return a seed that is a whole number, or raise `ArgumentError`."""
    if not isinstance(random_state, bool):
        with contextlib.suppress(TypeError):  # of an array too, which has the method
            return operator.index(random_state)
    raise ArgumentError(
        f"random_state must be an integer, so that records fit together; got {random_state!r}"
    )


def parse_size(argument: str, given: Any, *, least: int = 1) -> int:
    """Return a size in bytes, given as a number or as text like ``"512 MiB"``.

    Raises
    ------
    ArgumentError
        If it is none, or less than `least`.
    """
    size: float | None = None
    if isinstance(given, int) and not isinstance(given, bool):
        size = given
    elif isinstance(given, str):
        text = given.strip().lower()
        digits = text.rstrip("kmgib ")
        unit = text[len(digits) :].strip()
        with contextlib.suppress(ValueError, KeyError):
            size = float(digits) * _UNITS[unit]
    if size is None or not least <= size < 2**60:
        raise ArgumentError(
            f'{argument} is a size, such as "512 MiB" or a number of bytes, of {least} or more; '
            f"got {given!r}"
        )
    return int(size)
