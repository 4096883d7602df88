"""What a training run reads: every bucket generation of a slice and its shards, and the model id they imply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow.compute as pc

from synclr_assets.provenance.packing import Packing
from synclr_assets.store.errors import NotReadyError
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.identity import digest_hex

PINNED_TABLES = ("concepts", "captions", "enriched_captions", "images", "shards", "shard_members", "recalls")


@dataclass(frozen=True)
class InputShard:
    """One shard a model may read."""

    bucket: str
    generation: int
    shard_index: int
    key: str
    sha256: str
    num_captions: int


@dataclass(frozen=True)
class TrainingInputs:
    """Exactly what a training run is given."""

    slice_name: str
    units: tuple[Unit, ...]
    shards: tuple[InputShard, ...]
    table_versions: dict[str, int]
    excluded: tuple[str, ...] = ()
    """Ids of recalled captions of these units, sorted: training never reads them."""

    def shards_of(self, unit: Unit) -> list[InputShard]:
        return self._by_unit.get(unit, [])

    @cached_property
    def _by_unit(self) -> dict[Unit, list[InputShard]]:
        found: dict[Unit, list[InputShard]] = {}
        for shard in self.shards:
            found.setdefault(Unit(shard.bucket, shard.generation), []).append(shard)
        return found


def training_inputs(
    store: Store, slice_name: str, buckets: Sequence[str], generations: Mapping[str, int] | None = None
) -> TrainingInputs:
    """The shards of every bucket: its pinned generation, else its latest packed one.

    Raises NotReadyError where a bucket has no complete generation of shards, StoreError for an unknown pin.
    """
    tables = store.tables
    versions = {name: version for name in PINNED_TABLES if (version := tables.version(name)) is not None}
    packing = Packing(tables, buckets)
    units = tuple(packing.newest(bucket, (generations or {}).get(bucket)) for bucket in sorted(buckets))
    chosen = set(units)
    order = [(column, "ascending") for column in ("bucket", "generation", "shard_index")]
    shards = [
        InputShard(**row)
        for row in packing.shards.sort_by(order).to_pylist()
        if Unit(row["bucket"], row["generation"]) in chosen
    ]
    if not shards:
        raise NotReadyError(
            f"Slice {slice_name} has no shard with a caption in it: look at its quarantined captions."
        )
    return TrainingInputs(slice_name, units, tuple(shards), versions, recalled_captions(store, units))


def model_id_of(inputs: TrainingInputs, recipe_fingerprint: str, seed: int) -> str:
    """32 hex characters: the same slice, recipe, seed, shard contents and recalled captions are the same model."""
    contents = [f"{s.bucket}@{s.generation}/{s.shard_index}:{s.sha256}" for s in inputs.shards]
    if inputs.excluded:
        contents.append(f"without {excluded_digest(inputs.excluded)}")
    return digest_hex("model", inputs.slice_name, recipe_fingerprint, seed, *contents)


def recalled_captions(store: Store, units: Sequence[Unit]) -> tuple[str, ...]:
    """Ids of all captions of the units that a recall names, sorted."""
    rows = store.tables.read(
        "recalls",
        partitions={"bucket": sorted({unit.bucket for unit in units})},
        columns=["bucket", "generation", "object_id"],
        where=pc.field("object") == "caption",
    )
    chosen = set(units)
    named = {row["object_id"] for row in rows.to_pylist() if Unit(row["bucket"], row["generation"]) in chosen}
    return tuple(sorted(named))


def excluded_digest(caption_ids: Sequence[str]) -> str | None:
    """32 hex characters that stand for a sorted list of captions; None for an empty one."""
    return digest_hex("excluded", *caption_ids) if caption_ids else None
