"""Timelines in other people's training loops, broken off and resumed."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("seeded")]

X = torch.randn(32, 4, generator=torch.Generator().manual_seed(1))
Y = (X[:, 0] > 0).long()


def check(one, other, steps):
    assert one.steps == other.steps == steps
    for name in other.activations:
        np.testing.assert_array_equal(one.activations[name], other.activations[name])


def test_lightning(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    from layerlens.integrations.lightning import TimelineCallback

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))

        def training_step(self, batch):
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    def fit(epochs, resume=None):
        module = Module()
        timeline = ll.Timeline(module.net, (X[:10], Y[:10]), layers=nn.Linear, every=3)
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=tmp_path,
            callbacks=[TimelineCallback(timeline)],
        )  # fmt: skip
        data = torch.utils.data.TensorDataset(X, Y)
        trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=8), ckpt_path=resume)
        return trainer, timeline

    _, whole = fit(epochs=3)
    trainer, _ = fit(epochs=2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    _, resumed = fit(epochs=3, resume=tmp_path / "half.ckpt")
    check(resumed, whole, [0, 3, 6, 9, 12])


def test_trainer(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from layerlens.integrations.transformers import TimelineCallback

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))

        def forward(self, x, labels=None):
            logits = self.net(x)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    rows = [{"x": x, "labels": y} for x, y in zip(X, Y, strict=True)]

    def train(steps, folder, resume=False):
        model = Net()
        timeline = ll.Timeline(model.net, (X[:10], Y[:10]), layers=nn.Linear, every=3)
        args = transformers.TrainingArguments(
            output_dir=folder, max_steps=steps, per_device_train_batch_size=8, save_steps=4,
            report_to=[], disable_tqdm=True, use_cpu=True, seed=0, lr_scheduler_type="constant",
            logging_strategy="no",
        )  # fmt: skip
        trainer = transformers.Trainer(
            model=model, args=args, train_dataset=rows, callbacks=[TimelineCallback(timeline)]
        )
        trainer.train(resume_from_checkpoint=resume)
        return timeline

    whole = train(12, tmp_path / "whole")
    train(8, tmp_path / "half")
    resumed = train(12, tmp_path / "half", resume=True)
    check(resumed, whole, [0, 3, 6, 9, 12])
    assert (tmp_path / "half" / "checkpoint-8" / "timeline.pt").exists()


@pytest.mark.parametrize(
    ("module", "hidden", "extra"),
    [
        ("lightning", ["lightning", "pytorch_lightning"], "lightning"),
        ("transformers", ["transformers"], "trainer"),
    ],
)
def test_missing_package_names_the_extra(module, hidden, extra):
    code = (
        "import importlib.abc, sys\n"
        "class Hide(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name.split('.')[0] in {hidden}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        "import layerlens\n"
        f"try: import layerlens.integrations.{module}\n"
        "except layerlens.PluginError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install 'torch-layerlens[{extra}]'" in said.stdout
