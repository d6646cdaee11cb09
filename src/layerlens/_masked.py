"""Masked arrays at the door: everything behind it would take masked values for real ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerlens.errors import DataError

__all__ = ["refuse_masked"]


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
