"""What makes a completion unfit as a caption, and the reason. Redrawing and counting are the stage's work."""

import re
import unicodedata

from synclr_assets.synthesis.protocols import CaptionRequest
from synclr_assets.synthesis.vocabulary import singular, words_of

MAX_CHARACTERS = 400
"""Longer completions ran on; the text tower that reads captions for Stable Diffusion ends at 77 tokens."""

EMPTY = "empty"
TOO_LONG = "too_long"
UNPRINTABLE = "unprintable"
PROMPT_ECHOED = "prompt_echoed"
CONCEPT_MISSING = "concept_missing"
DUPLICATE = "duplicate"

CAPTION_REASONS = (EMPTY, TOO_LONG, UNPRINTABLE, PROMPT_ECHOED, CONCEPT_MISSING, DUPLICATE)
"""Every reason a caption can be refused for. DUPLICATE is the stage's to give: it alone sees the others."""

_FILLING = {"a", "an", "the", "of", "and", "with", "in", "on"}


def check_caption(text: str, request: CaptionRequest) -> str | None:
    """Why `text` cannot be the caption of `request`; None if it can."""
    if not words_of(text):
        return EMPTY
    if len(text) > MAX_CHARACTERS:
        return TOO_LONG
    if (
        any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") for character in text)
        or "�" in text
    ):
        return UNPRINTABLE
    if "=>" in text or _is_line_of(text, request.prompt):
        return PROMPT_ECHOED
    if not mentions(text, request.concept):
        return CONCEPT_MISSING
    return None


def mentions(text: str, concept: str) -> bool:
    """Whether every meaning word of the concept occurs in the text, in any order, singular or plural."""
    wanted = [word for word in _stems(concept) if word not in _FILLING] or _stems(concept)
    if not wanted:
        return concept.casefold() in text.casefold()
    return set(_stems(text)).issuperset(wanted)


def _stems(text: str) -> list[str]:
    """Words with hyphens and possessives taken apart and plurals made singular."""
    parts = re.sub(r"['\u2019]s\b|[-'\u2019]", " ", text)
    return [singular(word) for word in words_of(parts)]


def _is_line_of(text: str, prompt: str) -> bool:
    """Whether the text repeats the prompt's header or one of its solved captions."""
    lines = prompt.split("\n")
    solved = [line.partition("=>")[2].strip() for line in lines[1:-1]]
    return words_of(text) in [words_of(line) for line in (lines[0], *solved) if line]
