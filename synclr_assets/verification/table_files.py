"""Data files of Delta tables against the table's log: there, as long as recorded, decodable. Reads no meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from synclr_assets.store.schemas import TABLES
from synclr_assets.store.store import Store
from synclr_assets.verification.findings import Finding

ROWS_PER_READ = 4096


def damaged_tables(store: Store, *, deep: bool = True) -> Iterator[Finding]:
    """Faults of every table's files. `deep` decodes each file whole; else sizes are compared only."""
    for name in TABLES:
        try:
            handle = store.tables.open(name)
        except (DeltaError, OSError) as error:
            yield Finding("table_unreadable", name, f"Table {name} cannot be opened: {_line(error)}.")
            continue
        if handle is None:
            continue
        for action in pa.table(handle.get_add_actions(flatten=True)).to_pylist():
            yield from _file_faults(store, name, action, deep)


def _file_faults(store: Store, table: str, action: dict[str, Any], deep: bool) -> Iterator[Finding]:
    key = f"tables/{table}/{unquote(action['path'])}"  # the log holds URIs, the store plain keys
    size_bytes = store.blobs.size_of(key)
    if size_bytes is None:
        yield Finding("table_file_missing", key, f"{key} is named by the log of {table}, but is not there.")
    elif size_bytes != action["size_bytes"]:
        yield Finding(
            "table_file_truncated",
            key,
            f"{key} holds {size_bytes} bytes, the log of {table} says {action['size_bytes']}.",
        )
    elif deep:
        with store.blobs.scratch() as folder:
            try:
                with pq.ParquetFile(store.blobs.fetch(key, folder)) as file:
                    for _ in file.iter_batches(batch_size=ROWS_PER_READ):
                        pass
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                yield Finding("table_file_damaged", key, f"{key} cannot be decoded: {_line(error)}.")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160].rstrip(".")
