"""How far every bucket generation is and what it cost, from the logs of the tables: hardly any data file is read.

Rows of a file, when it was written and a column's least and greatest value stand in the Delta log, so thousands of
buckets are looked through in a second. What cannot be told from there is read, for those few buckets alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc

from synclr_assets.concept_bank.bucket import Bucket
from synclr_assets.cost.summary import Spent, spent_by
from synclr_assets.stages.images import VIEWS_PER_CAPTION
from synclr_assets.stages.progress import quarantined_by_reason
from synclr_assets.store.sums import sums_by
from synclr_assets.store.tables import Tables
from synclr_assets.store.transactions import Unit

STAGES = ("concepts", "captions", "enriched_captions", "images", "shards")
FINGERPRINT_COLUMN = {"captions": "fingerprint", "enriched_captions": "settings", "images": "fingerprint"}
"""Stage -> column of its table that says which settings a row was made with; one value in a generation."""
_LOSING_STAGES = ("captions", "enriched_captions", "images")
STORED_TABLES = (
    *("concepts", "captions", "backgrounds", "plain_captions", "enriched_captions"),
    *("images", "image_bytes", "shards", "shard_members", "quarantine"),
)
"""Tables that hold rows of bucket generations, ledger apart."""


class Plans:
    """Captions that generations were given, read from `concepts` when the first is asked for, all at once: a read
    for each of thousands would open the table as often."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._captions: dict[Unit, int] | None = None

    def of(self, unit: Unit) -> int:
        if self._captions is None:
            sums = sums_by(self._tables.snapshot("concepts"), ("bucket", "generation"), ("num_captions",))
            self._captions = {Unit(*key): captions for key, (_, captions) in sums.items()}
        return self._captions[unit]


@dataclass
class UnitState:
    """One generation of one bucket."""

    unit: Unit
    plans: Plans
    """What to ask where `budget` is None."""
    budget: int | None = None
    """Captions that the generation was given, where its file still is today's and says so."""
    file_fingerprint: str = ""
    """Meaning of the bucket file it was opened from."""
    rows: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Table -> rows."""
    size_bytes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Table -> bytes of its data files."""
    quarantined: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Stage -> captions given up."""
    fingerprints: dict[str, str] = field(default_factory=dict)
    """Stage -> settings fingerprint of its rows, for stages that have rows."""
    written_at: dict[str, datetime] = field(default_factory=dict)
    """Table -> when its newest file was committed."""

    @property
    def allocated(self) -> int:
        """Captions that the generation was given."""
        return self.plans.of(self.unit) if self.budget is None else self.budget

    @property
    def num_quarantined(self) -> int:
        return sum(self.quarantined.values())

    def done(self, stage: str) -> int:
        """Captions that the stage holds whole; for `concepts`, those allocated."""
        if stage == "concepts":
            return self.allocated
        if stage == "images":
            return self.rows["images"] // VIEWS_PER_CAPTION
        return self.rows["shard_members" if stage == "shards" else stage]

    def wanted(self, stage: str) -> int:
        """Captions that the stage holds once it is complete."""
        lost_before = _LOSING_STAGES[: _LOSING_STAGES.index(stage) + 1] if stage in _LOSING_STAGES else ()
        if stage == "shards":
            lost_before = _LOSING_STAGES
        return self.allocated - sum(self.quarantined[lost] for lost in lost_before)

    def is_complete(self, stage: str) -> bool:
        return self.allocated > 0 and self.done(stage) >= self.wanted(stage)

    @property
    def is_packed(self) -> bool:
        """Whether training can read it whole."""
        return self.is_complete("shards")

    @property
    def first_unfinished(self) -> str | None:
        """The first stage that has work left."""
        return next((stage for stage in STAGES if not self.is_complete(stage)), None)

    def opened_at(self) -> datetime:
        return self.written_at["concepts"]


def read_units(tables: Tables, buckets: Mapping[str, Bucket]) -> dict[str, list[UnitState]]:
    """Bucket -> its generations, oldest first. `buckets` are today's files, which spare reading what they say."""
    states: dict[Unit, UnitState] = {}
    plans = Plans(tables)
    for row in _files(tables, "concepts"):
        state = states.setdefault(_unit(row), UnitState(_unit(row), plans))
        state.file_fingerprint = row["min.bucket_fingerprint"] or ""
        _count(state, "concepts", row)
    for name in STORED_TABLES[1:]:
        for row in _units_in(tables, name):
            unit = _unit(row)
            if unit in states:
                _count(states[unit], name, row)
                if row.get("fingerprint"):
                    states[unit].fingerprints[name] = row["fingerprint"]
    for row in _files(tables, "quarantine"):
        if (unit := _unit(row)) in states:
            _count_lost(tables, states[unit], row)
    for state in states.values():
        bucket = buckets.get(state.unit.bucket)
        if bucket is not None and bucket.fingerprint == state.file_fingerprint:
            state.budget = bucket.num_captions
    by_bucket: dict[str, list[UnitState]] = {}
    for unit in sorted(states, key=lambda one: (one.bucket, one.generation)):
        by_bucket.setdefault(unit.bucket, []).append(states[unit])
    return by_bucket


def spent_by_unit(tables: Tables) -> dict[Unit, Spent]:
    """What every bucket generation has cost."""
    totals = spent_by(tables, "bucket", "generation")
    return {
        Unit(bucket, int(generation)): spent
        for (bucket, generation), spent in totals.items()
        if isinstance(bucket, str) and generation is not None
    }


def _files(tables: Tables, name: str) -> Iterator[dict[str, Any]]:
    for row in tables.files(name).to_pylist():
        if row["num_records"]:
            yield row


def _units_in(tables: Tables, name: str) -> list[dict[str, Any]]:
    """The table's files, added up by unit: a bucket of thousands of captions has hundreds."""
    files = tables.files(name)
    if not files.num_rows:
        return []
    files = files.filter(pc.greater(files["num_records"], 0))
    keys = ["partition.bucket", "partition.generation"]
    summed = [("num_records", "sum"), ("size_bytes", "sum"), ("modification_time", "max")]
    names = [column for column, _ in summed]
    if name in FINGERPRINT_COLUMN:
        summed.append((f"min.{FINGERPRINT_COLUMN[name]}", "max"))
        names.append("fingerprint")
    grouped = files.group_by(keys, use_threads=False).aggregate(summed)
    return grouped.rename_columns([*keys, *names]).to_pylist()


def _unit(row: Mapping[str, Any]) -> Unit:
    return Unit(row["partition.bucket"], int(row["partition.generation"]))


def _count(state: UnitState, table: str, row: Mapping[str, Any]) -> None:
    state.rows[table] += row["num_records"]
    state.size_bytes[table] += row["size_bytes"]
    at = datetime.fromtimestamp(row["modification_time"] / 1000, UTC)
    state.written_at[table] = max(at, state.written_at.get(table, at))


def _count_lost(tables: Tables, state: UnitState, row: Mapping[str, Any]) -> None:
    """A file of quarantine is one batch of one stage, unless somebody compacted the table."""
    if row["min.stage"] == row["max.stage"]:
        state.quarantined[row["min.stage"]] += row["num_records"]
        return
    for stage in _LOSING_STAGES:
        state.quarantined[stage] = sum(quarantined_by_reason(tables, stage, state.unit).values())
