"""Captions of one bucket generation against their plan: each position once, with its own id and an intact text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from synclr_assets.stages.drafting import text_hash
from synclr_assets.stages.plan import CaptionPlan, PlannedCaption, read_plan
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit, stage_cursor
from synclr_assets.verification.findings import Finding

POSITIONS_PER_WINDOW = 4096
CAPTION_STAGES = ("captions", "enriched_captions")
_ANY_RELATION = ("",)
"""A plan's relations are not compared, but a plan needs some to draw from."""


@dataclass(frozen=True)
class Window:
    """What the tables say about positions [start, end) of a unit: rows and quarantine reasons by position."""

    slots: tuple[PlannedCaption, ...]
    rows: dict[str, dict[int, list[dict[str, Any]]]]
    given_up: dict[str, dict[int, list[str]]]


def plan_of(store: Store, unit: Unit) -> CaptionPlan:
    """The plan that ids are compared with."""
    return read_plan(store.tables, unit, _ANY_RELATION)


def corpus_faults(store: Store, unit: Unit) -> Iterator[Finding]:
    """Faults of captions and enriched_captions of the unit, in windows of bounded size."""
    plan = plan_of(store, unit)
    cursors = {stage: stage_cursor(store.tables, stage, unit) for stage in CAPTION_STAGES}
    for stage, cursor in cursors.items():
        if cursor > plan.num_captions:
            yield Finding(
                "budget_wrong",
                f"{stage} of {unit}",
                f"{stage} of {unit} are finished up to {cursor}, but its concepts plan {plan.num_captions} captions.",
            )
    for start in range(0, max(cursors.values()), POSITIONS_PER_WINDOW):
        window = read_window(store, plan, start, start + POSITIONS_PER_WINDOW)
        yield from _window_faults(unit, window, cursors)


def read_window(store: Store, plan: CaptionPlan, start: int, end: int) -> Window:
    """Both caption tables and the quarantine, cut to the positions."""
    inside = (pc.field("position") >= start) & (pc.field("position") < end)
    columns = ["position", "caption_id", "text", "text_hash"]
    rows: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for stage in CAPTION_STAGES:
        found = store.tables.read(stage, partitions=plan.unit.partitions, columns=columns, where=inside)
        rows[stage] = defaultdict(list)
        for row in found.to_pylist():
            rows[stage][row["position"]].append(row)
    given_up: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    lost = store.tables.read(
        "quarantine",
        partitions=plan.unit.partitions,
        columns=["stage", "position", "caption_id"],
        where=inside,
    )
    for row in lost.to_pylist():
        given_up[row["stage"]][row["position"]].append(row["caption_id"])
    return Window(tuple(plan.captions(start, end)), rows, given_up)


def _window_faults(unit: Unit, window: Window, cursors: dict[str, int]) -> Iterator[Finding]:
    for slot in window.slots:
        for stage in CAPTION_STAGES:
            if slot.position >= cursors[stage]:
                continue
            rows = window.rows[stage].get(slot.position, [])
            lost = window.given_up[stage].get(slot.position, [])
            where = f"{stage} of {unit}, position {slot.position}"
            expected = stage == "captions" or bool(window.rows["captions"].get(slot.position))
            if len(rows) + len(lost) > 1:
                yield Finding(
                    "caption_doubled",
                    where,
                    f"{where} has {len(rows)} rows and {len(lost)} quarantine rows instead of one of them.",
                )
            elif expected and not rows and not lost:
                yield Finding(
                    "caption_unaccounted", where, f"{where} has neither a row nor a quarantine row."
                )
            for identity in [*(row["caption_id"] for row in rows), *lost]:
                if identity != slot.caption_id:
                    yield Finding(
                        "caption_id_wrong",
                        where,
                        f"{where} carries {identity}, its plan says {slot.caption_id}.",
                    )
            for row in rows:
                if row["text"] is not None and text_hash(row["text"]) != row["text_hash"]:
                    yield Finding(
                        "caption_text_damaged", where, f"{where}: the text does not match its recorded hash."
                    )
