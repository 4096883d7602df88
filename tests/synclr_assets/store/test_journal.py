"""A journal keeps small entries whole, on a local disk and in an object store."""

import threading
from pathlib import Path

import pytest

from synclr_assets.store.errors import StoreError
from synclr_assets.store.journal import Journal
from synclr_assets.store.store import Store


def test_entries_come_back_by_name_and_scope(any_store: Store) -> None:
    fruit, birds = (Journal(any_store.blobs, "captions", f"{bucket}/g0000") for bucket in ("fruit", "birds"))
    assert fruit.entries() == {}
    fruit.put("a" * 32, {"text": "a pêche", "tokens": 3})
    fruit.put("jobs/one", {"id": None})
    birds.put("a" * 32, {"text": "a wren"})
    assert fruit.entries() == {"a" * 32: {"text": "a pêche", "tokens": 3}, "jobs/one": {"id": None}}
    fruit.put("jobs/one", {"id": "b-1"})
    assert fruit.entries()["jobs/one"] == {"id": "b-1"}
    fruit.remove(["a" * 32, "jobs/one", "absent"])
    assert fruit.entries() == {}
    assert list(birds.entries()) == ["a" * 32]


def test_a_shared_beginning_of_a_name_is_no_shared_scope(any_store: Store) -> None:
    Journal(any_store.blobs, "captions", "fruit/g0001").put("a", {})
    Journal(any_store.blobs, "captions", "fruit/g00010").put("b", {})
    assert list(Journal(any_store.blobs, "captions", "fruit/g0001").entries()) == ["a"]


def test_many_threads_may_write(any_store: Store) -> None:
    journal = Journal(any_store.blobs, "captions", "fruit/g0000")
    threads = [threading.Thread(target=journal.put, args=(f"{n:032x}", {"n": n})) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry["n"] for entry in journal.entries().values()) == list(range(24))


def test_a_file_that_was_never_finished_is_no_entry(tmp_path: Path) -> None:
    store = Store(tmp_path)
    Journal(store.blobs, "captions", "fruit/g0000").put("whole", {})
    (tmp_path / "journal/captions/fruit/g0000/.partial-x1").write_bytes(b'{"n')
    assert list(Journal(store.blobs, "captions", "fruit/g0000").entries()) == ["whole"]


def test_no_key_leaves_the_store(any_store: Store) -> None:
    for act in (lambda: any_store.blobs.put_bytes("../x", b""), lambda: any_store.blobs.delete(["/etc/x"])):
        with pytest.raises(StoreError, match="no key below the store's root"):
            act()
