"""Recording on a GPU; skipped where there is none."""

import numpy as np
import pytest
import torch
from tests.recording.models import ResNet

import layerlens as ll
from layerlens.recording.sketch import FoldedSketch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def test_sketch_has_the_same_bits_as_on_the_cpu():
    x = torch.randn(5, 50_000, generator=torch.Generator().manual_seed(0))
    sketch = FoldedSketch("layer", 50_000, 2048)
    assert torch.equal(sketch(x), sketch(x.cuda()).cpu())


def test_rows_equal_an_independent_hook_over_several_batches():
    model = ResNet(inplace=True).eval().cuda()
    kept = []
    handle = model.stem[0].register_forward_hook(lambda m, a, o: kept.append(o.clone()))
    batches = [torch.randn(n, 3, 8, 8) for n in (4, 3, 4)]
    acts = ll.Probe(model, sketch=None).run(batches)
    handle.remove()
    expected = torch.cat(kept).flatten(1).cpu().numpy()
    np.testing.assert_array_equal(acts["stem.0"], expected)


def test_no_synchronisation_inside_a_forward():
    model = ResNet().eval().cuda()
    x = torch.randn(4, 3, 64, 64, device="cuda")
    with ll.Probe(model, readout="pool") as probe, torch.no_grad():
        model(x)
        torch.cuda.set_sync_debug_mode("error")
        try:
            probe._capture.caller_ends_batches = True  # the wait at a batch's end is meant
            model(x)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        probe._capture.end_batch()
    assert probe.activations["stem.0"].shape[0] == 8
