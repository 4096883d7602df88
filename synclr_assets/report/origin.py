"""What a model was made from, counted for its page: data, generators, losses on the way, costs.

Counts by streaming a few narrow columns, so memory does not grow with the slice. Formats nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from synclr_assets.provenance.models import units_of_model
from synclr_assets.store.store import Store
from synclr_assets.store.sums import Sums, sums_by
from synclr_assets.store.transactions import Unit
from synclr_assets.store.unit_rows import any_of
from synclr_assets.synthesis.identity import TEMPLATES

GENERATOR_TABLES = (("enriched_captions", "captions"), ("backgrounds", "backgrounds"), ("images", "images"))
GENERATOR_COLUMNS = ("model", "revision", "licence", "fingerprint")
COST_COLUMNS = (
    "units",
    "requests",
    "prompt_tokens",
    "completion_tokens",
    "wall_seconds",
    "gpu_seconds",
    "size_bytes",
    "usd",
)
MAX_SHARDS_LISTED = 120


@dataclass(frozen=True)
class UnitOrigin:
    """One bucket generation behind a model, from the tables models, shards and consumption."""

    unit: Unit
    num_captions: int
    num_images: int
    num_shards: int
    size_bytes: int
    captions_by_template: dict[str, int]
    captions_read: int
    images_read: int
    epochs_lowest: float
    """Of the shard that was read least."""
    epochs_highest: float
    """Of the shard that was read most."""

    @property
    def epochs_mean(self) -> float:
        return self.captions_read / self.num_captions if self.num_captions else 0.0


@dataclass(frozen=True)
class Generator:
    """A model that made some of the data, under one settings fingerprint."""

    made: str
    model: str
    revision: str
    licence: str
    fingerprint: str
    num_rows: int


@dataclass(frozen=True)
class Cost:
    """What one stage spent on this model and its data."""

    stage: str
    units: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    wall_seconds: float
    gpu_seconds: float
    size_bytes: int
    usd: float


@dataclass(frozen=True)
class Quarantined:
    """Captions given up at one stage for one reason."""

    stage: str
    reason: str
    num_captions: int


@dataclass(frozen=True)
class Origin:
    """Everything a model was made from."""

    units: tuple[UnitOrigin, ...]
    generators: tuple[Generator, ...]
    quarantined: tuple[Quarantined, ...]
    costs: tuple[Cost, ...]
    shards: tuple[dict[str, Any], ...]
    """The first shards of every unit, with `epochs`: at most about MAX_SHARDS_LISTED."""

    @property
    def num_captions(self) -> int:
        return sum(unit.num_captions for unit in self.units)

    @property
    def num_images(self) -> int:
        return sum(unit.num_images for unit in self.units)

    @property
    def num_shards(self) -> int:
        return sum(unit.num_shards for unit in self.units)

    @property
    def captions_read(self) -> int:
        return sum(unit.captions_read for unit in self.units)

    @property
    def size_bytes(self) -> int:
        return sum(unit.size_bytes for unit in self.units)

    @property
    def captions_by_template(self) -> dict[str, int]:
        """Over all units, every template that occurs."""
        counts: dict[str, int] = {}
        for unit in self.units:
            for template, count in unit.captions_by_template.items():
                counts[template] = counts.get(template, 0) + count
        return {template: counts[template] for template in sorted(counts, key=_template_order)}


def origin_of(store: Store, model: Mapping[str, Any]) -> Origin:
    """Count what the recorded model (a row of models) was made from."""
    units = units_of_model(model)
    anywhere = any_of(units)
    quarantined = _sums(store, "quarantine", anywhere, ("stage", "reason"))
    return Origin(
        units=_units(store, model, anywhere),
        generators=_generators(store, anywhere),
        quarantined=tuple(
            Quarantined(stage, reason, int(count))
            for (stage, reason), (count,) in sorted(quarantined.items())
        ),
        costs=_costs(store, model["model_id"], anywhere),
        shards=_listed_shards(store, model["model_id"], units),
    )


def _sums(
    store: Store, table: str, where: pc.Expression, by: Sequence[str], sums: Sequence[str] = ()
) -> Sums:
    return sums_by(store.tables.snapshot(table), by, sums, where)


def _units(store: Store, model: Mapping[str, Any], anywhere: pc.Expression) -> tuple[UnitOrigin, ...]:
    unit_columns = ("bucket", "generation")
    templates = _sums(store, "enriched_captions", anywhere, (*unit_columns, "template"))
    packed = _sums(store, "shards", anywhere, unit_columns, ("num_images", "size_bytes"))
    consumed = store.tables.read(
        "consumption",
        partitions={"model_id": model["model_id"]},
        columns=[*unit_columns, "captions_read", "images_read", "epochs"],
    )
    aggregates = [("captions_read", "sum"), ("images_read", "sum"), ("epochs", "min"), ("epochs", "max")]
    read = {
        (row["bucket"], row["generation"]): row
        for row in consumed.group_by(list(unit_columns)).aggregate(aggregates).to_pylist()
    }
    templates_of: dict[tuple[str, int], dict[str, int]] = {}
    for (bucket, generation, template), (count,) in sorted(templates.items()):
        templates_of.setdefault((bucket, generation), {})[template] = int(count)
    origins = []
    for entry in sorted(model["inputs"], key=lambda entry: (entry["bucket"], entry["generation"])):
        key = (entry["bucket"], entry["generation"])
        _, num_images, size_bytes = packed.get(key, (0, 0, 0))
        row = read.get(key, {})
        origins.append(
            UnitOrigin(
                unit=Unit(*key),
                num_captions=entry["num_captions"],
                num_images=int(num_images),
                num_shards=len(entry["shard_sha256s"]),
                size_bytes=int(size_bytes),
                captions_by_template=templates_of.get(key, {}),
                captions_read=row.get("captions_read_sum", 0),
                images_read=row.get("images_read_sum", 0),
                epochs_lowest=row.get("epochs_min", 0.0),
                epochs_highest=row.get("epochs_max", 0.0),
            )
        )
    return tuple(origins)


def _generators(store: Store, anywhere: pc.Expression) -> tuple[Generator, ...]:
    return tuple(
        Generator(made, model, revision, licence, fingerprint, int(count))
        for table, made in GENERATOR_TABLES
        for (model, revision, licence, fingerprint), (count,) in sorted(
            _sums(store, table, anywhere, GENERATOR_COLUMNS).items()
        )
    )


def _costs(store: Store, model_id: str, anywhere: pc.Expression) -> tuple[Cost, ...]:
    """Of the data, which other models share, and of this model alone; in the order of the rows' stages."""
    for_data = anywhere & pc.field("model_id").is_null()
    spent = _sums(store, "ledger", for_data | (pc.field("model_id") == model_id), ("stage",), COST_COLUMNS)
    order = ("concepts", "captions", "backgrounds", "enriched_captions", "images", "shards")
    ranked = sorted(spent.items(), key=lambda item: (_index(order, item[0][0]), item[0][0]))
    return tuple(
        Cost(stage, int(u), int(r), int(p), int(c), wall, gpu, int(size), usd)
        for (stage,), (_, u, r, p, c, wall, gpu, size, usd) in ranked
    )


def _listed_shards(store: Store, model_id: str, units: Sequence[Unit]) -> tuple[dict[str, Any], ...]:
    per_unit = max(1, MAX_SHARDS_LISTED // len(units))
    first = any_of(units) & (pc.field("shard_index") < per_unit)
    order = [("bucket", "ascending"), ("generation", "ascending"), ("shard_index", "ascending")]
    rows = store.tables.read("shards", where=first).sort_by(order).to_pylist()
    consumed = store.tables.read("consumption", partitions={"model_id": model_id}, where=first).to_pylist()
    epochs = {(row["bucket"], row["generation"], row["shard_index"]): row["epochs"] for row in consumed}
    return tuple(
        row | {"epochs": epochs.get((row["bucket"], row["generation"], row["shard_index"]), 0.0)}
        for row in rows
    )


def _template_order(template: str) -> tuple[int, str]:
    return _index(TEMPLATES, template), template


def _index(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)
