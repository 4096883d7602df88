"""Walking from a model to its captions and from a caption to its models. Reads tables, prints nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synclr_assets.provenance.lineage_generators import generators_of
from synclr_assets.provenance.lineage_index import find_caption
from synclr_assets.provenance.models import excluded_captions, find_model, units_of_model
from synclr_assets.provenance.scores import ordered_scores, scores_of
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.store.unit_rows import UnitRows

CAPTION_COLUMNS = [
    "caption_id",
    "bucket",
    "generation",
    "concept",
    "template",
    "relation",
    "background",
    "text",
]


@dataclass(frozen=True)
class UnitLineage:
    """One bucket generation behind a model."""

    unit: Unit
    num_captions: int
    captions_read: int
    shard_sha256s: tuple[str, ...]
    captioners: tuple[dict[str, Any], ...]
    """Distinct generators of its captions, with how many each wrote."""
    image_samplers: tuple[dict[str, Any], ...]
    """Distinct generators of its images, with how many each drew."""


@dataclass(frozen=True)
class ModelLineage:
    """Everything a model was made from."""

    model: dict[str, Any]
    units: tuple[UnitLineage, ...]
    consumption: pa.Table
    """Rows of the table of this name, in order of shard."""
    scores: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class CaptionLineage:
    """Everything that was made from a caption, and what it was made from."""

    caption: dict[str, Any]
    quarantine: dict[str, Any] | None
    images: tuple[dict[str, Any], ...]
    shard: dict[str, Any] | None
    models: tuple[dict[str, Any], ...]
    """Models whose training read its shard, with `captions_read` of the shard and their scores."""


def model_lineage(store: Store, prefix: str) -> ModelLineage:
    """The lineage of the model whose id begins with the prefix. Raises UnknownIdError.

    Reads no caption and no image: counts stand in the model's record and in the tables' statistics.
    """
    model = find_model(store, prefix)
    units = units_of_model(model)
    consumption = store.tables.read("consumption", partitions={"model_id": model["model_id"]}).sort_by(
        [("bucket", "ascending"), ("generation", "ascending"), ("shard_index", "ascending")]
    )
    captioners = generators_of(store, "enriched_captions", units)
    samplers = generators_of(store, "images", units)
    read: dict[Unit, int] = dict.fromkeys(units, 0)
    for row in (
        consumption.group_by(["bucket", "generation"]).aggregate([("captions_read", "sum")]).to_pylist()
    ):
        read[Unit(row["bucket"], row["generation"])] = row["captions_read_sum"]
    return ModelLineage(
        model=model,
        units=tuple(
            UnitLineage(
                unit=unit,
                num_captions=entry["num_captions"],
                captions_read=read[unit],
                shard_sha256s=tuple(entry["shard_sha256s"]),
                captioners=captioners[unit],
                image_samplers=samplers[unit],
            )
            for unit, entry in zip(units, model["inputs"], strict=True)
        ),
        consumption=consumption,
        scores=tuple(scores_of(store, model["model_id"])),
    )


def sample_captions(store: Store, model: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Up to `count` captions that the model's training could read, from the first shards it did read.

    Reads as many shards' members as it needs and no more. Rows as of `captions_of_model`.
    """
    if count == 0:
        return []
    kept_from = excluded_captions(store, model)
    consumed = store.tables.read(
        "consumption", partitions={"model_id": model["model_id"]}, where=pc.field("captions_read") > 0
    ).sort_by([("bucket", "ascending"), ("generation", "ascending"), ("shard_index", "ascending")])
    found: list[dict[str, Any]] = []
    for shard in consumed.to_pylist():
        partitions = Unit(shard["bucket"], shard["generation"]).partitions
        at = pc.field("shard_index") == shard["shard_index"]
        members = store.tables.read("shard_members", partitions=partitions, columns=["caption_id"], where=at)
        ids = [one for one in members["caption_id"].to_pylist() if one not in kept_from]
        ids = sorted(ids)[: count - len(found)]
        rows = store.tables.read(
            "enriched_captions",
            partitions=partitions,
            columns=CAPTION_COLUMNS,
            where=pc.field("caption_id").isin(ids),
        )
        place = {"shard_index": shard["shard_index"], "epochs": shard["epochs"]}
        found += [{**row, **place} for row in rows.sort_by("caption_id").to_pylist()]
        if len(found) >= count:
            break
    return found


def captions_of_model(store: Store, model: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    """All captions in the model's shards that it was not kept from, with what it really read of each shard.

    One bucket generation's captions are in memory at once.
    """
    kept_from = excluded_captions(store, model)
    read = {
        (row["bucket"], row["generation"], row["shard_index"]): row["epochs"]
        for row in store.tables.read("consumption", partitions={"model_id": model["model_id"]}).to_pylist()
    }
    units = units_of_model(model)
    buckets = [unit.bucket for unit in units]
    all_members = UnitRows(store.tables, "shard_members", buckets)
    captions = UnitRows(store.tables, "enriched_captions", buckets)
    for unit in units:
        members = all_members.read(unit, ["caption_id", "shard_index"])
        corpus = captions.dataset(unit)
        if corpus is None:
            continue
        for batch in corpus.to_batches(columns=CAPTION_COLUMNS, batch_size=8192):
            joined = pa.Table.from_batches([batch]).join(members, "caption_id", join_type="inner")
            if kept_from:
                excluded = pc.is_in(joined["caption_id"], pa.array(sorted(kept_from)))
                joined = joined.filter(pc.invert(excluded))
            epochs = [
                read.get((unit.bucket, unit.generation, i), 0.0) for i in joined["shard_index"].to_pylist()
            ]
            yield from (
                joined.append_column("epochs", pa.array(epochs, pa.float64()))
                .sort_by("caption_id")
                .to_batches()
            )


def caption_lineage(store: Store, prefix: str) -> CaptionLineage:
    """The lineage of the caption whose id begins with the prefix. Raises UnknownIdError for none or several."""
    caption = find_caption(store, prefix)
    unit = Unit(caption["bucket"], caption["generation"])
    is_it = pc.field("caption_id") == caption["caption_id"]

    def rows(table: str) -> list[dict[str, Any]]:
        return store.tables.read(table, partitions=unit.partitions, where=is_it).to_pylist()

    lost = rows("quarantine")
    members = rows("shard_members")
    shard = None
    models: list[dict[str, Any]] = []
    if members:
        index = members[0]["shard_index"]
        at = pc.field("shard_index") == index
        shard = store.tables.read("shards", partitions=unit.partitions, where=at).to_pylist()[0]
        shard |= {"offset_bytes": members[0]["offset_bytes"]}
        seen = store.tables.read(
            "consumption",
            where=unit.where
            & at
            & (pc.field("shard_sha256") == shard["sha256"])
            & (pc.field("captions_read") > 0),
        )
        models = _models_that_read(store, caption["caption_id"], seen)
    return CaptionLineage(
        caption=caption,
        quarantine=lost[0] if lost else None,
        images=tuple(sorted(rows("images"), key=lambda row: row["view"])),
        shard=shard,
        models=tuple(models),
    )


def _models_that_read(store: Store, caption_id: str, seen: pa.Table) -> list[dict[str, Any]]:
    """Models of the given rows of consumption that were not kept from the caption, with their scores.

    Without their inputs, which grow with the corpus.
    """
    epochs = dict(zip(seen["model_id"].to_pylist(), seen["epochs"].to_pylist(), strict=True))
    if not epochs:
        return []
    of_models = pc.field("model_id").isin(list(epochs))
    columns = [name for name in store.tables.spec("models").schema.names if name != "inputs"]
    rows = store.tables.read("models", columns=columns, where=of_models).sort_by("model_id").to_pylist()
    scores: dict[str, list[dict[str, Any]]] = {row["model_id"]: [] for row in rows}
    for score in ordered_scores(store.tables.read("evals", where=of_models)):
        scores[score["model_id"]].append(score)
    return [
        {**row, "epochs": epochs[row["model_id"]], "scores": scores[row["model_id"]]}
        for row in rows
        if caption_id not in excluded_captions(store, row)
    ]
