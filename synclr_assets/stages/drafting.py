"""Drawing captions until they pass their checks: one batch, in plan order. Writes nothing.

A caption that fails a check is redrawn under the next attempt number. A duplicate, exact or near, is judged against
all earlier positions, so the outcome is the same for every batch size and after every interruption.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synclr_assets.stages.plan import PlannedCaption
from synclr_assets.synthesis.caption_checks import DUPLICATE, NEAR_DUPLICATE, check_caption
from synclr_assets.synthesis.near_duplicates import NearDuplicateIndex, Sketch, sketch_of
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
    """What all texts of a bucket generation so far say: 8 bytes each once frozen, and sketches for near duplicates.

    A pure function of the accepted texts in plan order, so that it can be rebuilt from committed ones.
    """

    def __init__(self, hashes: Iterable[int] = (), near: NearDuplicateIndex | None = None) -> None:
        self._frozen = np.unique(np.fromiter(hashes, dtype=np.int64))
        self._recent: set[int] = set()
        self._near = near

    def __contains__(self, text_hash: int) -> bool:
        if text_hash in self._recent:
            return True
        place = int(np.searchsorted(self._frozen, text_hash))
        return place < len(self._frozen) and int(self._frozen[place]) == text_hash

    def reason(self, said: Said) -> str | None:
        """DUPLICATE or NEAR_DUPLICATE where an accepted text says it already."""
        if said.text_hash in self:
            return DUPLICATE
        if self._near is not None and said.sketch in self._near:
            return NEAR_DUPLICATE
        return None

    def accept(self, said: Said) -> None:
        """Count a text among those that later ones are compared with."""
        self.add(said.text_hash)
        if self._near is not None:
            self._near.add(said.sketch)

    def empty_copy(self) -> DuplicateIndex:
        """An index that judges by the same rules and knows no text yet."""
        return DuplicateIndex((), None if self._near is None else NearDuplicateIndex(self._near.threshold))

    def add(self, text_hash: int) -> None:
        self._recent.add(text_hash)
        if len(self._recent) >= 1 << 16:
            merged = np.concatenate([self._frozen, np.fromiter(self._recent, dtype=np.int64)])
            self._frozen = np.unique(merged)
            self._recent.clear()


class Said:
    """What a text says, for comparison with others; its sketch is made when it is first asked for."""

    def __init__(self, text: str) -> None:
        self.text_hash = text_hash(text)
        self._text = text

    @cached_property
    def sketch(self) -> Sketch:
        return sketch_of(self._text)


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
    drawn: dict[tuple[int, int], _Drawn] = {}

    def ensure(wanted: Sequence[tuple[int, int]]) -> None:
        missing = [key for key in wanted if key not in drawn]
        requests = [makers[number](attempt) for number, attempt in missing]
        completions = captioner.complete(requests) if requests else []
        for key, request, completion in zip(missing, requests, completions, strict=True):
            drawn[key] = _Drawn(completion, check_caption(completion.text, request), Said(completion.text))

    _draw_what_is_likely_needed(ensure, drawn, len(makers), index, max_attempts)
    drafts = []
    for number in range(len(makers)):
        attempt = 0
        while reason := drawn[number, attempt].fault or index.reason(drawn[number, attempt].said):
            if attempt + 1 >= max_attempts:
                break
            attempt += 1
            ensure([(number, attempt)])
        if reason is None:
            index.accept(drawn[number, attempt].said)
        spent = [drawn[number, earlier].completion for earlier in range(attempt + 1)]
        drafts.append(
            Draft(
                text=spent[-1].text,
                text_hash=drawn[number, attempt].said.text_hash,
                attempts=len(spent),
                prompt_tokens=sum(one.prompt_tokens for one in spent),
                completion_tokens=sum(one.completion_tokens for one in spent),
                reason=reason,
            )
        )
    return drafts, [one.completion for one in drawn.values()]


@dataclass(frozen=True)
class _Drawn:
    """A completion, what is wrong with it taken by itself, and what it says."""

    completion: Completion
    fault: str | None
    said: Said


def _draw_what_is_likely_needed(
    ensure: Callable[[Sequence[tuple[int, int]]], None],
    drawn: dict[tuple[int, int], _Drawn],
    count: int,
    index: DuplicateIndex,
    max_attempts: int,
) -> None:
    """Draw first attempts, and redraws of whatever will probably be refused, in as few batches as possible.

    A guess because a redraw may yet collide with a later text; the judgement in plan order draws what is missing.
    """
    attempt_of = [0] * count
    wanted = [(number, 0) for number in range(count)]
    while wanted:
        ensure(wanted)
        batch = index.empty_copy()
        wanted = []
        for number, attempt in enumerate(attempt_of):
            one = drawn[number, attempt]
            if one.fault is None and index.reason(one.said) is None and batch.reason(one.said) is None:
                batch.accept(one.said)
            elif attempt + 1 < max_attempts:
                attempt_of[number] += 1
                wanted.append((number, attempt + 1))
