"""Buckets x stages as one table: generation, counts, quarantined, age, cost. Formats; states come from staleness.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from synclr_assets.cost.summary import Spent
from synclr_assets.operations.staleness import BucketState, SliceState
from synclr_assets.operations.unit_states import STAGES, UnitState
from synclr_assets.report.formats import duration, grouped
from synclr_assets.store.transactions import Unit

BUCKET_HEADINGS = ("bucket", "gen", *STAGES, "lost", "age", "USD", "state")
SECONDS_PER_DAY = 86_400
Row = tuple[str, ...]


def bucket_rows(
    states: Sequence[BucketState],
    spent: Mapping[Unit, Spent],
    running: Mapping[str, Sequence[str]],
    now: datetime,
) -> list[Row]:
    """One row per bucket, under BUCKET_HEADINGS. `running` is bucket -> stages that a run works on."""
    return [_bucket_row(state, spent, running.get(state.bucket, ()), now) for state in states]


def generation_rows(state: BucketState, spent: Mapping[Unit, Spent], now: datetime) -> list[Row]:
    """One row per generation of a bucket, newest first."""
    return [_row(state.bucket, one, spent, now, _progress_word(one)) for one in reversed(state.generations)]


def summary_lines(
    states: Sequence[BucketState],
    spent: Mapping[Unit, Spent],
    running: Mapping[str, Sequence[str]],
    now: datetime,
) -> list[str]:
    """Thousands of buckets in a few lines: how many have completed each stage, generations, ages, cost."""
    newest = [state.newest for state in states if state.newest is not None]
    lines = [f"{len(states)} buckets, {len(newest)} begun, {len(running)} with a run at work"]
    for stage in STAGES:
        complete = sum(unit.is_complete(stage) for unit in newest)
        done = sum(unit.done(stage) for unit in newest)
        lines.append(f"  {stage:<18} complete in {complete:>6}, {grouped(done)} captions")
    lost = sum(unit.num_quarantined for unit in newest)
    generations = Counter(unit.unit.generation for unit in newest)
    shown = ", ".join(f"{count} at {generation}" for generation, count in sorted(generations.items()))
    ages = sorted(age for state in states if (age := state.age(now)) is not None)
    lines.append(f"  quarantined {grouped(lost)}; generations: {shown or 'none'}")
    if ages:
        median = ages[len(ages) // 2]
        oldest = age_of(ages[-1].total_seconds())
        lines.append(f"  age: median {age_of(median.total_seconds())}, oldest {oldest}")
    lines.append(f"  cost: {sum(spent.values(), Spent()).usd:.2f} USD")
    reasons = Counter(_kind(reason) for state in states for reason in state.reasons)
    lines += [f"  stale: {count} {reason}" for reason, count in reasons.most_common()]
    return lines


def slice_rows(states: Sequence[SliceState]) -> list[Row]:
    """(slice, model, state) of each."""
    rows: list[Row] = []
    for state in states:
        model = "none" if state.model is None else str(state.model["model_id"])[:12]
        more = f" (and {len(state.reasons) - 2} more)" if len(state.reasons) > 2 else ""
        rows.append((state.slice_name, model, "; ".join(state.reasons[:2]) + more or "up to date"))
    return rows


def _bucket_row(
    state: BucketState, spent: Mapping[Unit, Spent], running: Sequence[str], now: datetime
) -> Row:
    word = "; ".join(state.reasons) or "up to date"
    if running:
        word = f"running {', '.join(running)}"
    if state.newest is None:
        return (state.bucket, "-", *("-" for _ in STAGES), "-", "-", "-", word)
    return _row(state.bucket, state.newest, spent, now, word)


def _row(bucket: str, unit: UnitState, spent: Mapping[Unit, Spent], now: datetime, word: str) -> Row:
    return (
        bucket,
        str(unit.unit.generation),
        *(_cell(unit, stage) for stage in STAGES),
        str(unit.num_quarantined),
        age_of((now - unit.opened_at()).total_seconds()),
        f"{spent.get(unit.unit, Spent()).usd:.2f}",
        word,
    )


def age_of(seconds: float) -> str:
    """Days from two on, else hours and minutes."""
    return f"{seconds / SECONDS_PER_DAY:.0f} d" if seconds >= 2 * SECONDS_PER_DAY else duration(seconds)


def _cell(unit: UnitState, stage: str) -> str:
    done, wanted = unit.done(stage), unit.wanted(stage)
    return grouped(done) if done >= wanted else f"{grouped(done)}/{grouped(wanted)}"


def _progress_word(unit: UnitState) -> str:
    return "packed" if unit.is_packed else f"unfinished at {unit.first_unfinished}"


def _kind(reason: str) -> str:
    """A reason without its own numbers, so that equal ones are counted together."""
    if " stand at " in reason:
        return f"unfinished at {reason.partition(' stand at ')[0]}"
    if "quarantined" in reason:
        return "with many quarantined"
    return "changed files" if reason.startswith("its file changed") else reason
