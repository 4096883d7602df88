"""Stage 1: the concepts of a bucket as rows, and the opening of generations. Reads parsed buckets, no files."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from synclr_assets.concept_bank.allocation import allocate
from synclr_assets.concept_bank.bucket import Bucket, template_shares_of
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_assets.store.tables import Tables, rows_of
from synclr_assets.store.transactions import Unit


def latest_generation(tables: Tables, bucket: str) -> int | None:
    """The newest generation whose concepts were written, or None."""
    rows = tables.read("concepts", partitions={"bucket": bucket}, columns=["generation"])
    return pc.max(rows["generation"]).as_py() if rows.num_rows else None


def resolve_unit(tables: Tables, bucket: str, generation: int | None) -> Unit:
    """The generation a later stage works on: the one asked for, else the latest.

    Raises StoreError where it does not exist.
    """
    return chosen_unit(tables, bucket, latest_generation(tables, bucket), generation)


def chosen_unit(tables: Tables, bucket: str, latest: int | None, generation: int | None) -> Unit:
    """The same, where the latest generation is known."""
    if latest is None:
        raise StoreError(f"Bucket {bucket} has no generation yet: materialise concepts of {bucket} first.")
    if generation is None:
        return Unit(bucket, latest)
    if not 0 <= generation <= latest:
        raise StoreError(
            f"Bucket {bucket} has generations 0 to {latest}, not {generation}: materialise concepts of {bucket} "
            f"with generation {latest + 1} to start a new one."
        )
    unit = Unit(bucket, generation)
    handle = tables.open("concepts")
    if handle is not None and handle.transaction_version(_dropped_id(unit)) is not None:
        raise StoreError(
            f"{unit} was dropped by a retention rule: its rows and shards are gone, use a later one."
        )
    return unit


def mark_dropped(tables: Tables, unit: Unit) -> None:
    """Say for ever that the unit's data is gone; its concepts stay as a record, and no stage works on it again."""
    tables.append_once("concepts", _dropped_id(unit), rows_of("concepts", []))


def _dropped_id(unit: Unit) -> str:
    return f"dropped/{unit.bucket}/{unit.generation}"


def write_concepts(store: Store, bucket: Bucket, generation: int | None = None, run_id: str = "") -> Unit:
    """Write the bucket's concepts as a generation and return it; write nothing where it is there already.

    With no generation asked for, an unchanged bucket file means the latest generation and a changed one the next.
    Asking for an existing generation with a changed file is an error: generations are immutable.
    """
    tables = store.tables
    latest = latest_generation(tables, bucket.name)
    if generation is None:
        unchanged = (
            latest is not None and _fingerprint(tables, Unit(bucket.name, latest)) == bucket.fingerprint
        )
        generation = latest if latest is not None and unchanged else _next(latest)
    if not 0 <= generation <= _next(latest):
        raise StoreError(
            f"Bucket {bucket.name}: generation {generation} cannot be opened, the next one is {_next(latest)}."
        )
    unit = Unit(bucket.name, generation)
    once = f"concepts/{unit.bucket}/{unit.generation}"
    tables.append_once("concepts", once, _rows(bucket, unit), {"synclr.run": run_id})
    if _fingerprint(tables, unit) != bucket.fingerprint:
        raise StoreError(
            f"{unit} was written from another version of {bucket.path}: generations never change, so ask for "
            f"generation {_next(latest_generation(tables, bucket.name))} or put the file back."
        )
    return unit


def _next(latest: int | None) -> int:
    return 0 if latest is None else latest + 1


def _fingerprint(tables: Tables, unit: Unit) -> str | None:
    rows = tables.read("concepts", partitions=unit.partitions, columns=["bucket_fingerprint"])
    return rows["bucket_fingerprint"][0].as_py() if rows.num_rows else None


def _rows(bucket: Bucket, unit: Unit) -> pa.Table:
    budgets = allocate(bucket.num_captions, [concept.weight for concept in bucket.concepts])
    records = []
    for index, (concept, num_captions) in enumerate(zip(bucket.concepts, budgets, strict=True)):
        shares = template_shares_of(bucket, concept)
        records.append(
            {
                **unit.partitions,
                "concept": concept.name,
                "concept_index": index,
                "display_text": concept.text,
                "source": bucket.source,
                "weight": concept.weight,
                "templates": list(shares),
                "template_shares": list(shares.values()),
                "num_captions": num_captions,
                "bucket_fingerprint": bucket.fingerprint,
            }
        )
    return rows_of("concepts", records)
