"""Jobs that are done in order on a thread of their own, with a bound on what waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Background"]

Job = Callable[[], None]


class Background:
    """A thread that does jobs one after the other.

    A job that fails ends it all: what waits is given up, and every later call raises the error.

    `limit`: how many bytes the jobs that wait may hold; whoever brings more waits.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[tuple[int, Job]] = deque()
        self._bytes = 0
        self._error: BaseException | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, size: int, job: Job) -> None:
        """Take a job that holds so many bytes; wait until there is room for it."""
        with self._changed:
            while self._error is None and self._bytes and self._bytes + size > self._limit:
                self._changed.wait()
            self._check()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="layerlens store", daemon=True
                )
                self._thread.start()
            self._waiting.append((size, job))
            self._bytes += size
            self._changed.notify_all()

    def drain(self) -> None:
        """Wait until all jobs are done."""
        with self._changed:
            while self._error is None and self._waiting:
                self._changed.wait()
            self._check()

    def close(self) -> None:
        """End the thread, without doing what still waits; to have it done, `drain` first."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                size, job = self._waiting[0]
            try:
                job()
            except BaseException as error:  # noqa: BLE001  whoever brings the next job gets it
                with self._changed:
                    self._error = error
                    self._waiting.clear()
                    self._bytes = 0
                    self._changed.notify_all()
                return
            with self._changed:
                # it leaves the queue once it is done, so that `drain` waits for it as well
                self._waiting.popleft()
                self._bytes -= size
                self._changed.notify_all()
            del job
