"""The same for timm, which needs an environment with torchvision."""

import pytest
import torch
from tests.zoo.check import TIMM, examine, image

timm = pytest.importorskip("timm")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", TIMM)
def test_timm(name):
    torch.manual_seed(0)
    examine(name, timm.create_model(name, num_classes=5), image(name))
