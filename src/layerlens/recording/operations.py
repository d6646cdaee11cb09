"""Operations that are no modules: ``x + residual``, ``F.relu(x)``, ``torch.cat([x, y])``.

While a recording is open, a mode of PyTorch's sees every function of tensors that this thread
calls. One that is called in the ``forward`` of a module is named after that module and counted in
it: ``layer1.0/add``, ``layer1.0/add:1``. What happens inside of a function (the steps of
``F.layer_norm``) or of a module of `torch.nn` is theirs; what a module of `torch.nn` puts out is
recorded under its own name.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache, partial
from typing import Any, Protocol

import torch
from torch import nn, overrides

from layerlens.errors import LayerSelectionError
from layerlens.recording.batch import batch_size, is_calling_itself
from layerlens.recording.hooks import Hooks, unseen
from layerlens.recording.layout import declared

__all__ = [
    "Operations",
    "Taker",
    "check_operation",
    "known_operations",
    "operation_name",
    "operation_pattern",
]

PREFIX = "op:"

_MODES: Any = overrides  # the stack of modes has no public functions of its own

# the same thing by another name
_SAME = {
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "multiply": "mul",
    "negative": "neg",
    "subtract": "sub",
    "true_divide": "div",
    "truediv": "div",
}
# of Python's operators, with the letter before them that says "in place" or "from the right"
_OPERATORS = ("add", "sub", "mul", "div", "truediv", "matmul", "pow", "mod", "floordiv")

# these move values about or change how they are kept, and compute nothing
# fmt: off
_REARRANGE = frozenset({
    "arange", "as_strided", "as_subclass", "bfloat16", "broadcast_to", "chunk", "clone",
    "contiguous", "cpu", "cuda", "detach", "double", "empty", "empty_like", "expand",
    "expand_as", "flatten", "float", "full", "full_like", "getitem", "half", "hsplit",
    "index_select", "movedim", "narrow", "new_empty", "new_full", "new_ones", "new_tensor",
    "new_zeros", "numpy", "ones", "ones_like", "permute", "rand", "rand_like", "randn",
    "randn_like", "ravel", "reshape", "reshape_as", "rot90", "select", "split",
    "split_with_sizes", "squeeze", "swapaxes", "swapdims", "t", "tensor", "tensor_split",
    "to", "transpose", "type", "type_as", "unbind", "unflatten", "unfold", "unsqueeze",
    "view", "view_as", "vsplit", "zeros", "zeros_like",
})
# fmt: on


class Taker(Protocol):
    """Who gets what operations give: one call for each that is wanted."""

    def take_operation(
        self,
        layer: str,
        wanted: Callable[[int], bool],
        value: Any,
        module: nn.Module,
        size: int | None,
    ) -> None:
        """Take the result of an operation, where it is one row a sample."""
        ...


@lru_cache(4096)
def operation_name(function: Any) -> str | None:
    """Return the plain name of a function of tensors; None where it is no operation.

    Methods, functions and operators share a name, in place or not: ``x + y``, ``x += y``,
    ``torch.add`` and ``x.add_`` are all ``add``.
    """
    name = getattr(function, "__name__", "")
    if name.startswith("__") and name.endswith("__"):
        name = name.strip("_")
        if name[1:] in _OPERATORS and name[0] in "ri":
            name = name[1:]
        if name in ("get", "set", "delete", "setitem"):
            return None
    name = name.strip("_")
    return _SAME.get(name, name) or None


@cache
def known_operations() -> tuple[str, ...]:
    """Return the names of all operations that PyTorch has, in order."""
    functions = [one for some in overrides.get_overridable_functions().values() for one in some]
    names = {operation_name(function) for function in functions}
    return tuple(sorted(name for name in names if name is not None and name.isidentifier()))


def operation_pattern(item: str, modules: Iterable[str]) -> str | None:
    """Return the pattern of operations that a selector means, or None if it means modules.

    ``"op:add"`` and ``"op:*"`` are operations by their own name wherever they happen;
    ``"op:layer1.*/add"``, and a name such as ``"layer1.0/add:1"`` as it stands in a record, by
    the module too.
    """
    if item in modules:
        return None
    if item.startswith(PREFIX):
        return item[len(PREFIX) :]
    return item if "/" in item else None


def check_operation(pattern: str, modules: Iterable[str], model: str) -> None:
    """See that a pattern can match something.

    Raises
    ------
    LayerSelectionError
        If no operation of PyTorch's, or no module of the model, has such a name.
    """
    place, slash, name = pattern.rpartition("/")
    name = name.split(":")[0]
    known, names = known_operations(), list(modules)
    if not fnmatch.filter(known, name):
        close = difflib.get_close_matches(name.strip("*?_"), known, n=4, cutoff=0.5)
        is_module = not slash and fnmatch.filter(names, name)
        of_module = f", all of a module: {f'{PREFIX}{name}/*'!r}" if is_module else ""
        raise LayerSelectionError(
            f"no operation is called {name!r}. Nearest names: "
            f"{', '.join(repr(PREFIX + one) for one in close or ('add', 'cat', 'relu', 'matmul'))}"
            " (methods, functions and operators share one name: x + y, x.add_(y) and "
            f"torch.add(x, y) are 'op:add'; 'op:*' is every operation{of_module})"
        )
    if slash and not fnmatch.filter(names, place):
        close = difflib.get_close_matches(place.strip("*?"), names, n=4, cutoff=0.5)
        nearest = ", ".join(repr(f"{one}/{name}") for one in close or names[:4])
        raise LayerSelectionError(
            f"{model} has no module {place!r} for the operation {pattern!r} to happen in. Nearest "
            f"names: {nearest}"
        )


class _Mode(overrides.TorchFunctionMode):
    """Hands every function's result to somebody, unchanged."""

    def __init__(self, see: Callable[[Any, Any], None]) -> None:
        super().__init__()
        self._see = see

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        unseen(self._see, func, result)
        return result

    def leave(self) -> None:
        """Take the mode off, also where others came after it and are still on."""
        later = []
        while _MODES._len_torch_function_stack():
            mode = _MODES._pop_mode()
            if mode is self:
                break
            later.append(mode)
        for mode in reversed(later):
            _MODES._push_mode(mode)


class Operations:
    """Follows which module runs, and hands on what the operations in it give."""

    def __init__(
        self,
        patterns: Iterable[str],
        model: nn.Module,
        modules: Mapping[str, nn.Module],
        taker: Taker,
    ) -> None:
        self._patterns = tuple(patterns)
        self._model = model
        self._modules = modules
        self._taker = taker
        self._running: list[tuple[str, nn.Module, bool]] = []
        self._latest: nn.Module | None = None
        self._outermost: int | None = None
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._used: set[str] = set()
        self._ran: set[str] = set()

    def attach(self, hooks: Hooks, is_mine: Callable[[], bool]) -> None:
        """Enter the mode, and put hooks on all modules to know which one runs."""
        if not self._patterns:
            return
        self._is_mine = is_mine
        for name, module in self._modules.items():
            seen = _is_looked_into(name, module)
            hooks.before(module, partial(self._enter, name, seen))
            hooks.after(module, partial(self._leave, name), always=True)
        mode = _Mode(self._see)
        hooks.then(mode.leave)
        _MODES._push_mode(mode)

    def unused(self) -> dict[str, str]:
        """Return the patterns that matched nothing, and why that may be."""
        ran = ", ".join(sorted(self._ran - _REARRANGE)) or "none"
        why = f"no such operation gave one row a sample inside a module; those that ran: {ran}"
        unused = [pattern for pattern in self._patterns if pattern not in self._used]
        return {pattern if "/" in pattern else PREFIX + pattern: why for pattern in unused}

    # --- which module runs -------------------------------------------------------------------

    def _enter(self, name: str, seen: bool, module: nn.Module, args: Any, kwargs: Any) -> None:
        if not self._is_mine():
            return
        if module is self._model and self._running and not is_calling_itself(module):
            self._running.clear()  # an interrupt left them half-way
        if not self._running:
            self._outermost = batch_size(module, args, kwargs)
        self._running.append((name, module, seen))
        self._latest = None

    def _leave(self, name: str, module: nn.Module, args: Any, output: Any) -> None:
        if not self._is_mine():
            return
        while self._running:
            left = self._running.pop()
            if left[0] == name:
                break
        self._latest = module

    # --- what is done in it ------------------------------------------------------------------

    def _see(self, function: Any, result: Any) -> None:
        if not self._running or result is None:
            return
        place, module, seen = self._running[-1]
        if not seen or isinstance(result, int | float | str):
            return
        name = operation_name(function)
        if name is None or not self._is_mine():
            return
        layer = f"{place}/{name}"
        patterns = self._wanted.get(layer)
        if patterns is None:
            patterns = self._wanted[layer] = tuple(
                one for one in self._patterns if _may_match(one, place, name)
            )
        if name not in self._ran and isinstance(result, torch.Tensor | tuple | list):
            self._ran.add(name)
        if not patterns:
            return
        # the layout is that of the module before it, where that one has any
        latest = self._latest
        near = module if latest is None or declared(latest) is None else latest
        wanted = partial(self._is_wanted, patterns, layer)
        self._taker.take_operation(layer, wanted, result, near, self._outermost)

    def _is_wanted(self, patterns: tuple[str, ...], layer: str, count: int) -> bool:
        called = f"{layer}:{count}" if count else layer
        chosen = [one for one in patterns if ":" not in one or fnmatch.fnmatchcase(called, one)]
        self._used.update(chosen)
        return bool(chosen)


def _is_looked_into(name: str, module: nn.Module) -> bool:
    """Tell whether a module's forward is the user's: what torch.nn's do is theirs alone."""
    if "parametrizations" in name.split("."):  # computes a weight
        return False
    # their sums are those of a residual network
    layers = nn.TransformerEncoderLayer | nn.TransformerDecoderLayer
    return isinstance(module, layers) or not type(module).__module__.startswith("torch.")


def _may_match(pattern: str, place: str, name: str) -> bool:
    where, slash, operation = pattern.rpartition("/")
    operation = operation.split(":")[0]
    if set(operation) & set("*?[") and name in _REARRANGE:
        return False  # to be asked for by name
    return fnmatch.fnmatchcase(name, operation) and (not slash or fnmatch.fnmatchcase(place, where))
