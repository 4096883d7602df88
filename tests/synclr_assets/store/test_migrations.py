"""A table of an older version is refused until it is migrated, by one commit, with its cursors kept."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import Transaction

from synclr_assets.store import migrations, schemas
from synclr_assets.store.errors import NewerSchemaError, OlderSchemaError, StoreError
from synclr_assets.store.migrations import Migration, migrate, pending_migrations
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of

ROW = {
    "bucket": "fruit", "generation": 0, "stage": "captions", "position": 3,
    "caption_id": "ab", "reason": "too_long", "detail": "", "attempts": 2,
}  # fmt: skip


def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The step from version 1 to 2: attempts were counted in pairs."""
    at = batch.schema.names.index("attempts")
    return batch.set_column(
        at, "attempts", pa.array([2 * n for n in batch["attempts"].to_pylist()], pa.int32())
    )


STEPS = {("quarantine", 1): Migration("attempts count draws, not pairs", doubled)}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose quarantine is of version 1, seen by software that wants version 2."""
    store = Store(tmp_path)
    handle = store.tables.open_or_create("quarantine")
    store.tables.append(
        handle, "quarantine", rows_of("quarantine", [ROW]), transactions=[Transaction("cursor", 7)]
    )
    newer = dataclasses.replace(schemas.TABLES["quarantine"], schema_version=2)
    monkeypatch.setitem(schemas.TABLES, "quarantine", newer)
    return store


def test_an_older_table_is_refused_then_migrated_with_its_cursors(store: Store) -> None:
    with pytest.raises(OlderSchemaError, match=r"has schema version 1, .* needs 2: .*synclr migrate"):
        store.tables.read("quarantine")
    (pending,) = pending_migrations(store.tables, STEPS)
    migrate(store.tables, pending)
    assert store.tables.read("quarantine")["attempts"].to_pylist() == [4]
    handle = store.tables.open("quarantine")
    assert handle is not None
    assert handle.transaction_version("cursor") == 7
    assert handle.metadata().partition_columns == ["bucket", "generation"]
    assert handle.metadata().configuration["synclr.schemaVersion"] == "2"
    assert pending_migrations(store.tables, STEPS) == []


def test_a_migration_killed_after_its_commit_is_not_done_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    (pending,) = pending_migrations(store.tables, STEPS)
    monkeypatch.setattr(migrations, "announce", die)
    with pytest.raises(KeyboardInterrupt):
        migrate(store.tables, pending)
    assert pending_migrations(store.tables, STEPS) == []
    assert store.tables.read("quarantine")["attempts"].to_pylist() == [4]


def test_software_of_the_older_version_refuses_the_migrated_table(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pending,) = pending_migrations(store.tables, STEPS)
    migrate(store.tables, pending)
    older = dataclasses.replace(schemas.TABLES["quarantine"], schema_version=1)
    monkeypatch.setitem(schemas.TABLES, "quarantine", older)
    with pytest.raises(NewerSchemaError, match="upgrade synclr"):
        store.tables.read("quarantine")


def test_a_version_that_no_step_leads_from_is_one_sentence(store: Store) -> None:
    with pytest.raises(StoreError, match="nothing leads from 1 to 2"):
        pending_migrations(store.tables, {})


def test_every_version_of_every_table_has_its_step() -> None:
    for name, spec in schemas.TABLES.items():
        for version in range(1, spec.schema_version):
            assert (name, version) in migrations.MIGRATIONS
