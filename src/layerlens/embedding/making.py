"""From what the caller calls a reducer to a fresh reducer for each layer."""

from __future__ import annotations

import copy
import difflib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from layerlens.errors import ArgumentError, PluginError
from layerlens.plugins.protocols import accepts
from layerlens.plugins.registry import REDUCERS

__all__ = ["DEFAULT_COMPONENTS", "ReducerMaker"]

DEFAULT_COMPONENTS = 2
"""Dimensions of a picture where nobody asked for others."""


class ReducerMaker:
    """Makes reducers of one kind.

    `reducer`: a registered name; a class or factory; or a reducer, which is taken as it is
    configured and cloned for each layer.
    `common`: ``n_components``, ``random_state`` and ``n_jobs``: passed to the constructor where it
    takes them. A ready reducer keeps its own; an ``n_components`` that was asked for, which a value
    other than the default tells, must be its own too.

    Raises
    ------
    PluginError
        If there is no such reducer, or what is given is none.
    ArgumentError
        If it does not take one of `params`; the message says what it takes.
    """

    def __init__(
        self,
        reducer: Any,
        common: Mapping[str, Any],
        params: Mapping[str, Any],
    ) -> None:
        self._given = reducer, common, params
        self._prototype: Any = None
        self._factory: Callable[..., Any] | None = None
        self._arguments: dict[str, Any] = {}
        self._n_components = common.get("n_components", DEFAULT_COMPONENTS)
        if isinstance(reducer, str):
            self.name = reducer
            self._take_factory(REDUCERS.factory(reducer), common, params)
        elif inspect.isclass(reducer) or not callable(getattr(reducer, "fit_transform", None)):
            self.name = getattr(reducer, "__name__", type(reducer).__name__)
            if not callable(reducer):
                raise PluginError(
                    f"a reducer is a name ({', '.join(REDUCERS.available())}), an object with "
                    f"fit_transform, or a class of such; got {type(reducer).__name__}"
                )
            self._take_factory(reducer, common, params)
        else:
            self.name = type(reducer).__name__
            self._take_prototype(reducer, params)

    @property
    def takes_seed(self) -> bool:
        """Whether reducers are made with the ``random_state`` that was given."""
        return "random_state" in self._arguments

    def use_of_labels(self) -> Literal["needed", "possible", "none"]:
        """Say whether reducers of this kind do without labels, can use them, or use none.

        ``"needed"`` where ``y`` has no default; ``"none"`` where there is no ``y``, or the
        attribute ``uses_labels`` is false. Of others' reducers that take a ``y`` one cannot tell
        whether they look at it.
        """
        made = self()
        for method in (made.fit_transform, getattr(made, "fit", None)):
            if method is not None and _needs(method, "y"):
                return "needed"
        taken = accepts(made.fit_transform, "y") and getattr(made, "uses_labels", True)
        return "possible" if taken else "none"

    def __call__(self) -> Any:
        """Make a reducer that has seen no data."""
        if self._factory is None:
            made = _clone(self._prototype)
        else:
            try:
                made = self._factory(**self._arguments)
            except Exception as error:
                missing = _missing(self._factory, self._arguments)
                if missing:
                    raise PluginError(
                        f"the reducer {self.name!r} needs {missing} to be made: pass it to reduce, "
                        f"or pass a ready-made object. A reducer is an object with fit_transform, "
                        f"or what makes one; a function of the rows is none"
                    ) from error
                error.add_note(f"while making the reducer {self.name!r}")
                raise
        if not callable(getattr(made, "fit_transform", None)):
            raise PluginError(
                f"the reducer {self.name!r} has no fit_transform: "
                f"{type(made).__name__} does not keep the contract of a reducer"
                + _instead_of_fit_transform(made)
            )
        own = getattr(made, "n_components", None)
        if isinstance(own, int | np.integer) and not isinstance(own, bool):
            self.check_components(int(own))
        return made

    def with_seed(self, random_state: int) -> ReducerMaker:
        """Return what makes the same reducers from another seed."""
        reducer, common, params = self._given
        return ReducerMaker(reducer, {**common, "random_state": random_state}, params)

    def check_components(self, drawn: int) -> None:
        """Refuse a reducer that keeps its own ``n_components`` where others were asked for.

        Raises
        ------
        ArgumentError
            If others were asked for, and it is not made with them.
        """
        asked = self._n_components
        if "n_components" in self._arguments or asked in (drawn, DEFAULT_COMPONENTS):
            return
        if self._factory is None:
            remedy = "a ready-made one keeps its own: set it where you make it"
        else:
            remedy = f"it takes no n_components: set it in what makes {self.name!r}"
        raise ArgumentError(
            f"n_components={asked}, and the reducer {self.name!r} draws {drawn}; {remedy}, or "
            f"leave n_components out"
        )

    def _take_factory(
        self, factory: Callable[..., Any], common: Mapping[str, Any], params: Mapping[str, Any]
    ) -> None:
        taken, takes_any = _parameters(factory)
        for name in params:
            if name not in taken and not takes_any:
                raise ArgumentError(_unknown_parameter(self.name, name, taken))
        self._factory = factory
        self._arguments = {name: value for name, value in common.items() if name in taken}
        self._arguments.update(params)

    def _take_prototype(self, reducer: Any, params: Mapping[str, Any]) -> None:
        self._prototype = reducer
        if not params:
            return
        if not callable(getattr(reducer, "set_params", None)):
            raise ArgumentError(
                f"the reducer {self.name!r} is given ready-made and has no set_params; "
                f"set {', '.join(params)} where you make it"
            )
        taken = sorted(reducer.get_params())
        for name in params:
            if name not in taken:
                raise ArgumentError(_unknown_parameter(self.name, name, taken))
        self._prototype = _clone(reducer)
        self._prototype.set_params(**params)


def parameters_of(reducer: Any) -> dict[str, Any]:
    """Return a reducer's parameters as JSON's types, for provenance."""
    if callable(getattr(reducer, "get_params", None)):
        found = reducer.get_params(deep=False)
    else:
        names, _ = _parameters(type(reducer))
        found = {name: getattr(reducer, name) for name in names if hasattr(reducer, name)}
    return {name: as_json(value) for name, value in found.items()}


def versions_of(reducer: Any) -> dict[str, str]:
    """Return the versions of the packages that a reducer's class is made of."""
    packages = {cls.__module__.split(".")[0] for cls in type(reducer).__mro__} | {"numpy"}
    found = {name: getattr(sys.modules.get(name), "__version__", None) for name in packages}
    return {name: version for name, version in sorted(found.items()) if isinstance(version, str)}


def as_json(value: Any) -> Any:
    """Turn a value into JSON's types: exactly where it can be, by its `repr` where not."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): as_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return f"<array {value.shape} {value.dtype}>"
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return type(value).__qualname__


def _parameters(factory: Callable[..., Any]) -> tuple[list[str], bool]:
    """Names that a constructor takes, and whether it takes any others."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # builtins without a signature
        return [], True
    kinds = inspect.Parameter
    names = [p.name for p in parameters if p.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL)]
    return names, any(p.kind is kinds.VAR_KEYWORD for p in parameters)


def _missing(factory: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """Name the parameters without a default that a constructor is not given."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # builtins without a signature
        return ""
    kinds = inspect.Parameter
    needed = [
        repr(p.name)
        for p in parameters
        if p.default is kinds.empty
        and p.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL)
        and p.name not in arguments
    ]
    return ", ".join(needed)


def _instead_of_fit_transform(made: Any) -> str:
    """Say what to do with an estimator that is no transformer."""
    if callable(getattr(made, "fit", None)) and callable(getattr(made, "transform", None)):
        return (
            "; it has fit and transform, so derive it from sklearn.base.TransformerMixin too, or "
            "pass sklearn.pipeline.make_pipeline of it"
        )
    if callable(getattr(made, "fit_predict", None)):
        return (
            "; it finds clusters and no coordinates: take 'kmeans', or give it a fit_transform "
            "that draws, with its labels_ left to be the clusters"
        )
    return ""


def _needs(method: Callable[..., Any], name: str) -> bool:
    """Whether a method has a parameter of that name without a default."""
    try:
        parameter = inspect.signature(method).parameters.get(name)
    except (TypeError, ValueError):  # builtins without a signature
        return False
    return parameter is not None and parameter.default is inspect.Parameter.empty


def _clone(reducer: Any) -> Any:
    if callable(getattr(reducer, "get_params", None)):
        from sklearn.base import clone

        return clone(reducer)
    return copy.deepcopy(reducer)


def _unknown_parameter(reducer: str, name: str, taken: list[str]) -> str:
    message = f"the reducer {reducer!r} takes no {name!r}."
    close = difflib.get_close_matches(name, taken, n=1)
    if close:
        message += f" Did you mean {close[0]!r}?"
    return f"{message} It takes: {', '.join(taken) or 'nothing'}."
