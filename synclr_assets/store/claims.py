"""One holder at a time of something in the store, among processes of many machines. Knows no meaning of it.

A claim is a row of numbered files; the holder is who created the last one. While it lives it rewrites its file; a file
that stays the same for a whole lease, by the clock of whoever waits, belongs to a dead holder, and the next number may
be taken. Taking is a conditional create, so one of several wins.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from synclr_assets.store.blobs import Blobs
from synclr_assets.store.errors import FencedError

LEASE_SECONDS = 30.0
"""How long a holder may be silent before another takes over."""
BEATS_PER_LEASE = 5
POLL_SECONDS = 0.5
_RELEASED = b"released"


@contextmanager
def held_claim(blobs: Blobs, name: str, lease_seconds: float = LEASE_SECONDS) -> Iterator[Callable[[], None]]:
    """Wait for the claim, hold it, release it. Yields a check that raises FencedError once the claim was lost."""
    folder = f"claims/{name}"
    number = _take(blobs, folder, lease_seconds)
    ended = threading.Event()

    def check() -> None:
        if _last(blobs, folder) != number:
            raise FencedError(f"Another run took over {name}: this one was silent for too long and stops.")

    def beat() -> None:
        while not ended.wait(lease_seconds / BEATS_PER_LEASE):
            blobs.put_bytes(_key(folder, number), uuid.uuid4().bytes)

    heart = threading.Thread(target=beat, name=f"claim-{name}", daemon=True)
    heart.start()
    try:
        yield check
    finally:
        ended.set()
        heart.join()
        if _last(blobs, folder) == number:
            blobs.put_bytes(_key(folder, number), _RELEASED)
            blobs.delete([_key(folder, earlier) for earlier in _numbers(blobs, folder) if earlier < number])


def _take(blobs: Blobs, folder: str, lease_seconds: float) -> int:
    """The number under which the claim is held from now on."""
    seen: tuple[int, bytes] | None = None
    give_up_at = 0.0
    while True:
        last = _last(blobs, folder)
        content = _RELEASED if last == 0 else _read(blobs, _key(folder, last))
        if (last, content) != seen:
            seen, give_up_at = (last, content), time.monotonic() + lease_seconds
        if content == _RELEASED or time.monotonic() >= give_up_at:
            if blobs.create_bytes(_key(folder, last + 1), uuid.uuid4().bytes):
                return last + 1
        else:
            time.sleep(min(POLL_SECONDS, lease_seconds / BEATS_PER_LEASE))


def _read(blobs: Blobs, key: str) -> bytes:
    """The content; nothing where a later holder has just removed the file."""
    try:
        return blobs.read(key)
    except FileNotFoundError:
        return b""


def _last(blobs: Blobs, folder: str) -> int:
    return max(_numbers(blobs, folder), default=0)


def _numbers(blobs: Blobs, folder: str) -> list[int]:
    return [int(key.rpartition("/")[2]) for key in blobs.keys(folder)]


def _key(folder: str, number: int) -> str:
    return f"{folder}/{number:09d}"
