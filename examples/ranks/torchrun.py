"""Record with several processes that torchrun starts, and read it as one.

    torchrun --standalone --nproc-per-node 2 examples/ranks/torchrun.py --out run.zarr

Each process takes its part of the data by a `DistributedSampler`, as in training. The probe finds
RANK and WORLD_SIZE in the environment; the samples that the sampler gives twice, so that all parts
are of one length, are there once. Started again after a kill, every rank goes on where it was.
"""

import argparse

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

import layerlens as ll


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="run.zarr")
    parser.add_argument("--samples", type=int, default=203)
    given = parser.parse_args()

    dist.init_process_group("gloo")
    torch.manual_seed(0)  # the same weights and data everywhere
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
    x = torch.randn(given.samples, 16)
    data = TensorDataset(x, torch.arange(given.samples) % 4)
    loader = DataLoader(data, batch_size=8, sampler=DistributedSampler(data, shuffle=True, seed=3))

    ll.Probe(model, store=given.out).run(loader)
    dist.barrier()
    if dist.get_rank() == 0:
        print(ll.Activations.open(given.out))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
