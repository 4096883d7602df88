"""Under which licences the data of a slice or of a model came: each generator, its rows, its clauses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

import pyarrow as pa
import pyarrow.compute as pc

from synclr_assets.cost.licence_terms import Licence, licence_named
from synclr_assets.cost.workload import shared_bucket
from synclr_assets.store.store import Store
from synclr_assets.store.sums import batches_of
from synclr_assets.store.transactions import Unit
from synclr_assets.store.unit_rows import UnitRows, any_of, buckets_by_generation

STAGES = ("captions", "backgrounds", "enriched_captions", "images")
COLUMNS = ("model", "revision", "licence")
MADE = {"captions": "text", "backgrounds": "background"}
"""Column that is null where the generator has made nothing: plans, and lists asked for in vain."""


@dataclass(frozen=True)
class Use:
    """What one model made at one stage."""

    stage: str
    model: str
    revision: str
    recorded_licence: str
    """As it stands on the rows."""
    num_rows: int

    @property
    def licence(self) -> Licence:
        """What is known about it."""
        return licence_named(self.recorded_licence)


def units_of_buckets(store: Store, buckets: Sequence[str]) -> list[Unit]:
    """The latest generation of every bucket that has one."""
    known = store.tables.read(
        "concepts", partitions={"bucket": sorted(buckets)}, columns=["bucket", "generation"]
    )
    newest = known.group_by("bucket").aggregate([("generation", "max")]).to_pylist()
    latest = {row["bucket"]: row["generation_max"] for row in newest}
    return [Unit(bucket, latest[bucket]) for bucket in buckets if bucket in latest]


def uses_of(store: Store, units: Sequence[Unit]) -> list[Use]:
    """Every generator of the bucket generations, by stage; counted as a stream.

    Backgrounds are reused: those that earlier generations of a bucket bought are counted too, and the lists
    that a fine-grained source shares.
    """
    uses: list[Use] = []
    if not units:
        return uses
    for stage in STAGES:
        where = any_of(units) if stage != "backgrounds" else _backgrounds_of(store, units)
        if stage in MADE:
            where &= pc.field(MADE[stage]).is_valid()
        counts = _counts(store, stage, where)
        uses += [Use(stage, *key, count) for key, count in sorted(counts.items())]
    return uses


def licences_of(uses: Iterable[Use]) -> list[tuple[Licence, tuple[str, ...]]]:
    """Each licence once, those with clauses first, with the recorded names it was found under."""
    names: dict[Licence, set[str]] = {}
    for use in uses:
        names.setdefault(use.licence, set()).add(use.recorded_licence)
    ordered = sorted(names.items(), key=lambda item: (not item[0].clauses, item[0].name))
    return [(licence, tuple(sorted(recorded))) for licence, recorded in ordered]


def _backgrounds_of(store: Store, units: Sequence[Unit]) -> pc.Expression:
    """Of every unit those of its bucket up to its generation, and the shared lists of its sources."""
    concepts = UnitRows(store.tables, "concepts", [unit.bucket for unit in units])
    sources = {
        source for unit in units for source in concepts.read(unit, ["source"])["source"].unique().to_pylist()
    }
    shared = pc.field("bucket").isin(sorted(shared_bucket(source) for source in sources))
    return reduce(
        or_,
        (
            pc.field("bucket").isin(buckets) & (pc.field("generation") <= generation)
            for generation, buckets in buckets_by_generation(units).items()
        ),
        shared,
    )


def _counts(store: Store, stage: str, where: pc.Expression) -> dict[tuple[str, str, str], int]:
    dataset = store.tables.snapshot(stage)
    counts: dict[tuple[str, str, str], int] = {}
    if dataset is None:
        return counts
    for batch in batches_of(dataset, list(COLUMNS), where):
        grouped = pa.Table.from_batches([batch]).group_by(list(COLUMNS)).aggregate([([], "count_all")])
        for row in grouped.to_pylist():
            key = (row["model"], row["revision"], row["licence"])
            counts[key] = counts.get(key, 0) + row["count_all"]
    return counts
