"""Staleness in the UI: two checks that show which buckets and slices are stale, and an hourly schedule for them.

Both stand on `checkpoint`, which is made of all of a store. Dagster adds an asset's checks to every run that selects
it, so on an asset of buckets they would read the whole store in each bucket's run.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from synclr_assets.defs.jobs import WHOLE_STORE_CHECKS
from synclr_assets.defs.placement import Placement
from synclr_assets.defs.resources import ConceptBankResource, StoreResource
from synclr_assets.operations.staleness import bucket_states, slice_states
from synclr_assets.profiles import Profile, stage_settings
from synclr_assets.report.previews import markdown_table

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

FRESHNESS_JOB = "look_at_freshness"
SHOWN = 50
"""Stale buckets or slices listed; counts are of all."""


def buckets_are_fresh_check(placement: Placement, profile: Profile) -> dg.AssetChecksDefinition:
    """Every bucket is complete, as its file says and as the profile would make it."""

    @dg.asset_check(
        asset="checkpoint",
        name="buckets_are_up_to_date",
        description=(
            "Every bucket's newest generation is of its present file and the profile's settings, complete, and lost "
            "few captions."
        ),
        **placement.of("concepts"),
    )
    def buckets_are_up_to_date(
        store: StoreResource, concept_bank: ConceptBankResource
    ) -> dg.AssetCheckResult:
        states = bucket_states(store.open(), concept_bank.read(), stage_settings(profile))
        stale = [state for state in states.values() if state.reasons]
        now = datetime.now(UTC)
        ages = [
            age.total_seconds() / 86400 for state in states.values() if (age := state.age(now)) is not None
        ]
        rows = [(state.bucket, "; ".join(state.reasons)) for state in stale]
        newest = Counter(
            "none" if state.newest is None else str(state.newest.unit.generation) for state in states.values()
        )
        return _verdict(
            rows,
            len(states),
            {"oldest (days)": round(max(ages, default=0.0), 2), "generations": dict(newest)},
        )

    return buckets_are_up_to_date


def models_are_fresh_check(placement: Placement) -> dg.AssetChecksDefinition:
    """Every slice's newest model read the newest shards of its buckets."""

    @dg.asset_check(
        asset="checkpoint",
        name="models_are_up_to_date",
        description="Every named slice has a model, trained on the newest packed generation of all its buckets.",
        **placement.of("concepts"),
    )
    def models_are_up_to_date(store: StoreResource, concept_bank: ConceptBankResource) -> dg.AssetCheckResult:
        opened, bank = store.open(), concept_bank.read()
        states = slice_states(opened, bank, bucket_states(opened, bank))
        rows = [
            (state.slice_name, "; ".join(state.reasons[:3])) for state in states.values() if state.reasons
        ]
        return _verdict(rows, len(states), {})

    return models_are_up_to_date


def freshness_job() -> "UnresolvedAssetJobDefinition":
    """Both checks, nothing else."""
    return dg.define_asset_job(
        FRESHNESS_JOB,
        selection=dg.AssetSelection.checks(*WHOLE_STORE_CHECKS),
        description="Look which buckets and models are stale; reads the tables' logs only.",
    )


def freshness_schedule() -> dg.ScheduleDefinition:
    """Hourly, stopped until somebody turns it on."""
    return dg.ScheduleDefinition(
        name="hourly_freshness",
        job_name=FRESHNESS_JOB,
        cron_schedule="17 * * * *",
        description="Keeps the staleness that the UI shows an hour young.",
    )


def _verdict(rows: Sequence[tuple[str, str]], total: int, facts: Mapping[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(rows)} of {total} are stale.",
        metadata={
            "stale": len(rows),
            "of": total,
            **facts,
            "list": dg.MarkdownMetadataValue(markdown_table(("name", "because"), rows[:SHOWN])),
        },
    )
