"""What identifies a recording: the weights, and in words what was selected and how it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from layerlens._version import __version__

__all__ = ["fingerprint", "identity", "versions"]

_WHOLE = 1 << 30  # bytes of weights that are hashed whole
_SOME = 1 << 16  # values of each tensor of a larger model


def fingerprint(model: nn.Module) -> str:
    """Return a hash of a model's parameters and buffers: names, shapes, dtypes and values.

    Of a model above 1 GiB, 65,536 values of each tensor, evenly spread, stand for all.
    """
    state = [*model.named_parameters(), *model.named_buffers()]
    tensors = [(name, tensor.detach()) for name, tensor in state if not is_lazy(tensor)]
    whole = sum(tensor.numel() * tensor.element_size() for _, tensor in tensors) <= _WHOLE
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        if tensor.is_meta or tensor.layout != torch.strided:
            continue
        if tensor.is_quantized:
            tensor = tensor.int_repr()
        flat = tensor.reshape(-1)
        if not whole and flat.numel() > _SOME:
            places = torch.linspace(0, flat.numel() - 1, _SOME, dtype=torch.float64).long()
            flat = flat[places.to(flat.device)]
        data = flat.cpu().contiguous()
        if data.numel():
            digest.update(data.view(torch.uint8).numpy().data)
    return f"sha256 {digest.hexdigest()[:32]}"


def identity(model: nn.Module, **arguments: Any) -> dict[str, Any]:
    """Return what a record is of, in JSON's types: the model, and the arguments of its probe."""
    return {
        "model": type(model).__name__,
        "n_parameters": sum(p.numel() for p in model.parameters() if not is_lazy(p)),
        **{name: _describe(value) for name, value in arguments.items()},
    }


def versions() -> dict[str, str]:
    """Return the versions of what a record is made by."""
    return {
        "layerlens": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def _describe(value: Any) -> Any:
    """Say what an argument was, the same in every process: no addresses, JSON's types only."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, nn.Module):
        return f"a {type(value).__name__}"
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    if callable(value):
        return f"a {type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, Mapping):
        return {str(key): _describe(one) for key, one in value.items()}
    if isinstance(value, Iterable):
        return [_describe(one) for one in value]
    return int(value) if hasattr(value, "__index__") else str(value)
