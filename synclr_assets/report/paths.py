"""Ways from concepts to the model through the captions that a page shows: what stands before and after each thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from synclr_assets.provenance.models import units_of_model
from synclr_assets.report.samples import SampleCaption
from synclr_assets.store.store import Store
from synclr_assets.store.sums import sums_by
from synclr_assets.store.transactions import Unit
from synclr_assets.store.unit_rows import any_of

MAX_CONCEPTS_LISTED = 60
GENERATOR_COLUMNS = ("model", "revision")


@dataclass(frozen=True)
class ConceptStep:
    """A concept of a bucket generation, how many finished captions are about it, and those that the page shows."""

    unit: Unit
    concept: str
    num_captions: int
    shown: tuple[SampleCaption, ...]


@dataclass(frozen=True)
class CaptionStep:
    """A caption that the page shows: who wrote it, who drew it, and in which shard it lies."""

    sample: SampleCaption
    concept_number: int
    """Index of its concept in `Paths.concepts`, of its shard in `Paths.shards`."""
    shard_number: int
    writers: tuple[str, ...]
    painters: tuple[str, ...]


@dataclass(frozen=True)
class ShardStep:
    """A shard that holds captions of the page. `epochs`: how often the model read a caption of it, on average."""

    unit: Unit
    key: str
    sha256: str
    num_captions: int
    epochs: float
    shown: tuple[SampleCaption, ...]


@dataclass(frozen=True)
class Paths:
    """All ways that the page shows."""

    concepts: tuple[ConceptStep, ...]
    num_concepts: int
    captions: tuple[CaptionStep, ...]
    shards: tuple[ShardStep, ...]


def paths_of(store: Store, model: Mapping[str, Any], samples: Sequence[SampleCaption]) -> Paths:
    """From every sample back to its concept and on to its shard, with the model's other concepts counted.

    Concepts with a sample come first, then those with the most captions, MAX_CONCEPTS_LISTED in all, in order.
    """
    units = units_of_model(model)
    counted = sums_by(
        store.tables.snapshot("enriched_captions"), ("bucket", "generation", "concept"), where=any_of(units)
    )
    shown: dict[tuple[Unit, str], list[SampleCaption]] = {}
    for sample in samples:
        shown.setdefault((sample.unit, sample.concept), []).append(sample)
    steps = [
        ConceptStep(unit, concept, int(count), tuple(shown.get((unit, concept), ())))
        for (unit, concept), count in (((Unit(b, g), c), n) for (b, g, c), (n,) in counted.items())
    ]
    num_concepts = len(steps)
    steps.sort(key=lambda one: (not one.shown, -one.num_captions, one.unit.bucket, one.concept))
    steps = steps[:MAX_CONCEPTS_LISTED]
    steps.sort(key=lambda one: (not one.shown, one.unit.bucket, one.unit.generation, one.concept))
    shards = _shards(store, model["model_id"], samples)
    concept_number = {(one.unit, one.concept): number for number, one in enumerate(steps)}
    shard_number = {one.key: number for number, one in enumerate(shards)}
    made = {table: _made_by(store, table, samples) for table in ("enriched_captions", "images")}
    captions = tuple(
        CaptionStep(
            sample,
            concept_number[(sample.unit, sample.concept)],
            shard_number[sample.shard_key],
            _generators(made["enriched_captions"].get(sample.caption_id, [])),
            _generators(made["images"].get(sample.caption_id, [])),
        )
        for sample in samples
    )
    return Paths(tuple(steps), num_concepts, captions, shards)


def _shards(store: Store, model_id: str, samples: Sequence[SampleCaption]) -> tuple[ShardStep, ...]:
    shown: dict[str, list[SampleCaption]] = {}
    for sample in samples:
        shown.setdefault(sample.shard_key, []).append(sample)
    where = pc.field("key").isin(list(shown))
    order = [("bucket", "ascending"), ("generation", "ascending"), ("shard_index", "ascending")]
    rows = store.tables.read("shards", where=where).sort_by(order).to_pylist() if shown else []
    consumed = store.tables.read("consumption", partitions={"model_id": model_id}).to_pylist() if rows else []
    epochs = {row["shard_sha256"]: row["epochs"] for row in consumed}
    return tuple(
        ShardStep(
            Unit(row["bucket"], row["generation"]),
            row["key"],
            row["sha256"],
            row["num_captions"],
            epochs.get(row["sha256"], 0.0),
            tuple(shown[row["key"]]),
        )
        for row in rows
    )


def _made_by(store: Store, table: str, samples: Sequence[SampleCaption]) -> dict[str, list[dict[str, Any]]]:
    """Generators of the table's rows, by caption."""
    found: dict[str, list[dict[str, Any]]] = {}
    columns = ["caption_id", *GENERATOR_COLUMNS]
    for unit in dict.fromkeys(sample.unit for sample in samples):
        ids = [sample.caption_id for sample in samples if sample.unit == unit]
        where = pc.field("caption_id").isin(ids)
        rows = store.tables.read(table, partitions=unit.partitions, columns=columns, where=where)
        for row in rows.sort_by([(column, "ascending") for column in columns]).to_pylist():
            found.setdefault(row["caption_id"], []).append(row)
    return found


def _generators(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{row['model']}@{row['revision']}" for row in rows))
