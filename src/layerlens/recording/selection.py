"""Which modules of a model are meant: globs, types, predicates, and lists of these."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from layerlens.errors import LayerSelectionError, RecordingError
from layerlens.recording.operations import check_operation, operation_pattern
from layerlens.recording.structure import Path, split_path

__all__ = [
    "INPUT",
    "Selection",
    "Selector",
    "Target",
    "as_selector",
    "is_scripted",
    "original",
    "qualified_names",
    "select",
]

One: TypeAlias = str | type[nn.Module] | nn.Module | Callable[[str, nn.Module], bool]
Selector: TypeAlias = One | Iterable[One]

INPUT = "input"
"""Name of the pseudo-layer that is the model's own input."""


@dataclass(frozen=True, slots=True)
class Target:
    """A module to record.

    `paths`: places in its output; None is the first floating tensor, wherever it lies.
    `only_new`: record its output only where no module inside of it put out the same tensor before:
    a residual block, but not a plain `torch.nn.Sequential`.
    """

    name: str
    module: nn.Module
    paths: tuple[Path | None, ...]
    only_new: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """What was selected of a model."""

    targets: tuple[Target, ...]
    model_input: bool
    named: frozenset[str]
    operations: tuple[str, ...] = ()


def qualified_names(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules by name, as `named_modules`, but without a trace of `torch.compile`.

    Compiling wraps a module in another that holds it as ``_orig_mod``; the wrapper is left out
    and the module keeps the name that it had before.
    """
    names = {}
    for name, module in model.named_modules():
        if hasattr(module, "_orig_mod") and type(module).__name__ == "OptimizedModule":
            continue
        plain = ".".join(part for part in name.split(".") if part != "_orig_mod")
        names[plain] = module
    return names


def select(model: nn.Module, layers: Selector) -> Selection:
    """Find what a selector means in a model.

    `layers`: a glob over qualified names (`fnmatch`; ``*`` also matches dots), which may end in a
    place in the layer's output (``"lstm[1]"``, ``'encoder["aux"]'``); a module type; a module of
    the model; a predicate ``(name, module) -> bool``. ``"*"`` alone is every leaf module, and every
    other module that puts out a tensor which no module inside of it put out. ``"input"`` is the
    model's own input. ``"op:add"``, ``"op:*"`` and ``"op:block*/add"`` are operations that are no
    modules, by globs over their names.

    Raises
    ------
    LayerSelectionError
        If one of the selectors matches nothing; the message lists the nearest names.
    TypeError
        If a selector is none of these.
    """
    names = qualified_names(model)
    chosen: dict[str, dict[Path | None, bool]] = {}
    named: set[str] = set()
    model_input = False
    operations: dict[str, None] = {}
    given = as_selector(layers)
    items = given if isinstance(given, list) else [given]
    if not items:
        raise LayerSelectionError(
            "layers is empty, so nothing would be recorded; pass a glob, a module type, a "
            'predicate or a list of these ("*" is every layer)'
        )
    for item in items:
        if item == INPUT and INPUT not in names:
            model_input = True
            continue
        operation = operation_pattern(item, names) if isinstance(item, str) else None
        if operation is not None:
            check_operation(operation, names, type(model).__name__)
            operations[operation] = None
            continue
        matches = _match(item, names, model)
        if not matches:
            raise LayerSelectionError(_no_match(item, names, model))
        if isinstance(item, str) and not set(item) & set("*?"):
            named.update(name for name, _, _ in matches)
        for name, path, only_new in matches:
            paths = chosen.setdefault(name, {})
            paths[path] = paths.get(path, True) and only_new
    targets = tuple(
        Target(name, module, tuple(chosen[name]), all(chosen[name].values()))
        for name, module in names.items()
        if name in chosen
    )
    return Selection(targets, model_input, frozenset(named), tuple(operations))


def as_selector(layers: Selector) -> One | list[One]:
    """Check that something can be a selector, and read an iterable once and for all.

    Raises
    ------
    TypeError
        If it is neither a selector nor an iterable.
    """
    # a module may be a container, which can be iterated over, and is meant itself all the same
    if isinstance(layers, str | type | nn.Module) or callable(layers):
        return layers
    try:
        return list(layers)
    except TypeError:
        raise TypeError(
            "layers is a glob over names, a module type, a predicate (name, module) -> bool, or "
            f"a list of these; got {layers!r} of type {type(layers).__name__}"
        ) from None


def _match(
    item: One, names: dict[str, nn.Module], model: nn.Module
) -> list[tuple[str, Path | None, bool]]:
    if item == "*":
        # modules that compute a parametrised weight are called, but not on the data
        data = [(n, m) for n, m in names.items() if "parametrizations" not in n.split(".")]
        return [(n, None, next(m.children(), None) is not None) for n, m in data]
    if isinstance(item, str):
        return [(name, path, False) for name, path in _match_text(item, names)]
    if isinstance(item, type) and issubclass(item, nn.Module):
        found = [name for name, module in names.items() if isinstance(module, item)]
    elif isinstance(item, nn.Module):
        found = [name for name, module in names.items() if module is item]
    elif callable(item) and not isinstance(item, type):
        found = [name for name, module in names.items() if item(name, module)]
    else:
        raise TypeError(
            "a layer is selected by a glob over names, a module type, a module, or a predicate "
            f"(name, module) -> bool; got {item!r}"
        )
    return [(name, None, False) for name in found]


def _match_text(item: str, names: dict[str, nn.Module]) -> list[tuple[str, Path | None]]:
    """Read ``[1]`` as a place in the output unless only a glob's character set makes sense."""
    base, path = split_path(item)
    if item in names:
        return [(item, None)]
    if path and base in names:
        return [(base, path)]
    found = [name for name in names if fnmatch.fnmatchcase(name, item)]
    if found or not path:
        return [(name, None) for name in found]
    return [(name, path) for name in names if fnmatch.fnmatchcase(name, base)]


def _no_match(item: One, names: dict[str, nn.Module], model: nn.Module) -> str:
    kind = type(model).__name__
    if isinstance(item, type):
        types = sorted({type(module).__name__ for module in names.values()})
        return f"{kind} has no layer of type {item.__name__}; its types are: {', '.join(types)}"
    if isinstance(item, nn.Module):
        return f"that {type(item).__name__} is no part of {kind}; select a module of the model"
    if not isinstance(item, str):
        return f"no layer of {kind} satisfies the predicate {item!r}"
    alias = _alias(item, model)
    if alias:
        return f"{item!r} is the same module as {alias!r}, and is recorded under that name"
    base, _ = split_path(item)
    plain = base.strip("*?")
    known = [name for name in names if name]
    close = difflib.get_close_matches(plain, known, n=4, cutoff=0.5)
    close += [name for name in known if plain and plain in name and name not in close]
    nearest = close[:4] or known[:4]
    return (
        f"{kind} has no layer that matches {item!r}. Nearest names: "
        f"{', '.join(map(repr, nearest)) or 'none, it has no submodules'}"
        f"{f' (of {len(known)}; list(dict(model.named_modules())) shows all)' if known else ''}"
    )


def _alias(item: str, model: nn.Module) -> str | None:
    """Return under which name a module is listed that ``item`` is a second name of."""
    everything = dict(model.named_modules(remove_duplicate=False))
    if item not in everything:
        return None
    return next((n for n, m in model.named_modules() if m is everything[item] and n != item), None)


def is_scripted(module: nn.Module) -> bool:
    """Tell whether a module is TorchScript, which takes no hooks."""
    return isinstance(module, torch.jit.ScriptModule)


def original(model: nn.Module) -> nn.Module:
    """Return the module to put hooks on: the one that was compiled, where one was.

    Raises
    ------
    TypeError
        If it is no module.
    RecordingError
        If it is TorchScript, or spread over several devices by `torch.nn.DataParallel`.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if is_scripted(model):
        raise RecordingError(
            f"{type(model).__name__} is TorchScript, which takes no hooks; use the model that it "
            "was scripted or traced from"
        )
    if isinstance(model, nn.DataParallel) and len(model.device_ids or ()) > 1:
        raise RecordingError(
            "DataParallel runs copies of the model, each in a thread of its own, where its hooks "
            "see nothing; record model.module, on one device"
        )
    root = getattr(model, "_orig_mod", model)
    return root if isinstance(root, nn.Module) else model
