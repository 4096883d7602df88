"""Tables are made by their spec, refuse what a newer version wrote, and are plain Delta to everybody else."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from synclr_assets.store.errors import NewerSchemaError, StoreError, StoreNotWritableError
from synclr_assets.store.location import Location, checked_key
from synclr_assets.store.schemas import TABLES, TableSpec
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of, sql_literal, windows


def shard_rows(*indices: int) -> pa.Table:
    return rows_of(
        "shards", [{"bucket": "b", "generation": 0, "shard_index": i, "key": f"k{i}"} for i in indices]
    )


@pytest.mark.parametrize("spec", TABLES.values(), ids=lambda spec: spec.name)
def test_every_table_can_be_written_and_describes_its_columns(store: Store, spec: TableSpec) -> None:
    store.tables.open_or_create(spec.name)
    plain = DeltaTable(store.location.table_uri(spec.name))
    assert plain.metadata().partition_columns == list(spec.partition_by)
    for field in plain.schema().fields:
        assert field.metadata["comment"], field.name
    assert set(spec.key) <= set(spec.schema.names)
    assert store.tables.read(spec.name).num_rows == 0


def test_duckdb_reads_what_was_written(store: Store) -> None:
    store.tables.append_once("shards", "first", shard_rows(0, 1, 2))
    dataset = DeltaTable(store.location.table_uri("shards")).to_pyarrow_dataset()
    found = duckdb.execute("select count(*), max(key) from dataset").fetchall()
    assert found == [(3, "k2")]
    assert dataset.count_rows() == 3


def test_append_once_is_done_once(store: Store) -> None:
    assert store.tables.append_once("shards", "first", shard_rows(0))
    assert not store.tables.append_once("shards", "first", shard_rows(0))
    assert store.tables.count("shards") == 1


def test_replace_touches_only_what_matches(store: Store) -> None:
    store.tables.append_once("shards", "first", shard_rows(0, 1))
    store.tables.replace("shards", "shard_index = 1", shard_rows(1, 1))
    assert sorted(store.tables.read("shards")["shard_index"].to_pylist()) == [0, 1, 1]


def test_a_table_of_a_newer_version_is_refused_in_one_sentence(store: Store) -> None:
    DeltaTable.create(
        store.location.table_uri("shards"),
        schema=TABLES["shards"].schema,
        configuration={"synclr.schemaVersion": "99"},
        raise_if_key_not_exists=False,
    )
    with pytest.raises(NewerSchemaError, match=r"shards .* schema version 99, .* knows 1: upgrade synclr\."):
        store.tables.read("shards")


def test_windows_come_in_order_and_cover_everything_once(store: Store) -> None:
    store.tables.append_once("shards", "b", shard_rows(5, 3, 9))
    store.tables.append_once("shards", "a", shard_rows(0, 4, 1))
    dataset = store.tables.snapshot("shards", {"bucket": "b", "generation": 0})
    assert dataset is not None
    seen = [rows["shard_index"].to_pylist() for _, _, rows in windows(dataset, "shard_index", 0, 10, 4)]
    assert seen == [[0, 1, 3], [4, 5], [9]]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreNotWritableError, match="cannot be written"):
        Store(tmp_path / "file" / "store").tables.open_or_create("shards")


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../../x", ""])
def test_no_key_leaves_the_root(key: str) -> None:
    with pytest.raises(StoreError, match="no key below"):
        checked_key(key)


@pytest.mark.parametrize(("root", "uri"), [("s3://b/p/", "s3://b/p"), ("file:///a%20b", "file:///a%20b")])
def test_roots_are_normalised(root: str, uri: str) -> None:
    assert Location.parse(root).uri == uri


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(StoreError, match="'ftp'"):
        Location.parse("ftp://host/x")


def test_quotes_in_literals_are_doubled() -> None:
    assert sql_literal("o'clock") == "'o''clock'"
