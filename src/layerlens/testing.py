"""For authors of reducers and sinks: whether what they wrote is what layerlens expects.

The kit that layerlens's own reducers and sinks pass. All at once::

    from layerlens.testing import check_reducer

    def test_contract():
        check_reducer(MyReducer)

or one test a clause, which names what is broken in the test's name::

    @pytest.mark.parametrize("check", REDUCER_CHECKS.values(), ids=REDUCER_CHECKS)
    def test_contract(check):
        check(MyReducer)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from layerlens.errors import ArgumentError
from layerlens.plugins.reducer_checks import REDUCER_CHECKS, TOTAL_REDUCER_CHECKS
from layerlens.plugins.sink_checks import SINK_CHECKS

__all__ = [
    "REDUCER_CHECKS",
    "SINK_CHECKS",
    "TOTAL_REDUCER_CHECKS",
    "check_reducer",
    "check_sink",
]


def check_reducer(factory: Callable[..., Any], *, total: bool = False) -> None:
    """Hold a reducer to the contract, clause by clause.

    Small samples are used, of at most 60 points; abilities that the reducer does not have
    (`SupportsInit` and so on) are passed over.

    Parameters
    ----------
    factory : callable
        The class, or `functools.partial` of it. ``n_components``, ``random_state`` and ``n_jobs``
        are passed by name where its signature has them.
    total : bool
        Whether the reducer promises a picture of every cloud, as the built-in ones do: of two
        samples, of duplicates, of one feature. Otherwise it may refuse such with a ValueError.

    Raises
    ------
    ArgumentError
        If it is a name or an object that is made already.
    AssertionError
        Naming the clause that is broken, and how.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> check_reducer(PCA)
    """
    _require_callable(factory, "reducer")
    checks = {**REDUCER_CHECKS, **TOTAL_REDUCER_CHECKS} if total else REDUCER_CHECKS
    for check in checks.values():
        check(factory)


def check_sink(factory: Callable[..., Any]) -> None:
    """Hold a sink to the contract, clause by clause.

    Files are written to temporary folders that are gone afterwards.

    Parameters
    ----------
    factory : callable
        The class, or `functools.partial` of it with options.

    Raises
    ------
    ArgumentError
        If it is a name or an object that is made already.
    AssertionError
        Naming the clause that is broken, and how.

    Examples
    --------
    >>> import layerlens as ll
    >>> check_sink(ll.sinks.factory("csv"))
    """
    _require_callable(factory, "sink")
    for check in SINK_CHECKS.values():
        check(factory)


def _require_callable(factory: Any, kind: str) -> None:
    if callable(factory):
        return
    if isinstance(factory, str):
        remedy = f"for a registered one pass layerlens.{kind}s.factory({factory!r})"
    else:
        remedy = "pass its class, or functools.partial of it with its options"
    raise ArgumentError(
        f"check_{kind} takes what makes a {kind}, a class say, since each clause makes its own; "
        f"got {factory!r:.80}: {remedy}"
    )
