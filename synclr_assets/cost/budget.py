"""Limits on what a bucket generation, a stage and a run may cost, from one YAML file. Counts nothing itself.

A file that cannot be used is refused in one sentence: a budget that is half understood protects nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from synclr_assets.cost.settings_files import SettingsFileError, read_settings
from synclr_assets.store.transactions import Unit

BUDGETS_VARIABLE = "SYNCLR_BUDGETS"
STAGES = ("captions", "backgrounds", "enriched_captions", "images", "shards")
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
ROUNDING = 1e-9
"""Share of a limit that sums of floating-point costs may be off by."""


class BudgetExceededError(ValueError):
    """The next batch would go beyond a limit, or what it costs is not known; one sentence."""


@dataclass(frozen=True)
class Costs:
    """What is limited. None stands for an amount that nobody knows."""

    usd: float | None = 0.0
    tokens: float | None = 0.0
    """Read and written."""
    gpu_seconds: float | None = 0.0
    requests: float | None = 0.0
    captions: float | None = 0.0
    """Captions made: at the stage itself for a stage's limit, at the stage `captions` for the others."""


DIMENSIONS = tuple(field.name for field in fields(Costs))


class Limits(BaseModel):
    """The most that may be spent; what is left out is not limited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usd: Amount | None = None
    """US dollars."""
    tokens: Amount | None = None
    """Tokens, read and written."""
    gpu_seconds: Amount | None = None
    """Seconds of GPUs held."""
    requests: Amount | None = None
    """Calls of a generator."""
    captions: Annotated[int, Field(ge=0)] | None = None
    """Captions made."""

    def exceeded_by(self, spent: Costs, next_batch: Costs) -> str | None:
        """The first amount that the next batch would bring beyond its limit, or whose cost is unknown."""
        for name in DIMENSIONS:
            limit, cost, used = getattr(self, name), getattr(next_batch, name), getattr(spent, name)
            if limit is None:
                continue
            if cost is None or used is None or used + cost > limit * (1 + ROUNDING):
                return name
        return None


class Expected(BaseModel):
    """What one caption (concept at backgrounds, shard at shards) costs before anything was committed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usd: Amount | None = None
    """US dollars."""
    tokens: Amount | None = None
    """Tokens, read and written."""
    gpu_seconds: Amount | None = None
    """Seconds of GPUs held."""
    requests: Amount | None = None
    """Calls of a generator."""


class Budget(BaseModel):
    """All limits of one file. Every limit is checked on its own; the tightest one stops the work."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Limits = Limits()
    """Of any one run."""
    stages: Mapping[str, Limits] = {}
    """Of a stage in the whole store: all buckets, generations and runs."""
    buckets: Mapping[str, Limits] = {}
    """Of any one generation of the named bucket, all stages together."""
    each_bucket: Limits = Limits()
    """Of any one generation of a bucket that `buckets` does not name."""
    expected: Mapping[str, Expected] = {}
    """Costs per stage for the very first batch, as `synclr quote --json` gives them."""
    _path: Path | None = PrivateAttr(default=None)

    @property
    def name(self) -> str:
        """The file, for messages."""
        return "the budget" if self._path is None else str(self._path)

    def scopes(self, unit: Unit, stage: str) -> Iterator[tuple[str, Limits]]:
        """(field of the file, limits) of everything that binds this stage of this bucket generation."""
        yield "run", self.run
        if stage in self.stages:
            yield f"stages.{stage}", self.stages[stage]
        if unit.bucket in self.buckets:
            yield f"buckets.{unit.bucket}", self.buckets[unit.bucket]
        else:
            yield "each_bucket", self.each_bucket

    def allows(
        self, spent: Mapping[str, Costs], next_batch: Mapping[str, Costs], unit: Unit, stage: str
    ) -> bool:
        """Whether the next batch keeps within every limit. Both costs are given by scope, as in `scopes`."""
        return all(
            limits.exceeded_by(spent[scope], next_batch[scope]) is None
            for scope, limits in self.scopes(unit, stage)
        )


def read_budget(path: Path) -> Budget:
    """Read a budget file. Raises SettingsFileError in one sentence."""
    budget = read_settings(path, Budget, "run: {usd: 20}")
    for field in ("stages", "expected"):
        for stage in getattr(budget, field):
            if stage not in STAGES:
                known = ", ".join(STAGES)
                raise SettingsFileError(
                    f"{path}, {field}: {stage!r} is no stage to limit; use one of {known}."
                )
    budget._path = path
    return budget


def budget_of(environment: Mapping[str, str]) -> Budget | None:
    """The budget that SYNCLR_BUDGETS names; None where it is not set. Raises SettingsFileError."""
    path = environment.get(BUDGETS_VARIABLE)
    return read_budget(Path(path)) if path else None
