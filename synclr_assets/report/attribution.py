"""An attribution in words and as Markdown: which buckets a score rests on. Counts nothing itself."""

from __future__ import annotations

from synclr_assets.provenance.attribution import Attribution
from synclr_assets.report.previews import markdown_table, markdown_text
from synclr_assets.report.scores import percent

PROPOSAL_NOTE = (
    "Proposed weights are a proposal that nothing acts upon: w * k * sqrt(error / captions read), at most a factor "
    "of {max_step} either way, the sum kept (docs/compare.md). Captions of other concepts teach a class as well, so "
    "this is an account, not a cause."
)


def rests_on(attribution: Attribution) -> list[str]:
    """One sentence for each bucket that carries a part of the score, and one for what none carries."""
    sentences = [
        f"{percent(part.share)} of its classes rest on {part.bucket}, and their mean is {percent(part.value)}."
        for part in sorted(attribution.buckets, key=lambda part: -part.share)
        if part.value is not None
    ]
    if attribution.unmatched:
        sentences.append(
            f"{percent(attribution.unmatched_share)} of its classes have no concept in the model's buckets."
        )
    return sentences


def attribution_table(attribution: Attribution) -> str:
    """The concepts behind a score as Markdown, with the sentences and the formula below."""
    rows = [
        (
            f"{each.bucket}/{each.concept}",
            percent(each.value),
            f"{each.captions_read:,.0f}",
            f"{each.weight:.4g}",
            f"{each.proposed_weight:.4g}",
        )
        for each in attribution.concepts
    ]
    table = markdown_table(("concept", "value", "captions read", "weight", "proposed weight"), rows)
    unmatched = [f"No concept: {name}, {reason}." for name, _, reason in attribution.unmatched]
    note = PROPOSAL_NOTE.format(max_step=f"{attribution.max_step:g}")
    sentences = [*rests_on(attribution), *unmatched, note]
    return "\n".join([table, "", *(f"- {markdown_text(sentence)}" for sentence in sentences)])
