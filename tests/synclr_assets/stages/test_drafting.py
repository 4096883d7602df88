"""Redrawing is a function of the plan alone: no batch size, no interruption changes an outcome."""

from collections.abc import Sequence
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.stages.drafting import DuplicateIndex, draft_captions, text_hash
from synclr_assets.synthesis.identity import draw
from synclr_assets.synthesis.near_duplicates import NearDuplicateIndex, similarity, sketch_of
from synclr_assets.synthesis.protocols import CaptionRequest, Completion, ModelProvenance

TEXTS = (
    "An apple.", "an  apple", "A red apple.", "An apple pie.", "", "A pear.", "A red apple beside the old gate.",
    "A red apple beside the old gate!!", "A red apple beside the old gate today.",
)  # fmt: skip


class FickleCaptioner:
    """Draws from a handful of texts, good and bad, by (caption_id, attempt) alone."""

    provenance = ModelProvenance("fickle", "1", "CC0", "f")

    def complete(self, requests: Sequence[CaptionRequest]) -> list[Completion]:
        return [Completion(draw("text", r.caption_id, r.attempt, choices=TEXTS), 3, 2) for r in requests]


def request_of(number: int, attempt: int) -> CaptionRequest:
    return CaptionRequest(f"{number:032x}", "apple", "c", None, None, attempt, "apple =>")


def outcomes(
    count: int, batch_sizes: Sequence[int], max_attempts: int, near: float | None = None
) -> list[tuple[str, int, str | None]]:
    index = DuplicateIndex((), None if near is None else NearDuplicateIndex(near))
    found = []
    start = 0
    while start < count:
        size = batch_sizes[start % len(batch_sizes)]
        makers = [
            (lambda attempt, number=number: request_of(number, attempt))
            for number in range(start, min(start + size, count))
        ]
        drafts, _ = draft_captions(FickleCaptioner(), makers, index, max_attempts)
        found += [(draft.text, draft.attempts, draft.reason) for draft in drafts]
        start += size
    return found


@given(
    count=st.integers(1, 30),
    batch_sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    max_attempts=st.integers(1, 6),
    near=st.sampled_from([None, 0.5, 0.8]),
)
def test_outcomes_do_not_depend_on_batches(
    count: int, batch_sizes: list[int], max_attempts: int, near: float | None
) -> None:
    expected = outcomes(count, [1], max_attempts, near)
    assert outcomes(count, batch_sizes, max_attempts, near) == expected


def test_near_duplicates_are_redrawn_and_then_refused_with_their_reason() -> None:
    found = outcomes(60, [8], 2, near=0.5)
    accepted = [text for text, _, reason in found if reason is None]
    assert ("A red apple beside the old gate." in accepted) != (
        "A red apple beside the old gate!!" in accepted
    )
    assert "near_duplicate" in {reason for _, _, reason in found}
    sketches = [sketch_of(text).shingles for text in accepted]
    assert all(similarity(one, other) < 0.5 for one, other in combinations(sketches, 2))


def test_likely_redraws_are_asked_for_together() -> None:
    calls = []

    class Counting(FickleCaptioner):
        def complete(self, requests: Sequence[CaptionRequest]) -> list[Completion]:
            calls.append(len(requests))
            return super().complete(requests)

    makers = [(lambda attempt, number=number: request_of(number, attempt)) for number in range(40)]
    index = DuplicateIndex((), NearDuplicateIndex(0.5))
    drafts, paid = draft_captions(Counting(), makers, index, 6)
    assert calls[0] == 40
    assert len(calls) <= 8
    assert len(paid) == sum(calls) >= sum(draft.attempts for draft in drafts)


def test_accepted_texts_are_unique_and_every_refusal_has_its_reason() -> None:
    found = outcomes(40, [8], 6)
    accepted = [text for text, _, reason in found if reason is None]
    assert len({text_hash(text) for text in accepted}) == len(accepted) == 5
    assert {reason for _, _, reason in found} == {None, "duplicate", "empty", "concept_missing"}
    assert all(attempts == 6 for _, attempts, reason in found if reason is not None)


def test_tokens_of_all_attempts_are_counted() -> None:
    drafts, paid = draft_captions(FickleCaptioner(), [lambda a: request_of(2, a)], DuplicateIndex(), 6)
    assert drafts[0].prompt_tokens == 3 * drafts[0].attempts
    assert len(paid) == drafts[0].attempts


def test_the_index_keeps_what_it_froze() -> None:
    index = DuplicateIndex([5, -7])
    for value in range(100, 70_000):
        index.add(value)
    assert all(value in index for value in (5, -7, 100, 69_999))
    assert 6 not in index


def test_case_spacing_and_punctuation_make_no_new_caption() -> None:
    assert text_hash("An apple, red.") == text_hash(" an APPLE red ")
    assert text_hash("An apple") != text_hash("An apples")
