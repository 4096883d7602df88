"""Recalling a caption, a concept or a generator: what is affected, and marking it so that training leaves it out.

Deletes nothing: shards stay as they are, and training skips the recalled captions inside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from synclr_assets.provenance.lineage_nodes import LineageError, Reached, captions_from
from synclr_assets.provenance.lineage_trace import reached_models, scores_of_models, shards_of
from synclr_assets.store.store import Store
from synclr_assets.synthesis.identity import digest_hex

RECALLED_KINDS = ("caption", "concept", "generator")


@dataclass(frozen=True)
class Recall:
    """What a recall found."""

    kind: str
    subject: str
    captions: tuple[Reached, ...]
    images: pa.Table
    """bucket, generation, caption_id, view, sha256."""
    shards: pa.Table
    """bucket, generation, shard_index, sha256, key, and `captions` of it that are recalled."""
    models: pa.Table
    """model_id, slice, recipe, and how many recalled captions (of how many shards) its training could read."""
    scores: pa.Table
    """Scores of those models."""

    @property
    def num_captions(self) -> int:
        return sum(len(part.caption_ids) for part in self.captions)

    @property
    def caption_ids(self) -> list[str]:
        """All recalled captions, sorted."""
        return sorted(one for part in self.captions for one in part.caption_ids.to_pylist())

    @property
    def trainings_to_repeat(self) -> list[tuple[str, str]]:
        """Slice and recipe of every model that could read a recalled caption, each pair once."""
        return sorted(
            set(zip(self.models["slice"].to_pylist(), self.models["recipe"].to_pylist(), strict=True))
        )

    @property
    def recall_id(self) -> str:
        """The same finding has the same id, and is recorded once."""
        shards, scores = self.shards["sha256"].to_pylist(), self.scores["score"].to_pylist()
        found = [*self.caption_ids, *shards, *self.models["model_id"].to_pylist(), *scores]
        return digest_hex("recall", self.kind, self.subject, *found)


def find_affected(store: Store, kind: str, subject: str, bucket: str | None = None) -> Recall:
    """Everything a recall of the thing affects; changes nothing.

    A model is affected where training read from a shard with a recalled caption that it was not kept from. It then
    could read the caption: which captions of a shard a run of less than an epoch read is not recorded.
    Raises UnknownIdError where nothing has this name.
    """
    if kind not in RECALLED_KINDS:
        raise LineageError(f"{kind!r} cannot be recalled; use one of: {', '.join(RECALLED_KINDS)}.")
    parts = tuple(captions_from(store, kind, subject, bucket))
    image_columns = ["bucket", "generation", "caption_id", "view", "sha256"]
    models = reached_models(store, iter(parts))
    return Recall(
        kind=kind,
        subject=subject,
        captions=parts,
        images=pa.concat_tables([part.rows(store, "images", image_columns) for part in parts]).sort_by(
            [("caption_id", "ascending"), ("view", "ascending")]
        ),
        shards=pa.concat_tables([shards_of(store, part) for part in parts]),
        models=models,
        scores=scores_of_models(store, models["model_id"].to_pylist()),
    )


def apply_recall(store: Store, recall: Recall, reason: str) -> bool:
    """Record the recall, from when on training leaves its captions out. False where this finding is recorded."""
    if not reason.strip():
        raise LineageError("a recall needs its reason: say what is wrong with the data.")
    spec = store.tables.spec("recalls").schema
    shared = {
        "recall_id": recall.recall_id,
        "kind": recall.kind,
        "subject": recall.subject,
        "reason": reason.strip(),
        "at": datetime.now(UTC),
    }

    def marks(kind: str, ids: pa.ChunkedArray | pa.Array, place: dict[str, Any]) -> pa.Table:
        values = {**shared, "bucket": None, "generation": None, **place, "object": kind}
        columns = {
            field.name: pa.repeat(pa.scalar(values[field.name], field.type), len(ids))
            for field in spec
            if field.name != "object_id"
        }
        return pa.table({**columns, "object_id": ids}).select(spec.names).cast(spec)

    rows = [marks("caption", part.caption_ids, part.unit.partitions) for part in recall.captions]
    for unit in (part.unit for part in recall.captions):
        rows.append(marks("shard", recall.shards.filter(unit.where)["sha256"], unit.partitions))
    rows.append(marks("model", recall.models["model_id"], {}))
    rows.append(marks("score", recall.scores["score"], {}))
    return store.tables.append_once("recalls", f"recalls/{recall.recall_id}", pa.concat_tables(rows))
