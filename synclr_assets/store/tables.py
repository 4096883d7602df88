"""Opening, creating, reading and appending Delta tables by their spec. Decides nothing about stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.writer.properties import ColumnProperties

from synclr_assets.store.errors import NewerSchemaError, OlderSchemaError
from synclr_assets.store.location import Location
from synclr_assets.store.scan_threads import settle_at_exit
from synclr_assets.store.schemas import TABLES, TableSpec

SCHEMA_VERSION_KEY = "synclr.schemaVersion"
IMAGE_ROWS_PER_GROUP = 256
MAX_COMMIT_RETRIES = 20


class Tables:
    """The Delta tables of one store. Cheap to make; a table is created at its first write."""

    def __init__(self, location: Location) -> None:
        self.location = location

    def spec(self, name: str) -> TableSpec:
        return TABLES[name]

    def open(self, name: str) -> DeltaTable | None:
        """A fresh handle at the newest version, or None where nothing was ever written.

        Raises NewerSchemaError for a table that a newer version of this software wrote, OlderSchemaError for one
        that has to be migrated.
        """
        handle = self.open_any_version(name)
        if handle is None:
            return None
        written, wanted = schema_version_of(handle), self.spec(name).schema_version
        if written > wanted:
            raise NewerSchemaError(
                f"Table {name} at {self.location.uri} has schema version {written}, but this version of synclr "
                f"knows {wanted}: upgrade synclr."
            )
        if written < wanted:
            raise OlderSchemaError(
                f"Table {name} at {self.location.uri} has schema version {written}, this version of synclr needs "
                f"{wanted}: stop all runs and run `synclr migrate`."
            )
        return handle

    def open_any_version(self, name: str) -> DeltaTable | None:
        """A fresh handle whatever version of this software wrote it, for migrations."""
        try:
            return DeltaTable(
                self.location.table_uri(name), storage_options=self.location.storage_options() or None
            )
        except TableNotFoundError:
            return None

    def open_or_create(self, name: str) -> DeltaTable:
        existing = self.open(name)
        if existing is not None:
            return existing
        self.location.ensure_writable()
        spec = self.spec(name)
        with suppress(
            CommitFailedError
        ):  # another process created it a moment ago: the open below reads theirs
            DeltaTable.create(
                self.location.table_uri(name),
                schema=spec.schema,
                mode="ignore",
                partition_by=list(spec.partition_by),
                name=name,
                description=spec.description,
                configuration={SCHEMA_VERSION_KEY: str(spec.schema_version)},
                storage_options=self.location.storage_options() or None,
                raise_if_key_not_exists=False,
            )
        created = self.open(name)
        assert created is not None, name
        return created

    def version(self, name: str) -> int | None:
        handle = self.open(name)
        return None if handle is None else handle.version()

    def snapshot(self, name: str, partitions: dict[str, Any] | None = None) -> ds.Dataset | None:
        """The table as it is now, as an Arrow dataset, cut to the partitions of the given values: one, or a list."""
        handle = self.open(name)
        if handle is None:
            return None
        settle_at_exit()
        chosen: list[tuple[str, str, Any]] = [
            (column, "in", [str(one) for one in value])
            if isinstance(value, list)
            else (column, "=", str(value))
            for column, value in (partitions or {}).items()
        ]
        return handle.to_pyarrow_dataset(file_pruning_predicate=chosen or None, schema=self.spec(name).schema)

    def read(
        self,
        name: str,
        *,
        partitions: dict[str, Any] | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        """The rows that match, in no particular order; no rows where the table does not exist."""
        dataset = self.snapshot(name, partitions)
        schema = self.spec(name).schema
        wanted = pa.schema([schema.field(c) for c in columns]) if columns is not None else schema
        if dataset is None:
            return wanted.empty_table()
        return dataset.to_table(columns=wanted.names, filter=where)

    def count(
        self, name: str, *, partitions: dict[str, Any] | None = None, where: pc.Expression | None = None
    ) -> int:
        dataset = self.snapshot(name, partitions)
        return 0 if dataset is None else dataset.count_rows(filter=where)

    def files(self, name: str) -> pa.Table:
        """One row per data file: `size_bytes`, `num_records`, `modification_time` (ms), `partition.*`, and `min.*`,
        `max.*` of plain columns. Read from the log alone, so it costs the same for small and large tables."""
        handle = self.open(name)
        return pa.table({}) if handle is None else pa.table(handle.get_add_actions(flatten=True))

    def append(
        self,
        handle: DeltaTable,
        name: str,
        rows: pa.Table,
        *,
        transactions: Sequence[Transaction] = (),
        metadata: dict[str, str] | None = None,
    ) -> None:
        """One commit of rows through the given handle. Raises CommitFailedError where the handle is stale."""
        spec = self.spec(name)
        has_all_columns = len(handle.schema().fields) >= len(spec.columns)
        write_deltalake(
            handle,
            rows.select(spec.schema.names).cast(spec.schema),
            mode="append",
            schema_mode=None if has_all_columns else "merge",
            writer_properties=writer_properties(spec),
            commit_properties=CommitProperties(
                custom_metadata=metadata or {}, app_transactions=list(transactions) or None
            ),
        )

    def append_once(
        self, name: str, app_id: str, rows: pa.Table, metadata: dict[str, str] | None = None
    ) -> bool:
        """Append under a name that is taken once for ever. False where it was already taken."""
        for _ in range(MAX_COMMIT_RETRIES):
            handle = self.open_or_create(name)
            if handle.transaction_version(app_id) is not None:
                return False
            try:
                self.append(handle, name, rows, transactions=[Transaction(app_id, 1)], metadata=metadata)
                return True
            except CommitFailedError:
                continue
        raise CommitFailedError(
            f"{name}: {MAX_COMMIT_RETRIES} commits in a row met other writers; run it again."
        )

    def replace(self, name: str, predicate: str, rows: pa.Table) -> None:
        """Put rows in the place of all rows that match the predicate, in one commit."""
        spec = self.spec(name)
        for _ in range(MAX_COMMIT_RETRIES):
            try:
                write_deltalake(
                    self.open_or_create(name),
                    rows.select(spec.schema.names).cast(spec.schema),
                    mode="overwrite",
                    predicate=predicate,
                )
                return
            except CommitFailedError:
                continue
        raise CommitFailedError(
            f"{name}: {MAX_COMMIT_RETRIES} commits in a row met other writers; run it again."
        )


def schema_version_of(handle: DeltaTable) -> int:
    """What the table's property says, or the commit of a migration that could not set it any more."""
    written = int(handle.metadata().configuration.get(SCHEMA_VERSION_KEY) or 1)
    return max(written, handle.transaction_version(SCHEMA_VERSION_KEY) or 0)


def windows(
    dataset: ds.Dataset, cursor: str, start: int, end: int, size: int, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, int, pa.Table]]:
    """Rows in cursor order, in windows [a, b) of `size` cursor values: memory is one window's."""
    for a in range(start, end, size):
        b = min(a + size, end)
        inside = (pc.field(cursor) >= a) & (pc.field(cursor) < b)
        yield a, b, dataset.to_table(columns=columns, filter=inside).sort_by(cursor)


def rows_of(name: str, records: Sequence[dict[str, Any]]) -> pa.Table:
    """Records as an Arrow table of the named spec; a missing column is null."""
    return pa.Table.from_pylist(list(records), schema=TABLES[name].schema)


def sql_literal(value: str | int) -> str:
    """A value for a Delta predicate; quotes doubled."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def writer_properties(spec: TableSpec) -> WriterProperties:
    if spec.large_binary_column is None:
        return WriterProperties(compression="ZSTD", max_row_group_size=spec.rows_per_group)
    raw = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
    return WriterProperties(
        compression="UNCOMPRESSED",
        max_row_group_size=IMAGE_ROWS_PER_GROUP,
        column_properties={spec.large_binary_column: raw},
    )
