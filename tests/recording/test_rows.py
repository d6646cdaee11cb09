import gc

import numpy as np
import pytest

from layerlens.recording.rows import Rows


def fill(rows, *sizes, start=0):
    for size in sizes:
        rows.reserve(size)[:] = np.arange(start, start + size)[:, None]
        rows.commit(size)
        start += size
    return rows


def test_rows_come_back_in_order_over_several_pieces():
    rows = fill(Rows(40_000, np.dtype("float32")), 3, 2, 4, 1)
    assert rows.count == 10
    np.testing.assert_array_equal(rows.array(0, 10)[:, 0], np.arange(10))
    np.testing.assert_array_equal(rows.array(2, 6)[:, -1], np.arange(2, 6))


def test_rows_that_were_not_committed_are_written_over():
    rows = Rows(2, np.dtype("float32"))
    rows.reserve(5)[:] = 7
    rows.reserve(3)[:] = 1
    rows.commit(2)
    np.testing.assert_array_equal(rows.array(0, 2), np.ones((2, 2)))
    assert rows.count == 2


def test_known_number_of_rows_lies_in_one_piece():
    rows = fill(Rows(100_000, np.dtype("float32"), expected=9), 3, 3, 3)
    assert len(rows._pieces) == 1
    assert np.shares_memory(rows.array(0, 9), rows.array(4, 5))


def test_consolidated_rows_are_not_copied_again():
    rows = fill(Rows(40_000, np.dtype("float32")), 3, 2, 4)
    rows.consolidate()
    assert np.shares_memory(rows.array(0, 9), rows.array(0, 9))
    np.testing.assert_array_equal(rows.array(0, 9)[:, 5], np.arange(9))


def test_memory_is_written_again_only_when_nobody_looks():
    rows = fill(Rows(4, np.dtype("float32")), 3)
    seen = rows.array(0, 3)[1:]  # a view of a view still holds the memory
    assert rows.recycle() == []
    del seen
    gc.collect()
    spare = rows.recycle()
    again = Rows(4, np.dtype("float32"))
    again.adopt(spare)
    assert np.shares_memory(again.reserve(2), spare[0])


def test_memory_of_another_width_or_dtype_is_not_adopted():
    rows = Rows(4, np.dtype("float32"))
    rows.adopt([np.zeros((9, 5), np.float32), np.zeros((9, 4), np.float64)])
    assert rows._spare == []


def test_rows_beyond_the_last_are_an_error():
    with pytest.raises(IndexError):
        fill(Rows(4, np.dtype("float32")), 3).array(2, 4)
