"""How a c_bg caption comes about: completed from a listed background, or rewritten from a plain caption.

Works on one batch of planned captions and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from synclr_assets.stages.drafting import (
    Draft,
    DuplicateIndex,
    MakeRequest,
    Said,
    draft_captions,
    request_maker,
)
from synclr_assets.stages.plan import PlannedCaption
from synclr_assets.synthesis.identity import draw
from synclr_assets.synthesis.prompts import PromptSet
from synclr_assets.synthesis.protocols import Captioner, CaptionRequest, Completion, ModelProvenance
from synclr_assets.synthesis.purchases import CaptionRewriter

NO_BACKGROUND = "no_background"
"""Reason of a caption whose concept got no usable list from the model that was asked."""


@dataclass(frozen=True)
class Enrichment:
    """The outcome of one batch."""

    drafts: list[Draft]
    """One per planned caption, in order."""
    background_of: dict[str, str]
    """caption_id -> background, for accepted captions at least."""
    provenance: ModelProvenance
    """Of the accepted texts."""
    completions: list[Completion]
    """What the captioner wrote, to be counted."""
    plain: list[dict[str, Any]] = field(default_factory=list)
    """Rows of plain_captions, less their partition: what rewritten captions started from."""


def complete_with_backgrounds(
    slots: Sequence[PlannedCaption],
    backgrounds: Mapping[str, Sequence[str]],
    captioner: Captioner,
    prompts: PromptSet,
    index: DuplicateIndex,
    max_attempts: int,
) -> Enrichment:
    """Draw one of its concept's backgrounds per caption and complete the c_bg prompt (SynCLR 3.1)."""
    able = [slot for slot in slots if backgrounds[slot.concept.name]]
    background_of = {
        slot.caption_id: draw("background", slot.caption_id, choices=backgrounds[slot.concept.name])
        for slot in able
    }
    makers = [request_maker(slot, prompts, background_of[slot.caption_id]) for slot in able]
    drafts, paid = draft_captions(captioner, makers, index, max_attempts)
    draft_of = {slot.caption_id: draft for slot, draft in zip(able, drafts, strict=True)}
    none = Draft("", 0, attempts=0, prompt_tokens=0, completion_tokens=0, reason=NO_BACKGROUND)
    every = [draft_of.get(slot.caption_id, none) for slot in slots]
    return Enrichment(every, background_of, captioner.provenance, paid)


def rewrite_with_backgrounds(
    slots: Sequence[PlannedCaption],
    captioner: Captioner,
    rewriter: CaptionRewriter,
    prompts: PromptSet,
    index: DuplicateIndex,
    max_attempts: int,
) -> Enrichment:
    """Complete the plain c prompt of each caption, then have a background added to it."""
    plain_makers = [request_maker(replace(slot, template="c"), prompts) for slot in slots]
    plain, paid = draft_captions(captioner, plain_makers, _NeverDuplicate(), max_attempts)
    able = [(slot, draft) for slot, draft in zip(slots, plain, strict=True) if draft.reason is None]
    makers = [_rewrite_maker(slot, draft.text) for slot, draft in able]
    rewritten, _ = draft_captions(rewriter, makers, index, max_attempts)
    draft_of = {slot.caption_id: draft for slot, draft in zip(slots, plain, strict=True)}
    background_of = {}
    rows = []
    for (slot, start), draft, maker in zip(able, rewritten, makers, strict=True):
        draft_of[slot.caption_id] = draft
        if draft.reason is None:
            background = rewriter.background_of(maker(draft.attempts - 1))
            assert background is not None, slot.caption_id
            background_of[slot.caption_id] = background
            rows.append(_plain_row(slot, start, captioner.provenance))
    drafts = [draft_of[slot.caption_id] for slot in slots]
    return Enrichment(drafts, background_of, rewriter.provenance, paid, rows)


class _NeverDuplicate(DuplicateIndex):
    """Plain captions may be alike: what counts is what they are rewritten to."""

    def reason(self, said: Said) -> str | None:
        return None

    def accept(self, said: Said) -> None:
        return

    def empty_copy(self) -> DuplicateIndex:
        return self


def _rewrite_maker(slot: PlannedCaption, text: str) -> MakeRequest:
    def make(attempt: int) -> CaptionRequest:
        return CaptionRequest(
            slot.caption_id, slot.concept.display_text, slot.template, None, None, attempt, prompt=text
        )

    return make


def _plain_row(slot: PlannedCaption, draft: Draft, provenance: ModelProvenance) -> dict[str, Any]:
    return {
        "position": slot.position,
        "caption_id": slot.caption_id,
        "text": draft.text,
        "prompt_tokens": draft.prompt_tokens,
        "completion_tokens": draft.completion_tokens,
        "attempts": draft.attempts,
        **asdict(provenance),
    }
