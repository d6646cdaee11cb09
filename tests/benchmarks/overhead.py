"""What recording costs: a ResNet-50's forward with a probe on every leaf, against without.

    python tests/benchmarks/overhead.py

Every variant runs in the same process, one after the other in each round, so that a busy machine
slows all of them alike. A figure is the median of the rounds' ratios to the plain forward of the
same round: of process CPU time on one thread, and of wall time on two. Page faults are counted
beside them. Other libraries take part where they are installed.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

import layerlens

BATCH = 8
LIMITS = {"probe, pool": 1.05, "probe, sketch 2048": 1.15, "probe, rows as they are": 1.25}
FAULT_LIMIT = 1.3
GROWTH_LIMIT_MIB = 64


def resnet50() -> nn.Module:
    """Return the architecture with random weights."""
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    return ResNetModel(ResNetConfig()).eval()


def leaves(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(n, m) for n, m in model.named_modules() if not any(True for _ in m.children())]


@contextmanager
def hooked(model: nn.Module, make: Callable[[str], Any]) -> Iterator[None]:
    """Put a hand-written hook on every leaf."""
    handles = [module.register_forward_hook(make(name)) for name, module in leaves(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def hand_written_clone(model: nn.Module) -> Any:
    """The hook that everybody writes first."""
    kept: dict[str, torch.Tensor] = {}

    def make(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: torch.Tensor) -> None:
            kept[name] = output.detach().clone()

        return hook

    return hooked(model, make)


def hand_written_reference(model: nn.Module) -> Any:
    """The same without a copy: wrong as soon as anything is changed in place."""
    kept: dict[str, torch.Tensor] = {}

    def make(name: str) -> Any:
        return lambda module, args, output: kept.__setitem__(name, output.detach())

    return hooked(model, make)


def variants(model: nn.Module) -> dict[str, Callable[[], Any]]:
    """Return what is measured: each opens a block in which the model is called as it is."""
    names = [name for name, _ in leaves(model)]
    is_leaf = frozenset(names).__contains__

    def probe(**options: Any) -> Callable[[], Any]:
        made = layerlens.Probe(model, lambda name, module: is_leaf(name), **options)
        return lambda: made

    return {
        "plain": nullcontext,
        "hooks that do nothing": lambda: hooked(model, lambda name: lambda *given: None),
        "probe, pool": probe(readout="pool"),
        "probe, sketch 2048": probe(),
        "probe, rows as they are": probe(sketch=None),
        "hand-written, references": lambda: hand_written_reference(model),
        "hand-written, clone": lambda: hand_written_clone(model),
    }


def others(model: nn.Module, x: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """Return whole forwards of other libraries that record every leaf, where installed."""
    found: dict[str, Callable[[], Any]] = {}
    names = [name for name, _ in leaves(model)]
    try:
        from torchlens import log_forward_pass

        found["torchlens"] = lambda: log_forward_pass(model, x)
    except ImportError:
        pass
    try:
        from nnsight import NNsight

        wrapped = NNsight(model)

        def nnsight() -> Any:
            with wrapped.trace(x):
                return [wrapped.get(name).output.save() for name in names]

        found["nnsight"] = nnsight
    except ImportError:
        pass
    try:
        from captum.attr import LayerActivation

        modules = [module for _, module in leaves(model)]
        recorder = LayerActivation(lambda given: model(given).pooler_output.flatten(1), modules)
        found["captum"] = lambda: recorder.attribute(x)
    except ImportError:
        pass
    return found


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def peak_mib() -> float:
    """Return the most memory that this process ever held (getrusage has the parent's, too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(run: Callable[[], Any]) -> tuple[float, float, int]:
    before, cpu, wall = faults(), time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall, faults() - before


def rounds(model: nn.Module, x: torch.Tensor, count: int) -> dict[str, list[tuple[float, ...]]]:
    blocks = variants(model)
    whole = others(model, x)
    results: dict[str, list[tuple[float, ...]]] = {name: [] for name in [*blocks, *whole]}
    with torch.no_grad():
        for turn in range(count + 1):  # the first warms caches and buffers and does not count
            for name, block in blocks.items():
                with block():
                    taken = measure(lambda: model(x))
                if turn:
                    results[name].append(taken)
            for name, run in whole.items():
                try:
                    taken = measure(run)
                except Exception as error:  # noqa: BLE001  another library's failure is a result
                    results[name] = []
                    whole = {k: v for k, v in whole.items() if k != name}
                    print(f"{name} failed: {type(error).__name__}: {str(error)[:100]}")
                    continue
                if turn:
                    results[name].append(taken)
    return results


def table(results: dict[str, list[tuple[float, ...]]], column: int) -> dict[str, float]:
    plain = results["plain"]
    return {
        name: statistics.median(
            own[column] / base[column] for own, base in zip(got, plain, strict=True)
        )
        for name, got in results.items()
        if got
    }


def more_faults(results: dict[str, list[tuple[float, ...]]]) -> dict[str, int]:
    """Return how many page faults a forward has more than a plain one, in the median."""
    plain = statistics.median(taken[2] for taken in results["plain"])
    return {
        name: round(statistics.median(taken[2] for taken in got) - plain)
        for name, got in results.items()
        if got
    }


def memory_of(kind: str, samples: int) -> None:
    """Print how much the process grew (run in a process of its own)."""
    torch.set_num_threads(2)
    model = resnet50()
    options: dict[str, Any] = {"pool": {"readout": "pool"}, "sketch": {}, "rows": {"sketch": None}}
    x = torch.randn(BATCH, 3, 224, 224)
    with torch.no_grad():
        for _ in range(3):
            model(x)
    plain = peak_mib()
    probe = layerlens.Probe(
        model, lambda n, m: not any(True for _ in m.children()), **options[kind]
    )
    first = probe.run([x, x]).nbytes / 2**20
    begun = peak_mib()
    batches = (torch.randn(BATCH, 3, 224, 224) for _ in range(-(-samples // BATCH)))
    kept = probe.run(batches).nbytes / 2**20
    print(f"{begun - plain - first:.1f} {peak_mib() - begun - (kept - first):.1f} {kept:.1f}")


def memory(kind: str, samples: int) -> tuple[float, float, float]:
    command = [sys.executable, __file__, "--memory", kind, "--samples", str(samples)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    once, over, kept = map(float, done.stdout.split()[-3:])
    return once, over, kept


def versions() -> str:
    names = ("torch", "numpy", "transformers", "torchlens", "nnsight", "captum")
    said = [f"layerlens {layerlens.__version__}", f"Python {platform.python_version()}"]
    for name in names:
        try:
            said.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            said.append(f"{name} not installed")
    return ", ".join(said)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--long", action="store_true", help="also 5,000 samples for memory")
    parser.add_argument("--memory", choices=("pool", "sketch", "rows"), help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, default=64, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory:
        memory_of(given.memory, given.samples)
        return 0
    print(versions())
    print(f"{platform.processor() or platform.machine()}, {platform.platform()}")
    model = resnet50()
    x = torch.randn(BATCH, 3, 224, 224)
    print(
        f"ResNet-50, {len(leaves(model))} leaves, batch {BATCH} at 224 x 224, {given.rounds} rounds"
    )
    torch.set_num_threads(1)
    one = rounds(model, x, given.rounds)
    torch.set_num_threads(2)
    two = rounds(model, x, given.rounds)
    cpu, wall, fault = table(one, 0), table(two, 1), more_faults(one)
    print(f"\n{'':28}{'CPU, 1 thread':>15}{'wall, 2 threads':>17}{'more faults':>13}{'limit':>8}")
    plain_faults = statistics.median(taken[2] for taken in one["plain"])
    # where the plain forward has hardly any, a few pages more are no matter of a factor
    allowed = max((FAULT_LIMIT - 1) * plain_faults, 1000)
    print(f"the plain forward has {plain_faults:.0f} page faults")
    missed = 0
    for name in one:
        if name not in cpu:
            continue
        limit = LIMITS.get(name)
        worst = max(cpu[name], wall.get(name, 0.0))
        bad = limit is not None and (worst > limit or fault[name] > allowed)
        missed += bad
        said = "" if limit is None else f"{limit:.2f}{' MISSED' if bad else ''}"
        print(f"{name:28}{cpu[name]:14.3f}x{wall.get(name, 0):16.3f}x{fault[name]:13d}{said:>8}")
    print("\npeak memory over the kept rows: with the first two batches, and from then on")
    plans = [("pool", 500), ("sketch", 64), ("rows", 16)] + [("pool", 5000)] * given.long
    for kind, samples in plans:
        once, over, kept = memory(kind, samples)
        bad = once + over > GROWTH_LIMIT_MIB
        missed += bad
        print(
            f"{kind:8} N = {samples:5}  kept {kept:8.1f} MiB  first {once:6.1f} MiB  then "
            f"{over:6.1f} MiB  limit {GROWTH_LIMIT_MIB} together{' MISSED' if bad else ''}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
