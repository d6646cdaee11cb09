"""Batches of a run that may go on: which are skipped, and which samples a loader takes."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader

from layerlens.errors import StoreError

__all__ = ["remaining", "traced"]

Indices = npt.NDArray[np.int64]


class _Sampled:
    """A loader's batches of indices, without the first ones, noted as they go by."""

    def __init__(self, batches: Iterable[list[int]], skip: int, known: Indices | None) -> None:
        self.noted: deque[list[int]] = deque()
        self._batches = batches
        self._skip = skip
        self._known = known

    def __iter__(self) -> Iterator[list[int]]:
        self.noted.clear()
        start = number = 0
        for number, indices in enumerate(self._batches, 1):
            listed = [int(one) for one in indices]
            self._check(start, listed)
            start += len(listed)
            if number > self._skip:
                self.noted.append(listed)
                yield indices
        if number < self._skip:
            raise StoreError(too_few(self._skip, number))

    def __len__(self) -> int:
        return max(0, len(self._batches) - self._skip)  # type: ignore[arg-type]

    def _check(self, start: int, indices: list[int]) -> None:
        if self._known is None:
            return
        known = self._known[start : start + len(indices)].tolist()
        if known != indices[: len(known)] and -1 not in known:
            raise StoreError(
                f"the loader takes other samples than were recorded: from sample {start} on "
                f"{indices[:4]}, where the store has {known[:4]}. A loader that shuffles goes on "
                "only with a generator of its own and the same seed: DataLoader(..., shuffle=True, "
                "generator=torch.Generator().manual_seed(0))"
            )


def traced(
    batches: Any, skip: int, known: Indices | None
) -> tuple[Iterable[Any], deque[list[int]]]:
    """Return batches without the first ones, and what fills with the places of each in its data.

    Of a `DataLoader` over a data set with places, the skipped batches are not loaded: only its
    sampler runs. Of anything else they are taken and dropped, and no places are known.

    `known`: the places of the samples that are recorded, in order; the sampler must agree.
    """
    if not _has_places(batches):
        return remaining(batches, skip), deque()
    sampled = _Sampled(batches.batch_sampler, skip, known)
    options: dict[str, Any] = {
        name: getattr(batches, name)
        for name in (
            "num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn",
            "multiprocessing_context", "generator", "persistent_workers", "prefetch_factor",
        )
    }  # fmt: skip
    return DataLoader(batches.dataset, batch_sampler=sampled, **options), sampled.noted


def _has_places(batches: Any) -> bool:
    # a subclass may do more than it inherits, and its arguments are not known
    return (
        type(batches) is DataLoader
        and batches.batch_sampler is not None
        and hasattr(batches.batch_sampler, "__len__")
        and getattr(batches, "in_order", True)
        and hasattr(batches.dataset, "__getitem__")
    )


def remaining(batches: Iterable[Any], skip: int) -> Iterable[Any]:
    """Return batches without the first ones.

    Raises
    ------
    StoreError
        If there are fewer.
    """
    if not skip:
        return batches
    return _after(iter(batches), skip)


def _after(batches: Iterator[Any], skip: int) -> Iterator[Any]:
    gone = sum(1 for _ in itertools.islice(batches, skip))
    if gone < skip:
        raise StoreError(too_few(skip, gone))
    yield from batches


def too_few(recorded: int, there: int) -> str:
    """Say that batches end before the record does."""
    return (
        f"the store holds {recorded} batches, and there are only {there}; to go on, pass the same "
        "batches"
    )
