"""Every layer and block of a ResNet-152, recorded to disk image by image, killed, and gone on with.

    python examples/imagenet_resnet152.py --images FOLDER --weights resnet152.safetensors
    python examples/imagenet_resnet152.py --quick --kill-after 12; python ... --quick

The folder has images, or one folder of images for each class; without one, images are generated.
The weights are those of transformers' `ResNetForImageClassification`; without a file they are
random. Start it again after a kill: it goes on where the last commit ended. At the end it draws the
depth of the network, from the stem to the last block, and says what memory it took.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import layerlens as ll
from layerlens.models import load_images, load_weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}


class Folder(Dataset):
    """Images of a folder; those in folders of their own are a class each."""

    def __init__(self, root: Path, size: int) -> None:
        self.files = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
        self.classes = sorted({p.parent.name for p in self.files})
        self.size = size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        file = self.files[place]
        images, _ = load_images([file], self.size, mean=MEAN, std=STD)
        return images[0], self.classes.index(file.parent.name)


class Gratings(Dataset):
    """Generated images of eight classes: gratings of four directions in two colours."""

    classes = tuple(f"{c} {d} degrees" for c in ("red", "blue") for d in (0, 45, 90, 135))

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self.size = size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        if place >= self.count:
            raise IndexError(place)
        generator = torch.Generator().manual_seed(place)
        phase, waves, noise = torch.rand(3, generator=generator).tolist()
        label = place % 8
        angle = torch.tensor(label % 4 * torch.pi / 4)
        axis = torch.linspace(0, 2 * torch.pi, self.size)
        along = axis[:, None] * angle.sin() + axis * angle.cos()
        wave = torch.sin((4 + 6 * waves) * along + 2 * torch.pi * phase)
        image = 0.3 * noise * torch.randn(3, self.size, self.size, generator=generator)
        image[0 if label < 4 else 2] += wave
        return image, label


def resnet152(quick: bool) -> nn.Module:
    """Return the architecture of He et al. 2015 with random weights; a small one if `quick`."""
    from transformers import ResNetConfig, ResNetForImageClassification

    depths, widths = [3, 8, 36, 3], [256, 512, 1024, 2048]
    if quick:
        depths, widths = [2, 2, 2, 2], [32, 64, 128, 256]
    torch.manual_seed(0)
    config = ResNetConfig(depths=depths, hidden_sizes=widths, num_labels=1000)
    return ResNetForImageClassification(config)


def peak_mib() -> float:
    """Return the most memory that this process ever held."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder")
    parser.add_argument("--weights", type=Path, help=".safetensors, or a state dict")
    parser.add_argument("--samples", type=int, default=512, help="generated images")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("resnet152.zarr"))
    parser.add_argument("--buffer", default="512 MiB", help="of rows that are not written yet")
    parser.add_argument("--kill-after", type=int, metavar="N", help="kill it after N samples")
    parser.add_argument("--quick", action="store_true", help="a small network, for tests")
    given = parser.parse_args()
    if given.quick:
        given.size, given.samples, given.buffer = 64, min(given.samples, 48), "4 MiB"

    model = resnet152(given.quick)
    if given.weights:
        load_weights(model, given.weights)
    data: Dataset = Gratings(given.samples, given.size)
    if given.images:
        data = Folder(given.images, given.size)
    loader = DataLoader(data, batch_size=given.batch)
    with torch.no_grad():
        model.eval()(next(iter(loader))[0])
    plain = peak_mib()

    seen = 0

    def forward(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
        nonlocal seen
        if given.kill_after is not None and seen >= given.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += len(batch[0])
        probe.annotate(labels=batch[1], inputs=batch[0])
        model(pixel_values=batch[0])

    probe = ll.Probe(model, store=ll.Store(given.out, buffer=given.buffer))
    begun = time.perf_counter()
    acts = probe.run(loader, forward=forward, progress=True)
    seconds = time.perf_counter() - begun
    widest = max(acts.values(), key=lambda layer: layer.dim)
    print(
        f"{len(acts)} layers up to {widest.dim:,} wide ({widest.info.title}), {acts.n_samples} "
        f"samples, {acts.nbytes / 2**20:,.0f} MiB in {given.out}; now {seen} of them in "
        f"{seconds:.0f} s, peak memory {plain:,.0f} MiB of the forward + {peak_mib() - plain:,.0f}"
    )

    # what each residual block gives, and of these nine along the depth
    blocks = [name for name in acts if re.search(r"layers\.\d+\.activation$", name)]
    chosen = [blocks[round(place * (len(blocks) - 1) / 8)] for place in range(9)]
    chosen = ["resnet.embedder.pooler", *dict.fromkeys(chosen)]
    embeddings = ll.reduce(acts, "pca", layers=chosen, random_state=0)
    print("wrote", embeddings.save(given.out.with_suffix(".png")))
    print("wrote", embeddings.save(given.out.with_suffix(".html")))


if __name__ == "__main__":
    main()
