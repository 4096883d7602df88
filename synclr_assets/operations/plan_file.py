"""A regeneration plan as a file, and the record in the store that it was begun. Decides nothing about buckets."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_assets.synthesis.identity import digest_hex

FORMAT = 1


class PlanRefusedError(StoreError):
    """A plan that cannot be applied: its file is damaged, it was applied before, or the world changed."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedBucket(_Frozen):
    """What is made of one bucket."""

    bucket: str
    latest: int | None
    """The newest generation when the plan was made; None for a bucket that was never made."""
    generation: int
    """The generation to make: the next one, or an unfinished one to complete."""
    num_captions: int
    reasons: tuple[str, ...]


class PlannedCost(_Frozen):
    """What the plan is expected to take; an amount named in `lower_bounds` is at least that."""

    num_captions: int
    requests: float
    tokens: float
    gpu_hours: float
    cpu_hours: float
    size_bytes: float
    usd: float
    days: float
    lower_bounds: tuple[str, ...] = ()


class Plan(_Frozen):
    """Exactly what to make, what it costs, what it outdates, and the facts that it rests on."""

    format: int = FORMAT
    store: str
    slice_name: str
    buckets: tuple[PlannedBucket, ...]
    trains: bool
    """Whether the slice's model and scores are made after its buckets."""
    cost: PlannedCost
    outdated_shards: dict[str, int]
    """Bucket -> shards that training will no longer take."""
    outdated_models: tuple[str, ...]
    """Ids of models that read a generation which is no longer the newest."""
    world: dict[str, str]
    """Fact -> its value when the plan was made; applying it demands that they still hold."""
    table_versions: dict[str, int]
    """Delta versions then, for people who look back."""

    @property
    def plan_id(self) -> str:
        """The same plan of the same world has the same id."""
        return digest_hex("plan", self.model_dump_json(exclude={"table_versions"}))[:16]

    @property
    def generations(self) -> dict[str, int]:
        return {planned.bucket: planned.generation for planned in self.buckets}


def write_plan(plan: Plan, path: Path) -> None:
    """Write the plan for a person to read and to apply."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(plan.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def read_plan_file(path: Path) -> Plan:
    """The plan in a file. Raises PlanRefusedError in one sentence."""
    try:
        return Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PlanRefusedError(f"{path} cannot be read ({error.strerror}): name a plan file.") from error
    except ValidationError as error:
        raise PlanRefusedError(
            f"{path} is no plan of this version: make it again with `synclr plan regenerate`."
        ) from error


def planned_generations(store: Store, plan_id: str) -> dict[str, int]:
    """Bucket -> generation of a plan that was begun. Raises PlanRefusedError for an unknown one."""
    try:
        return Plan.model_validate_json(store.blobs.read(_begun_key(plan_id))).generations
    except FileNotFoundError as error:
        raise PlanRefusedError(f"Plan {plan_id} was never begun in {store.location.uri}.") from error


def is_begun(store: Store, plan: Plan) -> bool:
    return store.blobs.exists(_begun_key(plan.plan_id))


def is_finished(store: Store, plan: Plan) -> bool:
    return store.blobs.exists(_finished_key(plan.plan_id))


def record_begun(store: Store, plan: Plan) -> None:
    """Keep the plan in the store, where its runs read which generations they make."""
    store.blobs.put_bytes(_begun_key(plan.plan_id), plan.model_dump_json().encode())


def record_finished(store: Store, plan: Plan) -> None:
    """Mark the plan as done or handed over; it is not applied again."""
    store.blobs.put_bytes(_finished_key(plan.plan_id), b"")


def _begun_key(plan_id: str) -> str:
    return f"plans/{plan_id}.json"


def _finished_key(plan_id: str) -> str:
    return f"plans/{plan_id}.finished"
