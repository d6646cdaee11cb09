"""How many rows a chunk has: few enough for the memory that is allowed, and not too many files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from layerlens.recording.storage.tree import TEXT, Entry

__all__ = ["BUFFER", "chunk_rows_for", "n_files", "rows_of_chunk"]

BUFFER = 512 << 20
"""Bytes that a recording to disk holds by default: one half is filled while one is written."""

MAX_CHUNK = 16 << 20
"""Bytes of a chunk, unless a single row is larger."""

_SMALL_CHUNK = 128 << 10  # chunks of narrow arrays grow up to this, beyond what a commit needs
_MAX_ROWS = 4096
_MAX_SMALL_ROWS = 1 << 16
_TEXT_BYTES = 32  # of a text, for want of knowing


def _power_below(number: int) -> int:
    return 1 << max(0, number.bit_length() - 1)


def chunk_rows_for(row_bytes: Sequence[int], expected: int | None, buffer: int) -> int:
    """Return how many samples go between two commits.

    A power of two where nothing is known of how many come; else a number of which few do not fill
    the last chunk, and that halves as often as the widest layer's chunks need.
    """
    rows = min(_MAX_ROWS, _power_below(buffer // 2 // max(1, sum(row_bytes))))
    if not expected:
        return rows
    unit = 1
    while unit < rows and rows // unit * max(row_bytes, default=0) > MAX_CHUNK:
        unit *= 2
    n_commits = -(-expected // rows)
    return -(-expected // (n_commits * unit)) * unit


def rows_of_chunk(
    dtype: str, row_bytes: int, chunk_rows: int, expected: int | None, *, layer: bool
) -> int:
    """Return how many rows a chunk of one array has.

    The rows of a commit, fewer where the chunk would be too large, and more where it would be a
    tiny file: its last chunk is then written again with each commit until it is full.
    """
    size = _TEXT_BYTES if dtype == TEXT else max(1, row_bytes)
    rows = chunk_rows
    while rows > 1 and rows * size > MAX_CHUNK:
        rows = -(-rows // 2)
    most = min(_MAX_SMALL_ROWS, expected or _MAX_SMALL_ROWS)
    if layer:
        # of these there may be hundreds, which together are to stay within the buffer
        most = min(most, 4 * chunk_rows)
    while rows < most and 2 * rows * size <= _SMALL_CHUNK:
        rows *= 2
    return rows


def n_files(entries: Iterable[Entry], rows: int) -> int:
    """Return how many chunks so many samples take."""
    return sum(-(-rows // entry.chunk) for entry in entries)
