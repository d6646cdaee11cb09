"""Write one result with one sink, or with several: one that fails leaves the others alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from layerlens.errors import ArgumentError, PluginError, StoreError
from layerlens.records import LayerEmbedding

__all__ = ["write_all", "write_one"]

Choose = Callable[[Path], Callable[..., Any]]


def write_one(
    layers: Sequence[LayerEmbedding], path: Path, factory: Any, options: Mapping[str, Any]
) -> None:
    """Hand every layer to one sink.

    Raises
    ------
    PluginError
        If what is given is no sink.
    Exception
        Whatever the sink fails with, also where its ``__exit__`` swallows it: nobody is to think
        that a file is there which is not.
    """
    if not callable(factory):
        raise PluginError(
            f"sink is a name, a class or another callable that makes one; got {factory!r}. A sink "
            f"that is made already goes into a list: save([sink])"
        )
    sink = factory(path, **options)
    if not isinstance(sink, AbstractContextManager):
        raise PluginError(_no_sink(factory, f"{type(sink).__name__} is no context manager"))
    failure: BaseException | None = None
    with sink as writer:
        try:
            if not callable(getattr(writer, "write", None)):
                what = f"__enter__ gave {type(writer).__name__}, which has no write(embedding)"
                raise PluginError(_no_sink(factory, what))
            for layer in layers:
                writer.write(layer)
        except BaseException as error:
            failure = error
            raise
    if failure is not None:
        failure.add_note(f"which the sink's __exit__ would have swallowed: {type(sink).__name__}")
        raise failure


def _no_sink(factory: Any, why: str) -> str:
    name = getattr(factory, "__name__", type(factory).__name__)
    return (
        f"the sink {name!r} does not keep the contract of a sink: {why}. "
        f"layerlens.testing.check_sink says what it needs"
    )


def write_all(
    layers: Sequence[LayerEmbedding], targets: Iterable[Any], choose: Choose
) -> list[Path]:
    """Open every sink, hand each layer to all of them, close them.

    Raises
    ------
    ArgumentError
        If there is no target, one is neither path nor sink, or two have one path.
    StoreError
        If a sink failed, naming each that did, after all others finished. The failures are its
        cause: one as it is, several as an ExceptionGroup.
    """
    if not isinstance(targets, Iterable):
        raise ArgumentError(_no_target(targets))
    outputs = [_Output(target, choose) for target in targets]
    if not outputs:
        raise ArgumentError("there is nothing to save to: the list of paths is empty")
    _require_distinct(outputs)
    try:
        for output in outputs:
            output.attempt(output.open)
        for layer in layers:
            for output in outputs:
                output.attempt(output.take, layer)
        for output in outputs:
            output.attempt(output.close, None)
    except BaseException as error:  # Ctrl-C: nothing of what is open may be left half-written
        for output in outputs:
            output.abandon(error)
        raise
    failed = [output for output in outputs if output.error is not None]
    if failed:
        causes = [output.error for output in failed if output.error is not None]
        cause = causes[0] if len(causes) == 1 else ExceptionGroup("sinks that failed", causes)
        what = "; ".join(
            f"{output.name} ({str(output.path)!r}): {type(output.error).__name__}: {output.error}"
            for output in failed
        )
        raise StoreError(
            f"{len(failed)} of {len(outputs)} sinks failed, the others are written. {what}"
        ) from cause
    return [output.path for output in outputs]


class _Output:
    """One sink among several: open until it fails or is closed."""

    def __init__(self, target: Any, choose: Choose) -> None:
        if isinstance(target, str | os.PathLike):
            self.path = Path(target)
            self.sink: Any = None
            self._factory: Callable[..., Any] | None = choose(self.path)
            self.name = getattr(self._factory, "__name__", repr(self._factory))
        elif isinstance(target, AbstractContextManager):
            self.path = Path(getattr(target, "path", ""))
            self.sink, self._factory = target, None
            self.name = type(target).__name__
        else:
            raise ArgumentError(_no_target(target))
        self.writer: Any = None
        self.error: Exception | None = None
        self._is_open = False

    def open(self) -> None:
        if self._factory is not None:
            self.sink = self._factory(self.path)
        self.writer = self.sink.__enter__()
        self._is_open = True

    def take(self, layer: LayerEmbedding) -> None:
        self.writer.write(layer)

    def close(self, error: BaseException | None) -> None:
        if self._is_open:
            self._is_open = False
            self.sink.__exit__(error and type(error), error, error and error.__traceback__)

    def attempt(self, step: Callable[..., Any], *args: Any) -> None:
        """Do a step unless one failed before; on a failure close the sink, which discards."""
        if self.error is not None:
            return
        try:
            step(*args)
        except Exception as error:  # noqa: BLE001 -- whatever a third party's sink raises
            self.error = error
            self.abandon(error)

    def abandon(self, error: BaseException) -> None:
        try:
            self.close(error)
        except Exception as second:  # noqa: BLE001 -- the first failure is the one to report
            error.add_note(f"closing {self.name} failed too: {type(second).__name__}: {second}")


def _no_target(given: Any) -> str:
    return (
        f"save() takes a path, or a list of paths and sinks; {given!r} is neither. "
        f'A sink with options is made by layerlens.sinks.get("figure", path, dpi=300).'
    )


def _require_distinct(outputs: Sequence[_Output]) -> None:
    seen: dict[str, _Output] = {}
    for output in outputs:
        if str(output.path) in ("", "."):
            continue  # a sink that does not say where it writes
        other = seen.setdefault(os.path.realpath(output.path), output)
        if other is not output:
            raise ArgumentError(
                f"{other.name} and {output.name} both write {str(output.path)!r}: "
                f"give each a path of its own"
            )
