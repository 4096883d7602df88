"""How each kind of thing is named, and which captions belong to it, bucket generation by bucket generation.

concept: `BUCKET/NAME` or `NAME`; caption: id or its beginning; background: its text; generator: `MODEL` or
`MODEL@REVISION`; image: `CAPTION_ID/VIEW` or its SHA-256; shard: SHA-256 or key; model: id or its beginning;
score: `MODEL_ID/DATASET/METRIC`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synclr_assets.provenance.lineage_generators import generators_of
from synclr_assets.provenance.lineage_index import find_caption, units_of
from synclr_assets.provenance.models import excluded_captions, find_model, units_of_model
from synclr_assets.provenance.scores import scores_of
from synclr_assets.store.errors import UnknownIdError
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.store.unit_rows import UnitRows

KINDS = ("concept", "caption", "background", "generator", "image", "shard", "model", "score")
GENERATED = ("enriched_captions", "images")
SHA256_CHARS = 64


class LineageError(ValueError):
    """A question about lineage that cannot be asked, told in one sentence."""


@dataclass(frozen=True)
class Reached:
    """Captions of one bucket generation."""

    unit: Unit
    caption_ids: pa.Array
    """Without repeats."""

    def rows(self, store: Store, table: str, columns: Sequence[str]) -> pa.Table:
        """Rows of a table that belong to the captions."""
        wanted = list(dict.fromkeys([*columns, "caption_id"]))
        rows = store.tables.read(table, partitions=self.unit.partitions, columns=wanted)
        return rows.filter(pc.is_in(rows["caption_id"], self.caption_ids)).select(list(columns))

    def members(self, store: Store) -> pa.Table:
        """`caption_id` and `shard_index` of those that are packed."""
        return self.rows(store, "shard_members", ["caption_id", "shard_index"])


def captions_from(store: Store, kind: str, identity: str, bucket: str | None = None) -> Iterator[Reached]:
    """The captions behind or of the named thing, `bucket` only where it is given.

    Raises UnknownIdError where nothing has this name, LineageError for an unknown kind.
    """
    if kind not in KINDS:
        raise LineageError(f"{kind!r} is no kind of thing; use one of: {', '.join(KINDS)}.")
    if kind == "caption":
        parts = _of_caption(store, identity)
    elif kind == "concept":
        parts = _of_concept(store, identity)
    elif kind == "background":
        parts = _matching(store, "enriched_captions", pc.field("background") == identity)
    elif kind == "generator":
        parts = _of_generator(store, identity)
    elif kind == "image":
        parts = _of_image(store, identity)
    elif kind == "shard":
        parts = _of_shard(store, identity)
    else:
        model = find_model(store, identity) if kind == "model" else model_of_score(store, identity)
        parts = _of_model(store, model)
    found = False
    for part in parts:
        if len(part.caption_ids) and bucket in (None, part.unit.bucket):
            found = True
            yield part
    if not found and kind != "model":
        where = f" in bucket {bucket}" if bucket else ""
        raise UnknownIdError(f"{store.location.uri} has no caption of {kind} {identity!r}{where}.")


def score_id(row: Mapping[str, Any]) -> str:
    """How a row of evals is named."""
    return f"{row['model_id']}/{row['dataset']}/{row['metric']}"


def model_of_score(store: Store, identity: str) -> dict[str, Any]:
    """The model that a score is of. Raises UnknownIdError where it has no such score."""
    model = find_model(store, identity.partition("/")[0])
    names = {score_id(row) for row in scores_of(store, model["model_id"]) if not row["is_baseline"]}
    if identity not in names:
        raise UnknownIdError(
            f"No score {identity!r}; model {model['model_id'][:12]} has "
            f"{', '.join(sorted(names)) or 'none yet'}."
        )
    return model


def _of_caption(store: Store, identity: str) -> Iterator[Reached]:
    row = find_caption(store, identity)
    yield Reached(Unit(row["bucket"], row["generation"]), pa.array([row["caption_id"]]))


def _of_concept(store: Store, identity: str) -> Iterator[Reached]:
    bucket, slash, name = identity.partition("/")
    known = store.tables.read("concepts", columns=["bucket", "generation", "concept"])
    wanted = pc.field("concept") == identity
    if slash:
        wanted |= (pc.field("bucket") == bucket) & (pc.field("concept") == name)
    found = known.filter(wanted).sort_by([("bucket", "ascending"), ("generation", "ascending")])
    captions = UnitRows(store.tables, "enriched_captions", found["bucket"].to_pylist())
    for row in found.to_pylist():
        unit = Unit(row["bucket"], row["generation"])
        yield _of_unit(captions, unit, pc.field("concept") == row["concept"])


def _of_generator(store: Store, identity: str) -> Iterator[Reached]:
    """Captions that the model wrote, and captions of which it drew an image."""
    model, _, revision = identity.partition("@")

    def is_it(generator: Mapping[str, Any]) -> bool:
        return generator["model"] == model and revision in ("", generator["revision"])

    wanted = pc.field("model") == model
    if revision:
        wanted &= pc.field("revision") == revision
    of_table = {table: generators_of(store, table, units_of(store, table)) for table in GENERATED}
    units = sorted({unit for found in of_table.values() for unit in found}, key=str)
    rows = {table: UnitRows(store.tables, table, [unit.bucket for unit in units]) for table in GENERATED}
    for unit in units:
        ids = [
            _of_unit(rows[table], unit, wanted).caption_ids
            for table in GENERATED
            if any(is_it(generator) for generator in of_table[table].get(unit, ()))
        ]
        if ids:
            yield Reached(unit, pc.unique(pa.concat_arrays(ids)))


def _of_image(store: Store, identity: str) -> Iterator[Reached]:
    caption_id, slash, _ = identity.partition("/")
    if slash:
        yield from _of_caption(store, caption_id)
    elif len(identity) == SHA256_CHARS:
        yield from _matching(store, "images", pc.field("sha256") == identity.lower())
    else:
        raise LineageError(f"image {identity!r} is neither CAPTION_ID/VIEW nor a SHA-256 of 64 characters.")


def _of_shard(store: Store, identity: str) -> Iterator[Reached]:
    columns = ["bucket", "generation", "shard_index"]
    is_it = (pc.field("sha256") == identity.lower()) | (pc.field("key") == identity)
    found = store.tables.read("shards", columns=columns, where=is_it)
    members = UnitRows(store.tables, "shard_members", found["bucket"].to_pylist())
    for row in found.to_pylist():
        unit = Unit(row["bucket"], row["generation"])
        yield _of_unit(members, unit, pc.field("shard_index") == row["shard_index"])


def _of_model(store: Store, model: Mapping[str, Any]) -> Iterator[Reached]:
    """Captions of the shards that its training read, less those it was kept from."""
    kept_from = pa.array(sorted(excluded_captions(store, model)), pa.string())
    consumed = store.tables.read(
        "consumption",
        partitions={"model_id": model["model_id"]},
        columns=["bucket", "generation", "shard_index"],
        where=pc.field("captions_read") > 0,
    )
    units = units_of_model(model)
    members = UnitRows(store.tables, "shard_members", [unit.bucket for unit in units])
    for unit in units:
        indexes = consumed.filter(unit.where)["shard_index"].to_pylist()
        ids = _of_unit(members, unit, pc.field("shard_index").isin(indexes)).caption_ids
        yield Reached(unit, ids.filter(pc.invert(pc.is_in(ids, kept_from))))


def _matching(store: Store, table: str, where: pc.Expression) -> Iterator[Reached]:
    units = units_of(store, table)
    rows = UnitRows(store.tables, table, [unit.bucket for unit in units])
    for unit in units:
        yield _of_unit(rows, unit, where)


def _of_unit(table: UnitRows, unit: Unit, where: pc.Expression) -> Reached:
    rows = table.read(unit, ["caption_id"], where)
    return Reached(unit, pc.unique(rows["caption_id"].combine_chunks()))
