"""The number of requests under way rises by one a round and halves when the server pushes back."""

import threading
import time

import pytest

from synclr_assets.synthesis.openai_rate import AdaptiveGate, Stopped, backoff_seconds


def test_a_round_of_successes_adds_one() -> None:
    gate = AdaptiveGate(most=100, start=8)
    for _ in range(9):
        gate.succeeded()
    assert gate.limit == 9


def test_the_most_is_never_exceeded() -> None:
    gate = AdaptiveGate(most=5)
    for _ in range(1000):
        gate.succeeded()
    assert gate.limit == 5
    assert AdaptiveGate(most=2).limit == 2


def test_one_wave_of_push_backs_halves_once_and_one_place_always_stays() -> None:
    gate = AdaptiveGate(most=64, start=64)
    entered = time.monotonic()
    for _ in range(10):
        gate.pushed_back(entered, None)
    assert gate.limit == 32
    for _ in range(20):
        gate.pushed_back(time.monotonic(), None)
    assert gate.limit == 1


def test_no_more_than_the_limit_are_under_way() -> None:
    gate = AdaptiveGate(most=3, start=3)
    inside, most_seen = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most_seen
        with gate.request():
            with lock:
                inside += 1
                most_seen = max(most_seen, inside)
            time.sleep(0.005)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most_seen == 3


def test_what_one_request_is_told_to_wait_all_wait() -> None:
    gate = AdaptiveGate(most=4)
    told = time.monotonic()
    gate.pushed_back(told, 0.2)
    with gate.request() as entered:
        assert entered - told >= 0.2


def test_stopping_wakes_whoever_waits() -> None:
    gate = AdaptiveGate(most=4)
    gate.pushed_back(time.monotonic(), 60.0)
    threading.Timer(0.05, gate.stop).start()
    with pytest.raises(Stopped):
        gate.wait(60.0)
    with pytest.raises(Stopped), gate.request():
        pass


def test_waits_grow_and_are_drawn() -> None:
    first = [backoff_seconds(1, 30.0) for _ in range(50)]
    assert all(0.25 <= wait <= 0.5 for wait in first)
    assert len(set(first)) > 40
    assert all(2.0 <= backoff_seconds(4, 30.0) <= 4.0 for _ in range(50))
    assert all(backoff_seconds(40, 3.0) <= 3.0 for _ in range(50))
