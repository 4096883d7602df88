"""Stage 2: captions of the c and c_rel templates, and the plans of c_bg captions (SynCLR 3.1)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from synclr_assets.stages.drafting import Draft, DuplicateIndex, draft_captions, request_maker
from synclr_assets.stages.plan import PlannedCaption, read_plan
from synclr_assets.stages.progress import (
    BeforeBatch,
    OnProgress,
    StageCounts,
    quarantined_by_reason,
    silent,
    unlimited,
)
from synclr_assets.stages.purchases import Purchases, sweep_purchases
from synclr_assets.store.store import Store
from synclr_assets.store.tables import Tables, rows_of, windows
from synclr_assets.store.transactions import StageWriter, Unit, check_settings, stage_cursor
from synclr_assets.synthesis.caption_checks import CHECKS_VERSION
from synclr_assets.synthesis.identity import DRAWS_VERSION, digest_hex
from synclr_assets.synthesis.near_duplicates import NearDuplicateIndex, sketch_of
from synclr_assets.synthesis.prompts import PromptSet
from synclr_assets.synthesis.protocols import Captioner

STAGE = "captions"
NEAR_DUPLICATE_SIMILARITY = 0.8
"""At 0.8 one in 3800 captions of the rehearsal grammar, formulaic as it is, repeats an earlier one; at 0.6, 32 do."""
TEMPLATES_DRAWN = {"captions": ("c", "c_rel"), "enriched_captions": ("c_bg",)}
"""Stage -> templates whose texts it draws itself; the others' texts it copies or leaves open."""
ROWS_PER_WINDOW = 1 << 16
"""Committed captions read at a time when the index is rebuilt."""


@dataclass(frozen=True)
class CaptionSettings:
    """How captions are drawn, whatever the generator."""

    max_attempts: int = 6
    """Draws per caption before it is quarantined."""
    captions_per_commit: int = 1024
    """Captions that become visible together; changes no caption."""
    near_duplicate_similarity: float | None = NEAR_DUPLICATE_SIMILARITY
    """Share of common word triples from which a caption repeats an earlier one; None: only exact repeats count."""


def settings_of(captioner: Captioner, prompts: PromptSet, settings: CaptionSettings) -> str:
    """Fingerprint of everything a caption's text depends on beyond its id."""
    return digest_hex(
        STAGE,
        captioner.provenance.fingerprint,
        prompts.fingerprint,
        settings.max_attempts,
        *judgement_key(settings.near_duplicate_similarity),
    )


def write_captions(
    store: Store,
    unit: Unit,
    captioner: Captioner,
    prompts: PromptSet,
    settings: CaptionSettings = CaptionSettings(),
    *,
    run_id: str = "",
    on_progress: OnProgress = silent,
    before_batch: BeforeBatch = unlimited,
) -> StageCounts:
    """Draw and commit what is missing of the unit's captions; a complete unit is left as it is.

    Raises SettingsChangedError, FencedError, NotReadyError, and what `before_batch` raises at a limit.
    """
    tables = store.tables
    fingerprint = settings_of(captioner, prompts, settings)
    check_settings(tables, STAGE, unit, fingerprint)
    plan = read_plan(tables, unit, prompts.relations)
    if stage_cursor(tables, STAGE, unit) < plan.num_captions:
        writer = StageWriter.open(tables, STAGE, unit, sides=("quarantine", "ledger"), run_id=run_id)
        purchases = Purchases(store, STAGE, unit, writer.cursor)
        buying = purchases.through(captioner)
        index = duplicate_index(tables, (STAGE,), unit, settings.near_duplicate_similarity)
        while writer.cursor < plan.num_captions:
            started = time.monotonic()
            start, end = writer.cursor, min(writer.cursor + settings.captions_per_commit, plan.num_captions)
            before_batch(end - start)
            slots = list(plan.captions(start, end))
            to_draw = [slot for slot in slots if slot.template != "c_bg"]
            makers = [request_maker(slot, prompts) for slot in to_draw]
            drafts, paid = draft_captions(buying, makers, index, settings.max_attempts)
            draft_of = {slot.caption_id: draft for slot, draft in zip(to_draw, drafts, strict=True)}
            rows = _rows(unit, slots, draft_of, captioner, fingerprint)
            lost = [(slot, draft) for slot, draft in zip(to_draw, drafts, strict=True) if draft.reason]
            spent = purchases.ledger_rows(
                units=rows.num_rows,
                generator=captioner.provenance.model,
                completions=paid,
                wall_seconds=time.monotonic() - started,
                run_id=run_id,
            )
            writer.commit(end, rows, {"quarantine": quarantine_rows(STAGE, unit, lost), "ledger": spent})
            purchases.settle(end)
            on_progress(end, plan.num_captions)
    else:
        sweep_purchases(store, STAGE, unit)
    return StageCounts(
        unit,
        allocated=plan.num_captions,
        written=tables.count(STAGE, partitions=unit.partitions),
        quarantined=quarantined_by_reason(tables, STAGE, unit),
    )


def judgement_key(near_duplicate_similarity: float | None) -> tuple[str | int, ...]:
    """What decides, for any stage, whether a drawn text is accepted: parts of its settings fingerprint."""
    return ("judgement", CHECKS_VERSION, DRAWS_VERSION, str(near_duplicate_similarity))


def duplicate_index(
    tables: Tables, stages: Sequence[str], unit: Unit, near_duplicate_similarity: float | None
) -> DuplicateIndex:
    """The index of all committed texts of the unit: those of each stage in turn, in plan order, none twice."""
    hashes: list[int] = []
    near = None if near_duplicate_similarity is None else NearDuplicateIndex(near_duplicate_similarity)
    for stage in stages:
        end = stage_cursor(tables, stage, unit)
        dataset = tables.snapshot(stage, unit.partitions)
        if dataset is None or end == 0:
            continue
        drawn_here = pc.field("template").isin(TEMPLATES_DRAWN[stage]) & pc.field("text").is_valid()
        columns = ["position", "text", "text_hash"]
        for _, _, rows in windows(dataset.filter(drawn_here), "position", 0, end, ROWS_PER_WINDOW, columns):
            hashes += rows["text_hash"].to_pylist()
            if near is not None:
                for text in rows["text"].to_pylist():
                    near.add(sketch_of(text))
    return DuplicateIndex(hashes, near)


def quarantine_rows(stage: str, unit: Unit, lost: Sequence[tuple[PlannedCaption, Draft]]) -> pa.Table:
    """Rows of the quarantine table for captions whose drafts never passed."""
    return rows_of(
        "quarantine",
        [
            {
                **unit.partitions,
                "stage": stage,
                "position": slot.position,
                "caption_id": slot.caption_id,
                "reason": draft.reason,
                "detail": draft.text[:200],
                "attempts": draft.attempts,
            }
            for slot, draft in lost
        ],
    )


def _rows(
    unit: Unit,
    slots: Sequence[PlannedCaption],
    draft_of: dict[str, Draft],
    captioner: Captioner,
    fingerprint: str,
) -> pa.Table:
    provenance = asdict(captioner.provenance) | {"fingerprint": fingerprint}
    records = []
    for slot in slots:
        draft = draft_of.get(slot.caption_id)
        if draft is not None and draft.reason is not None:
            continue
        records.append(
            {
                **unit.partitions,
                "position": slot.position,
                "caption_id": slot.caption_id,
                "concept": slot.concept.name,
                "template": slot.template,
                "ordinal": slot.ordinal,
                "relation": slot.relation,
                "text": draft.text if draft else None,
                "text_hash": draft.text_hash if draft else None,
                "prompt_tokens": draft.prompt_tokens if draft else 0,
                "completion_tokens": draft.completion_tokens if draft else 0,
                "attempts": draft.attempts if draft else 0,
                **provenance,
            }
        )
    return rows_of(STAGE, records)
