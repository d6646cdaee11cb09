"""TorchDR's methods for each layer, on a GPU where there is one: ``"torchdr"``."""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn.base
import torchdr

from layerlens.errors import ArgumentError
from layerlens.plugins.extras import needed
from layerlens.reducers._degenerate import plain_picture

__all__ = ["TorchDR"]

Matrix = npt.NDArray[np.float32]

# by the name under which each is known here: TorchDR's class, and what it calls its neighbours
_METHODS = {
    "infotsne": ("InfoTSNE", "perplexity"),
    "largevis": ("LargeVis", "perplexity"),
    "pacmap": ("PACMAP", "n_neighbors"),
    "tsne": ("TSNE", "perplexity"),
    "umap": ("UMAP", "n_neighbors"),
}


class TorchDR(sklearn.base.BaseEstimator):  # type: ignore[misc]
    """A method of TorchDR, for clouds of any size.

    Parameters
    ----------
    method : str
        ``"umap"``, ``"tsne"``, ``"infotsne"``, ``"largevis"`` or ``"pacmap"``.
    n_components : int
    device : str
        Where it computes: ``"auto"`` (CUDA where there is one), ``"cpu"``, ``"cuda"``.
    random_state : int or None
        Seed. On the CPU one seed gives one picture; on CUDA sums are added up in an order of their
        own each time.
    params : mapping, optional
        Further parameters of TorchDR's class, by their names there.

    References
    ----------
    H. Van Assel, N. Courty, R. Flamary et al., TorchDR, https://torchdr.github.io.
    """

    def __init__(
        self,
        method: str = "umap",
        *,
        n_components: int = 2,
        device: str = "auto",
        random_state: int | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.method = method
        self.n_components = n_components
        self.device = device
        self.random_state = random_state
        self.params = params

    def fit_transform(self, X: Matrix, y: Any = None, *, init: Matrix | None = None) -> Matrix:
        """Embed X, of shape (n_samples, n_features).

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features), float32
        y : None
            Not used.
        init : ndarray of shape (n_samples, n_components), optional
            Where to start from, of any scale; TorchDR shrinks it.

        Returns
        -------
        ndarray of shape (n_samples, n_components), float32

        Raises
        ------
        ArgumentError
            If there is no such method.
        TypeError
            If TorchDR's class does not have one of `params`.
        """
        if self.method not in _METHODS:
            raise ArgumentError(
                f"TorchDR has no method {self.method!r} here; there are: {', '.join(_METHODS)}"
            )
        name, scale = _METHODS[self.method]
        X = np.array(X, np.float32, order="C")
        self.notes_: list[str] = []
        plain = plain_picture(X, self.n_components, name, self.notes_)
        if plain is not None:
            return plain
        torch = needed("torch", "the reducer 'torchdr'", "torchdr")
        parameters: dict[str, Any] = dict(self.params or {})
        kind = getattr(torchdr, name)
        unknown = sorted(set(parameters) - set(inspect.signature(kind).parameters))
        if unknown:  # TorchDR itself takes anything, and does not look at it
            raise TypeError(f"torchdr.{name} has no parameter {', '.join(unknown)}")
        parameters.setdefault(scale, 30 if scale == "perplexity" else 15)
        # three times the perplexity are the neighbours that are looked at
        most = max(2, (len(X) - 1) // (3 if scale == "perplexity" else 1) - 1)
        if parameters[scale] > most:
            parameters[scale] = most
            self.notes_.append(f"{scale} {most}: {len(X)} samples allow no more")
        # without faiss, which is an extra of TorchDR's own
        parameters.setdefault("backend", None)
        parameters |= {"n_components": self.n_components, "device": self.device}
        start = init
        if start is None and min(X.shape) < self.n_components:
            rng = np.random.default_rng(self.random_state)
            start = rng.standard_normal((len(X), self.n_components)).astype(np.float32)
            self.notes_.append("random start: the cloud has fewer axes than the picture")
        if start is not None:
            parameters["init"] = torch.from_numpy(np.array(start, np.float32))
        if self.random_state is not None:
            parameters["random_state"] = int(self.random_state)
        # its seed is that of the whole process: ours is put back
        states = random.getstate(), np.random.get_state()  # noqa: NPY002
        devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
        try:
            with torch.random.fork_rng(devices), warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="torchdr")
                warnings.filterwarnings("ignore", module="torch")
                coordinates = kind(**parameters).fit_transform(torch.from_numpy(X))
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
        self.embedding_ = np.array(coordinates.detach().cpu().numpy(), np.float32)
        return self.embedding_
