"""Drawing captions until they pass their checks: one batch, in plan order. Writes nothing.

A caption that fails a check is redrawn under the next attempt number. A duplicate is judged against all earlier
positions, so the outcome is the same for every batch size and after every interruption.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from synclr_assets.stages.plan import PlannedCaption
from synclr_assets.synthesis.caption_checks import DUPLICATE, check_caption
from synclr_assets.synthesis.prompts import PromptSet
from synclr_assets.synthesis.protocols import Captioner, CaptionRequest, Completion

_WORD = re.compile(r"\w+")
MakeRequest = Callable[[int], CaptionRequest]
"""The request of one caption for a given attempt number."""


@dataclass(frozen=True)
class Draft:
    """The outcome for one caption. `reason` is None where the text passed every check."""

    text: str
    text_hash: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    reason: str | None


class DuplicateIndex:
    """Hashes of all texts of a bucket generation so far: 8 bytes each once frozen."""

    def __init__(self, hashes: Iterable[int] = ()) -> None:
        self._frozen = np.unique(np.fromiter(hashes, dtype=np.int64))
        self._recent: set[int] = set()

    def __contains__(self, text_hash: int) -> bool:
        if text_hash in self._recent:
            return True
        place = int(np.searchsorted(self._frozen, text_hash))
        return place < len(self._frozen) and int(self._frozen[place]) == text_hash

    def add(self, text_hash: int) -> None:
        self._recent.add(text_hash)
        if len(self._recent) >= 1 << 16:
            merged = np.concatenate([self._frozen, np.fromiter(self._recent, dtype=np.int64)])
            self._frozen = np.unique(merged)
            self._recent.clear()


def text_hash(text: str) -> int:
    """64-bit signed hash of what a caption says; case, punctuation and spacing do not count."""
    key = " ".join(_WORD.findall(text.casefold())).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big", signed=True)


def request_maker(slot: PlannedCaption, prompts: PromptSet, background: str | None = None) -> MakeRequest:
    """The requests of one planned caption, by attempt number."""

    def make(attempt: int) -> CaptionRequest:
        return prompts.request(
            caption_id=slot.caption_id,
            concept=slot.concept.display_text,
            template=slot.template,
            relation=slot.relation,
            background=background,
            attempt=attempt,
        )

    return make


def draft_captions(
    captioner: Captioner, makers: Sequence[MakeRequest], index: DuplicateIndex, max_attempts: int
) -> tuple[list[Draft], list[Completion]]:
    """One Draft per maker, in order, and every completion that was paid for. Accepted texts enter the index."""
    drawn: dict[tuple[int, int], tuple[Completion, str | None]] = {}

    def ensure(wanted: Sequence[tuple[int, int]]) -> None:
        missing = [key for key in wanted if key not in drawn]
        requests = [makers[number](attempt) for number, attempt in missing]
        completions = captioner.complete(requests) if requests else []
        for key, request, completion in zip(missing, requests, completions, strict=True):
            drawn[key] = (completion, check_caption(completion.text, request))

    attempt_of = [0] * len(makers)
    ensure([(number, 0) for number in range(len(makers))])
    while failing := [n for n, a in enumerate(attempt_of) if drawn[n, a][1] is not None and a + 1 < max_attempts]:
        for number in failing:
            attempt_of[number] += 1
        ensure([(number, attempt_of[number]) for number in failing])

    ensure(_likely_redraws(attempt_of, drawn, index, max_attempts))
    drafts = []
    for number in range(len(makers)):
        while True:
            completion, reason = drawn[number, attempt_of[number]]
            hashed = text_hash(completion.text)
            if reason is None and hashed in index:
                reason = DUPLICATE
            if reason is None or attempt_of[number] + 1 >= max_attempts:
                break
            attempt_of[number] += 1
            ensure([(number, attempt_of[number])])
        if reason is None:
            index.add(hashed)
        spent = [drawn[number, attempt][0] for attempt in range(attempt_of[number] + 1)]
        drafts.append(
            Draft(
                text=completion.text,
                text_hash=hashed,
                attempts=len(spent),
                prompt_tokens=sum(one.prompt_tokens for one in spent),
                completion_tokens=sum(one.completion_tokens for one in spent),
                reason=reason,
            )
        )
    return drafts, [completion for completion, _ in drawn.values()]


def _likely_redraws(
    attempt_of: Sequence[int],
    drawn: dict[tuple[int, int], tuple[Completion, str | None]],
    index: DuplicateIndex,
    max_attempts: int,
) -> list[tuple[int, int]]:
    """Next attempts of captions that look like duplicates, so that they are drawn in one batch."""
    seen: set[int] = set()
    redraws = []
    for number, attempt in enumerate(attempt_of):
        completion, reason = drawn[number, attempt]
        hashed = text_hash(completion.text)
        if reason is None and (hashed in index or hashed in seen) and attempt + 1 < max_attempts:
            redraws.append((number, attempt + 1))
        seen.add(hashed)
    return redraws
