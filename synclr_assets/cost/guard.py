"""Stopping a stage before its next batch would exceed a limit. Reads the ledger, writes nothing.

What was spent is counted from the ledger's committed rows each time, never from memory of this process, so
that it is right after a kill, a resume and beside other runs. A batch's cost is estimated from the mean of
committed ones.
"""

from __future__ import annotations

from collections.abc import Set

from synclr_assets.cost.budget import Budget, BudgetExceededError, Costs, Limits
from synclr_assets.cost.summary import Spent, Totals, captions_of, logged_totals, totals_of
from synclr_assets.store.sums import only_files
from synclr_assets.store.tables import Tables
from synclr_assets.store.transactions import Unit, stage_cursor

_KEYS = ["bucket", "generation", "stage", "run_id", "generator"]
_BUCKET, _GENERATION, _STAGE, _RUN, _GENERATOR = range(5)


class LedgerTotals:
    """The ledger added up by bucket, generation, stage, run and generator: files of one row from the table's log,
    every other file read once."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._scanned: Totals = {}
        self._read: Set[str] = frozenset()

    def refresh(self) -> Totals:
        """The totals as of now. Reads files that are new since the last call; all where some were removed."""
        totals, unread = logged_totals(self._tables, _KEYS)
        if self._read - unread:
            self._scanned, self._read = {}, frozenset()
        new = unread - self._read
        if new:
            dataset = self._tables.snapshot("ledger")
            assert dataset is not None
            for key, spent in totals_of(only_files(dataset, new), _KEYS).items():
                self._scanned[key] = self._scanned.get(key, Spent()) + spent
        self._read = unread
        for key, spent in self._scanned.items():
            totals[key] = totals.get(key, Spent()) + spent
        return totals


class BudgetGuard:
    """Stands before one stage of one bucket generation of one run."""

    def __init__(
        self,
        tables: Tables,
        unit: Unit,
        stage: str,
        run_id: str,
        budget: Budget | None,
        generator: str | None = None,
        known: Costs | None = None,
    ) -> None:
        """`generator` is the model whose batches on other buckets may stand for the first one here; `known` what
        a cursor value costs where that needs no estimate, as at a stage that asks no model."""
        self._tables = tables
        self._unit = unit
        self._stage = stage
        self._run_id = run_id
        self._budget = budget
        self._generator = generator
        self._known = known
        self._ledger = LedgerTotals(tables)
        self._allowed_end: int | None = None
        """Cursor that the stage reaches once everything let through so far is committed."""

    def before(self, num_units: int) -> None:
        """Let a batch of `num_units` cursor values begin, or raise BudgetExceededError in one sentence.

        A cursor value is a caption; a concept at backgrounds, a shard at shards. Batches let through that are
        not committed yet, as in a stage that commits while it draws, are counted at the estimate.
        """
        if self._budget is None:
            return
        scopes = [
            (scope, limits)
            for scope, limits in self._budget.scopes(self._unit, self._stage)
            if limits != Limits()
        ]
        if not scopes:
            return
        totals = self._ledger.refresh()
        done = stage_cursor(self._tables, self._stage, self._unit)
        end = max(done, self._allowed_end or 0) + num_units
        one = self._cost_of_one(totals)
        for scope, limits in scopes:
            spent, batch = self._spent(scope, totals), self._batch(scope, one, end - done)
            over = limits.exceeded_by(spent, batch)
            if over is not None:
                raise BudgetExceededError(self._sentence(scope, over, limits, spent, batch, end - done))
        self._allowed_end = end

    def _spent(self, scope: str, totals: Totals) -> Costs:
        if scope == "run":
            chosen = {key: spent for key, spent in totals.items() if key[_RUN] == (self._run_id or None)}
        elif scope.startswith("stages."):
            chosen = {key: spent for key, spent in totals.items() if key[_STAGE] == self._stage}
        else:
            mine = (self._unit.bucket, self._unit.generation)
            chosen = {key: spent for key, spent in totals.items() if (key[_BUCKET], key[_GENERATION]) == mine}
        counting = self._stage if scope.startswith("stages.") else "captions"
        captions = sum(captions_of(counting, s.units) for key, s in chosen.items() if key[_STAGE] == counting)
        total = sum(chosen.values(), Spent())
        return Costs(total.usd, total.tokens, total.gpu_seconds, total.requests, captions)

    def _batch(self, scope: str, one: Costs, num_units: int) -> Costs:
        counting = self._stage if scope.startswith("stages.") else "captions"
        counts = counting == self._stage and captions_of(counting, 1) > 0

        def times(cost: float | None) -> float | None:
            return None if cost is None else cost * num_units

        return Costs(
            usd=times(one.usd),
            tokens=times(one.tokens),
            gpu_seconds=times(one.gpu_seconds),
            requests=times(one.requests),
            captions=num_units if counts else 0,
        )

    def _cost_of_one(self, totals: Totals) -> Costs:
        """What is known; else the mean of what the unit committed, what the budget expects, other units' mean."""
        if self._known is not None:
            return self._known
        of_stage = {key: spent for key, spent in totals.items() if key[_STAGE] == self._stage}
        mine = (self._unit.bucket, self._unit.generation)
        spent_here = sum((s for k, s in of_stage.items() if (k[_BUCKET], k[_GENERATION]) == mine), Spent())
        done_here = stage_cursor(self._tables, self._stage, self._unit)
        if done_here:
            return _mean(spent_here, done_here)
        assert self._budget is not None
        if self._stage in self._budget.expected:
            expected = self._budget.expected[self._stage]
            return Costs(expected.usd, expected.tokens, expected.gpu_seconds, expected.requests)
        elsewhere = {
            key: spent for key, spent in of_stage.items() if self._generator in (None, key[_GENERATOR])
        }
        units = {Unit(str(key[_BUCKET]), int(str(key[_GENERATION]))) for key in elsewhere}
        done = sum(stage_cursor(self._tables, self._stage, unit) for unit in units)
        if not done:
            return Costs(None, None, None, None)
        return _mean(sum(elsewhere.values(), Spent()), done)

    def _sentence(
        self, scope: str, over: str, limits: Limits, spent: Costs, batch: Costs, num_units: int
    ) -> str:
        assert self._budget is not None
        done = stage_cursor(self._tables, self._stage, self._unit)
        where = f"{self._stage} of {self._unit} stopped at {done} committed"
        limit, used, cost = getattr(limits, over), getattr(spent, over), getattr(batch, over)
        if cost is None:
            return (
                f"{where}: {self._budget.name} limits {scope}.{over}, but what the first batch costs is "
                f"not known; write expected.{self._stage}.{over} there (`synclr quote --json` estimates it)."
            )
        return (
            f"{where}: {scope} has spent {_shown(over, used)} of {_shown(over, limit)} and the next "
            f"{num_units} would cost about {_shown(over, cost)}; raise {scope}.{over} in {self._budget.name} "
            "and run it again to continue from there."
        )


def _mean(spent: Spent, num_units: int) -> Costs:
    return Costs(
        usd=spent.usd / num_units,
        tokens=spent.tokens / num_units,
        gpu_seconds=spent.gpu_seconds / num_units,
        requests=spent.requests / num_units,
    )


def _shown(dimension: str, amount: float) -> str:
    if dimension == "usd":
        return f"{amount:.4g} USD"
    return f"{amount:,.0f} {dimension.replace('gpu_seconds', 'GPU seconds')}".replace(",", " ")
