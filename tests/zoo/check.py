"""What must hold for every architecture, and the table of what was found."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import layerlens as ll

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


# small ones of as many kinds as there are
# fmt: off
TIMM = [
    "beit_base_patch16_224", "cait_xxs24_224", "coat_tiny", "coatnet_nano_rw_224",
    "convit_tiny", "convmixer_768_32", "convnext_atto", "crossvit_tiny_240", "cspresnet50",
    "davit_tiny", "deit_tiny_patch16_224", "densenet121", "dla34", "dpn68",
    "edgenext_xx_small", "efficientformer_l1", "efficientnet_b0", "eva02_tiny_patch14_224",
    "fastvit_t8", "focalnet_tiny_srf", "gcvit_xxtiny", "ghostnet_050", "hardcorenas_a",
    "hrnet_w18_small", "inception_v3", "levit_128s", "maxvit_rmlp_pico_rw_256",
    "mixer_s32_224", "mobilenetv3_small_050", "mobilevit_xxs", "mvitv2_tiny", "nfnet_l0",
    "pit_ti_224", "poolformer_s12", "pvt_v2_b0", "regnetx_002", "repvgg_a0", "resmlp_12_224",
    "resnet18", "resnet50", "rexnet_100", "swin_tiny_patch4_window7_224",
    "swinv2_cr_tiny_224", "tresnet_m", "twins_pcpvt_small", "vgg11", "visformer_tiny",
    "vit_tiny_patch16_224", "volo_d1_224", "xception41", "xcit_nano_12_p16_224",
]
# fmt: on


def image(name: str) -> dict[str, torch.Tensor]:
    import timm

    size = timm.get_pretrained_cfg(name).input_size
    return {"x": torch.randn(2, *size)}


@dataclass(frozen=True)
class Finding:
    """A line of the table."""

    family: str
    found: int
    recorded: int
    passed_on: int
    skipped: dict[str, str]
    never: int

    def line(self) -> str:
        why = Counter(_in_short(reason) for reason in self.skipped.values())
        said = "; ".join(f"{count} {reason}" for reason, count in sorted(why.items())) or "none"
        return (
            f"| {self.family} | {self.found} | {self.recorded} | {self.passed_on} | {said} "
            f"| {self.never or ''} |"
        )


def _in_short(reason: str) -> str:
    if "whose first axis is not the batch" in reason:
        return "without the batch in front"
    if "no floating tensor" in reason:
        return "without a floating tensor"
    return reason


def first_floating(value: Any) -> torch.Tensor | None:
    """Our own reading of what a module puts out: its first floating tensor, in order."""
    if isinstance(value, torch.Tensor):
        return value if value.is_floating_point() and value.ndim else None
    if hasattr(value, "values") and callable(value.values):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return None
    return next((one for one in map(first_floating, value) if one is not None), None)


def all_tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if hasattr(value, "values") and callable(value.values):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [tensor for one in value for tensor in all_tensors(one)]


def examine(family: str, model: nn.Module, batch: dict[str, Any]) -> Finding:
    """Record a model, and raise `AssertionError` where anything is not as it must be."""
    model.eval()
    modules = {n: m for n, m in model.named_modules() if "parametrizations" not in n.split(".")}
    seen: dict[str, list[torch.Tensor | None]] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            tensor = first_floating(output)
            seen.setdefault(name, []).append(None if tensor is None else tensor.detach().clone())

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    with torch.no_grad():
        torch.manual_seed(1)
        model(**batch)
    for handle in handles:
        handle.remove()

    with torch.no_grad():
        torch.manual_seed(1)
        plain = all_tensors(model(**batch))
        random_state = torch.get_rng_state()
        own_hooks = hooks_of(model)  # some libraries put their own on
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ll.LayerlensWarning)
            with ll.Probe(model, sketch=None) as probe:
                torch.manual_seed(1)
                probed = all_tensors(model(**batch))
    assert torch.equal(random_state, torch.get_rng_state())
    assert len(plain) == len(probed) > 0
    for one, other in zip(plain, probed, strict=True):
        assert torch.equal(one, other), "the output differs under a probe"
    assert hooks_of(model) == own_hooks, "hooks were left on the model"

    acts = probe.activations
    recorded = {name.rpartition(":")[0] if ":" in name else name for name in acts}
    skipped = {
        name.rpartition(":")[0] if ":" in name else name: why
        for name, why in acts.meta["skipped"].items()
    }
    for name, rows in acts.items():
        module, _, call = name.partition(":")
        calls = seen[module]
        if not any(True for _ in model.get_submodule(module).children()):
            calls = [calls[int(call or 0)]]
        assert any(same(rows, tensor) for tensor in calls), f"{name} is not what a hook clones"
    skipped = {name: why for name, why in skipped.items() if name not in recorded}
    passed = set(seen) - recorded - set(skipped)
    for name in passed:  # only a module with parts may pass on what another put out
        assert any(True for _ in model.get_submodule(name).children()), f"{name} was left out"
        mine = [tensor for tensor in seen[name] if tensor is not None]
        others = [one for one in seen if one != name]
        theirs = [tensor for one in others for tensor in seen[one] if tensor is not None]
        assert all(any(same_tensor(a, b) for b in theirs) for a in mine), f"{name} was left out"
    assert recorded <= set(seen)
    lists = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)  # are not called
    never = sum(1 for n, m in modules.items() if n not in seen and not isinstance(m, lists))
    return Finding(family, len(seen), len(recorded), len(passed), skipped, never)


def hooks_of(model: nn.Module) -> list[tuple[str, int]]:
    """Return which module has which hooks."""
    return [
        (name, key)
        for name, module in model.named_modules()
        for hooks in (module._forward_hooks, module._forward_pre_hooks)
        for key in hooks
    ]


def same(rows: Any, tensor: torch.Tensor | None) -> bool:
    return (
        tensor is not None
        and rows.shape == (len(tensor), tensor[0].numel())
        and np.array_equal(rows, tensor.float().flatten(1).numpy(), equal_nan=True)
    )


def same_tensor(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


HEAD = (
    "| architecture | modules called | recorded | passed on | skipped, and why | never called |\n"
    "|---|---:|---:|---:|---|---:|\n"
)


def table(library: str, version: str, findings: list[Finding]) -> str:
    lines = "\n".join(one.line() for one in findings)
    return f"{library} {version}, torch {torch.__version__.split('+')[0]}:\n\n{HEAD}{lines}\n"


def written(library: str) -> str:
    """Return the table that the page has."""
    return _place(library).search(PAGE.read_text(encoding="utf-8")).group(1)


def _place(library: str) -> re.Pattern[str]:
    return re.compile(
        rf"<!-- {library}: python -m tests\.zoo\.check {library} -->\n(.*?)<!-- end -->", re.DOTALL
    )


def findings(library: str) -> tuple[str, list[Finding]]:
    """Examine all architectures of a library."""
    if library == "transformers":
        import transformers
        from tests.zoo.families import FAMILIES

        version = transformers.__version__
        families = [(one.name, one.build, one.batch) for one in FAMILIES]
    else:
        import timm

        version = timm.__version__
        families = [
            (name, partial(timm.create_model, name, num_classes=5), partial(image, name))
            for name in TIMM
        ]
    lines = []
    for name, build_one, batch in families:
        torch.manual_seed(0)
        lines.append(examine(name, build_one(), batch()))
        print(lines[-1].line(), file=sys.stderr, flush=True)
    return version, lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a table of docs/models.md anew.")
    parser.add_argument("library", choices=["transformers", "timm"])
    library = parser.parse_args().library
    version, lines = findings(library)
    page = PAGE.read_text(encoding="utf-8")
    made = table(library, version, lines)
    page = _place(library).sub(lambda found: found.group().replace(found.group(1), made), page)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
