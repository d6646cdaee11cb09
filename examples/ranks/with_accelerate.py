"""Record with Hugging Face Accelerate, and read it as one.

    accelerate launch --num_processes 2 examples/ranks/with_accelerate.py --out run.zarr

Accelerate's loader is its own, and says nothing of places in the data; so batches bring their ids,
by which the samples that it gives twice are known.
"""

import argparse

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, Dataset

import layerlens as ll


class Numbered(Dataset):
    """Samples that know their own number."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, place: int) -> dict:
        return {"input": self.x[place], "label": place % 4, "ids": place}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="run.zarr")
    parser.add_argument("--samples", type=int, default=203)
    given = parser.parse_args()

    accelerator = Accelerator(cpu=True)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
    loader = DataLoader(Numbered(torch.randn(given.samples, 16)), batch_size=8)
    loader = accelerator.prepare(loader)

    ll.Probe(
        model, store=given.out, rank=accelerator.process_index, world_size=accelerator.num_processes
    ).run(loader)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        print(ll.Activations.open(given.out))


if __name__ == "__main__":
    main()
