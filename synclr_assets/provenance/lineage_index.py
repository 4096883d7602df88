"""Finding a caption by its id alone: an index from caption id to bucket generation, brought up to date when asked.

Ids are hashes, so no table that is written bucket by bucket can be cut to the files that may hold one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import Transaction
from deltalake.exceptions import CommitFailedError

from synclr_assets.store.errors import UnknownIdError
from synclr_assets.store.store import Store
from synclr_assets.store.tables import MAX_COMMIT_RETRIES
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.identity import digest_hex

INDEX = "caption_index"
CAPTIONS_PER_COMMIT = 8_000_000
"""Captions sorted in memory at once; a lookup reads one row group of each commit."""
ALL_PACKED = f"{INDEX}/packed"
"""Delta transaction whose version stands for the packed units that are indexed."""
ID_CHARS = 32
CAPTION_TABLES = ("enriched_captions", "captions")


def find_caption(store: Store, prefix: str) -> dict[str, Any]:
    """The final caption whose id begins with the prefix if there is one, else its plan or its quarantine row.

    Indexes packed units that are not indexed yet. Raises UnknownIdError for none or several.
    """
    prefix = prefix.lower()
    packed = _index_packed(store)
    begins = pc.starts_with(pc.field("caption_id"), prefix)
    # Bounds let Delta's and Parquet's statistics skip what starts_with alone would read.
    near = (pc.field("caption_id") >= prefix) & (pc.field("caption_id") < prefix + "g")
    indexed = store.tables.read(INDEX, where=near & begins).to_pylist()
    units = [Unit(row["bucket"], row["generation"]) for row in indexed]
    if not indexed or len(prefix) < ID_CHARS:
        units += _not_packed(store, packed)
    for table in CAPTION_TABLES:
        found = [
            row
            for unit in dict.fromkeys(units)
            for row in store.tables.read(table, partitions=unit.partitions, where=begins).to_pylist()
        ]
        if found:
            return _only(prefix, found)
    found = store.tables.read("quarantine", where=begins).to_pylist()
    if found:
        return _only(prefix, found)
    raise UnknownIdError(
        f"No caption {prefix!r} in {store.location.uri}: list a model's captions with "
        "`synclr lineage model ID --captions 10`."
    )


def index_captions(store: Store) -> list[Unit]:
    """Index every packed unit that is not indexed yet. Returns the units that are not packed, which stay out.

    A packed unit gets no more captions, so its index entries never change.
    """
    return _not_packed(store, _index_packed(store))


def _index_packed(store: Store) -> set[Unit]:
    """Bring the index up to date; the units that it holds from then on."""
    packed = set(units_of(store, "shards"))
    if packed:
        index = store.tables.open_or_create(INDEX)
        if index.transaction_version(ALL_PACKED) != _number_of(packed):
            missing = [unit for unit in packed if index.transaction_version(_mark(unit)) is None]
            for units, ids in _batches(store, sorted(missing, key=str)):
                _append(store, units, ids)
            _note(store, packed)
    return packed


def _not_packed(store: Store, packed: Collection[Unit]) -> list[Unit]:
    return sorted((unit for unit in units_of(store, "captions") if unit not in packed), key=str)


def units_of(store: Store, table: str) -> list[Unit]:
    """Bucket generations that have rows in a table, from its log alone."""
    handle = store.tables.open(table)
    if handle is None:
        return []
    return list(dict.fromkeys(Unit(p["bucket"], int(p["generation"])) for p in handle.partitions()))


def _batches(store: Store, units: list[Unit]) -> Iterator[tuple[list[Unit], pa.Table]]:
    """The captions of the units in batches of about CAPTIONS_PER_COMMIT, each sorted by id."""
    captions = store.tables.snapshot("captions")
    assert captions is not None, "packed units have captions"
    columns = store.tables.spec(INDEX).schema.names
    batch: list[Unit] = []
    read: list[pa.Table] = []
    for number, unit in enumerate(units, 1):
        read.append(captions.to_table(columns=columns, filter=unit.where))
        batch.append(unit)
        if number == len(units) or sum(table.num_rows for table in read) >= CAPTIONS_PER_COMMIT:
            yield batch, pa.concat_tables(read).sort_by("caption_id")
            batch, read = [], []


def _append(store: Store, units: list[Unit], ids: pa.Table) -> None:
    """One commit that also marks its units; another process that indexed one of them meanwhile goes first."""
    for _ in range(MAX_COMMIT_RETRIES):
        handle = store.tables.open_or_create(INDEX)
        left = [unit for unit in units if handle.transaction_version(_mark(unit)) is None]
        if not left:
            return
        if left != units:
            keys = [str(unit) for unit in left]
            named = pc.binary_join_element_wise(
                ids["bucket"], pc.cast(ids["generation"], pa.string()), " generation "
            )
            ids, units = ids.filter(pc.is_in(named, pa.array(keys))), left
        try:
            store.tables.append(
                handle, INDEX, ids, transactions=[Transaction(_mark(unit), 1) for unit in units]
            )
            return
        except CommitFailedError:
            continue
    raise CommitFailedError(f"{INDEX}: other processes keep writing it; ask again.")


def _note(store: Store, packed: Collection[Unit]) -> None:
    """Leave word that all these units are indexed, so that the next lookup need not ask for each."""
    empty = store.tables.spec(INDEX).schema.empty_table()
    with suppress(CommitFailedError):  # another process left word meanwhile; ours only saves time
        store.tables.append(
            store.tables.open_or_create(INDEX),
            INDEX,
            empty,
            transactions=[Transaction(ALL_PACKED, _number_of(packed))],
        )


def _number_of(units: Collection[Unit]) -> int:
    """A number below 2**60 that stands for the set of units."""
    return int(digest_hex("packed", *sorted(map(str, units)))[:15], 16)


def _mark(unit: Unit) -> str:
    return f"{INDEX}/{unit.bucket}/{unit.generation}"


def _only(prefix: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    found = len({row["caption_id"] for row in rows})
    if found > 1:
        raise UnknownIdError(f"{prefix!r} fits {found} captions: give more of the id.")
    return rows[0]
