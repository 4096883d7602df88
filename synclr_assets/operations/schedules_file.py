"""`schedules.yaml` beside the bucket files: when stale buckets of a slice are made anew, and what that may cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.concept_bank.slices import SCHEDULES_STEM
from synclr_assets.cost.budget import Costs, Limits
from synclr_assets.cost.settings_files import SettingsFileError, read_settings
from synclr_assets.cost.summary import Spent, spent_by
from synclr_assets.operations.plan_file import PlannedCost
from synclr_assets.stages.ledger import SECONDS_PER_HOUR
from synclr_assets.store.store import Store

SCHEDULES_FILE = f"{SCHEDULES_STEM}.yaml"
EXAMPLE = "schedules: {shapes: {cron: '0 3 * * 0', stalest: 2}}"


class Regeneration(BaseModel):
    """How many stale buckets of a slice are made anew, and within which budget."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stalest: Annotated[int, Field(gt=0)] = 1
    """Buckets made anew at a time."""
    min_age_days: Annotated[float, Field(ge=0)] = 7.0
    """A bucket younger than this is left alone unless something is wrong with it."""
    train: bool = True
    """Whether the slice's model is trained and scored after its buckets."""
    budget: Limits = Limits()
    """The most that the slice's buckets may cost within `budget_days`, what is planned counted in."""
    budget_days: Annotated[float, Field(gt=0)] = 30.0
    """Days that the budget is for."""


class SliceSchedule(Regeneration):
    """A regeneration that comes back."""

    cron: str
    """Five fields of cron, such as `0 3 * * 0` for Sundays at three."""
    timezone: str = "UTC"
    """An IANA time zone that the cron is read in."""

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("is no IANA time zone such as Europe/Paris")
        return value


class SchedulesFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedules: Mapping[str, SliceSchedule] = {}


def read_schedules(bank: ConceptBank) -> Mapping[str, SliceSchedule]:
    """Slice -> its schedule; none where there is no file. Raises SettingsFileError in one sentence."""
    path = bank.folder / SCHEDULES_FILE
    if not path.exists():
        return {}
    schedules = read_settings(path, SchedulesFile, EXAMPLE).schedules
    for name in schedules:
        if name not in bank.slices:
            raise SettingsFileError(
                f"{path}, schedules.{name}: there is no slice {name!r}; use one of {', '.join(bank.slices)}."
            )
    return schedules


def over_budget(
    store: Store, bank: ConceptBank, slice_name: str, asked: Regeneration, cost: PlannedCost, now: datetime
) -> str | None:
    """Why the planned work would go beyond the schedule's budget, in one sentence; None where it would not."""
    if asked.budget == Limits():
        return None
    since = now - timedelta(days=asked.budget_days)
    members = set(bank.slices[slice_name])
    totals = spent_by(store.tables, "bucket", "asset", since=since)
    mine = {asset: Spent() for _, asset in totals}
    for (bucket, asset), part in totals.items():
        if bucket in members:
            mine[asset] += part
    spent = sum(mine.values(), Spent())
    captions = mine.get("captions", Spent()).units
    used = Costs(spent.usd, spent.tokens, spent.gpu_seconds, spent.requests, captions)
    gpu_hours = _known(cost, "gpu_hours")
    planned = Costs(
        usd=_known(cost, "usd"),
        tokens=cost.tokens,
        gpu_seconds=None if gpu_hours is None else gpu_hours * SECONDS_PER_HOUR,
        requests=cost.requests,
        captions=cost.num_captions,
    )
    over = asked.budget.exceeded_by(used, planned)
    if over is None:
        return None
    limit, amount = getattr(asked.budget, over), getattr(planned, over)
    shown = "an unknown amount" if amount is None else f"about {amount:g}"
    return (
        f"{slice_name} has spent {getattr(used, over):g} of {limit:g} {over} in {asked.budget_days:g} days and "
        f"this would cost {shown}: raise budget.{over} of the schedule in {SCHEDULES_FILE}, or wait."
    )


def _known(cost: PlannedCost, amount: str) -> float | None:
    value = getattr(cost, amount)
    assert isinstance(value, float)
    return None if amount in cost.lower_bounds else value
