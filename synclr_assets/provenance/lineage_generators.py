"""Which generators made the rows of a table: counted from the table's statistics, decoding only mixed files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit

GENERATOR_COLUMNS = ("model", "revision", "licence", "fingerprint")

Generators = tuple[dict[str, Any], ...]
"""Distinct model, revision, licence and fingerprint, in order, with the `rows` each made."""


def generators_of(store: Store, table: str, units: Iterable[Unit]) -> dict[Unit, Generators]:
    """The generators of every unit. One generator a file is the rule; then no row is read.

    A file whose smallest and largest model, revision, licence and fingerprint are equal holds nothing else; Parquet
    shortens long statistics so that the two then differ, and such a file is read.
    """
    counts: dict[Unit, dict[tuple[str, ...], int]] = {unit: defaultdict(int) for unit in units}
    handle = store.tables.open(table)
    if handle is None:
        return dict.fromkeys(counts, ())
    mixed: dict[str, Unit] = {}
    for file in pa.table(handle.get_add_actions(flatten=True)).to_pylist():
        unit = Unit(file["partition.bucket"], int(file["partition.generation"]))
        if unit not in counts or file["num_records"] == 0:
            continue
        generator = _only_generator(file)
        if generator is None:
            mixed[unquote(file["path"])] = unit
        else:
            counts[unit][generator] += file["num_records"]
    for unit, rows in _read_mixed(store, table, mixed):
        counts[unit][tuple(rows[column] for column in GENERATOR_COLUMNS)] += rows["count_all"]
    return {
        unit: tuple(
            {**dict(zip(GENERATOR_COLUMNS, generator, strict=True)), "rows": rows}
            for generator, rows in sorted(found.items(), key=lambda item: tuple(map(str, item[0])))
        )
        for unit, found in counts.items()
    }


def _only_generator(file: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The one generator of a file, or None where its statistics leave it open."""
    values = []
    for column in GENERATOR_COLUMNS:
        smallest, largest = file.get(f"min.{column}"), file.get(f"max.{column}")
        if smallest is None or smallest != largest or file.get(f"null_count.{column}") != 0:
            return None
        values.append(smallest)
    return tuple(values)


def _read_mixed(store: Store, table: str, mixed: Mapping[str, Unit]) -> Iterable[tuple[Unit, dict[str, Any]]]:
    if not mixed:
        return
    dataset = store.tables.snapshot(table)
    assert dataset is not None
    for fragment in dataset.get_fragments():
        unit = mixed.get(fragment.path)
        if unit is None:
            continue
        rows = fragment.to_table(columns=list(GENERATOR_COLUMNS))
        grouped = rows.group_by(list(GENERATOR_COLUMNS)).aggregate([([], "count_all")])
        yield from ((unit, row) for row in grouped.to_pylist())
