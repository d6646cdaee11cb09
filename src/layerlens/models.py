"""Models and images that a command line names: loaded safely, and told what is wrong with them."""

from __future__ import annotations

import difflib
import importlib
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import ArgumentError, LayerlensWarning, PluginError, ShapeError, StoreError
from layerlens.images import ImageFormat

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "IMAGE_SUFFIXES",
    "load_images",
    "load_model",
    "load_weights",
    "read_weights",
    "required",
]

_KINDS = "MODULE:FACTORY, timm:NAME or hf:NAME"
IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def load_model(name: str, weights: Path | str | None = None) -> nn.Module:
    """Make a model by name, in eval mode.

    Parameters
    ----------
    name : str
        ``MODULE:FACTORY``, a callable of an importable module (the working directory counts),
        called without arguments; ``timm:NAME``; or ``hf:NAME``, a repository or folder of
        transformers, whose model is of the class that was saved, with its head. With `weights`,
        models of both are made without weights of their own.
    weights : path, optional
        A ``.safetensors`` file, or a state dict as `torch.save` writes it.

    Raises
    ------
    ArgumentError
        If the name is not one of these kinds, or there is no such thing.
    PluginError
        If timm or transformers is not installed.
    StoreError
        If the weights cannot be read or fetched.
    ShapeError
        If they do not fit the model.
    """
    from torch import nn

    kind, colon, rest = name.partition(":")
    if not colon or not kind or not rest:
        raise ArgumentError(f"a model is named {_KINDS}; got {name!r}")
    if kind == "timm":
        model = _of_timm(rest, pretrained=weights is None)
    elif kind == "hf":
        model = _of_transformers(rest, pretrained=weights is None)
    else:
        model = _factory(kind, rest)()
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"{name!r} gives {type(model).__name__}, which is no torch.nn.Module")
    if weights is not None:
        load_weights(model, weights)
    return model.eval()


def required(module: str, package: str) -> Any:
    """Import a module of an optional package.

    Raises
    ------
    PluginError
        If it does not import; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PluginError(
            f"{module} is not installed or does not import ({error}): pip install {package}"
        ) from error


def _of_timm(name: str, *, pretrained: bool) -> Any:
    timm = required("timm", "timm")
    try:
        return timm.create_model(name, pretrained=pretrained)
    except OSError as error:
        raise StoreError(
            f"the weights of timm:{name} cannot be fetched ({_first_line(error)}): pass those "
            f"that you have by --weights FILE"
        ) from error
    except RuntimeError as error:
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        near = f"; nearest: {', '.join(close)}" if close else ""
        raise ArgumentError(f"timm has no model {name!r} ({_first_line(error)}){near}") from error


def _of_transformers(name: str, *, pretrained: bool) -> Any:
    """Make a model of the class that was saved, so that its head is there too."""
    transformers = required("transformers", "transformers")
    # a bar of its own for the weights, in the midst of what we say
    transformers.utils.logging.disable_progress_bar()
    try:
        config = transformers.AutoConfig.from_pretrained(name)
        saved = (getattr(config, "architectures", None) or [""])[0]
        made_by = getattr(transformers, saved, None) or transformers.AutoModel
        if pretrained:
            return made_by.from_pretrained(name)
        automatic = made_by is transformers.AutoModel
        return made_by.from_config(config) if automatic else made_by(config)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"transformers finds no model at {name!r} ({_first_line(error)}). Name a folder that "
            f"save_pretrained wrote, or a repository of the hub that can be reached from here"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".: ")


def _factory(module: str, name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:  # as `python -m` has it; a console script has not
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ArgumentError(f"there is no module {error.name!r}; a model is {_KINDS}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ArgumentError(f"{module} has no {name!r}; a model is {_KINDS}")
        found = getattr(found, part)
    if not callable(found):
        raise ArgumentError(f"{module}:{name} cannot be called; a factory returns the model")
    return found


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Read a state dict without running any code that the file may hold.

    Raises
    ------
    StoreError
        If it cannot be read, or is more than tensors.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise StoreError(f"there is no file of weights at {str(path)!r}")
    try:
        if path.suffix == ".safetensors":
            return dict(required("safetensors.torch", "safetensors").load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except PluginError:
        raise
    except Exception as error:
        raise StoreError(
            f"{str(path)!r} holds no weights that can be read safely ({type(error).__name__}). "
            "It must be .safetensors, or a state dict: torch.save(model.state_dict(), path)"
        ) from error
    for key in ("state_dict", "model"):  # how training scripts wrap it
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    tensors = isinstance(loaded, Mapping) and all(torch.is_tensor(v) for v in loaded.values())
    if not tensors or not loaded:
        raise StoreError(f"{str(path)!r} holds {type(loaded).__name__}, and no state dict")
    return {str(key).removeprefix("module."): value for key, value in loaded.items()}


def load_weights(model: nn.Module, path: Path | str) -> None:
    """Put weights from a file into a model.

    Raises
    ------
    StoreError
        If the file cannot be read.
    ShapeError
        If they do not fit; the message names the first keys that do not.
    """
    given, wanted = read_weights(path), model.state_dict()
    shapes = [
        f"{key} is {tuple(given[key].shape)} and should be {tuple(wanted[key].shape)}"
        for key in wanted.keys() & given.keys()
        if given[key].shape != wanted[key].shape
    ]
    problems = {
        "missing": [key for key in wanted if key not in given],
        "unknown": [key for key in given if key not in wanted],
        "of another shape": sorted(shapes),
    }
    said = [f"{len(keys)} {what}: {_first(keys)}" for what, keys in problems.items() if keys]
    if said:
        raise ShapeError(
            f"the weights of {str(path)!r} do not fit {type(model).__name__}: {'; '.join(said)}"
        )
    model.load_state_dict(given)


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")


def load_images(
    paths: Iterable[Path | str],
    size: int = 224,
    *,
    channels: int = 3,
    mean: tuple[float, ...] = (0.5,),
    std: tuple[float, ...] = (0.5,),
) -> tuple[Tensor, list[str]]:
    """Read images: the middle square, scaled to one size, and normalised.

    Parameters
    ----------
    paths : iterable of path
        Files and folders. In folders, other files than images are passed over, and images that
        are broken are passed over with a warning that names them.
    size : int
        Length of a side in pixels.
    channels : {1, 3}
        Grey or colour.
    mean, std : tuple of float
        For values from 0 to 1: one for all channels, or one for each.

    Returns
    -------
    images : Tensor of shape (n, channels, size, size), float32
    names : list of str

    Raises
    ------
    StoreError
        If there is no image, or a file that was named is broken.
    ArgumentError
        If there can be no such images.
    PluginError
        If Pillow is not installed.
    """
    reader = required("PIL.Image", "pillow")
    wanted = ImageFormat(size, channels, mean, std)
    arrays: list[npt.NDArray[np.uint8]] = []
    names = []
    for given in map(Path, paths):
        is_folder = given.is_dir()
        files = sorted(given.rglob("*")) if is_folder else [given]
        for file in (f for f in files if not is_folder or f.suffix.lower() in IMAGE_SUFFIXES):
            try:
                with reader.open(file) as image:
                    arrays.append(wanted.pixels(image))
            except (OSError, SyntaxError, ValueError) as error:
                said = f"{str(file)!r} is no image that can be read: {error}"
                if not is_folder:
                    raise StoreError(said) from error
                warnings.warn(f"passed over: {said}", LayerlensWarning, stacklevel=2)
            else:
                names.append(str(file.relative_to(given)) if is_folder else file.name)
    if not arrays:
        raise StoreError(f"there is no image at {', '.join(map(str, paths))}")
    return wanted.inputs(np.stack(arrays)), names
