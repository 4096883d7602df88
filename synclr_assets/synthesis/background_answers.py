"""Reading what a model answers about backgrounds, and why an answer cannot be used. Asks nobody."""

import json
import re
import unicodedata

from synclr_assets.synthesis.caption_checks import mentions
from synclr_assets.synthesis.caption_language import is_english
from synclr_assets.synthesis.purchases import Delivery

MAX_BACKGROUND_CHARACTERS = 80
LEAST_SHARE = 0.8
"""Share of the backgrounds asked for that must be usable: the paper asks for about 100 (SynCLR 3.1)."""

REFUSED = "refused"
UNREADABLE = "unreadable"
TOO_FEW = "too_few"
NOT_ENGLISH = "not_english"
BACKGROUND_MISSING = "background_missing"

_FENCE = re.compile(r"```\w*\n?|```")
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s+")
_WORD = re.compile(r"[^\W\d_]+")


class WrongAnswer(Exception):  # noqa: N818 - a reason to ask again, no fault of the program
    """A delivered answer that cannot be used; its text is the reason."""


def background_list(delivery: Delivery, count: int) -> list[str]:
    """At most `count` distinct backgrounds out of an answer, cleaned. Raises WrongAnswer."""
    if delivery.refused:
        raise WrongAnswer(REFUSED)
    usable: dict[str, str] = {}
    for item in _items(delivery.text):
        background = " ".join(item.split()).rstrip(".")
        if is_background(background):
            usable.setdefault(background.casefold(), background)
    backgrounds = list(usable.values())
    if backgrounds and not is_english(", ".join(backgrounds)):
        raise WrongAnswer(NOT_ENGLISH)
    if len(backgrounds) < LEAST_SHARE * count:
        raise WrongAnswer(f"{TOO_FEW}: {len(backgrounds)} of {count}")
    return backgrounds[:count]


def rewritten_caption(delivery: Delivery) -> tuple[str, str]:
    """Caption and background out of an answer. Raises WrongAnswer; whether the caption is fit is checked later."""
    if delivery.refused:
        raise WrongAnswer(REFUSED)
    content = _json_in(delivery.text)
    if not isinstance(content, dict):
        raise WrongAnswer(UNREADABLE)
    caption, background = content.get("caption"), content.get("background")
    if (
        not isinstance(caption, str)
        or not isinstance(background, str)
        or not is_background(background.strip())
    ):
        raise WrongAnswer(UNREADABLE)
    if not any(mentions(caption, word) for word in _WORD.findall(background) if len(word) > 3):
        raise WrongAnswer(BACKGROUND_MISSING)
    return " ".join(caption.split()), " ".join(background.split())


def is_background(text: str) -> bool:
    """Whether the text can stand as a background: short, printable, with a word in it."""
    printable = all(unicodedata.category(character)[0] != "C" for character in text)
    return 2 <= len(text) <= MAX_BACKGROUND_CHARACTERS and printable and bool(_WORD.search(text))


def _items(text: str) -> list[str]:
    """The strings of `{"backgrounds": [...]}`, of any bare list, or of a list with one item per line."""
    content = _json_in(text)
    if isinstance(content, dict):
        content = content.get("backgrounds") or next(
            (value for value in content.values() if isinstance(value, list)), None
        )
    if content is None and "{" not in text and "[" not in text:
        content = [_BULLET.sub("", line) for line in text.splitlines() if _BULLET.match(line)] or None
    if not isinstance(content, list) or not all(isinstance(item, str) for item in content):
        raise WrongAnswer(UNREADABLE)
    return content


def _json_in(text: str) -> object:
    """The JSON value in a text, with or without a code fence and words around it; None where there is none."""
    bare = _FENCE.sub("", text)
    starts = [place for place in (bare.find("{"), bare.find("[")) if place >= 0]
    if not starts:
        return None
    try:
        value: object = json.JSONDecoder().raw_decode(bare[min(starts) :])[0]
    except ValueError:
        return None
    return value
