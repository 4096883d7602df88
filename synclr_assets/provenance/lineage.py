"""Walking from a model to its captions and from a caption to its models. Reads tables, prints nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synclr_assets.provenance.models import find_model
from synclr_assets.provenance.scores import scores_of
from synclr_assets.store.errors import UnknownIdError
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit

GENERATOR_COLUMNS = ("model", "revision", "licence", "fingerprint")


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
    consumption: tuple[dict[str, Any], ...]
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
    """The lineage of the model whose id begins with the prefix. Raises UnknownIdError."""
    model = find_model(store, prefix)
    consumption = store.tables.read("consumption", partitions={"model_id": model["model_id"]}).sort_by(
        [("bucket", "ascending"), ("generation", "ascending"), ("shard_index", "ascending")]
    )
    rows = consumption.to_pylist()
    units = []
    for entry in model["inputs"]:
        unit = Unit(entry["bucket"], entry["generation"])
        read = [
            r["captions_read"]
            for r in rows
            if (r["bucket"], r["generation"]) == (unit.bucket, unit.generation)
        ]
        units.append(
            UnitLineage(
                unit=unit,
                num_captions=entry["num_captions"],
                captions_read=sum(read),
                shard_sha256s=tuple(entry["shard_sha256s"]),
                captioners=_generators(store, "enriched_captions", unit),
                image_samplers=_generators(store, "images", unit),
            )
        )
    return ModelLineage(model, tuple(units), tuple(rows), tuple(scores_of(store, model["model_id"])))


def captions_of_model(store: Store, model: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    """All captions in the model's shards, with what it really read of each shard, in bounded batches."""
    read = {
        (row["bucket"], row["generation"], row["shard_index"]): row["epochs"]
        for row in store.tables.read("consumption", partitions={"model_id": model["model_id"]}).to_pylist()
    }
    for entry in model["inputs"]:
        unit = Unit(entry["bucket"], entry["generation"])
        members = store.tables.read(
            "shard_members", partitions=unit.partitions, columns=["caption_id", "shard_index"]
        )
        corpus = store.tables.snapshot("enriched_captions", unit.partitions)
        if corpus is None:
            continue
        columns = [
            "caption_id",
            "bucket",
            "generation",
            "concept",
            "template",
            "relation",
            "background",
            "text",
        ]
        for batch in corpus.to_batches(columns=columns, batch_size=8192):
            joined = pa.Table.from_batches([batch]).join(members, "caption_id", join_type="inner")
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
    caption = _find_caption(store, prefix)
    unit = Unit(caption["bucket"], caption["generation"])
    is_it = pc.field("caption_id") == caption["caption_id"]

    def rows(table: str) -> list[dict[str, Any]]:
        return store.tables.read(table, partitions=unit.partitions, where=is_it).to_pylist()

    lost = rows("quarantine")
    members = rows("shard_members")
    shard = None
    models: list[dict[str, Any]] = []
    if members:
        at = pc.field("shard_index") == members[0]["shard_index"]
        shard = store.tables.read("shards", partitions=unit.partitions, where=at).to_pylist()[0]
        shard |= {"offset_bytes": members[0]["offset_bytes"]}
        seen = store.tables.read(
            "consumption",
            where=(pc.field("shard_sha256") == shard["sha256"]) & (pc.field("captions_read") > 0),
        )
        for row in seen.sort_by("model_id").to_pylist():
            model = find_model(store, row["model_id"])
            models.append({**model, "epochs": row["epochs"], "scores": scores_of(store, row["model_id"])})
    return CaptionLineage(
        caption=caption,
        quarantine=lost[0] if lost else None,
        images=tuple(sorted(rows("images"), key=lambda row: row["view"])),
        shard=shard,
        models=tuple(models),
    )


def _find_caption(store: Store, prefix: str) -> dict[str, Any]:
    """The final caption if there is one, else its plan or its quarantine row."""
    where = pc.starts_with(pc.field("caption_id"), prefix.lower())
    for table in ("enriched_captions", "captions", "quarantine"):
        found = store.tables.read(table, where=where).to_pylist()
        if len({row["caption_id"] for row in found}) > 1:
            raise UnknownIdError(f"{prefix!r} fits {len(found)} captions: give more of the id.")
        if found:
            return found[0]
    raise UnknownIdError(
        f"No caption {prefix!r} in {store.location.uri}: list a model's captions with "
        "`synclr lineage model ID --captions 10`."
    )


def _generators(store: Store, table: str, unit: Unit) -> tuple[dict[str, Any], ...]:
    rows = store.tables.read(table, partitions=unit.partitions, columns=list(GENERATOR_COLUMNS))
    grouped = rows.group_by(list(GENERATOR_COLUMNS)).aggregate([([], "count_all")])
    order = [(column, "ascending") for column in GENERATOR_COLUMNS]
    return tuple({**row, "rows": row.pop("count_all")} for row in grouped.sort_by(order).to_pylist())
