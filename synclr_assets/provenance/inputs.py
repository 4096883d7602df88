"""What a training run reads: every bucket generation of a slice and its shards, and the model id they imply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from synclr_assets.stages.concepts import resolve_unit
from synclr_assets.stages.progress import planned_captions
from synclr_assets.store.errors import NotReadyError
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit, stage_cursor
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
        return [s for s in self.shards if (s.bucket, s.generation) == (unit.bucket, unit.generation)]


def training_inputs(
    store: Store, slice_name: str, buckets: Sequence[str], generations: Mapping[str, int] | None = None
) -> TrainingInputs:
    """The shards of every bucket: its pinned generation, else its latest packed one.

    Raises NotReadyError where a bucket has no complete generation of shards, StoreError for an unknown pin.
    """
    tables = store.tables
    versions = {name: version for name in PINNED_TABLES if (version := tables.version(name)) is not None}
    units = tuple(_packed_unit(store, bucket, (generations or {}).get(bucket)) for bucket in sorted(buckets))
    shards: list[InputShard] = []
    columns = ["bucket", "generation", "shard_index", "key", "sha256", "num_captions"]
    for unit in units:
        rows = tables.read("shards", partitions=unit.partitions, columns=columns).sort_by("shard_index")
        shards += [InputShard(**row) for row in rows.to_pylist()]
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
    recalled: set[str] = set()
    for unit in units if store.tables.open("recalls") is not None else ():
        rows = store.tables.read(
            "recalls",
            partitions=unit.partitions,
            columns=["object_id"],
            where=pc.field("object") == "caption",
        )
        recalled.update(rows["object_id"].to_pylist())
    return tuple(sorted(recalled))


def excluded_digest(caption_ids: Sequence[str]) -> str | None:
    """32 hex characters that stand for a sorted list of captions; None for an empty one."""
    return digest_hex("excluded", *caption_ids) if caption_ids else None


def _packed_unit(store: Store, bucket: str, generation: int | None) -> Unit:
    """The generation to train on. A pinned one must be packed; else the newest that is."""
    tables = store.tables
    newest = resolve_unit(tables, bucket, generation)
    candidates = (
        [newest] if generation is not None else [Unit(bucket, g) for g in range(newest.generation, -1, -1)]
    )
    for unit in candidates:
        if is_packed(store, unit):
            return unit
    raise NotReadyError(f"{newest} has no complete shards: materialise syncaps_shards of {bucket} first.")


def is_packed(store: Store, unit: Unit) -> bool:
    """Whether shards cover the whole plan: the images are complete and the last plan range is packed."""
    tables = store.tables
    total = planned_captions(tables, unit)
    if stage_cursor(tables, "images", unit) < total:
        return False
    packed = tables.count("shard_members", partitions=unit.partitions)
    drawn = tables.count("images", partitions=unit.partitions, where=pc.field("view") == 0)
    committed = tables.read("shards", partitions=unit.partitions, columns=["num_captions"])
    return packed == drawn == (pc.sum(committed["num_captions"]).as_py() or 0)
