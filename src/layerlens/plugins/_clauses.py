"""What the checks of the kit have in common: an AssertionError that names the clause."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["Check", "clauses", "require"]

Check = Callable[[Callable[..., Any]], None]


def require(condition: object, message: str) -> None:
    """Raise an AssertionError; unlike `assert`, also under ``python -O``."""
    if not condition:
        raise AssertionError(message)


def clauses(kind: str, *checks: Check) -> dict[str, Check]:
    """Return the checks by name, each raising an AssertionError that names it, whatever fails."""
    return {check.__name__: _clause(kind, check) for check in checks}


def _clause(kind: str, check: Check) -> Check:
    @functools.wraps(check)
    def checked(factory: Callable[..., Any]) -> None:
        try:
            check(factory)
        except Exception as error:
            name = getattr(factory, "__name__", None) or repr(factory)
            what = str(error) if isinstance(error, AssertionError) else repr(error)
            raise AssertionError(
                f"the {kind} {name} breaks the clause {check.__name__} "
                f"({(check.__doc__ or '').strip()}) {what}"
            ) from error

    return checked
