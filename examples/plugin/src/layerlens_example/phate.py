"""PHATE as a reducer of layerlens."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Phate"]

Matrix = npt.NDArray[np.floating[Any]]

_AT_LEAST = 6  # distinct points; phate 2.0 divides by zero for three, and wanders for five


class Phate:
    """PHATE: diffusion distances, shown by multidimensional scaling.

    The package `phate` does the work. What is here is what layerlens asks of a reducer and
    `phate.PHATE` does not give: points that lie on one spot are placed once, clouds of fewer than
    six distinct points are shown by their principal axes, NumPy's global random state is left
    alone, and what `phate` says on the way becomes `notes_`, which the figure shows.

    Parameters
    ----------
    n_components : int
        Dimensions of the picture.
    knn : int
        Neighbours whose distance sets the width of a point's kernel.
    decay : float
        How steeply the kernel falls.
    t : int or "auto"
        Steps of diffusion.
    random_state : int
        Seed.
    n_jobs : int
        Threads for the neighbours.

    References
    ----------
    K. R. Moon et al., *Visualizing structure and transitions in high-dimensional biological
    data*, Nature Biotechnology 37 (2019).
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        knn: int = 5,
        decay: float = 40,
        t: int | str = "auto",
        random_state: int = 0,
        n_jobs: int = 1,
    ) -> None:
        self.n_components = n_components
        self.knn = knn
        self.decay = decay
        self.t = t
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit_transform(self, X: Matrix, y: Any = None) -> Matrix:
        """Return coordinates of shape (n_samples, n_components) for X (n_samples, n_features)."""
        self.notes_: list[str] = []
        points, places = np.unique(np.asarray(X, dtype=np.float32), axis=0, return_inverse=True)
        if len(points) < _AT_LEAST:
            self.notes_.append(f"principal axes: PHATE needs {_AT_LEAST} distinct points")
            picture = _principal_axes(points, self.n_components)
        else:
            if len(points) < len(X):
                self.notes_.append(f"{len(X) - len(points)} points lie on others")
            picture = self._phate(points)
        return np.asarray(picture, dtype=np.float32)[places.reshape(-1)]

    def _phate(self, points: Matrix) -> Matrix:
        # only now: phate takes seconds to import, and listing reducers need not wait for it
        import phate

        operator = phate.PHATE(
            n_components=self.n_components,
            knn=min(self.knn, len(points) - 2),
            decay=self.decay,
            t=self.t,
            # phate makes principal axes of more than 100 features; it cannot of fewer
            n_pca=100 if min(points.shape) > 100 else None,
            random_state=self.random_state,
            n_jobs=self.n_jobs,
            verbose=0,
        )
        state = np.random.get_state()
        try:
            with _listening() as logged, warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                picture: Matrix = operator.fit_transform(points)
        finally:
            np.random.set_state(state)
        self.notes_ += _first_sentences(str(w.message) for w in caught if _tells(w))
        self.notes_ += _first_sentences(logged)
        return picture


@contextlib.contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect what phate logs, in place of having it printed."""
    logged: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            logged.append(record.getMessage())
        return False

    logger = logging.getLogger("graphtools")  # phate logs under the name of its own library
    logger.addFilter(keep)
    try:
        yield logged
    finally:
        logger.removeFilter(keep)


def _tells(warning: warnings.WarningMessage) -> bool:
    # what concerns the user's data; deprecations inside of phate do not
    return issubclass(warning.category, (UserWarning, RuntimeWarning))


def _first_sentences(texts: Iterable[str]) -> list[str]:
    found = (text.strip().split(". ")[0] for text in texts)
    return list(dict.fromkeys(text for text in found if text))


def _principal_axes(points: Matrix, n_components: int) -> Matrix:
    centred = points - points.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    picture = np.zeros((len(points), n_components))
    kept = min(n_components, len(s))
    picture[:, :kept] = u[:, :kept] * s[:kept]
    return picture
