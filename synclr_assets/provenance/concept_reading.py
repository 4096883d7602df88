"""How often a model's training read the captions of each concept. Counts whole shards, never single captions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from synclr_assets.provenance.models import units_of_model
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.store.unit_rows import UnitRows


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
    units = units_of_model(model)
    planned, members, captions = (
        UnitRows(store.tables, table, [unit.bucket for unit in units])
        for table in ("concepts", "shard_members", "enriched_captions")
    )
    epochs = _epochs_by_unit(store, model["model_id"])
    for unit in units:
        read = _read_by_concept(
            epochs.get(unit, {}),
            members.read(unit, ["caption_id", "shard_index"]),
            captions.read(unit, ["caption_id", "concept"]),
        )
        columns = ["concept", "concept_index", "display_text", "weight", "num_captions"]
        rows = planned.read(unit, columns)
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


def _epochs_by_unit(store: Store, model_id: str) -> dict[Unit, dict[int, float]]:
    """Of every shard that the model was given: unit -> shard index -> how often it was read."""
    columns = ["bucket", "generation", "shard_index", "epochs"]
    found: dict[Unit, dict[int, float]] = {}
    for row in store.tables.read(
        "consumption", partitions={"model_id": model_id}, columns=columns
    ).to_pylist():
        found.setdefault(Unit(row["bucket"], row["generation"]), {})[row["shard_index"]] = row["epochs"]
    return found


def _read_by_concept(epochs: Mapping[int, float], members: pa.Table, captions: pa.Table) -> dict[str, float]:
    """Concept -> captions read of it, repeats counted. `epochs` are those of the unit's shards."""
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
