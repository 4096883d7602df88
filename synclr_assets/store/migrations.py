"""Bringing tables of older versions to this one: which steps there are, which are pending, and doing them.

A new column at the end needs no step: older rows read as null. A step is for what changes rows that are there,
such as a renamed or recomputed column. It rewrites the table in one commit, which also carries the new version: a
migration that is killed has either happened or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from synclr_assets.store.errors import StoreError
from synclr_assets.store.schemas import TABLES
from synclr_assets.store.tables import SCHEMA_VERSION_KEY, Tables, schema_version_of, writer_properties

RewriteRows = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Rows as the older version had them -> rows as the next version wants them."""
ROWS_PER_BATCH = 8192


@dataclass(frozen=True)
class Migration:
    """From one schema version of a table to the next."""

    about: str
    """What changes, for people."""
    rewrite: RewriteRows


MIGRATIONS: dict[tuple[str, int], Migration] = {}
"""(table, version it starts from) -> the step to the next version. Every version from 2 on has one."""


@dataclass(frozen=True)
class Pending:
    """A table that is behind."""

    table: str
    written: int
    wanted: int
    steps: tuple[Migration, ...]


def pending_migrations(
    tables: Tables, migrations: Mapping[tuple[str, int], Migration] = MIGRATIONS
) -> list[Pending]:
    """Tables of the store that are behind, with their steps. Raises StoreError where a step is missing."""
    pending = []
    for name, spec in TABLES.items():
        handle = tables.open_any_version(name)
        if handle is None:
            continue
        written, wanted = schema_version_of(handle), spec.schema_version
        if written >= wanted:
            continue
        missing = [v for v in range(written, wanted) if (name, v) not in migrations]
        if missing:
            raise StoreError(
                f"Table {name} has schema version {written} and nothing leads from {missing[0]} to {wanted}: use "
                "the version of synclr in between first."
            )
        pending.append(
            Pending(name, written, wanted, tuple(migrations[name, v] for v in range(written, wanted)))
        )
    return pending


def migrate(tables: Tables, pending: Pending) -> None:
    """Rewrite the table in one commit, then say its version where older software looks for it.

    Raises CommitFailedError where a run wrote the table meanwhile; nothing has changed then.
    """
    handle = tables.open_any_version(pending.table)
    assert handle is not None, pending.table
    spec = TABLES[pending.table]
    rows = _rewritten(handle, pending)
    first = next(rows, None)
    schema = spec.schema if first is None else first.schema
    batches = iter(()) if first is None else _with_first(first, rows)
    write_deltalake(
        handle,
        pa.RecordBatchReader.from_batches(schema, batches),
        mode="overwrite",
        schema_mode="overwrite",
        partition_by=list(spec.partition_by),
        writer_properties=writer_properties(spec),
        commit_properties=CommitProperties(
            custom_metadata={"synclr.migration": f"{pending.written} to {pending.wanted}"},
            app_transactions=[Transaction(SCHEMA_VERSION_KEY, pending.wanted)],
        ),
    )
    announce(tables, pending.table)


def announce(tables: Tables, name: str) -> None:
    """Set the version property, which older software reads before it refuses a newer table."""
    handle = tables.open_any_version(name)
    assert handle is not None, name
    handle.alter.set_table_properties(
        {SCHEMA_VERSION_KEY: str(TABLES[name].schema_version)}, raise_if_not_exists=False
    )


def _rewritten(handle: DeltaTable, pending: Pending) -> Iterator[pa.RecordBatch]:
    spec = TABLES[pending.table]
    for batch in handle.to_pyarrow_dataset().to_batches(batch_size=ROWS_PER_BATCH):
        if not batch.num_rows:
            continue
        for step in pending.steps:
            batch = step.rewrite(batch)
        table = pa.Table.from_batches([batch]).select(spec.schema.names).cast(spec.schema)
        yield from table.to_batches()


def _with_first(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest
