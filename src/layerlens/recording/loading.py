"""Batches of a run that may go on: which are skipped, and which samples a loader takes."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader

from layerlens.errors import StoreError
from layerlens.recording import structure

__all__ = ["remaining", "traced"]

Indices = npt.NDArray[np.int64]


class _Sampled:
    """A loader's batches of indices, without the first ones, noted as they go by."""

    def __init__(
        self, batches: Iterable[list[int]], sizes: Sequence[int], known: Indices | None
    ) -> None:
        self.noted: deque[list[int]] = deque()
        self._batches = batches
        self._sizes = sizes
        self._skip = len(sizes)
        self._known = known

    def __iter__(self) -> Iterator[list[int]]:
        self.noted.clear()
        start = number = 0
        for number, indices in enumerate(self._batches, 1):
            listed = [int(one) for one in indices]
            self._check(start, listed)
            if number <= self._skip and self._known is not None:
                _check_size(number, self._sizes, {len(listed)})
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
    batches: Any, sizes: Sequence[int], known: Indices | None, *, fed: bool
) -> tuple[Iterable[Any], deque[list[int]]]:
    """Return batches without the first ones, and what fills with the places of each in its data.

    Of a `DataLoader` over a data set with places, the skipped batches are not loaded: only its
    sampler runs. Of anything else they are taken and dropped, and no places are known.

    `sizes`: how many samples were given in each batch to skip. `fed`: whether batches go into the
    model as they are, so that theirs must be the same.
    `known`: the places of the samples that are recorded, in order; the sampler must agree.
    """
    if not _has_places(batches):
        return remaining(batches, sizes, fed=fed), deque()
    sampled = _Sampled(batches.batch_sampler, sizes, known)
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


def remaining(batches: Iterable[Any], sizes: Sequence[int], *, fed: bool) -> Iterable[Any]:
    """Return batches without the first ones; see `traced`.

    Raises
    ------
    StoreError
        If there are fewer, or they have other sizes.
    """
    if not sizes:
        return batches
    return _after(iter(batches), sizes, fed)


def _after(batches: Iterator[Any], sizes: Sequence[int], fed: bool) -> Iterator[Any]:
    gone = 0
    for gone, batch in enumerate(itertools.islice(batches, len(sizes)), 1):
        if fed:
            _check_size(gone, sizes, _possible_sizes(batch))
    if gone < len(sizes):
        raise StoreError(too_few(len(sizes), gone))
    yield from batches


def _possible_sizes(batch: Any) -> set[int]:
    """Return what a batch's size may be: its length, or that of something in it."""
    parts = [batch, *(batch.values() if isinstance(batch, Mapping) else ())]
    parts += batch if isinstance(batch, list | tuple) else ()
    found = {len(part) for part in parts if isinstance(part, list | tuple)}
    arrays: list[Any] = [part for part in parts if isinstance(part, np.ndarray)]
    arrays += [tensor for _, tensor in structure.tensors([batch])]
    return found.union(*(array.shape[:2] for array in arrays))


def _check_size(number: int, sizes: Sequence[int], possible: set[int]) -> None:
    """Refuse a batch of another size than it had when it was recorded."""
    if possible and sizes[number - 1] not in possible:
        raise StoreError(
            f"batch {number} had {sizes[number - 1]} samples when it was recorded, and now there "
            f"are {' or '.join(map(str, sorted(possible)))}. To go on, pass the same batches"
        )


def too_few(recorded: int, there: int) -> str:
    """Say that batches end before the record does."""
    return (
        f"the store holds {recorded} batches, and there are only {there}; to go on, pass the same "
        "batches"
    )
