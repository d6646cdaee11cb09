"""Record with a SLURM array, each task a part of the data, and read it as one.

    #SBATCH --array=0-7
    srun python examples/ranks/slurm_array.py --out run.zarr

Tasks need not run at the same time, nor all succeed at once: one that was killed goes on where it
was when it is queued again, and `layerlens show run.zarr` says what there is.
"""

import argparse
import os

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import layerlens as ll


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="run.zarr")
    parser.add_argument("--samples", type=int, default=203)
    given = parser.parse_args()
    task = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
    tasks = int(os.environ.get("SLURM_ARRAY_TASK_COUNT", "1"))

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
    x = torch.randn(given.samples, 16)
    data = TensorDataset(x, torch.arange(given.samples) % 4)
    loader = DataLoader(data, batch_size=8, sampler=range(task, given.samples, tasks))

    ll.Probe(model, store=given.out, rank=task, world_size=tasks).run(loader)
    print(ll.Activations.open(given.out))


if __name__ == "__main__":
    main()
