"""Stage 3: backgrounds, the c_bg captions, and so the final corpus: one checked, unique text per caption_id."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from synclr_assets.stages.backgrounds import GuardOf, ensure_backgrounds, unguarded
from synclr_assets.stages.captions import (
    NEAR_DUPLICATE_SIMILARITY,
    duplicate_index,
    judgement_key,
    quarantine_rows,
)
from synclr_assets.stages.enrichment import (
    Enrichment,
    complete_with_backgrounds,
    rewrite_with_backgrounds,
)
from synclr_assets.stages.plan import CaptionPlan, PlannedCaption, read_plan
from synclr_assets.stages.progress import (
    BeforeBatch,
    OnProgress,
    StageCounts,
    quarantined_by_reason,
    require_complete,
    silent,
    unlimited,
)
from synclr_assets.stages.purchases import Purchases, sweep_purchases
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of, windows
from synclr_assets.store.transactions import StageWriter, Unit, check_settings, stage_cursor
from synclr_assets.synthesis.identity import digest_hex
from synclr_assets.synthesis.prompts import PromptSet
from synclr_assets.synthesis.protocols import Captioner
from synclr_assets.synthesis.purchases import CaptionRewriter, Enricher

STAGE = "enriched_captions"


@dataclass(frozen=True)
class EnrichmentSettings:
    """How captions get their backgrounds, whatever the generators."""

    backgrounds_per_concept: int = 100
    """Backgrounds asked for per concept (the paper: about 100)."""
    max_attempts: int = 6
    """Draws per caption before it is quarantined."""
    captions_per_commit: int = 1024
    """Captions that become visible together; changes no caption."""
    near_duplicate_similarity: float | None = NEAR_DUPLICATE_SIMILARITY
    """Share of common word triples from which a caption repeats an earlier one; None: only exact repeats count."""


def settings_of(
    captioner: Captioner, writer: Enricher, prompts: PromptSet, settings: EnrichmentSettings
) -> str:
    """Fingerprint of everything an enriched caption depends on beyond its row of captions."""
    return digest_hex(
        STAGE,
        captioner.provenance.fingerprint,
        writer.provenance.fingerprint,
        prompts.fingerprint,
        settings.backgrounds_per_concept,
        settings.max_attempts,
        *judgement_key(settings.near_duplicate_similarity),
    )


def write_enriched_captions(
    store: Store,
    unit: Unit,
    captioner: Captioner,
    enricher: Enricher,
    prompts: PromptSet,
    settings: EnrichmentSettings = EnrichmentSettings(),
    *,
    run_id: str = "",
    on_progress: OnProgress = silent,
    before_batch: BeforeBatch = unlimited,
    lists_guard: GuardOf = unguarded,
) -> StageCounts:
    """Complete and commit what is missing of the unit's final corpus; a complete unit is left as it is.

    Raises SettingsChangedError, FencedError, NotReadyError, StoreError, and what the generators, `before_batch` and
    `lists_guard` raise; the latter stands before backgrounds are bought.
    """
    tables = store.tables
    fingerprint = settings_of(captioner, enricher, prompts, settings)
    check_settings(tables, STAGE, unit, fingerprint, "settings")
    plan = read_plan(tables, unit, prompts.relations)
    total = plan.num_captions
    require_complete(tables, "captions", unit, total)
    if stage_cursor(tables, STAGE, unit) < total:
        backgrounds: dict[str, list[str]] = {}
        if not isinstance(enricher, CaptionRewriter):
            needing = [one for one in plan.concepts if one.num_captions and one.shares.get("c_bg", 0.0) > 0]
            backgrounds = ensure_backgrounds(
                store, unit, needing, enricher, settings.backgrounds_per_concept, run_id, lists_guard
            )
        writer = StageWriter.open(
            tables, STAGE, unit, sides=("quarantine", "plain_captions", "ledger"), run_id=run_id
        )
        purchases = Purchases(store, STAGE, unit, writer.cursor)
        completing, enriching = purchases.through(captioner), purchases.through(enricher)
        index = duplicate_index(tables, ("captions", STAGE), unit, settings.near_duplicate_similarity)
        captions = tables.snapshot("captions", unit.partitions)
        assert captions is not None
        for start, end, rows in windows(
            captions, "position", writer.cursor, total, settings.captions_per_commit
        ):
            before_batch(end - start)
            started = time.monotonic()
            records = rows.to_pylist()
            slots = _unfinished(plan, start, end, records)
            if isinstance(enriching, CaptionRewriter):
                done = rewrite_with_backgrounds(
                    slots, completing, enriching, prompts, index, settings.max_attempts
                )
            else:
                done = complete_with_backgrounds(
                    slots, backgrounds, completing, prompts, index, settings.max_attempts
                )
            final = _final(records, slots, done, fingerprint)
            lost = [(slot, draft) for slot, draft in zip(slots, done.drafts, strict=True) if draft.reason]
            spent = purchases.ledger_rows(
                units=len(final),
                generator=captioner.provenance.model,
                completions=done.completions,
                wall_seconds=time.monotonic() - started,
                run_id=run_id,
            )
            sides = {
                "quarantine": quarantine_rows(STAGE, unit, lost),
                "plain_captions": rows_of("plain_captions", [unit.partitions | row for row in done.plain]),
                "ledger": spent,
            }
            writer.commit(end, rows_of(STAGE, final), sides)
            purchases.settle(end)
            on_progress(end, total)
    else:
        sweep_purchases(store, STAGE, unit)
    return StageCounts(
        unit,
        allocated=tables.count("captions", partitions=unit.partitions),
        written=tables.count(STAGE, partitions=unit.partitions),
        quarantined=quarantined_by_reason(tables, STAGE, unit),
    )


def _unfinished(
    plan: CaptionPlan, start: int, end: int, records: Sequence[dict[str, Any]]
) -> list[PlannedCaption]:
    """The slots of the window whose caption still waits for its background."""
    waiting = {record["position"] for record in records if record["text"] is None}
    return [slot for slot in plan.captions(start, end) if slot.position in waiting]


def _final(
    records: Sequence[dict[str, Any]], slots: Sequence[PlannedCaption], done: Enrichment, fingerprint: str
) -> list[dict[str, Any]]:
    """Rows of the final corpus: captions as they were, and those that got their background now."""
    draft_of = {slot.caption_id: draft for slot, draft in zip(slots, done.drafts, strict=True)}
    final = []
    for record in records:
        identity = record["caption_id"]
        row = record | {
            "parent_caption_id": identity,
            "background": done.background_of.get(identity),
            "settings": fingerprint,
        }
        draft = draft_of.get(identity)
        if draft is not None:
            if draft.reason is not None:
                continue
            row |= {
                "text": draft.text,
                "text_hash": draft.text_hash,
                "attempts": draft.attempts,
                "prompt_tokens": draft.prompt_tokens,
                "completion_tokens": draft.completion_tokens,
                **asdict(done.provenance),
                "fingerprint": fingerprint,
            }
        final.append(row)
    return final
