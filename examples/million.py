"""A million samples: recorded at the memory of a batch, drawn from a subsample and placements.

    python examples/million.py [--samples 1000000] [--quick]

The samples are points of a swiss roll, turned into 24 dimensions with noise in all of them, and
made batch by batch: nothing holds them all. A small network is trained to say which eighth along
the sheet a point is of, and is then recorded to disk, every layer, over all samples. At a quarter,
half and all of them it prints the time and the most memory that the process ever held.

Then 10,000 samples are embedded, all layers in one series, and the others placed by their nearest
neighbours among these. In the picture one sees the network unroll the sheet.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

import layerlens as ll

WIDTH, EIGHTHS, BATCH = 24, 8, 2_000


class Rolls:
    """Batches of points of a swiss roll, and which eighth along it each is of."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self.count = count
        self.seed = seed
        # three of these directions are the roll's
        self.turn = np.linalg.qr(np.random.default_rng(1).normal(size=(WIDTH, WIDTH)))[0]

    def __len__(self) -> int:
        return -(-self.count // BATCH)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for number in range(len(self)):
            yield self.batch(number)

    def batch(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng([self.seed, number])
        n = min(BATCH, self.count - number * BATCH)
        along = rng.random(n)
        # equally dense along the sheet: its length grows with the square of the angle
        angle = np.pi * np.sqrt(2.25 + 18 * along)
        points = rng.normal(size=(n, WIDTH)) * 0.4
        points[:, 0] += angle * np.cos(angle)
        points[:, 1] += angle * np.sin(angle)
        points[:, 2] += rng.uniform(-10, 10, n)
        x = (points @ self.turn.T / 8).astype(np.float32)
        return torch.from_numpy(x), torch.from_numpy((along * EIGHTHS).astype(np.int64))


def trained(steps: int) -> nn.Module:
    """Return a network that has learnt from samples of its own."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Linear(WIDTH, 128), nn.ReLU()),
        *(nn.Linear(128, 128), nn.ReLU()),
        *(nn.Linear(128, 64), nn.ReLU()),
        nn.Linear(64, EIGHTHS),
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for x, y in Rolls(steps * BATCH, seed=2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        decay.step()
    return model.eval()


def peak_mib() -> float:
    """Return the most memory that this process ever held."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024


def record(model: nn.Module, rolls: Rolls, path: Path) -> ll.Activations:
    """Record every layer, and say what it took on the way."""
    marks = {rolls.count // 4, rolls.count // 2, rolls.count}
    before, begun, seen = peak_mib(), time.perf_counter(), 0

    def watched() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        nonlocal seen
        for x, y in rolls:
            yield x, y
            seen += len(x)
            if seen in marks:
                print(
                    f"{seen:>9,} samples: {time.perf_counter() - begun:6.1f} s, "
                    f"peak {peak_mib():,.0f} MiB ({before:,.0f} before the first)",
                    flush=True,
                )

    store = ll.Store(path, buffer="64 MiB")
    acts = ll.Probe(model, ["input", "*"], store=store).run(watched())
    print(f"{len(acts)} layers, {acts.nbytes / 2**20:,.0f} MiB in {path}")
    return acts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--embedded", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("million.zarr"))
    parser.add_argument("--quick", action="store_true", help="50,000 samples")
    given = parser.parse_args()
    if given.quick:
        given.samples, given.embedded = 48_000, 2_000

    model = trained(100 if given.quick else 600)
    x, y = Rolls(BATCH, seed=3).batch(0)
    with torch.no_grad():
        right = (model(x).argmax(1) == y).float().mean().item()
    print(f"the network knows the eighth of {right:.1%} of new points")

    if given.out.exists():  # a store that is complete would only be opened
        shutil.rmtree(given.out)
    acts = record(model, Rolls(given.samples), given.out)

    begun = time.perf_counter()
    layers = ["input", "1", "3", "5", "6"]
    embeddings = ll.reduce(
        acts,
        "series-tsne",
        layers=layers,
        max_samples=given.embedded,
        keep_neighbors=0,
        random_state=0,
    )
    seconds, note = time.perf_counter() - begun, embeddings[layers[0]].notes[-1]
    print(f"embedded in {seconds:.0f} s, peak {peak_mib():,.0f} MiB; {note}")
    print("wrote", embeddings.save(given.out.with_suffix(".png")))
    print("wrote", embeddings.save(given.out.with_suffix(".html"), max_points=20_000))


if __name__ == "__main__":
    main()
