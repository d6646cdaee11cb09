"""layerlens beside other tools that look inside of a network: four hazards, and what each costs.

    pip install torch-layerlens torchlens nnsight captum torchvision
    python examples/beside_others.py [--overhead] [--out FILE.md]

Each tool is asked, in the plainest way that its documentation shows, for what some layers of a
small network put out, and the answer is compared with hooks that copy. With ``--overhead`` each
also records what every leaf of a ResNet-50 puts out, in a process of its own, where it takes turns
with the plain forward; a figure is the median of the turns' ratios. What is not installed is left
out and named. The questions are those on which a picture of a layer stands or falls; what each
tool is best at is another matter.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import statistics
import subprocess
import sys
import time
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


# --- what recording costs ------------------------------------------------------------------------


class Block(nn.Module):
    """A bottleneck with its one ReLU that is called three times, and works in place."""

    def __init__(self, wide: int, narrow: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(wide, narrow, 1, bias=False), nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, 4 * narrow, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * narrow)
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Sequential()
        if stride > 1 or wide != 4 * narrow:
            convolution = nn.Conv2d(wide, 4 * narrow, 1, stride, bias=False)
            self.down = nn.Sequential(convolution, nn.BatchNorm2d(4 * narrow))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.down(x))


def resnet50() -> nn.Module:
    """Return the network of He et al. 2015 with random weights."""
    torch.manual_seed(0)
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    blocks: list[nn.Module] = []
    wide = 64
    for narrow, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for number in range(count):
            blocks.append(Block(wide, narrow, stride if number == 0 else 1))
            wide = 4 * narrow
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000)]
    return nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), *blocks, *head).eval()


def leaves(model: nn.Module) -> list[str]:
    """Return the modules without children that are called, in the order of their first call."""
    called: dict[str, None] = {}
    handles = [
        module.register_forward_hook(lambda m, args, output, name=name: called.setdefault(name))
        for name, module in model.named_modules()
        if not any(True for _ in module.children()) and not isinstance(module, nn.Sequential)
    ]
    with torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    for handle in handles:
        handle.remove()
    return list(called)


Runner = Callable[[nn.Module], Callable[[torch.Tensor], object]]


def cost_layerlens(**options: object) -> Runner:
    def prepare(model: nn.Module) -> Callable[[torch.Tensor], object]:
        import layerlens as ll

        probe = ll.Probe(model, layers=leaves(model), **options)

        def run(x: torch.Tensor) -> object:
            with probe:
                model(x)
            return probe.activations

        return run

    return prepare


def cost_hooks(model: nn.Module) -> Callable[[torch.Tensor], object]:
    kept: dict[str, torch.Tensor] = {}
    names = leaves(model)

    def run(x: torch.Tensor) -> object:
        handles = [
            model.get_submodule(name).register_forward_hook(
                lambda module, args, output, name=name: kept.__setitem__(name, output.clone())
            )
            for name in names
        ]
        model(x)
        for handle in handles:
            handle.remove()
        return kept

    return run


def cost_torchlens(model: nn.Module) -> Callable[[torch.Tensor], object]:
    import torchlens

    # else torch's functions stay wrapped, and the plain forward that it is measured by is slower
    capture = torchlens.options.CaptureOptions(unwrap_when_done=True)
    return lambda x: torchlens.trace(model, x, capture=capture)


def cost_nnsight(model: nn.Module) -> Callable[[torch.Tensor], object]:
    import nnsight

    wrapped = nnsight.NNsight(model)
    names = leaves(model)

    def run(x: torch.Tensor) -> object:
        with wrapped.trace(x):
            kept = nnsight.save({name: wrapped.get(name).output for name in names})
        return kept  # noqa: RET504 -- the trace's block ends by itself

    return run


def cost_captum(model: nn.Module) -> Callable[[torch.Tensor], object]:
    from captum.attr import LayerActivation

    found = LayerActivation(model, [model.get_submodule(name) for name in leaves(model)])
    return lambda x: found.attribute(x)


def cost_torchvision(model: nn.Module) -> Callable[[torch.Tensor], object]:
    from torchvision.models.feature_extraction import create_feature_extractor

    return create_feature_extractor(model, leaves(model))  # traced once, before it is timed


COSTS: dict[str, tuple[str, Runner, str]] = {
    "hooks that clone": ("torch", cost_hooks, "copies of the last calls"),
    "layerlens": ("torch-layerlens", cost_layerlens(), "sketches of 2,048 values, every call"),
    'layerlens, readout="pool"': (
        "torch-layerlens", cost_layerlens(readout="pool"), "means of channels, every call"
    ),
    "layerlens, sketch=None": (
        "torch-layerlens", cost_layerlens(sketch=None), "all values, every call"
    ),
    "torchlens": ("torchlens", cost_torchlens, "all values of all operations, and their graph"),
    "nnsight": ("nnsight", cost_nnsight, "references, the first call"),
    "captum": ("captum", cost_captum, "copies, the last call"),
    "torchvision": ("torchvision", cost_torchvision, "references"),
}  # fmt: skip


@torch.no_grad()
def cost(name: str, rounds: int, batch: int) -> str:
    """Return the median ratio to the plain forward, and the quartiles, of this tool alone."""
    model, x = resnet50(), torch.randn(batch, 3, 224, 224)
    run = COSTS[name][1](model)
    ratios = []
    for _ in range(rounds + 1):
        times = []
        for call in (model, run):
            began = time.perf_counter()
            kept = call(x)
            times.append(time.perf_counter() - began)
            del kept
        ratios.append(times[1] / times[0])
    low, middle, high = statistics.quantiles(ratios[1:], n=4)  # the first warms up
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def costs(rounds: int, batch: int) -> list[str]:
    lines = ["| tool | times the plain forward (quartiles) | what is kept |", "|---|---|---|"]
    for name, (package, _, kept) in COSTS.items():
        try:
            shown = f"{name} ({version(package)})" if package != "torch" else name
        except PackageNotFoundError:
            continue
        command = [sys.executable, __file__, "--cost", name, "--rounds", str(rounds)]
        done = subprocess.run(  # noqa: S603
            [*command, "--batch", str(batch)], capture_output=True, text=True, check=False
        )
        last = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()[-1]
        lines.append(f"| {shown} | {last} | {kept} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--overhead", action="store_true", help="measure what recording costs too")
    parser.add_argument("--rounds", type=int, default=9, help="turns of the overhead")
    parser.add_argument("--batch", type=int, default=8, help="images of the overhead")
    parser.add_argument("--cost", choices=COSTS, help="measure this one, here")
    given = parser.parse_args()
    if given.cost:
        print(cost(given.cost, given.rounds, given.batch))
        return
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
    if given.overhead:
        lines += ["", *costs(given.rounds, given.batch)]
    threads = torch.get_num_threads()
    lines += [
        "",
        f"torch {version('torch')}, Python {platform.python_version()}, {threads} threads.",
    ]
    if missing:
        lines.append(f"Not installed, and so not asked: {', '.join(missing)}.")
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
