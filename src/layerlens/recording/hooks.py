"""Putting hooks on a model and taking them off again, whatever happens in between."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.fx import _symbolic_trace
from torch.utils._python_dispatch import _disable_current_modes

from layerlens.errors import RecordingError

__all__ = [
    "Hooks",
    "being_traced",
    "hooked",
    "in_backward",
    "unseen",
    "untouchable",
]


_TRACING = "torch.jit._trace"


class _Unscriptable:
    """What says so when `torch.jit.script` is about to compile it, as it does with hooks."""

    @property
    def __name__(self) -> str:
        # the name is what scripting asks for first; without it that ends in an AttributeError
        if sys._getframe(1).f_globals.get("__name__") == "torch.jit._recursive":
            raise RecordingError(
                "torch.jit.script compiles a model's hooks too, and a probe is open on this one, "
                "or was when it was copied: script it (or copy it) before the probe's block or "
                "after it, or take torch.jit.trace, which works in the block"
            )
        return "probe"


class _Hook(_Unscriptable):
    """A hook that leads to a method of a probe, and nowhere in a copy of the model."""

    def __init__(self, owner: Hooks, function: Callable[..., None]) -> None:
        self.owner = owner
        self._function = function

    def __call__(self, *args: Any) -> None:
        if being_traced() or (self.owner.traced and _is_check_of_trace()):
            self.owner.traced = True
            return
        # what recording does to tensors is no operation of the model's
        with torch._C.DisableTorchFunction():
            if self.owner.hidden:
                unseen(self._function, *args)
            else:
                self._function(*args)

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., None]:
        return _Nothing()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Nothing, ()


class _Nothing(_Unscriptable):
    """Stands in for a hook in a copy of the model: the copy is not recorded."""

    def __call__(self, *args: Any) -> None:
        """Do nothing."""


class Hooks:
    """The hooks that one probe has on one model.

    `hidden`: hide what hooks do from dispatch modes: a user who counts operations counts the
    model's.
    """

    def __init__(self, model: nn.Module, *, hidden: bool = False) -> None:
        self._model = model
        self.hidden = hidden
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._afterwards: list[Callable[[], None]] = []
        self.traced = False
        """Whether the model was called by a tracer, which is not recorded."""

    def before(self, module: nn.Module, function: Callable[..., None]) -> None:
        """Call ``function(module, args, kwargs)`` before each forward of a module."""
        hook = _Hook(self, function)
        self._handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def after(
        self, module: nn.Module, function: Callable[..., None], *, always: bool = False
    ) -> None:
        """Call ``function(module, args, output)`` after each forward, also a failed one."""
        hook = _Hook(self, function)
        self._handles.append(module.register_forward_hook(hook, always_call=always))

    def then(self, function: Callable[[], None]) -> None:
        """Call a function once the hooks are off."""
        self._afterwards.append(function)

    def remove(self) -> None:
        """Take every hook off; safe to call again."""
        while self._afterwards:
            self._afterwards.pop()()
        while self._handles:
            self._handles.pop().remove()
        # an interrupt between a registration and its note above leaves a hook without a handle
        for module in self._model.modules():
            for table in (module._forward_hooks, module._forward_pre_hooks):
                for key in [key for key, hook in table.items() if self._is_mine(hook)]:
                    del table[key]

    def _is_mine(self, hook: Any) -> bool:
        return isinstance(hook, _Hook) and hook.owner is self


class _Eagerness:
    """The compiler's stance, which is one for the whole process, held by any number of probes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._stance: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._holders:
                self._stance = torch.compiler.set_stance("force_eager")
                self._stance.__enter__()
            self._holders += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._stance.__exit__(None, None, None)


_EAGERNESS = _Eagerness()


@contextmanager
def hooked(model: nn.Module, root: nn.Module, *, hidden: bool = False) -> Iterator[Hooks]:
    """Put hooks on a model, which come off whatever happens; compiled code runs as it was written.

    `torch.compile` ignores hooks that come after compilation. Where the compiler was never loaded,
    nothing can have been compiled.

    `root`: the model that was compiled, where `model` is what came of that.
    """
    hooks = Hooks(root, hidden=hidden)
    try:
        if _is_compiled(model) or "torch._dynamo" in sys.modules:
            with _EAGERNESS:
                yield hooks
        else:
            yield hooks
    finally:
        hooks.remove()


def _is_compiled(model: nn.Module) -> bool:
    """Tell whether a model or a part of it is the result of `torch.compile`."""
    return any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )


def in_backward() -> bool:
    """Tell whether this thread is in a backward pass, where a checkpoint runs forward again."""
    return bool(torch._C._current_graph_task_id() != -1)


def unseen(function: Callable[..., None], *args: Any) -> None:
    """Call a function whose operations a user who counts or logs them is not to see."""
    if torch._C._len_torch_dispatch_stack():
        with _disable_current_modes():
            function(*args)
    else:
        function(*args)


def being_traced() -> bool:
    """Tell whether operations are written down at the moment: `torch.jit.trace`, `torch.fx`.

    What recording does would be written down too, and values are placeholders, or real ones of a
    call that the tracer makes for itself.
    """
    return (
        torch._C._get_tracing_state() is not None
        or bool(getattr(_symbolic_trace, "_is_fx_tracing_flag", False))
        or torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None
    )


def _is_check_of_trace() -> bool:
    """Tell whether `torch.jit.trace` calls the model once more, to check what it wrote down.

    That is a plain call, but for who makes it.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "_check_trace" and frame.f_globals.get("__name__") == _TRACING:
            return True
        frame = frame.f_back
    return False


def untouchable(tensor: torch.Tensor) -> str | None:
    """Say why a tensor's values cannot be read and what to do, or None if they can."""
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return (
            "it lives inside a torch.func transform (vmap, grad, ...); call the model once without "
            "the transform to record it"
        )
    if tensor.is_meta or type(tensor).__name__ in ("FakeTensor", "FunctionalTensor"):
        return "it has no values (meta or fake tensor); load the weights and call it with real data"
    if hasattr(tensor, "to_local"):
        return "it is a DTensor, spread over devices; record a module that puts out a whole tensor"
    if tensor.is_nested:
        return "it is a nested tensor; pad it with to_padded_tensor() and pass a mask"
    if tensor.layout != torch.strided:
        return f"its layout is {tensor.layout}; record a module that puts out a dense tensor"
    return None
