"""Which generations of some buckets are packed, from one opening of each table.

Looking bucket by bucket opens seven tables each time: hours for the thousands of buckets of a large slice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa

from synclr_assets.stages.concepts import chosen_unit
from synclr_assets.stages.images import VIEWS_PER_CAPTION
from synclr_assets.store.errors import NotReadyError
from synclr_assets.store.sums import sums_by, sums_of
from synclr_assets.store.tables import Tables
from synclr_assets.store.transactions import Unit, cursor_of

KEY = ("bucket", "generation")
SHARD_COLUMNS = (*KEY, "shard_index", "key", "sha256", "num_captions")


class Packing:
    """What the tables say of the buckets' generations at the time it is made."""

    def __init__(self, tables: Tables, buckets: Collection[str]) -> None:
        self._tables = tables
        chosen = {"bucket": sorted(buckets)}
        planned = sums_by(tables.snapshot("concepts", chosen), KEY, ("num_captions",))
        self._planned = {Unit(*key): captions for key, (_, captions) in planned.items()}
        self._latest: dict[str, int] = {}
        for unit in self._planned:
            self._latest[unit.bucket] = max(unit.generation, self._latest.get(unit.bucket, 0))
        self.shards = tables.read("shards", partitions=chosen, columns=SHARD_COLUMNS)
        """One row per shard of the buckets, whatever its generation; in no particular order."""
        self._committed = {
            Unit(*key): captions
            for key, (_, captions) in sums_of(self.shards, KEY, ("num_captions",)).items()
        }
        self._members = _rows_by_unit(tables, "shard_members")
        self._images = _rows_by_unit(tables, "images")
        self._images_log = tables.open("images")

    def is_packed(self, unit: Unit) -> bool:
        """Whether shards cover the whole plan: the images are complete and the last plan range is packed."""
        if unit not in self._planned or self._images_log is None:
            return False
        if cursor_of(self._images_log, "images", unit) < self._planned[unit]:
            return False
        packed = self._members.get(unit, 0)
        drawn = self._images.get(unit, 0) // VIEWS_PER_CAPTION
        return packed == drawn == self._committed.get(unit, 0)

    def newest(self, bucket: str, pinned: int | None = None) -> Unit:
        """The pinned generation, which must be packed; else the newest that is.

        Raises NotReadyError where there is none, StoreError for a pin that was never made or was dropped.
        """
        newest = chosen_unit(self._tables, bucket, self._latest.get(bucket), pinned)
        candidates = (
            [newest] if pinned is not None else [Unit(bucket, g) for g in range(newest.generation, -1, -1)]
        )
        for unit in candidates:
            if self.is_packed(unit):
                return unit
        raise NotReadyError(f"{newest} has no complete shards: materialise syncaps_shards of {bucket} first.")


def _rows_by_unit(tables: Tables, name: str) -> Mapping[Unit, int]:
    """Rows of every unit, from the table's log alone."""
    files = tables.files(name)
    if not files.num_rows:
        return {}
    files = files.rename_columns([column.removeprefix("partition.") for column in files.column_names])
    keyed = pa.table({name: files[name] for name in (*KEY, "num_records")})
    found = sums_of(keyed, KEY, ("num_records",))
    return {Unit(bucket, int(generation)): rows for (bucket, generation), (_, rows) in found.items()}
