"""Models and images that a command line names: loaded safely, and told what is wrong with them."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from layerlens.errors import ArgumentError, LayerlensWarning, PluginError, ShapeError, StoreError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["load_images", "load_model", "load_weights", "read_weights"]

_KINDS = "MODULE:FACTORY, timm:NAME or hf:NAME"
_IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def load_model(name: str, weights: Path | str | None = None) -> nn.Module:
    """Make a model by name, in eval mode.

    Parameters
    ----------
    name : str
        ``MODULE:FACTORY``, a callable of an importable module (the working directory counts),
        called without arguments; ``timm:NAME``; or ``hf:NAME``, a repository or folder of
        transformers. With `weights`, timm's model is made without weights of its own.
    weights : path, optional
        A ``.safetensors`` file, or a state dict as `torch.save` writes it.

    Raises
    ------
    ArgumentError
        If the name is not one of these kinds, or there is no such thing.
    PluginError
        If timm or transformers is not installed.
    StoreError
        If the weights cannot be read.
    ShapeError
        If they do not fit the model.
    """
    from torch import nn

    kind, colon, rest = name.partition(":")
    if not colon or not kind or not rest:
        raise ArgumentError(f"a model is named {_KINDS}; got {name!r}")
    if kind == "timm":
        model = _required("timm").create_model(rest, pretrained=weights is None)
    elif kind == "hf":
        model = _required("transformers").AutoModel.from_pretrained(rest)
    else:
        model = _factory(kind, rest)()
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"{name!r} gives {type(model).__name__}, which is no torch.nn.Module")
    if weights is not None:
        load_weights(model, weights)
    return model.eval()


def _required(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise PluginError(
            f"{package} is not installed or does not import ({error}): pip install {package}"
        ) from error


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
            return dict(_required("safetensors.torch").load_file(path))
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
    PluginError
        If Pillow is not installed.
    """
    import torch

    reader = _required("PIL.Image")
    arrays: list[npt.NDArray[np.float32]] = []
    names = []
    for given in map(Path, paths):
        is_folder = given.is_dir()
        files = sorted(given.rglob("*")) if is_folder else [given]
        for file in (f for f in files if not is_folder or f.suffix.lower() in _IMAGES):
            try:
                with reader.open(file) as image:
                    arrays.append(_square(image.convert("L" if channels == 1 else "RGB"), size))
            except (OSError, SyntaxError, ValueError) as error:
                said = f"{str(file)!r} is no image that can be read: {error}"
                if not is_folder:
                    raise StoreError(said) from error
                warnings.warn(f"passed over: {said}", LayerlensWarning, stacklevel=2)
            else:
                names.append(str(file.relative_to(given)) if is_folder else file.name)
    if not arrays:
        raise StoreError(f"there is no image at {', '.join(map(str, paths))}")
    stacked = (np.stack(arrays) - np.array(mean, np.float32)) / np.array(std, np.float32)
    return torch.from_numpy(stacked).movedim(-1, 1).contiguous().float(), names


def _square(image: Any, size: int) -> npt.NDArray[np.float32]:
    side = min(image.size)
    left, upper = ((length - side) // 2 for length in image.size)
    # the resampling is named by its number, 3 is bicubic: Pillow itself need not be imported here
    cut = image.resize((size, size), 3, box=(left, upper, left + side, upper + side))
    values = np.asarray(cut, np.float32) / np.float32(255)
    return values if values.ndim == 3 else values[..., None]
