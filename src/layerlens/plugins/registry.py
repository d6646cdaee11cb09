"""Reducers and sinks by name, found through the entry points of installed distributions.

Listing loads nothing, getting loads only what was asked for, and a plugin that is broken
hurts nobody who does not ask for it.
"""

from __future__ import annotations

import difflib
import traceback
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Any

from layerlens.errors import LayerlensWarning, PluginError

__all__ = ["REDUCERS", "SINKS", "Registry"]

_OWN = "torch-layerlens"


class Registry:
    """The plugins of one kind.

    Parameters
    ----------
    group : str
        Entry-point group, ``"layerlens.reducers"`` say.
    kind : str
        What such a plugin is called in messages.
    extras : dict of str to str
        For built-ins that need an extra: the name of the extra by the name of the plugin.
    """

    def __init__(self, group: str, kind: str, extras: dict[str, str] | None = None) -> None:
        self.group = group
        self.kind = kind
        self._extras = extras or {}
        self._registered: dict[str, Callable[..., Any]] = {}
        self._found: dict[str, list[EntryPoint]] | None = None

    def register(self, name: str, factory: Callable[..., Any]) -> None:
        """Add a plugin for this process, in place of an installed one of the same name.

        Parameters
        ----------
        name : str
            What to ask for it by. Bare names are layerlens's own; prefix yours
            (``"acme.phate"``).
        factory : callable
            The class, or any callable that returns a plugin.

        Raises
        ------
        TypeError
            If `name` is not a non-empty string or `factory` is not callable.
        """
        if not isinstance(name, str) or not name:
            raise TypeError(f"a {self.kind}'s name is a non-empty str, got {name!r}")
        if not callable(factory):
            raise TypeError(
                f"the {self.kind} {name!r} must be a class or another callable, got "
                f"{type(factory).__name__}"
            )
        self._registered[name] = factory

    def unregister(self, name: str) -> None:
        """Take back what `register` added; installed plugins stay."""
        self._registered.pop(name, None)

    def refresh(self) -> None:
        """Look again at what is installed."""
        self._found = None

    def available(self) -> list[str]:
        """Return the names of all plugins, sorted, without loading any."""
        return sorted({*self._entry_points(), *self._registered})

    def distributions(self, name: str) -> list[str]:
        """Return which distributions provide the plugin: one, unless there is a conflict."""
        if name in self._registered:
            return ["registered in this process"]
        return [_distribution(point) for point in self._entry_points().get(name, [])]

    def factory(self, name: str) -> Callable[..., Any]:
        """Load one plugin and return its class or factory.

        Raises
        ------
        PluginError
            If there is none of that name, more than one, or it fails to import.
        """
        if name in self._registered:
            return self._registered[name]
        points = self._entry_points().get(name, [])
        if not points:
            raise PluginError(self._unknown(name))
        if len(points) > 1:
            owners = " and ".join(repr(_distribution(point)) for point in points)
            raise PluginError(
                f"two {self.kind}s are called {name!r}: {owners} both provide one. "
                f"Uninstall one of them, or pass the class itself in place of the name."
            )
        try:
            loaded = points[0].load()
        except (Exception, SystemExit) as error:  # a module may end by sys.exit what it misses
            raise PluginError(self._broken(points[0], error)) from error
        if not callable(loaded):
            raise PluginError(
                f"the {self.kind} {name!r} of {_distribution(points[0])!r} "
                f"({points[0].value}) is no class or callable but {type(loaded).__name__}"
            )
        return loaded  # type: ignore[no-any-return]

    def get(self, name: str, /, *args: Any, **params: Any) -> Any:
        """Make the plugin of that name with these arguments.

        Raises
        ------
        PluginError
            If there is none of that name, more than one, or it fails to import.
        TypeError
            If it does not take the arguments.
        """
        return self.factory(name)(*args, **params)

    def loadable(self) -> Iterator[tuple[str, Callable[..., Any]]]:
        """Load every plugin, one after the other; a broken one warns and is passed over.

        Bare names come before prefixed ones, so that no third party stands before a built-in
        by the alphabet alone.
        """
        for name in sorted(self.available(), key=lambda name: ("." in name, name)):
            try:
                yield name, self.factory(name)
            except PluginError as error:
                first_line = str(error).splitlines()[0]
                warnings.warn(f"passed over: {first_line}", LayerlensWarning, stacklevel=3)

    def _entry_points(self) -> dict[str, list[EntryPoint]]:
        if self._found is None:
            found: dict[str, list[EntryPoint]] = {}
            for point in _points(self.group):
                same = found.setdefault(point.name, [])
                # one distribution seen through two places on the path is one plugin
                if (point.value, _distribution(point)) not in (
                    (other.value, _distribution(other)) for other in same
                ):
                    same.append(point)
            self._found = found
        return self._found

    def _unknown(self, name: str) -> str:
        names = self.available()
        message = f"there is no {self.kind} called {name!r}; there are: {', '.join(names)}."
        close = difflib.get_close_matches(str(name), names, n=1)
        if close:
            message += f" Did you mean {close[0]!r}?"
        if not names:
            message += f" Even layerlens's own are missing: reinstall it (pip install {_OWN})."
        return message

    def _broken(self, point: EntryPoint, error: BaseException) -> str:
        message = (
            f"the {self.kind} {point.name!r} of the distribution {_distribution(point)!r} "
            f"({point.value}) could not be imported: {type(error).__name__}: {error}."
        )
        extra = self._extras.get(point.name)
        if extra and isinstance(error, ImportError):
            return f'{message} It needs an extra: pip install "{_OWN}[{extra}]"'
        return f"{message}\n{''.join(traceback.format_exception(error)).rstrip()}"


def _points(group: str) -> list[EntryPoint]:
    """Return the entry points of a group, without those of distributions that cannot be read."""
    try:
        return list(entry_points(group=group))
    except Exception:  # noqa: BLE001 -- one unreadable entry_points.txt fails for all of them
        found: list[EntryPoint] = []
        for distribution in distributions():
            try:
                found.extend(distribution.entry_points.select(group=group))
            except Exception as error:  # noqa: BLE001
                what = getattr(distribution, "_path", None) or distribution
                warnings.warn(
                    f"passed over: the entry points of {str(what)!r} cannot be read "
                    f"({type(error).__name__}: {error}); reinstall that distribution",
                    LayerlensWarning,
                    stacklevel=2,
                )
        return found


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"


REDUCERS = Registry(
    "layerlens.reducers",
    "reducer",
    extras={"opentsne": "opentsne", "pacmap": "pacmap", "torchdr": "torchdr"},
)
SINKS = Registry("layerlens.sinks", "sink", extras={"figure": "figures"})
