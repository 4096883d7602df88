"""One writer per stage and unit, visible batch by batch, resumable after any interruption."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest

from synclr_assets.store.errors import FencedError, SettingsChangedError
from synclr_assets.store.store import Store
from synclr_assets.store.tables import Tables, rows_of
from synclr_assets.store.transactions import StageWriter, Unit, stage_cursor

FRUIT = Unit("fruit", 0)


def facts(unit: Unit, start: int, end: int, fingerprint: str = "f") -> pa.Table:
    records = [
        {**unit.partitions, "position": p, "caption_id": f"{p:032x}", "view": 0, "fingerprint": fingerprint}
        for p in range(start, end)
    ]
    return rows_of("images", records)


def encoded(unit: Unit, start: int, end: int) -> pa.Table:
    records = [
        {**unit.partitions, "position": p, "caption_id": f"{p:032x}", "view": 0, "encoded": b"x"}
        for p in range(start, end)
    ]
    return rows_of("image_bytes", records)


def positions(store: Store, table: str, unit: Unit = FRUIT) -> list[int]:
    rows = store.tables.read(table, partitions=unit.partitions, columns=["position"])
    return sorted(rows["position"].to_pylist())


def open_writer(store: Store, unit: Unit = FRUIT, **options: Any) -> StageWriter:
    return StageWriter.open(store.tables, "images", unit, sides=("image_bytes",), **options)


def test_a_new_writer_continues_at_the_last_commit(store: Store) -> None:
    open_writer(store).commit(10, facts(FRUIT, 0, 10), {"image_bytes": encoded(FRUIT, 0, 10)})
    again = open_writer(store)
    assert again.cursor == stage_cursor(store.tables, "images", FRUIT) == 10
    again.commit(15, facts(FRUIT, 10, 15))
    assert positions(store, "images") == list(range(15))


def test_a_batch_of_nothing_still_moves_the_cursor(store: Store) -> None:
    open_writer(store).commit(4, facts(FRUIT, 0, 0))
    assert stage_cursor(store.tables, "images", FRUIT) == 4


def test_side_rows_without_their_commit_are_removed_when_the_stage_opens_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer(store)
    writer.commit(5, facts(FRUIT, 0, 5), {"image_bytes": encoded(FRUIT, 0, 5)})

    def killed(tables: Tables, handle: object, name: str, *rest: Any, **options: Any) -> None:
        if name == "images":
            raise KeyboardInterrupt
        original(tables, handle, name, *rest, **options)

    original = Tables.append
    with monkeypatch.context() as patch:
        patch.setattr(Tables, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            writer.commit(9, facts(FRUIT, 5, 9), {"image_bytes": encoded(FRUIT, 5, 9)})
    assert positions(store, "image_bytes") == list(range(9))
    again = open_writer(store)
    assert again.cursor == 5
    assert positions(store, "image_bytes") == list(range(5))
    again.commit(9, facts(FRUIT, 5, 9), {"image_bytes": encoded(FRUIT, 5, 9)})
    assert positions(store, "image_bytes") == positions(store, "images") == list(range(9))


def test_of_two_writers_the_earlier_one_is_fenced_off_and_doubles_nothing(store: Store) -> None:
    earlier = open_writer(store)
    earlier.commit(3, facts(FRUIT, 0, 3), {"image_bytes": encoded(FRUIT, 0, 3)})
    later = open_writer(store, run_id="later run")
    open_writer(store, Unit("tree", 0), run_id="a run of another bucket")
    with pytest.raises(FencedError, match="Another run took over images of fruit generation 0") as raised:
        earlier.commit(6, facts(FRUIT, 3, 6), {"image_bytes": encoded(FRUIT, 3, 6)})
    assert raised.value.by_run == "later run"
    later.commit(6, facts(FRUIT, 3, 6), {"image_bytes": encoded(FRUIT, 3, 6)})
    assert positions(store, "images") == positions(store, "image_bytes") == list(range(6))


def test_eight_buckets_at_once_lose_and_double_nothing(store: Store) -> None:
    units = [Unit(f"bucket{n}", 0) for n in range(8)]

    def work(unit: Unit) -> None:
        writer = open_writer(store, unit)
        for start in range(0, 20, 4):
            writer.commit(
                start + 4, facts(unit, start, start + 4), {"image_bytes": encoded(unit, start, start + 4)}
            )
            if start == 8:
                writer = open_writer(store, unit)  # deletes nothing, but fences in the middle of the others

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, units))
    for unit in units:
        assert positions(store, "images", unit) == positions(store, "image_bytes", unit) == list(range(20))


def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltalake.exceptions import CommitFailedError

    writer = open_writer(store)
    original = Tables.append

    def lossy(tables: Tables, handle: object, name: str, *rest: Any, **options: Any) -> None:
        original(tables, handle, name, *rest, **options)
        monkeypatch.setattr(Tables, "append", original)
        raise CommitFailedError("the answer was lost")

    monkeypatch.setattr(Tables, "append", lossy)
    writer.commit(3, facts(FRUIT, 0, 3))
    assert positions(store, "images") == [0, 1, 2]


def test_other_settings_are_refused_within_a_generation(store: Store) -> None:
    open_writer(store, settings="a" * 32).commit(2, facts(FRUIT, 0, 2, "a" * 32))
    with pytest.raises(SettingsChangedError, match="start generation 1"):
        open_writer(store, settings="b" * 32)
    open_writer(store, Unit("fruit", 1), settings="b" * 32)


def test_the_cursor_survives_a_checkpoint_of_the_log(store: Store) -> None:
    open_writer(store).commit(7, facts(FRUIT, 0, 7))
    store.tables.open_or_create("images").create_checkpoint()
    assert stage_cursor(store.tables, "images", FRUIT) == 7
