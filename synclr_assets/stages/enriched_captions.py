"""Stage 3: backgrounds, the c_bg captions, and so the final corpus: one checked, unique text per caption_id."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from synclr_assets.stages.backgrounds import ensure_backgrounds
from synclr_assets.stages.captions import committed_hashes, quarantine_rows
from synclr_assets.stages.drafting import Draft, DuplicateIndex, draft_captions, request_maker
from synclr_assets.stages.ledger import ledger_row
from synclr_assets.stages.plan import CaptionPlan, PlannedCaption, read_plan
from synclr_assets.stages.progress import (
    OnProgress,
    StageCounts,
    quarantined_by_reason,
    require_complete,
    silent,
)
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of, windows
from synclr_assets.store.transactions import StageWriter, Unit, check_settings, stage_cursor
from synclr_assets.synthesis.identity import digest_hex, draw
from synclr_assets.synthesis.prompts import PromptSet
from synclr_assets.synthesis.protocols import BackgroundWriter, Captioner

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


def settings_of(
    captioner: Captioner, writer: BackgroundWriter, prompts: PromptSet, settings: EnrichmentSettings
) -> str:
    """Fingerprint of everything an enriched caption depends on beyond its row of captions."""
    return digest_hex(
        STAGE,
        captioner.provenance.fingerprint,
        writer.provenance.fingerprint,
        prompts.fingerprint,
        settings.backgrounds_per_concept,
        settings.max_attempts,
    )


def write_enriched_captions(
    store: Store,
    unit: Unit,
    captioner: Captioner,
    background_writer: BackgroundWriter,
    prompts: PromptSet,
    settings: EnrichmentSettings = EnrichmentSettings(),  # noqa: B008 - frozen
    *,
    run_id: str = "",
    on_progress: OnProgress = silent,
) -> StageCounts:
    """Complete and commit what is missing of the unit's final corpus; a complete unit is left as it is.

    Raises SettingsChangedError, FencedError, NotReadyError, StoreError.
    """
    tables = store.tables
    fingerprint = settings_of(captioner, background_writer, prompts, settings)
    check_settings(tables, STAGE, unit, fingerprint, "settings")
    plan = read_plan(tables, unit, prompts.relations)
    total = plan.num_captions
    require_complete(tables, "captions", unit, total)
    if stage_cursor(tables, STAGE, unit) < total:
        needing = [one for one in plan.concepts if one.num_captions and one.shares.get("c_bg", 0.0) > 0]
        backgrounds = ensure_backgrounds(
            store, unit, needing, background_writer, settings.backgrounds_per_concept, run_id
        )
        writer = StageWriter.open(tables, STAGE, unit, sides=("quarantine", "ledger"), run_id=run_id)
        hashes = committed_hashes(tables, "captions", unit) + committed_hashes(tables, STAGE, unit)
        index = DuplicateIndex(hashes)
        captions = tables.snapshot("captions", unit.partitions)
        assert captions is not None
        for start, end, rows in windows(
            captions, "position", writer.cursor, total, settings.captions_per_commit
        ):
            started = time.monotonic()
            records = rows.to_pylist()
            slots = _unfinished(plan, start, end, records)
            background_of = {
                slot.caption_id: draw("background", slot.caption_id, choices=backgrounds[slot.concept.name])
                for slot in slots
            }
            makers = [request_maker(slot, prompts, background_of[slot.caption_id]) for slot in slots]
            drafts, paid = draft_captions(captioner, makers, index, settings.max_attempts)
            draft_of = {slot.caption_id: draft for slot, draft in zip(slots, drafts, strict=True)}
            final = _final(records, draft_of, background_of, captioner, fingerprint)
            lost = [(slot, draft) for slot, draft in zip(slots, drafts, strict=True) if draft.reason]
            spent = ledger_row(
                STAGE,
                unit,
                start,
                units=len(final),
                generator=captioner.provenance.model,
                completions=paid,
                wall_seconds=time.monotonic() - started,
            )
            sides = {"quarantine": quarantine_rows(STAGE, unit, lost), "ledger": spent}
            writer.commit(end, rows_of(STAGE, final), sides)
            on_progress(end, total)
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
    records: Sequence[dict[str, Any]],
    draft_of: dict[str, Draft],
    background_of: dict[str, str],
    captioner: Captioner,
    fingerprint: str,
) -> list[dict[str, Any]]:
    final = []
    for record in records:
        identity = record["caption_id"]
        row = record | {
            "parent_caption_id": identity,
            "background": background_of.get(identity),
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
                **asdict(captioner.provenance),
                "fingerprint": fingerprint,
            }
        final.append(row)
    return final
