"""How often a model's training read the captions of each concept. Counts whole shards, never single captions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit


@dataclass(frozen=True)
class ConceptRead:
    """One concept of a bucket generation behind a model."""

    bucket: str
    generation: int
    concept: str
    text: str
    """What captions call it."""
    weight: float
    """Its sampling weight within the bucket."""
    num_captions: int
    """Captions that its generation planned for it."""
    captions_read: float
    """Captions read of it, repeats counted: the captions in each shard times the epochs of that shard."""


def concepts_read(store: Store, model: Mapping[str, Any]) -> list[ConceptRead]:
    """Every concept of the model's bucket generations, in the order of their bucket files.

    Holds two narrow columns of one bucket generation at a time. A shard read in part counts every caption of it
    alike, for which of them were read is not recorded.
    """
    concepts: list[ConceptRead] = []
    for entry in model["inputs"]:
        unit = Unit(entry["bucket"], entry["generation"])
        read = _read_by_concept(store, model["model_id"], unit)
        columns = ["concept", "concept_index", "display_text", "weight", "num_captions"]
        rows = store.tables.read("concepts", partitions=unit.partitions, columns=columns)
        concepts += [
            ConceptRead(
                bucket=unit.bucket,
                generation=unit.generation,
                concept=row["concept"],
                text=row["display_text"],
                weight=row["weight"],
                num_captions=row["num_captions"],
                captions_read=read.get(row["concept"], 0.0),
            )
            for row in rows.sort_by("concept_index").to_pylist()
        ]
    return concepts


def _read_by_concept(store: Store, model_id: str, unit: Unit) -> dict[str, float]:
    of_unit = (pc.field("bucket") == unit.bucket) & (pc.field("generation") == unit.generation)
    consumed = store.tables.read(
        "consumption", partitions={"model_id": model_id}, columns=["shard_index", "epochs"], where=of_unit
    )
    epochs = dict(zip(consumed["shard_index"].to_pylist(), consumed["epochs"].to_pylist(), strict=True))
    members = store.tables.read(
        "shard_members", partitions=unit.partitions, columns=["caption_id", "shard_index"]
    )
    captions = store.tables.read(
        "enriched_captions", partitions=unit.partitions, columns=["caption_id", "concept"]
    )
    counted = (
        captions.join(members, "caption_id", join_type="inner")
        .group_by(["concept", "shard_index"])
        .aggregate([([], "count_all")])
    )
    read: dict[str, float] = {}
    for row in counted.to_pylist():
        seen = row["count_all"] * epochs.get(row["shard_index"], 0.0)
        read[row["concept"]] = read.get(row["concept"], 0.0) + seen
    return read
