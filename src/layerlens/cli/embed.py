"""``layerlens embed MODEL DATA``: every layer of a model in one picture."""

from __future__ import annotations

import argparse
import ast
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlens.errors import ArgumentError, LayerlensError, StoreError

if TYPE_CHECKING:
    from torch import nn

    from layerlens.cli.data import Batch, Data
    from layerlens.images import ImageFormat
    from layerlens.recording.probe import Probe

__all__ = ["add_parser"]

_EPILOG = """\
MODEL is MODULE:FACTORY (a callable without arguments, in a module that can be imported from here),
timm:NAME, or hf:NAME_OR_FOLDER (transformers).
DATA is a folder of images, whose subfolders are classes; an .npz (x, and y, ids, label_names where
there are) or .npy; or a folder that Hugging Face datasets saved. Images are cut to their middle
square; arrays of bytes shaped like images are images too, other arrays go in as they are."""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "embed",
        parents=[common],
        help="draw what each layer of a model does to your data",
        description="Send samples through a model and draw where each of its layers puts them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="MODULE:FACTORY, timm:NAME or hf:NAME")
    parser.add_argument("data", metavar="DATA", type=Path, help="folder, .npz or .npy")
    parser.add_argument("--weights", type=Path, metavar="FILE", help=".safetensors or state dict")
    parser.add_argument(
        "--out", type=Path, nargs="+", action="extend", metavar="FILE",
        help="where to; the suffix says as what (embedding.png embedding.npz)",
    )  # fmt: skip

    which = parser.add_argument_group("what is recorded")
    which.add_argument(
        "--layers", nargs="+", default=["input", "*"], metavar="GLOB",
        help="names or globs; input is what goes into the model (input and all layers)",
    )  # fmt: skip
    which.add_argument(
        "--samples", type=_count_or_all, default=2000, metavar="N",
        help="how many, drawn at random, or all (%(default)s)",
    )  # fmt: skip
    which.add_argument("--split", help="part of a Hugging Face data set")
    which.add_argument("--batch-size", type=int, default=32, metavar="N", help="(%(default)s)")
    which.add_argument(
        "--readout",
        default="flatten",
        metavar="R",
        help="flatten, pool, max, token:K (%(default)s)",
    )
    which.add_argument(
        "--sketch", type=_sketch, default="auto", metavar="W",
        help="width that wide layers are sketched to, pca:WIDTH, auto or none (%(default)s)",
    )  # fmt: skip
    which.add_argument("--device", metavar="D", help="cpu, cuda, ... (cuda where there is one)")

    images = parser.add_argument_group("images, by the model's configuration where it has one")
    images.add_argument("--size", type=int, metavar="N", help="side in pixels (224)")
    images.add_argument("--grey", action="store_true", help="one channel in place of three")
    for name in ("mean", "std"):
        images.add_argument(
            f"--{name}", type=float, nargs="+", metavar="V",
            help="of the model's inputs, for pixels from 0 to 1 (0.5)",
        )  # fmt: skip

    drawn = parser.add_argument_group("how it is drawn")
    drawn.add_argument(
        "--reducer", default="series-tsne", metavar="R", help="see layerlens plugins (%(default)s)"
    )
    drawn.add_argument(
        "--param", action="append", default=[], type=_parameter, metavar="NAME=VALUE",
        help="a parameter of the reducer, perplexity=50 say; may be given again",
    )  # fmt: skip
    drawn.add_argument("--n-components", type=int, default=2, metavar="N", help="(%(default)s)")
    drawn.add_argument(
        "--n-seeds", type=int, default=1, metavar="N",
        help="draw with so many seeds and say how far they differ (%(default)s)",
    )  # fmt: skip
    drawn.add_argument("--supervised", action="store_true", help="tell the reducer the labels")
    drawn.add_argument("--random-state", type=int, default=0, metavar="SEED", help="(%(default)s)")
    parser.set_defaults(run=_run)


def _count_or_all(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"a number from 2 up, or all; got {text!r}")
    return int(text)


def _sketch(text: str) -> str | int | None:
    if text in ("auto", "none"):
        return None if text == "none" else text
    kind, colon, width = text.rpartition(":")
    if not width.isdecimal() or int(width) < 1 or (colon and kind != "pca"):
        raise argparse.ArgumentTypeError(f"auto, none, a width or pca:WIDTH; got {text!r}")
    return text if colon else int(text)


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"NAME=VALUE; got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value  # a word


def _run(given: argparse.Namespace) -> int:
    start = time.perf_counter()
    outs = given.out or [Path("embedding.png"), Path("embedding.npz")]
    _look_ahead(given, outs)
    from layerlens.cli.data import Batches, open_data
    from layerlens.cli.show import LEGEND, layer_table
    from layerlens.embedding.reduce import reduce
    from layerlens.models import load_model
    from layerlens.recording.probe import Probe

    everything = open_data(given.data, given.split)
    data = everything.drawn(given.samples, given.random_state)
    print(f"data     {everything.title}")
    if len(data) < len(everything):
        print(
            f"samples  {len(data):,}, drawn with seed {given.random_state}; --samples all for all"
        )
    if given.supervised and data.labels is None:
        raise ArgumentError(f"--supervised tells the reducer the labels, and {given.data} has none")
    model = load_model(given.model, given.weights).to(_device(given.device))
    print(f"model    {type(model).__name__} of {given.model}")
    wanted = _format(given, data, model)
    if wanted is not None:
        print(f"images   {wanted}")
    probe = Probe(
        model, given.layers,
        readout=given.readout, sketch=given.sketch, random_state=given.random_state,
    )  # fmt: skip
    activations = probe.run(
        Batches(data, given.batch_size, wanted), progress=True, forward=_Forward(probe, wanted)
    )
    embeddings = reduce(
        activations, given.reducer,
        n_components=given.n_components, n_seeds=given.n_seeds, supervised=given.supervised,
        random_state=given.random_state, progress=True, **dict(given.param),
    )  # fmt: skip
    print("\n".join(["", *layer_table(list(embeddings.values())), "", LEGEND, ""]))
    for out in outs:
        print(f"wrote    {embeddings.save(out)}")
    print(f"done in {time.perf_counter() - start:.0f} s")
    return 0


def _look_ahead(given: argparse.Namespace, outs: list[Path]) -> None:
    """Find what would fail at the end before anything long is done."""
    from layerlens.embedding.embeddings import sink_for
    from layerlens.embedding.reduce import check_reduction

    if given.batch_size < 1:
        raise ArgumentError(f"--batch-size is 1 or more, got {given.batch_size}")
    check_reduction(
        given.reducer, dict(given.param), n_components=given.n_components, n_jobs=None,
        n_seeds=given.n_seeds, random_state=given.random_state,
    )  # fmt: skip
    for out in outs:
        sink_for(out)
        if not out.absolute().parent.is_dir():
            raise StoreError(f"--out {out}: there is no folder {out.parent}; make it first")


def _device(name: str | None) -> Any:
    import torch

    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise ArgumentError(f"--device {name} cannot be used here: {said}") from error
    return device


def _format(given: argparse.Namespace, data: Data, model: nn.Module) -> ImageFormat | None:
    from layerlens.images import image_format

    asked = {
        "size": given.size,
        "channels": 1 if given.grey else None,
        "mean": None if given.mean is None else tuple(given.mean),
        "std": None if given.std is None else tuple(given.std),
    }
    if data.are_images:
        main = getattr(model, "main_input_name", "pixel_values")
        if main != "pixel_values":
            raise ArgumentError(
                f"{given.model} takes {main} and no images (pixel_values); for text or sound, "
                f"pass an .npz whose x is what goes in, or loop yourself: layerlens.embed(...)"
            )
        return image_format(given.model, model, **asked)
    unused = [f"--{'grey' if n == 'channels' else n}" for n, v in asked.items() if v is not None]
    if unused:
        raise ArgumentError(
            f"{', '.join(unused)}: of images, and {given.data} holds none; arrays go into the "
            f"model as they are"
        )
    return None


class _Forward:
    """Says what is known of a batch, and calls the model with it."""

    def __init__(self, probe: Probe, wanted: ImageFormat | None) -> None:
        self._probe = probe
        self._wanted = wanted

    def __call__(self, model: nn.Module, batch: Batch) -> None:
        self._probe.annotate(batch.labels, batch.ids, batch.pixels)
        device = next((p.device for p in model.parameters()), None)
        inputs = batch.inputs.to(device)
        try:
            model(inputs)
        except LayerlensError:
            raise
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            said = (str(error).splitlines() or [""])[0]
            if "out of memory" in said:
                remedy = "lower --batch-size"
            elif self._wanted is None:
                remedy = "save x as the model takes it, one sample a row"
            else:
                remedy = f"set --size (now {self._wanted.size}), or --grey"
            raise ArgumentError(
                f"{type(model).__name__} does not take a batch of {tuple(inputs.shape)} "
                f"{str(inputs.dtype).removeprefix('torch.')}: {said}; {remedy}"
            ) from error
