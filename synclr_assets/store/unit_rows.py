"""Rows of one bucket generation after another from one opening of a table.

An opening reads the whole log and a filter is held against every file, so for thousands of bucket generations either is
paid once here and not once for each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import reduce
from operator import or_

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from synclr_assets.store.tables import Tables
from synclr_assets.store.transactions import Unit


class UnitRows:
    """One version of a table, cut to some buckets, by bucket generation."""

    def __init__(self, tables: Tables, name: str, buckets: Collection[str]) -> None:
        self._schema = tables.spec(name).schema
        self._dataset = tables.snapshot(name, {"bucket": sorted(set(buckets))})
        self._files: dict[Unit, list[ds.Fragment]] = {}
        for file in self._dataset.get_fragments() if self._dataset is not None else ():
            place = ds.get_partition_keys(file.partition_expression)
            self._files.setdefault(Unit(place["bucket"], int(place["generation"])), []).append(file)

    def dataset(self, unit: Unit) -> ds.Dataset | None:
        """The unit's files, or None where it has none."""
        files = self._files.get(unit)
        if self._dataset is None or not files:
            return None
        return ds.FileSystemDataset(
            files, self._dataset.schema, self._dataset.format, self._dataset.filesystem
        )

    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """The unit's rows that match, in no particular order."""
        names = self._schema.names if columns is None else list(columns)
        dataset = self.dataset(unit)
        if dataset is None:
            return pa.schema([self._schema.field(name) for name in names]).empty_table()
        return dataset.to_table(columns=names, filter=where)


def any_of(units: Iterable[Unit]) -> pc.Expression:
    """True for rows of any of the units, at least one.

    One term for each generation number: Arrow holds every term against every file.
    """
    return reduce(
        or_,
        (
            (pc.field("generation") == generation) & pc.field("bucket").isin(buckets)
            for generation, buckets in buckets_by_generation(units).items()
        ),
    )


def buckets_by_generation(units: Iterable[Unit]) -> dict[int, list[str]]:
    """Generation number -> its buckets, both in order."""
    buckets: dict[int, list[str]] = {}
    for unit in sorted(units, key=lambda unit: (unit.generation, unit.bucket)):
        buckets.setdefault(unit.generation, []).append(unit.bucket)
    return buckets
