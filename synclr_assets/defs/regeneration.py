"""Regenerating stale buckets: the plan from everything that is known, a job that carries one out, its schedules."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._utils.schedules import is_valid_cron_schedule
from pydantic import Field

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.cost.rates import Generators, Rates
from synclr_assets.cost.settings_files import SettingsFileError
from synclr_assets.cost.workload import buckets_of
from synclr_assets.defs.backfills import submit_backfill
from synclr_assets.defs.check_verdicts import failed_checks
from synclr_assets.defs.generations import PLAN_TAG
from synclr_assets.defs.jobs import DATASET_ASSETS, MODEL_ASSETS
from synclr_assets.defs.resources import ConceptBankResource, StoreResource
from synclr_assets.operations.contribution import contributions
from synclr_assets.operations.plan_cost import planned_cost
from synclr_assets.operations.plan_file import Plan, record_begun, record_finished
from synclr_assets.operations.regeneration import Evidence, check_plan, make_plan, stalest
from synclr_assets.operations.schedules_file import SCHEDULES_FILE, Regeneration, SliceSchedule, over_budget
from synclr_assets.operations.staleness import BucketState, bucket_states
from synclr_assets.profiles import Profile, stage_settings
from synclr_assets.store.store import Store
from synclr_assets.synthesis.identity import digest_hex
from synclr_train.recipes import get_recipe

REGENERATE_JOB = "regenerate_stalest"


class RegenerationConfig(dg.Config):
    """Which slice, and how many of its buckets."""

    slice_name: str = Field(description="The slice.")
    stalest: int = Field(default=1, gt=0, description="Buckets made anew.")
    min_age_days: float = Field(
        default=7.0, ge=0, description="Younger buckets are left alone unless broken."
    )
    train: bool = Field(default=True, description="Train and score the slice afterwards.")
    budget: dict[str, float] = Field(
        default_factory=dict, description="Limits: usd, tokens, gpu_seconds, ..."
    )
    budget_days: float = Field(default=30.0, gt=0, description="Days that the budget is for.")


class Planner:
    """Everything that a plan needs to know: the bank, the store, the profile, Dagster's record of checks."""

    def __init__(
        self,
        store: Store,
        bank: ConceptBank,
        profile: Profile,
        instance: dg.DagsterInstance,
        asset_graph: BaseAssetGraph,
    ) -> None:
        self.store = store
        self.bank = bank
        self.profile = profile
        self.instance = instance
        self.asset_graph = asset_graph

    @property
    def settings(self) -> str:
        """Fingerprint of the profile: a plan made under another one is refused."""
        return digest_hex("profile", self.profile.model_dump_json())[:16]

    def plan(
        self,
        slice_name: str,
        count: int,
        min_age: timedelta,
        *,
        only: Sequence[str] | None = None,
        trains: bool = True,
        rates: Rates | None = None,
    ) -> Plan | None:
        """The plan for the stalest buckets of a slice, or for exactly `only` these; None where none is stale."""
        members = buckets_of(self.bank, slice_name)
        states = bucket_states(self.store, self.bank, stage_settings(self.profile))
        evidence = self._evidence(states)
        if only is None:
            chosen = stalest([states[name] for name in members], evidence, count, min_age)
        else:
            asked = [states[name] for name in only]
            reasons = dict(_reasons(asked, evidence))
            chosen = [(state, reasons.get(state.bucket, ("asked for",))) for state in asked]
        if not chosen:
            return None
        names = [state.bucket for state, _ in chosen]
        recipe = get_recipe(self.profile.trainer.recipe)
        generators = Generators(
            captioner=self.profile.captioner,
            backgrounds=self.profile.background_writer,
            images=self.profile.image_sampler,
        )
        given = rates or Rates(generators=generators)
        cost = planned_cost(self.store, self.bank, names, given, recipe, trains=trains)
        return make_plan(self.store, self.bank, slice_name, chosen, cost, self.settings, trains=trains)

    def begin(self, plan: Plan) -> None:
        """Check that the plan still holds, and keep it in the store for its runs. Raises PlanRefusedError."""
        states = bucket_states(self.store, self.bank, stage_settings(self.profile))
        if not check_plan(self.store, self.bank, plan, states, self.settings):
            record_begun(self.store, plan)

    def submit(self, plan: Plan) -> str:
        """Hand a begun plan to the daemon as one backfill; its id. Submitting it again adds nothing."""
        partitions: dict[str, Sequence[str]] = {name: list(plan.generations) for name in DATASET_ASSETS}
        if plan.trains:
            partitions |= {name: [plan.slice_name] for name in MODEL_ASSETS}
        backfill_id = f"plan-{plan.plan_id}"
        title = f"regenerate {len(plan.buckets)} of {plan.slice_name}"
        submit_backfill(
            self.instance, self.asset_graph, backfill_id, partitions, {PLAN_TAG: plan.plan_id}, title
        )
        record_finished(self.store, plan)
        return backfill_id

    def _evidence(self, states: Mapping[str, BucketState]) -> Evidence:
        newest = {
            name: state.newest.unit.generation for name, state in states.items() if state.newest is not None
        }
        failed = failed_checks(self.instance, self.asset_graph.asset_check_keys, newest)
        return Evidence(datetime.now(UTC), failed, contributions(self.store))


def _reasons(states: Sequence[BucketState], evidence: Evidence) -> list[tuple[str, tuple[str, ...]]]:
    """Bucket and what speaks against it, age left out."""
    ranked = stalest(states, evidence, len(states), timedelta.max)
    return [(state.bucket, reasons) for state, reasons in ranked]


def regenerate_job(profile: Profile, assets: Sequence[dg.AssetsDefinition]) -> dg.JobDefinition:
    """One step: plan, hold against the budget, hand to the daemon. A person can launch it from the UI as well."""

    @dg.op(description="Plan the stalest buckets of a slice and queue their next generation as a backfill.")
    def plan_and_queue(
        context: dg.OpExecutionContext,
        config: RegenerationConfig,
        store: StoreResource,
        concept_bank: ConceptBankResource,
    ) -> None:
        asked = Regeneration.model_validate(config.model_dump(exclude={"slice_name"}))
        opened, bank = store.open(), concept_bank.read()
        planner = Planner(opened, bank, profile, context.instance, AssetGraph.from_assets(assets))
        min_age = timedelta(days=asked.min_age_days)
        plan = planner.plan(config.slice_name, asked.stalest, min_age, trains=asked.train)
        if plan is None:
            context.log.info(f"no bucket of {config.slice_name} is stale")
            return
        over = over_budget(opened, bank, config.slice_name, asked, plan.cost, datetime.now(UTC))
        if over is not None:
            raise dg.Failure(over, allow_retries=False)
        planner.begin(plan)
        backfill_id = planner.submit(plan)
        for planned in plan.buckets:
            why = ", ".join(planned.reasons)
            context.log.info(f"{planned.bucket} generation {planned.generation}: {why}")
        context.log.info(f"backfill {backfill_id} is queued for plan {plan.plan_id}")

    @dg.job(
        name=REGENERATE_JOB,
        description="Regenerate the stalest buckets of a slice, within a budget.",
        executor_def=dg.in_process_executor,
    )
    def regenerate_stalest() -> None:
        plan_and_queue()

    return regenerate_stalest


def regeneration_schedules(schedules: Mapping[str, SliceSchedule]) -> list[dg.ScheduleDefinition]:
    """One schedule per entry of the file, stopped until somebody turns it on. Raises SettingsFileError."""
    for name, schedule in schedules.items():
        if not is_valid_cron_schedule(schedule.cron):
            raise SettingsFileError(
                f"{SCHEDULES_FILE}, schedules.{name}.cron: {schedule.cron!r} is no cron; write five fields such "
                "as '0 3 * * 0'."
            )
    return [
        dg.ScheduleDefinition(
            name=f"regenerate_{name.replace('-', '_')}",
            job_name=REGENERATE_JOB,
            cron_schedule=schedule.cron,
            execution_timezone=schedule.timezone,
            run_config={"ops": {"plan_and_queue": {"config": _config(name, schedule)}}},
            description=f"The {schedule.stalest} stalest buckets of {name} ({SCHEDULES_FILE}).",
        )
        for name, schedule in schedules.items()
    ]


def _config(name: str, schedule: SliceSchedule) -> dict[str, object]:
    given = schedule.model_dump(exclude={"cron", "timezone", "budget"})
    return {"slice_name": name, **given, "budget": schedule.budget.model_dump(exclude_none=True)}
