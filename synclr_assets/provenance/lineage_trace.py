"""From any kind of thing to any other, backwards or forwards: captions are where all ways cross.

`trace` yields tables, one bucket generation at a time, so that a whole corpus need not fit in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synclr_assets.provenance.lineage_generators import GENERATOR_COLUMNS
from synclr_assets.provenance.lineage_nodes import (
    KINDS,
    LineageError,
    Reached,
    captions_from,
    model_of_score,
    score_id,
)
from synclr_assets.provenance.models import excluded_captions, find_model, models
from synclr_assets.provenance.scores import scores_of
from synclr_assets.store.store import Store

UNIT_COLUMNS = ("bucket", "generation")
CAPTION_COLUMNS = [*UNIT_COLUMNS, "caption_id", "concept", "template", "background", "text"]
IMAGE_COLUMNS = [*UNIT_COLUMNS, "caption_id", "view", "sha256", "seed", "model", "revision"]
MODEL_SCHEMA = pa.schema(
    [
        ("model_id", pa.string()),
        ("slice", pa.string()),
        ("recipe", pa.string()),
        ("shards", pa.int64()),
        ("captions", pa.int64()),
    ]
)
SCORE_COLUMNS = ["model_id", "asset", "subject", "dataset", "split", "metric", "value", "ci_low", "ci_high"]


def trace(store: Store, kind: str, identity: str, to: str) -> Iterator[pa.Table]:
    """Everything of kind `to` that the named thing was made from, or that was made from it.

    Kinds: concept, caption, background, generator, image, shard, model, score; how each is named says
    `lineage_nodes`. Rows of one thing may come in several tables only where they belong to other bucket generations.
    A model or a score is reached through the shards its training read, less the captions it was kept from.
    Raises UnknownIdError for an unknown id, LineageError for an unknown kind.
    """
    if to not in KINDS:
        raise LineageError(f"{to!r} is no kind of thing; use one of: {', '.join(KINDS)}.")
    if to in ("model", "score"):
        reached = _models_reached(store, kind, identity)
        yield reached if to == "model" else _scores(store, kind, identity, reached)
        return
    for part in captions_from(store, kind, identity):
        found = _REACHING[to](store, part)
        if found.num_rows:
            yield found


def reached_models(store: Store, parts: Iterator[Reached]) -> pa.Table:
    """Models that could read one of the captions: how many of them, and of how many shards that they did read."""
    columns = ["bucket", "generation", "shard_index", "shard_sha256", "model_id", "captions_read"]
    consumed = store.tables.read("consumption", columns=columns, where=pc.field("captions_read") > 0)
    row_of = {model["model_id"]: model for model in models(store)}
    kept_from = {identity: excluded_captions(store, model) for identity, model in row_of.items()}
    shards: dict[str, int] = {}
    captions: dict[str, int] = {}
    for part in parts:
        members = part.members(store)
        read = consumed.filter(part.unit.where).filter(
            pc.field("shard_index").isin(members["shard_index"].unique())
        )
        for model_id in read["model_id"].unique().to_pylist():
            indexes = read.filter(pc.field("model_id") == model_id)["shard_index"]
            inside = members.filter(pc.is_in(members["shard_index"], indexes.combine_chunks()))
            if kept_from.get(model_id):
                excluded = pc.is_in(inside["caption_id"], pa.array(sorted(kept_from[model_id])))
                inside = inside.filter(pc.invert(excluded))
            if inside.num_rows:
                shards[model_id] = shards.get(model_id, 0) + len(inside["shard_index"].unique())
                captions[model_id] = captions.get(model_id, 0) + inside.num_rows
    return pa.Table.from_pylist(
        [
            {
                "model_id": identity,
                "slice": row_of[identity]["slice"],
                "recipe": row_of[identity]["recipe"],
                "shards": shards[identity],
                "captions": captions[identity],
            }
            for identity in sorted(shards)
            if identity in row_of
        ],
        schema=MODEL_SCHEMA,
    )


def shards_of(store: Store, part: Reached) -> pa.Table:
    """Shards that hold the captions, and how many `captions` of them each holds."""
    held = _counted(part.members(store).select(["shard_index"]), "captions")
    columns = [*UNIT_COLUMNS, "shard_index", "sha256", "key", "num_captions"]
    shards = store.tables.read("shards", partitions=part.unit.partitions, columns=columns)
    return shards.join(held, "shard_index", join_type="inner").sort_by("shard_index")


def scores_of_models(store: Store, model_ids: list[str]) -> pa.Table:
    """The models' own scores, baselines left out."""
    schema = store.tables.spec("evals").schema
    rows = [
        {"score": score_id(row), **{column: row[column] for column in SCORE_COLUMNS}}
        for model_id in model_ids
        for row in scores_of(store, model_id)
        if not row["is_baseline"]
    ]
    return pa.Table.from_pylist(
        rows, schema=pa.schema([("score", pa.string()), *(schema.field(c) for c in SCORE_COLUMNS)])
    )


def _models_reached(store: Store, kind: str, identity: str) -> pa.Table:
    if kind not in ("model", "score"):
        return reached_models(store, captions_from(store, kind, identity))
    model = find_model(store, identity) if kind == "model" else model_of_score(store, identity)
    read = store.tables.read(
        "consumption",
        partitions={"model_id": model["model_id"]},
        columns=["captions_read"],
        where=pc.field("captions_read") > 0,
    )
    row = {
        **{name: model[name] for name in ("model_id", "slice", "recipe")},
        "shards": read.num_rows,
        "captions": sum(entry["num_captions"] for entry in model["inputs"]) - (model["num_excluded"] or 0),
    }
    return pa.Table.from_pylist([row], schema=MODEL_SCHEMA)


def _scores(store: Store, kind: str, identity: str, reached: pa.Table) -> pa.Table:
    scores = scores_of_models(store, reached["model_id"].to_pylist())
    return scores.filter(pc.field("score") == identity) if kind == "score" else scores


def _captions(store: Store, part: Reached) -> pa.Table:
    return part.rows(store, "enriched_captions", CAPTION_COLUMNS).sort_by("caption_id")


def _concepts(store: Store, part: Reached) -> pa.Table:
    return _counted(part.rows(store, "enriched_captions", [*UNIT_COLUMNS, "concept"]), "captions")


def _backgrounds(store: Store, part: Reached) -> pa.Table:
    rows = part.rows(store, "enriched_captions", [*UNIT_COLUMNS, "background"])
    return _counted(rows.filter(pc.is_valid(rows["background"])), "captions")


def _generators(store: Store, part: Reached) -> pa.Table:
    tables = []
    for table in ("enriched_captions", "images"):
        counted = _counted(part.rows(store, table, [*UNIT_COLUMNS, *GENERATOR_COLUMNS]), "rows")
        tables.append(counted.append_column("made", pa.array([table] * counted.num_rows, pa.string())))
    return pa.concat_tables(tables)


def _images(store: Store, part: Reached) -> pa.Table:
    return part.rows(store, "images", IMAGE_COLUMNS).sort_by(
        [("caption_id", "ascending"), ("view", "ascending")]
    )


def _counted(rows: pa.Table, name: str) -> pa.Table:
    """Distinct rows in order, with how often each occurs."""
    keys = rows.schema.names
    counted = rows.group_by(keys).aggregate([([], "count_all")])
    return counted.rename_columns([*keys, name]).sort_by([(key, "ascending") for key in keys])


_REACHING: dict[str, Callable[[Store, Reached], Any]] = {
    "caption": _captions,
    "concept": _concepts,
    "background": _backgrounds,
    "generator": _generators,
    "image": _images,
    "shard": shards_of,
}
