"""layerlens beside other tools that look inside of a network: four hazards, tried on each.

    pip install torch-layerlens torchlens nnsight captum torchvision
    python examples/beside_others.py [--out FILE.md]

Each tool is asked, in the plainest way that its documentation shows, for what some layers of a
small network put out, and the answer is compared with hooks that copy. What is not installed is
left out
and named. The questions are those on which a picture of a layer stands or falls; what each tool is
best at is another matter.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import nn

Tool = Callable[[nn.Module, torch.Tensor, str], list[torch.Tensor]]


class Net(nn.Module):
    """A ReLU that works in place after `first`, and `shared`, which is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.relu = nn.ReLU(inplace=True)
        self.shared = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shared(self.shared(self.relu(self.first(x))))


class Failing(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        super().forward(x)
        raise RuntimeError("the model fails after its last layer")


def with_layerlens(model: nn.Module, x: torch.Tensor, layer: str) -> list[torch.Tensor]:
    import layerlens as ll

    with ll.Probe(model, layers=[layer], sketch=None) as probe, torch.no_grad():
        model(x)
    return [torch.from_numpy(values[:].copy()) for values in probe.activations.values()]


def with_torchlens(model: nn.Module, x: torch.Tensor, layer: str) -> list[torch.Tensor]:
    import torchlens

    record = getattr(torchlens, "trace", None) or torchlens.log_forward_pass
    log = record(model, x)
    entries = log.modules[layer].calls
    calls = list(entries.values()) if hasattr(entries, "values") else list(entries)
    return [torch.as_tensor(call.out) for call in calls]


def with_nnsight(model: nn.Module, x: torch.Tensor, layer: str) -> list[torch.Tensor]:
    import nnsight

    wrapped = nnsight.NNsight(model)
    with wrapped.trace(x):
        saved = getattr(wrapped, layer).output.save()
    return [saved]


def with_captum(model: nn.Module, x: torch.Tensor, layer: str) -> list[torch.Tensor]:
    from captum.attr import LayerActivation

    found = LayerActivation(model, getattr(model, layer)).attribute(x)
    return list(found) if isinstance(found, tuple) else [found]


def with_torchvision(model: nn.Module, x: torch.Tensor, layer: str) -> list[torch.Tensor]:
    from torchvision.models.feature_extraction import create_feature_extractor

    return list(create_feature_extractor(model, [layer])(x).values())


TOOLS: dict[str, tuple[str, Tool]] = {
    "layerlens": ("torch-layerlens", with_layerlens),
    "torchlens": ("torchlens", with_torchlens),
    "nnsight": ("nnsight", with_nnsight),
    "captum": ("captum", with_captum),
    "torchvision": ("torchvision", with_torchvision),
}


def truth(model: nn.Module, x: torch.Tensor, layer: str) -> list[torch.Tensor]:
    seen: list[torch.Tensor] = []
    handle = getattr(model, layer).register_forward_hook(lambda m, i, o: seen.append(o.clone()))
    with torch.no_grad():
        model(x)
    handle.remove()
    return seen


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def before_in_place(tool: Tool, x: torch.Tensor) -> str:
    model = Net().eval()
    found, expected = tool(model, x, "first"), truth(model, x, "first")
    if len(found) != 1:
        return f"{len(found)} records"
    return told(found[0].detach(), expected[0])


def told(found: torch.Tensor, expected: torch.Tensor) -> str:
    if torch.allclose(found, expected, atol=1e-6):
        return "the layer's own values"
    after = torch.allclose(found, expected.relu(), atol=1e-6)
    return "what the ReLU left" if after else "other values"


def of_two_calls(tool: Tool, x: torch.Tensor) -> str:
    model = Net().eval()
    found, expected = tool(model, x, "shared"), truth(model, x, "shared")
    which = [
        i for i, e in enumerate(expected)
        if any(f.shape == e.shape and torch.allclose(f.detach(), e, atol=1e-6) for f in found)
    ]  # fmt: skip
    return {(0, 1): "both", (0,): "the first", (1,): "the last"}.get(tuple(which), "neither")


def after_a_failure(tool: Tool, x: torch.Tensor) -> str:
    model = Failing().eval()
    with contextlib.suppress(Exception):  # any tool may wrap it as it likes
        tool(model, x, "first")
    return f"{hooks(model)} hooks left" if hooks(model) else "no hook left"


def after_compiling(tool: Tool, x: torch.Tensor) -> str:
    model = Net().eval()
    expected = truth(model, x, "first")
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        compiled(x)  # compiled before the tool comes
    found = tool(compiled, x, "first")
    if not found:
        return "nothing, in silence"
    return told(found[0].detach(), expected[0])


QUESTIONS: dict[str, Callable[[Tool, torch.Tensor], str]] = {
    "before an in-place ReLU": before_in_place,
    "of two calls": of_two_calls,
    "after the model fails": after_a_failure,
    "after torch.compile": after_compiling,
}


def ask(question: Callable[[Tool, torch.Tensor], str], tool: Tool) -> str:
    torch.manual_seed(0)
    torch.compiler.reset()
    try:
        return question(tool, torch.randn(5, 8))
    except Exception as error:  # noqa: BLE001 -- an error is an answer
        return f"{type(error).__name__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    lines = [f"| tool | {' | '.join(QUESTIONS)} |", f"|---{'|---' * len(QUESTIONS)}|"]
    missing = []
    for name, (package, tool) in TOOLS.items():
        try:
            shown = f"{name} {version(package)}"
        except PackageNotFoundError:
            missing.append(package)
            continue
        answers = [ask(question, tool) for question in QUESTIONS.values()]
        lines.append(f"| {shown} | {' | '.join(answers)} |")
    lines += ["", f"torch {version('torch')}, Python {platform.python_version()}."]
    if missing:
        lines.append(f"Not installed, and so not asked: {', '.join(missing)}.")
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
