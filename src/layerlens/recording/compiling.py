"""Loops that numba compiles, where it can be had: umap-learn brings it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["compiled"]

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop, **further: Any) -> Loop | None:
    """Return a function as machine code that lets other threads run; None without numba.

    It is compiled when it is first called, and kept for other processes where there is a place
    to write to. `further` are numba's options.
    """
    try:
        import numba
    except ImportError:  # it does not follow a new Python at once
        return None
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", **further}
    try:
        return numba.njit(cache=True, **options)(loop)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to keep what was compiled
        return numba.njit(**options)(loop)  # type: ignore[no-any-return]
