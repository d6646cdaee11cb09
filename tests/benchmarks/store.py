"""What recording to disk costs: a ResNet-152, every leaf and block, beside doing it by hand.

    python tests/benchmarks/store.py
    python tests/benchmarks/store.py --only memory --samples 64 512

- ``write``: rows of ready tensors through a probe into a store, beside `numpy.save` of the same.
- ``forward``: the network recorded in memory and to disk, batch about with its plain forward.
- ``list``: the script that appends every layer's output to a list, under a cap on memory, beside
  the same recorded to disk under it.
- ``memory``: the most memory that recording takes above the plain forward's, for several numbers
  of images, each in a process of its own.
- ``open``: opening the store, and reading rows of it.

Variants take turns in one process, so that a busy machine slows all alike; figures are medians of
the rounds' ratios, with the least and the greatest for ``forward``. It fails where recording takes
more than 1.25 times the plain forward, or memory grows with the number of images by more than
64 MiB.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import layerlens as ll

ROOT = Path(__file__).parents[2]
BATCH = 8
LIMIT, GROWTH_MIB = 1.25, 64
CAP_GIB = 8
SECTIONS = ("write", "forward", "list", "memory", "open")


def example() -> Any:
    """Return the example's module: its network and images are these."""
    path = ROOT / "examples" / "imagenet_resnet152.py"
    spec = importlib.util.spec_from_file_location("imagenet_resnet152", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def images(count: int, size: int) -> list[torch.Tensor]:
    data = example().Gratings(count, size)
    return list(torch.stack([data[n][0] for n in range(count)]).split(BATCH))


def network() -> nn.Module:
    model: nn.Module = example().resnet152(quick=False)
    return model.eval()


def feed(model: nn.Module, batch: torch.Tensor) -> None:
    model(pixel_values=batch)


def timed(run: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def interleaved(
    variants: dict[str, Callable[[], Any]], rounds: int, folder: Path
) -> dict[str, list[float]]:
    """Return seconds of each variant; each finds the folder empty, which is not timed."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds + 1):  # the first warms up and does not count
        for name, run in variants.items():
            empty(folder)
            seconds = timed(run)
            if turn:
                taken[name].append(seconds)
    return taken


def say(taken: dict[str, list[float]], base: str) -> dict[str, float]:
    ratios = {}
    for name, seconds in taken.items():
        ratios[name] = statistics.median(
            own / other for own, other in zip(seconds, taken[base], strict=True)
        )
        print(f"  {name:<28}{statistics.median(seconds):8.2f} s {ratios[name]:6.3f}", flush=True)
    return ratios


def write(folder: Path, rounds: int) -> None:
    """Write 512 MiB on one thread: 64 layers of 2,048 values, 1,024 samples."""
    n_layers, width, n, batch = 64, 2_048, 1_024, 64
    values = [torch.randn(batch, width) for _ in range(n_layers)]

    class Ready(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Identity() for _ in range(n_layers))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer, value in zip(self.layers, values, strict=True):
                layer(value)
            return x

    model = Ready()
    batches = [torch.zeros(batch, 1) for _ in range(n // batch)]
    chunks = [value.numpy().repeat(n // batch, axis=0) for value in values]

    def save() -> None:
        for number, chunk in enumerate(chunks):
            np.save(folder / f"{number}.npy", chunk)

    def record(**options: Any) -> None:
        store = ll.Store(folder / "write.zarr", **options)
        ll.Probe(model, "layers*", store=store, sketch=None).run(batches)

    print(f"write: {n_layers} layers x {n} x {width} float32, 512 MiB")
    variants = {
        "np.save": save,
        "recorded in memory": lambda: ll.Probe(model, "layers*", sketch=None).run(batches),
        "recorded to disk": record,
        "recorded to disk, sync": lambda: record(sync=True),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # np.save has one, and two that wait for each other measure that
    say(interleaved(variants, rounds, folder), "np.save")
    torch.set_num_threads(threads)


class Turns:
    """Batches, before each of which a network of its own takes the same one without a probe."""

    def __init__(self, model: nn.Module, batches: list[torch.Tensor]) -> None:
        self.model, self.batches, self.seconds = model, batches, 0.0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for batch in self.batches:
            with torch.no_grad():
                self.seconds += timed(lambda batch=batch: feed(self.model, batch))
            yield batch


def forward(folder: Path, rounds: int, samples: int, size: int) -> bool:
    """Record to disk and in memory, batch about with the plain forward."""
    model, batches = network(), images(samples, size)
    twin = copy.deepcopy(model)
    print(f"forward: ResNet-152, {samples} images at {size} x {size}, batches of {BATCH}")
    ratio = 0.0
    for name, store in {"in memory": None, "to disk": folder / "resnet152.zarr"}.items():
        taken = []
        for turn in range(rounds + 1):  # the first warms up and does not count
            empty(folder)
            turns = Turns(twin, batches)
            probe = ll.Probe(model, store=store)
            total = timed(lambda probe=probe, turns=turns: probe.run(turns, forward=feed))
            if turn:
                taken.append((total - turns.seconds, turns.seconds))
        ratio = statistics.median(own / plain for own, plain in taken)
        own, plain = (statistics.median(column) for column in zip(*taken, strict=True))
        print(
            f"  recorded {name:<12}{own:6.2f} s, the plain forward {plain:6.2f} s: {ratio:.3f} "
            f"({min(a / b for a, b in taken):.3f} to {max(a / b for a, b in taken):.3f})",
            flush=True,
        )
    acts = ll.Activations.open(folder / "resnet152.zarr")
    widest = max(layer.dim for layer in acts.values())
    native = sum(layer.dim for layer in acts.values()) * 4 * samples
    n_files = sum(1 for path in (folder / "resnet152.zarr").rglob("*") if path.is_file())
    print(
        f"  {len(acts)} layers up to {widest:,} wide; {native / 2**30:.1f} GiB of values, "
        f"{acts.nbytes / 2**20:,.0f} MiB kept in {n_files:,} files"
    )
    return ratio <= LIMIT


def open_and_slice(folder: Path) -> None:
    """Open the store that `forward` left, and read rows of it."""
    path = folder / "resnet152.zarr"
    opening = [timed(lambda: ll.Activations.open(path)) for _ in range(20)]
    acts = ll.Activations.open(path)
    rng, slicing = np.random.default_rng(0), []
    for name in rng.permutation(list(acts))[:100]:
        start = int(rng.integers(0, len(acts[name]) - 1))
        layer = acts[name]
        slicing.append(timed(lambda layer=layer, start=start: layer[start : start + 1]))
    whole = [timed(lambda name=name: np.asarray(acts[name])) for name in list(acts)[:100]]
    print(
        f"open: {statistics.median(opening) * 1e3:.1f} ms for {len(acts)} layers; one row that was "
        f"not read before {statistics.median(slicing) * 1e3:.2f} ms; a whole layer "
        f"{statistics.median(whole) * 1e3:.2f} ms"
    )


# --- in processes of their own ------------------------------------------------------------------


def status_mib(key: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{key}:")[2].split()[0]) / 1024


def child_memory(folder: Path, samples: int, size: int) -> dict[str, float]:
    """Return the most memory above the plain forward's that recording took."""
    model = network()
    data = example().Gratings(samples, size)

    def batches() -> Any:
        for start in range(0, samples, BATCH):
            stop = min(samples, start + BATCH)
            yield torch.stack([data[n][0] for n in range(start, stop)])

    with torch.no_grad():
        for _ in range(3):
            feed(model, next(iter(batches())))
    plain = status_mib("VmHWM")
    path = folder / f"memory-{samples}.zarr"
    seconds = timed(lambda: ll.Probe(model, store=path).run(batches(), forward=feed))
    kept = ll.Activations.open(path).nbytes / 2**20
    shutil.rmtree(path)
    return {"plain": plain, "over": status_mib("VmHWM") - plain, "seconds": seconds, "kept": kept}


def child_list(folder: Path, samples: int, size: int, kind: str) -> dict[str, float]:
    """Keep everything in a list, or record to disk, under a cap; return how far it came."""
    model, batches = network(), images(samples, size)
    with torch.no_grad():
        feed(model, batches[0])
    cap = int((status_mib("VmSize") / 1024 + CAP_GIB) * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (cap, cap))
    done = 0
    try:
        if kind == "store":
            path = folder / "list.zarr"
            done = ll.Probe(model, store=path).run(batches, forward=feed).n_samples
            shutil.rmtree(path)
        else:
            kept: dict[str, list[Any]] = {}

            def keep(name: str) -> Callable[..., None]:
                def hook(module: nn.Module, args: Any, output: Any) -> None:
                    if isinstance(output, torch.Tensor):
                        kept.setdefault(name, []).append(output.flatten(1).clone().numpy())

                return hook

            for name, module in model.named_modules():
                module.register_forward_hook(keep(name))
            with torch.no_grad():
                for batch in batches:
                    feed(model, batch)
                    done += len(batch)
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, MemoryError) and "allocate memory" not in text:
            raise
    return {"done": done}


def child(section: str, *arguments: Any) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", section, *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(ran.stderr[-2000:])
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def run_child(section: str, folder: str, samples: str, size: str, *rest: str) -> None:
    run = {"memory": child_memory, "list": child_list}[section]
    found = run(Path(folder), int(samples), int(size), *rest)
    print(json.dumps(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--samples", nargs="+", type=int, default=[32], help="of memory: several")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of the network (as many as torch takes)")
    parser.add_argument("--folder", type=Path, help="where to write (a temporary folder)")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run_child(*given.child)
        return 0
    if given.threads:
        torch.set_num_threads(given.threads)
    from importlib.metadata import version

    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, layerlens {ll.__version__}, "
        f"torch {version('torch')}, NumPy {np.__version__}, transformers {version('transformers')}"
    )
    missed = []
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        folder = Path(temporary)
        if "write" in given.only:
            write(folder / "rounds", given.rounds)
        if "forward" in given.only and not forward(
            folder / "rounds", given.rounds, given.samples[0], given.size
        ):
            missed.append(f"recording takes more than {LIMIT} times the plain forward")
        if "open" in given.only and "forward" in given.only:
            open_and_slice(folder / "rounds")
        if "list" in given.only:
            print(
                f"list: {CAP_GIB} GiB above the network and one forward, {given.samples[0]} images"
            )
            for kind, what in (("list", "kept in a list"), ("store", "recorded to disk")):
                done = child("list", folder, given.samples[0], given.size, kind)["done"]
                print(f"  {what:<28}{done:4.0f} images", flush=True)
        if "memory" in given.only:
            over = []
            print("memory: the most, above the plain forward's")
            for samples in given.samples:
                found = child("memory", folder, samples, given.size)
                over.append(found["over"])
                print(
                    f"  {samples:>5} images {found['over']:8.0f} MiB above {found['plain']:,.0f}; "
                    f"{found['kept']:,.0f} MiB kept, {found['seconds']:.0f} s",
                    flush=True,
                )
            if over[-1] - over[0] > GROWTH_MIB:
                missed.append(f"memory grew by {over[-1] - over[0]:.0f} MiB")
    print("missed: " + "; ".join(missed) if missed else "all bounds hold")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
