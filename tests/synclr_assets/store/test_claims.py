"""One holder at a time, across processes; a dead holder loses its claim, a living one keeps it."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from synclr_assets.store.claims import held_claim
from synclr_assets.store.errors import FencedError
from synclr_assets.store.store import Store

LEASE_SECONDS = 1.0


def test_holders_follow_each_other_and_leave_one_file(any_store: Store) -> None:
    inside = threading.Lock()

    def hold(_: int) -> None:
        with held_claim(any_store.blobs, "lists/flowers", LEASE_SECONDS) as check:
            assert inside.acquire(blocking=False), "two holders at once"
            check()
            time.sleep(0.02)
            inside.release()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(hold, range(6)))
    assert any_store.blobs.keys("claims") == ["claims/lists/flowers/000000006"]


def test_a_living_holder_keeps_its_claim_beyond_the_lease(store: Store) -> None:
    order: list[str] = []

    def wait_for_it() -> None:
        with held_claim(store.blobs, "x", LEASE_SECONDS):
            order.append("second")

    with held_claim(store.blobs, "x", LEASE_SECONDS) as check:
        second = threading.Thread(target=wait_for_it)
        second.start()
        time.sleep(2.5 * LEASE_SECONDS)
        check()
        order.append("first")
    second.join()
    assert order == ["first", "second"]


def _hold_and_die(root: Path) -> None:
    with held_claim(Store(root).blobs, "x", LEASE_SECONDS):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_dead_holder_loses_it_after_the_lease(tmp_path: Path) -> None:
    child = multiprocessing.get_context("forkserver").Process(target=_hold_and_die, args=(tmp_path,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    started = time.monotonic()
    with held_claim(Store(tmp_path).blobs, "x", LEASE_SECONDS) as check:
        check()
    assert time.monotonic() - started >= LEASE_SECONDS


def test_a_holder_that_was_taken_for_dead_is_told(any_store: Store) -> None:
    with held_claim(any_store.blobs, "x", LEASE_SECONDS) as check:
        assert any_store.blobs.create_bytes("claims/x/000000002", b"another")
        with pytest.raises(FencedError, match="took over x"):
            check()
    assert any_store.blobs.read("claims/x/000000002") == b"another"


def test_of_many_creators_of_one_key_one_wins(any_store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda n: any_store.blobs.create_bytes("a/key", bytes([n])), range(16)))
    assert won.count(True) == 1
    assert any_store.blobs.read("a/key") == bytes([won.index(True)])
