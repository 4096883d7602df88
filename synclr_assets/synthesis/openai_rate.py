"""How many requests may be under way at once: found by additive increase and multiplicative decrease.

Knows time and counts, and nothing of servers.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

INITIAL_CONCURRENCY = 4
FIRST_BACKOFF_SECONDS = 0.5


class Stopped(Exception):  # noqa: N818 - no error: the work was called off
    """Another request met an error that no retry mends; this one is not sent."""


class AdaptiveGate:
    """Lets requests through. A success raises the limit by 1 per round, a push-back halves it."""

    def __init__(self, most: int, start: float = INITIAL_CONCURRENCY) -> None:
        self._most = most
        self._limit = min(start, float(most))
        self._under_way = 0
        self._resume_at = 0.0
        self._last_decrease = 0.0
        self._stopped = False
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return max(1, int(self._limit))

    @contextmanager
    def request(self) -> Iterator[float]:
        """Wait for a place, hold it, give it back. Yields the time of entry. Raises Stopped."""
        with self._changed:
            while True:
                if self._stopped:
                    raise Stopped
                pause = self._resume_at - time.monotonic()
                if pause <= 0 and self._under_way < self.limit:
                    break
                self._changed.wait(pause if pause > 0 else None)
            self._under_way += 1
        try:
            yield time.monotonic()
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def succeeded(self) -> None:
        """A response came back whole."""
        with self._changed:
            self._limit = min(self._most, self._limit + 1.0 / self._limit)
            self._changed.notify_all()

    def pushed_back(self, entered: float, retry_after_seconds: float | None) -> None:
        """The server failed or asked for less; what it asks to wait, all requests wait.

        Requests that entered before the last decrease say nothing new about the lower limit.
        """
        with self._changed:
            now = time.monotonic()
            if entered >= self._last_decrease:
                self._limit = max(1.0, self._limit / 2)
                self._last_decrease = now
            if retry_after_seconds:
                self._resume_at = max(self._resume_at, now + retry_after_seconds)
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Sleep between two tries. Raises Stopped as soon as the work is called off."""
        with self._changed:
            if self._changed.wait_for(lambda: self._stopped, timeout=seconds):
                raise Stopped

    def stop(self) -> None:
        """Send nothing more; requests under way finish."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


def backoff_seconds(failures: int, most_seconds: float) -> float:
    """Wait before the next try: exponential in the failures so far, half fixed and half drawn."""
    longest = min(most_seconds, FIRST_BACKOFF_SECONDS * 2.0 ** (failures - 1))
    return longest * (0.5 + random.random() / 2)
