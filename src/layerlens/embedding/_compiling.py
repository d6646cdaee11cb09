"""numba, where it can run: kernels that release the interpreter's lock and are kept on disk."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["announced", "compiled", "numba_runs"]

_ANNOUNCE_AFTER = 1.5

logger = logging.getLogger("layerlens")


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function by numba when it is first called.

    Kernels are single-threaded and release the interpreter's lock, so that layers run side by
    side on ordinary threads: a kernel with threads of its own compiles several times as long,
    and waits for its slowest thread in every iteration when the machine is busy.
    ``fastmath`` lets sums be taken in any order (and so by SIMD); it also drops checks for
    infinity and NaN, so kernels use finite sentinels.
    """
    import numba

    options = {"fastmath": True, "nogil": True, "error_model": "numpy"}
    try:
        made: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        # no folder that the compiled code could be kept in: it is compiled in every process
        _say_that_nothing_is_kept()
        made = numba.njit(**options)(function)
    return made


@functools.cache  # once, and not for each of the kernels
def _say_that_nothing_is_kept() -> None:
    logger.warning(
        "numba finds no folder to keep compiled code in: it is compiled anew in every process, "
        "which takes some seconds; set NUMBA_CACHE_DIR to a folder that can be written"
    )


@functools.cache
def numba_runs() -> bool:
    """Whether numba can be imported and compiles; its reason is logged once where not."""
    try:
        import numba

        numba.njit(_one)()
    except Exception as error:  # noqa: BLE001  # whatever it is, there is another way
        logger.warning("numba cannot run (%s: %s)", type(error).__name__, error)
        return False
    return True


def _one() -> int:
    return 1


@contextmanager
def announced(what: str, *, kept: bool = True) -> Iterator[None]:
    """Say that something is being compiled, where it takes long.

    `kept` says whether the compiled code is kept on disk.
    """
    often = (
        "once on this machine; this takes some seconds"
        if kept
        else "in every new process; this takes half a minute or more"
    )
    timer = threading.Timer(
        _ANNOUNCE_AFTER,
        logger.warning,
        args=(f"compiling {what}, {often}",),
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
