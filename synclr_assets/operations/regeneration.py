"""Choosing the stalest buckets of a slice, planning their next generation, and telling whether a plan still holds.

A broken bucket comes first (never made, unfinished, its file changed), then one with failed checks, then one
whose models score worse for it, then the oldest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.cost.workload import buckets_of
from synclr_assets.operations.plan_file import (
    Plan,
    PlannedBucket,
    PlannedCost,
    PlanRefusedError,
    is_begun,
    is_finished,
)
from synclr_assets.operations.staleness import BucketState
from synclr_assets.operations.unit_states import STAGES
from synclr_assets.provenance.models import models
from synclr_assets.store.store import Store
from synclr_assets.synthesis.identity import digest_hex

PINNED_TABLES = (*STAGES, "models")


@dataclass(frozen=True)
class Evidence:
    """What speaks for making a bucket anew, beyond its own state."""

    now: datetime
    failed_checks: Mapping[str, Sequence[str]]
    """Bucket -> names of checks whose newest verdict on its newest generation is a failure."""
    contributions: Mapping[str, float]
    """Bucket -> what it seems to add to scores (operations/contribution.py)."""


def stalest(
    states: Sequence[BucketState], evidence: Evidence, count: int, min_age: timedelta
) -> list[tuple[BucketState, tuple[str, ...]]]:
    """The `count` stalest buckets, stalest first, each with its reasons. Age alone counts from `min_age` on."""
    ranked = []
    for state in states:
        reasons = [*state.reasons, *_evidence_against(state, evidence)]
        age = state.age(evidence.now)
        if age is not None and age >= min_age:
            reasons.append(f"{age.days} days old")
        if reasons:
            failed = len(evidence.failed_checks.get(state.bucket, ()))
            harm = min(evidence.contributions.get(state.bucket, 0.0), 0.0)
            seconds = age.total_seconds() if age is not None else 0.0
            ranked.append(((not state.reasons, -failed, harm, -seconds, state.bucket), state, tuple(reasons)))
    return [(state, reasons) for _, state, reasons in sorted(ranked, key=lambda one: one[0])[:count]]


def _evidence_against(state: BucketState, evidence: Evidence) -> list[str]:
    reasons = [f"check {name} failed" for name in evidence.failed_checks.get(state.bucket, ())]
    contribution = evidence.contributions.get(state.bucket)
    if contribution is not None and contribution < 0:
        reasons.append(f"models score {-contribution:.3f} lower with it")
    return reasons


def next_generation(state: BucketState, file_fingerprint: str) -> int:
    """The one to make: an unfinished newest of today's file and settings is completed, all else is followed."""
    if state.newest is None:
        return 0
    unfinished = state.newest.first_unfinished is not None and not state.has_other_settings
    if unfinished and state.newest.file_fingerprint == file_fingerprint:
        return state.newest.unit.generation
    return state.newest.unit.generation + 1


def make_plan(
    store: Store,
    bank: ConceptBank,
    slice_name: str,
    chosen: Sequence[tuple[BucketState, tuple[str, ...]]],
    cost: PlannedCost,
    settings: str,
    *,
    trains: bool = True,
) -> Plan:
    """The plan that makes the chosen buckets of the slice. `settings` is the fingerprint of the profile."""
    members = buckets_of(bank, slice_name)
    planned = []
    for state, reasons in sorted(chosen, key=lambda one: one[0].bucket):
        bucket = bank.buckets[state.bucket]
        planned.append(
            PlannedBucket(
                bucket=state.bucket,
                latest=None if state.newest is None else state.newest.unit.generation,
                generation=next_generation(state, bucket.fingerprint),
                num_captions=bucket.num_captions,
                reasons=reasons,
            )
        )
    renewed = {one.bucket for one in planned if one.latest is None or one.generation > one.latest}
    outdated = {
        state.bucket: state.packed.rows["shards"]
        for state, _ in chosen
        if state.bucket in renewed and state.packed is not None
    }
    states = {state.bucket: state for state, _ in chosen}
    versions = {name: store.tables.version(name) for name in PINNED_TABLES}
    return Plan(
        store=store.location.uri,
        slice_name=slice_name,
        buckets=tuple(planned),
        trains=trains,
        cost=cost,
        outdated_shards=outdated,
        outdated_models=tuple(_models_of(store, renewed)),
        world=world_of(store, bank, members, states, settings),
        table_versions={name: version for name, version in versions.items() if version is not None},
    )


def world_of(
    store: Store,
    bank: ConceptBank,
    members: Sequence[str],
    states: Mapping[str, BucketState],
    settings: str,
) -> dict[str, str]:
    """The facts that a plan rests on: settings, members, and of each bucket its file, generation and progress."""
    facts = {
        "the settings of the profile": settings,
        "the buckets of the slice": digest_hex("members", *members)[:16],
        "the recorded models": digest_hex("models", *sorted(_models_of(store, set(states))))[:16],
    }
    for name, state in sorted(states.items()):
        bucket = bank.buckets.get(name)
        newest = state.newest
        facts[f"the file of {name}"] = "gone" if bucket is None else bucket.fingerprint
        facts[f"the newest generation of {name}"] = "none" if newest is None else str(newest.unit.generation)
        progress = [] if newest is None else [f"{stage} {newest.done(stage)}" for stage in STAGES]
        facts[f"the progress of {name}"] = ", ".join(progress)
    return facts


def check_plan(
    store: Store, bank: ConceptBank, plan: Plan, states: Mapping[str, BucketState], settings: str
) -> bool:
    """Whether the plan was begun before, in which case it is continued. Raises PlanRefusedError.

    A plan that was begun may find its own generations opened and unfinished; everything else must be as it was.
    """
    if plan.store != store.location.uri:
        raise PlanRefusedError(f"The plan is for {plan.store}, not for {store.location.uri}.")
    begun = is_begun(store, plan)
    chosen = {name: states[name] for name in plan.generations if name in states}
    if is_finished(store, plan):
        raise PlanRefusedError(f"Plan {plan.plan_id} was applied before: make a new one.")
    members = buckets_of(bank, plan.slice_name)
    now = world_of(store, bank, members, chosen, settings)
    moves = {
        f"the {fact} of {name}" for name in plan.generations for fact in ("newest generation", "progress")
    }
    for fact, was in plan.world.items():
        if now.get(fact, "gone") == was or (begun and fact in moves | {"the recorded models"}):
            continue
        raise PlanRefusedError(
            f"The world changed since plan {plan.plan_id} was made: {fact} was {was!r:.40}, now it is "
            f"{now.get(fact, 'gone')!r:.40}; make a new plan."
        )
    if begun:
        _check_own_generations(plan, chosen)
    return begun


def _check_own_generations(plan: Plan, states: Mapping[str, BucketState]) -> None:
    for planned in plan.buckets:
        newest = states[planned.bucket].newest
        generation = None if newest is None else newest.unit.generation
        if generation not in (planned.latest, planned.generation):
            raise PlanRefusedError(
                f"The world changed since plan {plan.plan_id} was begun: {planned.bucket} has generation "
                f"{generation}, the plan makes {planned.generation}; make a new plan."
            )


def _models_of(store: Store, buckets: set[str]) -> list[str]:
    """Ids of recorded models that read any of the buckets."""
    return [
        model["model_id"]
        for model in models(store)
        if any(entry["bucket"] in buckets for entry in model["inputs"])
    ]
