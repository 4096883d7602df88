"""What makes a completion unfit as a caption, and the reason. Redrawing and counting are the stage's work."""

import re
import unicodedata

from synclr_assets.synthesis.caption_language import is_english
from synclr_assets.synthesis.protocols import CaptionRequest
from synclr_assets.synthesis.vocabulary import singular, words_of

MAX_CHARACTERS = 400
"""Longer completions ran on; the text tower that reads captions for Stable Diffusion ends at 77 tokens."""

EMPTY = "empty"
TOO_LONG = "too_long"
UNPRINTABLE = "unprintable"
REFUSED = "refused"
PROMPT_ECHOED = "prompt_echoed"
WRONG_LANGUAGE = "wrong_language"
CONCEPT_MISSING = "concept_missing"
DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near_duplicate"

CAPTION_REASONS = (
    EMPTY, REFUSED, TOO_LONG, UNPRINTABLE, PROMPT_ECHOED, WRONG_LANGUAGE, CONCEPT_MISSING, DUPLICATE, NEAR_DUPLICATE,
)  # fmt: skip
"""Every reason a caption can be refused for, in the order of judging. The last two are the stage's to give: it alone
sees the other captions."""

CHECKS_VERSION = 3
"""Raised whenever a text would be judged otherwise; part of the settings of every stage that checks captions."""

_NAMESAKE = re.compile(r"\s+\([^()]*\)$")
_FILLING = {"a", "an", "the", "of", "and", "with", "in", "on"}
_REFUSAL = re.compile(
    r"""^\W*(
        (i['\u2019]?m|i\ am|we\ are|we['\u2019]re)\ (\w+\ )?(sorry|unable|not\ able|afraid)\b
        | (sorry|apologies)[,.!]?\ (but\b|i\b|we\b|that\b|as\ an?\b)
        | (i|we)\ (\w+\ )?apologi[sz]e\b
        | (i|we)\ (\w+\ )?(can['\u2019]t|cannot|can\ not|won['\u2019]t|will\ not|do\ not|don['\u2019]t)\ \w+
        | unfortunately,?\ (i|we)\b
        | as\ an?\ (\w+\ )?(ai|artificial\ intelligence|language\ model)\b
    ) | \bas\ an?\ ai\ (language\ )?(model|assistant)\b""",
    re.IGNORECASE | re.VERBOSE,
)


def check_caption(text: str, request: CaptionRequest) -> str | None:
    """Why `text` cannot be the caption of `request`; None if it can."""
    if not words_of(text):
        return EMPTY
    if _REFUSAL.search(text):
        return REFUSED
    if len(text) > MAX_CHARACTERS:
        return TOO_LONG
    if (
        any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") for character in text)
        or "�" in text
    ):
        return UNPRINTABLE
    if "=>" in text or _is_line_of(text, request.prompt):
        return PROMPT_ECHOED
    if not is_english(text, (request.concept, request.background or "")):
        return WRONG_LANGUAGE
    if not mentions(text, request.concept):
        return CONCEPT_MISSING
    return None


def mentions(text: str, concept: str) -> bool:
    """Whether every meaning word of the concept occurs in the text, in any order, singular or plural.

    What stands in brackets at the end only tells the concept from its namesakes: "crane (bird)" is a crane.
    """
    concept = _NAMESAKE.sub("", concept)
    wanted = [word for word in _stems(concept) if word not in _FILLING] or _stems(concept)
    if not wanted:
        return concept.casefold() in text.casefold()
    return set(_stems(text)).issuperset(wanted)


def _stems(text: str) -> list[str]:
    """Words with hyphens and possessives taken apart and plurals made singular."""
    parts = re.sub(r"['\u2019]s\b|[-'\u2019]", " ", text)
    return [singular(word) for word in words_of(parts)]


def _is_line_of(text: str, prompt: str) -> bool:
    """Whether the text repeats the prompt's header, its query of two parts, or one of its solved captions."""
    lines = prompt.split("\n")
    solved = [line.partition("=>")[2].strip() for line in lines[1:-1]]
    query = lines[-1].partition("=>")[0] if ", " in lines[-1] else ""
    return words_of(text) in [words_of(line) for line in (lines[0], query, *solved) if line]
