"""What options may be: checked where they are given, so that the error names the option.

A check is called with an option's name and value, and raises `ArgumentError`. Masked arrays are
refused here, too: everything behind would take masked values for real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from layerlens.errors import ArgumentError, DataError

__all__ = [
    "Check",
    "check",
    "flag",
    "function",
    "number",
    "one_of",
    "refuse_masked",
    "refused",
    "text",
    "whole",
]

Check = Callable[[str, Any], None]


def check(checks: Mapping[str, Check], options: Mapping[str, Any]) -> None:
    """Check those of the options that there is a check for."""
    for name, value in options.items():
        if name in checks:
            checks[name](name, value)


def whole(least: int | None = 1, *, or_none: bool = False) -> Check:
    """Allow whole numbers from `least` up; None for any."""
    bound = "" if least is None else f" from {least}"
    expected = f"a whole number{bound}{', or None' if or_none else ''}"

    def check_whole(name: str, value: Any) -> None:
        if value is None and or_none:
            return
        is_whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not is_whole or value >= 2**63 or (least is not None and value < least):
            raise refused(name, expected + " below 2**63" * (is_whole and value > 1), value)

    return check_whole


def number(
    least: float,
    most: float,
    *,
    what: str = "a number",
    unit: str = "",
    or_none: bool = False,
) -> Check:
    """Allow real numbers from `least` to `most`."""

    def check_number(name: str, value: Any) -> None:
        if value is None and or_none:
            return
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:
            raise refused(name, f"{what} from {least} to {most}{unit and ' ' + unit}", value)

    return check_number


def one_of(*allowed: str | bool | None) -> Check:
    """Allow these values."""
    *most, last = map(repr, allowed)
    expected = f"{', '.join(most)} or {last}"

    def check_one_of(name: str, value: Any) -> None:
        # by type first: an array compares element by element
        if not isinstance(value, str | bool | None) or value not in allowed:
            raise refused(name, expected, value)

    return check_one_of


def text(name: str, value: Any) -> None:
    """Allow text, and None."""
    if value is not None and not isinstance(value, str):
        raise refused(name, "a str or None", value)


def flag(name: str, value: Any) -> None:
    """Allow True and False; a word such as ``"no"`` would count as true."""
    if not isinstance(value, bool | np.bool_) and not (isinstance(value, int) and value in (0, 1)):
        raise refused(name, "True or False", value)


def function(name: str, value: Any) -> None:
    """Allow what can be called, and None."""
    if value is not None and not callable(value):
        raise refused(name, "a function, or None", value)


def refused(name: str, expected: str, value: Any) -> ArgumentError:
    """Return the error for a value that is not what is expected."""
    shown = repr(value)
    return ArgumentError(f"{name} is {expected}, got {shown[:80]}{'...' * (len(shown) > 80)}")


def refuse_masked(what: str, values: Any) -> None:
    """Refuse an array of `numpy.ma` that has masked values.

    `values`: anything; what is no masked array, or masks nothing, is let through.

    Raises
    ------
    DataError
        If there are masked values.
    """
    if not isinstance(values, np.ma.MaskedArray) or not np.ma.is_masked(values):
        return
    count = int(np.ma.getmaskarray(values).sum())
    if values.ndim < 2:
        remedy = "fill them, values.filled(-1) say (for labels, -1 is a class that is not known)"
    else:
        remedy = "leave out the samples that have them, or fill them, values.filled(0) say"
    raise DataError(
        f"{what}: a masked array, {count:,} of {values.size:,} values masked, and a mask is not "
        f"kept; {remedy}"
    )
