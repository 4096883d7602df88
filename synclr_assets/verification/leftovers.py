"""Rows of side tables at or beyond their stage's cursor: what a killed run left. Removes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.compute as pc

from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit, stage_cursor
from synclr_assets.verification.findings import Finding

SIDES_OF = {
    "captions": ("quarantine", "ledger"),
    "enriched_captions": ("quarantine", "plain_captions", "ledger"),
    "images": ("image_bytes", "quarantine", "ledger"),
    "shards": ("shard_members", "ledger"),
}
"""Stage -> side tables of its writer."""


def leftover_rows(store: Store, unit: Unit) -> Iterator[Finding]:
    """One note for each side table of the unit that has rows of an uncommitted batch."""
    for stage, sides in SIDES_OF.items():
        cursor = stage_cursor(store.tables, stage, unit)
        for side in sides:
            spec = store.tables.spec(side)
            assert spec.cursor is not None, side
            where = pc.field(spec.cursor) >= cursor
            if "stage" in spec.schema.names:
                where &= pc.field("stage") == stage
            count = store.tables.count(side, partitions=unit.partitions, where=where)
            if count:
                place = f"{side} of {unit}"
                yield Finding(
                    "rows_beyond_cursor",
                    place,
                    f"{place}: {count} rows of a batch of {stage} that was not committed; its next run removes them.",
                )
