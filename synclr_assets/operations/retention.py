"""What may be dropped and dropping it: packed image bytes, old generations, unwanted models. A dry run comes first.

Nothing that a kept model read is touched. Rows of `concepts` and `ledger` stay: they say what was and what it cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synclr_assets.concept_bank.bucket import Bucket
from synclr_assets.operations.plan_file import PlanRefusedError
from synclr_assets.operations.unit_states import STORED_TABLES, UnitState, read_units
from synclr_assets.provenance.models import models
from synclr_assets.stages.concepts import mark_dropped
from synclr_assets.stages.shards import shard_folder
from synclr_assets.store.store import Store
from synclr_assets.store.tables import sql_literal
from synclr_assets.store.transactions import Unit

DROPPED_TABLES = tuple(name for name in STORED_TABLES if name != "concepts")
MODEL_TABLES = ("models", "consumption", "evals")
DEFAULT_HORIZON_HOURS = 168
"""A week: longer than any run that may still read a file of an older table version."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RetentionRule(_Frozen):
    """What is kept."""

    keep_generations: int = Field(default=2, ge=1)
    """Newest generations kept of each bucket; the newest packed one is kept in any case."""
    keep_models: int | None = Field(default=None, ge=1)
    """Newest models kept of each slice; None keeps all. What a kept model read is kept with it."""
    keep_packed_bytes: bool = False
    """Whether `image_bytes` stay after their images are in shards."""
    horizon_hours: int = Field(default=DEFAULT_HORIZON_HOURS, ge=0)
    """Files of older table versions younger than this are not vacuumed."""


class DroppedUnit(_Frozen):
    """One bucket generation of which rows or bytes go."""

    bucket: str
    generation: int
    table_bytes: int
    shard_bytes: int = 0

    @property
    def unit(self) -> Unit:
        return Unit(self.bucket, self.generation)


class RetentionPlan(_Frozen):
    """Exactly what would be dropped."""

    store: str
    rule: RetentionRule
    packed_bytes: tuple[DroppedUnit, ...]
    """Generations whose `image_bytes` go; their shards hold the images."""
    generations: tuple[DroppedUnit, ...]
    """Generations that go with their shards."""
    models: tuple[str, ...]
    """Ids of models that go with their scores and files."""

    @property
    def is_empty(self) -> bool:
        return not (self.packed_bytes or self.generations or self.models)


def plan_retention(store: Store, buckets: Mapping[str, Bucket], rule: RetentionRule) -> RetentionPlan:
    """What the rule drops now. Buckets without a file are treated as the others."""
    dropped_models, kept = _split_models(store, rule.keep_models)
    needed = {Unit(entry["bucket"], entry["generation"]) for model in kept for entry in model["inputs"]}
    bytes_of, generations = [], []
    for units in read_units(store.tables, buckets).values():
        going = _old_generations(units, rule.keep_generations, needed)
        generations += [_dropped(store, state, DROPPED_TABLES) for state in going]
        if not rule.keep_packed_bytes:
            staying = [state for state in units if state not in going]
            packed = [state for state in staying if state.is_packed and state.rows["image_bytes"]]
            bytes_of += [_dropped(store, state, ("image_bytes",)) for state in packed]
    return RetentionPlan(
        store=store.location.uri,
        rule=rule,
        packed_bytes=tuple(bytes_of),
        generations=tuple(generations),
        models=tuple(model["model_id"] for model in dropped_models),
    )


def apply_retention(store: Store, buckets: Mapping[str, Bucket], plan: RetentionPlan) -> Iterator[str]:
    """Drop exactly what the plan says. Raises PlanRefusedError where the rule would no longer drop all of it.

    Killed, it is planned and applied again: what is half gone is found and finished.
    """
    if plan.store != store.location.uri:
        raise PlanRefusedError(f"The plan is for {plan.store}, not for {store.location.uri}.")
    _check_still_allowed(plan, plan_retention(store, buckets, plan.rule))
    touched: set[str] = set()
    for model_id in plan.models:
        _drop_model(store, model_id)
        touched.update(MODEL_TABLES)
        yield (f"model {model_id[:12]} with its scores and files")
    for one in plan.generations:
        _drop_generation(store, one.unit)
        touched.update(DROPPED_TABLES)
        yield (f"{one.unit} with its shards")
    for one in plan.packed_bytes:
        _delete_rows(store, "image_bytes", one.unit.predicate)
        touched.add("image_bytes")
        yield (f"image bytes of {one.unit}")
    for name in sorted(touched):
        yield (f"{vacuum(store, name, plan.rule.horizon_hours)} old files of table {name}")


def vacuum(store: Store, name: str, horizon_hours: int) -> int:
    """Delete files that no version of the table younger than the horizon needs; how many."""
    handle = store.tables.open(name)
    if handle is None:
        return 0
    enforced = horizon_hours >= DEFAULT_HORIZON_HOURS
    return len(handle.vacuum(horizon_hours, dry_run=False, enforce_retention_duration=enforced))


def write_retention_plan(plan: RetentionPlan, path: Path) -> None:
    path.write_text(plan.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_retention_plan(path: Path) -> RetentionPlan:
    """The plan in a file. Raises PlanRefusedError in one sentence."""
    try:
        return RetentionPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PlanRefusedError(f"{path} cannot be read ({error.strerror}): name a plan file.") from error
    except ValidationError as error:
        raise PlanRefusedError(
            f"{path} is no retention plan: make one with `synclr retention plan`."
        ) from error


def _split_models(store: Store, keep: int | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(models that go, models that stay); the newest of each slice stay."""
    going: list[dict[str, Any]] = []
    staying: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for model in models(store):
        seen[model["slice"]] = seen.get(model["slice"], 0) + 1
        (staying if keep is None or seen[model["slice"]] <= keep else going).append(model)
    return going, staying


def _old_generations(units: list[UnitState], keep: int, needed: set[Unit]) -> list[UnitState]:
    """Generations older than the newest packed one, beyond the newest `keep`, that no kept model read."""
    packed = [state.unit.generation for state in units if state.is_packed]
    if not packed:
        return []
    candidates = units[: max(len(units) - keep, 0)]
    return [
        state
        for state in candidates
        if state.unit.generation < max(packed)
        and state.unit not in needed
        and any(state.rows[name] for name in DROPPED_TABLES)
    ]


def _dropped(store: Store, state: UnitState, names: tuple[str, ...]) -> DroppedUnit:
    shard_bytes = 0
    if "shards" in names:
        sizes = store.tables.read("shards", partitions=state.unit.partitions, columns=["size_bytes"])
        shard_bytes = sum(sizes["size_bytes"].to_pylist())
    return DroppedUnit(
        bucket=state.unit.bucket,
        generation=state.unit.generation,
        table_bytes=sum(state.size_bytes[name] for name in names),
        shard_bytes=shard_bytes,
    )


def _check_still_allowed(plan: RetentionPlan, now: RetentionPlan) -> None:
    allowed = {
        "generations": {one.unit for one in now.generations},
        "packed_bytes": {one.unit for one in (*now.packed_bytes, *now.generations)},
    }
    for part in ("generations", "packed_bytes"):
        for one in getattr(plan, part):
            if one.unit not in allowed[part]:
                raise PlanRefusedError(
                    f"The world changed since the plan was made: {one.unit} is needed now, or is gone; plan again."
                )
    if not set(plan.models) <= set(now.models):
        raise PlanRefusedError(
            "The world changed since the plan was made: a model of it stays now; plan again."
        )


def _drop_generation(store: Store, unit: Unit) -> None:
    """Marked first, so that nothing begins to read it; then rows, the shards' own last of all; then files."""
    mark_dropped(store.tables, unit)
    for name in DROPPED_TABLES:
        if name != "shards":
            _delete_rows(store, name, unit.predicate)
    store.blobs.delete(store.blobs.keys(shard_folder(unit)))
    _delete_rows(store, "shards", unit.predicate)


def _drop_model(store: Store, model_id: str) -> None:
    """Its row in `models` goes last, so that a killed drop is found again."""
    keys = [model["key"] for model in models(store) if model["model_id"] == model_id]
    for key in keys:
        store.blobs.delete(store.blobs.keys(key))
    for name in reversed(MODEL_TABLES):
        _delete_rows(store, name, f"model_id = {sql_literal(model_id)}")


def _delete_rows(store: Store, name: str, predicate: str) -> None:
    handle = store.tables.open(name)
    if handle is not None:
        handle.delete(predicate)
