"""A sketch along directions of the data: ``sketch="pca:512"``.

A wide row is folded to 16 times the sketch's width first (`layerlens.recording.sketch`), if it is
wider than that, so that a layer of 802,816 values needs no more memory than one of 8,192. Of the
first rows of a recording, 1,024 or twice the width, the principal directions are found in there
(PCA by the Gram matrix of the rows [1]_), and all rows, the first ones too, are projected on seven
eighths as many as the sketch is wide. What is left of a row is folded into the last eighth. So
squared distances are kept in expectation whatever rows come: directions that were fitted on too
few, or on rows unlike those that follow, make the error larger, not the distances shorter.

All of it is one matrix that a folded row is multiplied by. It is the same for all rows of a
recording, and a recording on disk keeps it, to go on with. Products of matrices are rounded as the
batch's size has it, so a row's sketch depends on its batch in the last digits.

References
----------
.. [1] L. Sirovich, Turbulence and the dynamics of coherent structures, Quarterly of Applied
   Mathematics 45 (1987): the method of snapshots.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import torch

from layerlens.errors import RecordingError
from layerlens.recording.sketch import FoldedSketch

__all__ = ["DirectionSketch", "rows_to_fit"]

_WIDER = 16
_LEAST_ROWS = 1024
_LEFT = 8  # one in so many values of a sketch is for what the directions leave


def rows_to_fit(width: int) -> int:
    """Return how many rows directions are fitted on."""
    return max(_LEAST_ROWS, 2 * width)


class DirectionSketch:
    """The sketch of one layer along directions of its first rows.

    `wide`: width that rows are folded to first; `dim` where they are not.
    `n_fitted`: rows that the directions were fitted on; 0 before.
    `matrix`: (wide, width), float32. What folded rows are multiplied by; None before.
    """

    def __init__(self, layer: str, dim: int, width: int, random_state: int = 0) -> None:
        self.layer = layer
        self.dim = dim
        self.width = width
        self.seed = random_state
        self.wide = min(dim, _WIDER * width)
        self.n_fitted = 0
        self.matrix: npt.NDArray[np.float32] | None = None
        self._fold = None
        if self.wide < dim:
            self._fold = FoldedSketch(layer, dim, self.wide, random_state)
        self._on: dict[torch.device, torch.Tensor] = {}

    def __repr__(self) -> str:
        through = f" through {self.wide}" if self.wide < self.dim else ""
        fitted = f"fitted on {self.n_fitted} rows, {self._print()}" if self.n_fitted else "unfitted"
        return f"DirectionSketch({self.dim} -> {self.width}{through}, seed {self.seed}, {fitted})"

    def _print(self) -> str:
        """Return what tells these directions from others."""
        matrix = b"" if self.matrix is None else np.ascontiguousarray(self.matrix).tobytes()
        return hashlib.sha256(matrix).hexdigest()[:12]

    def folded(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows (B, dim) as (B, wide), float32 or float64, in memory of their own."""
        if self._fold is not None:
            return self._fold(rows)
        dtype = torch.float64 if rows.dtype == torch.float64 else torch.float32
        return rows.to(dtype, copy=True)

    def fit(self, rows: torch.Tensor) -> None:
        """Find the directions.

        `rows`: (n_rows, wide). What `folded` gave.
        """
        given = rows.detach().cpu().numpy().astype(np.float64)
        if not np.isfinite(given).all():
            raise RecordingError(
                f"layer {self.layer!r}: among the first {len(given)} rows, which the directions of "
                "sketch='pca:...' are fitted on, are some with NaN or infinity; pass a width, "
                f"sketch={self.width}, which needs no fit"
            )
        given -= given.mean(axis=0)
        values, vectors = np.linalg.eigh(given @ given.T)
        # beyond rounding, there are no more directions than rows
        room = self.width - -(-self.width // _LEFT) if self.width > 1 else 1
        there = int((values > max(values[-1], 0) * 1e-10).sum()) if len(values) else 0
        count = min(room, there)
        best = slice(len(values) - count, None)
        directions = (given.T @ vectors[:, best]) / np.sqrt(values[best])
        directions = directions[:, ::-1]
        # signs are LAPACK's choice else
        largest = np.abs(directions).argmax(axis=0)
        directions *= np.where(directions[largest, np.arange(count)] < 0, -1, 1)
        left = self._buckets(self.width - count)
        left -= directions @ (directions.T @ left)
        self.n_fitted = len(given)
        self.load(np.concatenate([directions, left], axis=1).astype(np.float32), len(given))

    def load(self, matrix: npt.NDArray[np.float32], n_fitted: int) -> None:
        """Take the matrix of an earlier recording, to go on."""
        self.matrix = np.ascontiguousarray(matrix, np.float32)
        self.n_fitted = n_fitted
        self._on.clear()

    def _buckets(self, count: int) -> npt.NDArray[np.float64]:
        """Return a fold of what is left as a matrix (wide, count): a sign a value, in turn."""
        key = f"layerlens left over {self.seed} {self.dim} {self.layer}".encode()
        bits = np.frombuffer(hashlib.shake_128(key).digest(5 * self.wide), np.uint8)
        order = np.argsort(bits[: 4 * self.wide].view("<u4"), kind="stable")
        matrix = np.zeros((self.wide, count))
        if count:
            signs = (bits[4 * self.wide :] & 1) * 2.0 - 1
            matrix[order, np.arange(self.wide) % count] = signs
        return matrix

    def project(self, folded: torch.Tensor) -> torch.Tensor:
        """Return the sketch of folded rows, (B, width)."""
        matrix = self._on.get(folded.device)
        if matrix is None:
            matrix = torch.from_numpy(self.matrix).to(folded.device)
            self._on[folded.device] = matrix
        return folded @ matrix.to(folded.dtype)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the sketch of rows (B, dim): (B, width), float32 or float64."""
        folded = self.folded(rows)
        if not self.n_fitted:
            self.fit(folded)  # a layer that comes late has only these
        return self.project(folded)
