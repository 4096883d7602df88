"""Reading a caption: which things it names, in which colours, where, on what ground, in what light.

Reads English words only by looking them up; what it does not find stays open (None) and is drawn later.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from synclr_assets.synthesis.vocabulary import (
    COLOURS,
    FINISHES,
    LIGHTS,
    MEDIA,
    RELATIONS,
    SIZES,
    SURFACES,
    TILTS,
    WEIGHTS,
    Light,
    Rgb,
    Surface,
    Thing,
    thing_of,
    words_of,
)


@dataclass(frozen=True)
class Scene:
    """What one caption says."""

    subject: Thing
    colours: tuple[Rgb, ...]
    """Colours of the subject, in the order named."""
    size: float | None
    weight: float | None
    tilt: float | None
    finish: float | None
    medium: str | None
    surface: Surface | None
    light: Light | None
    ground: str | None
    """The background's words, e.g. `a dusty chalkboard`."""
    relation: str | None
    other: Thing | None
    """The second thing of a relation."""
    other_colours: tuple[Rgb, ...]


def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, longest_first)) + r")(?![\w-])")


_LIGHT = _any_of(tuple(LIGHTS))
_FINISH = _any_of(tuple(FINISHES))
_TILT = _any_of(tuple(TILTS))
_SIZE = _any_of(tuple(SIZES))
_WEIGHT = _any_of(tuple(WEIGHTS))
_SURFACE = _any_of(tuple(SURFACES))
_MEDIUM = _any_of(MEDIA)
_COLOUR = _any_of(tuple(COLOURS))
_RELATION = _any_of(tuple(RELATIONS))
_GROUNDS = (
    re.compile(r"\bwith ([^,.;]+?) (?:behind (?:it|them)|in the background|as (?:a|the) backdrop)"),
    re.compile(r"\bagainst ([^,.;]+)"),
    re.compile(r"\b(?:on|across) ([^,.;]+)"),
    re.compile(r"\b(?:in|at|inside|over|amid|among|under) ((?:a|an|the|some|rows of) [^,.;]+)"),
)
"""Forms of a background, the surest first."""
_NOUN_PHRASE_END = re.compile(r"[,.;]|\b(?:in|on|at|against|with|under|inside|across|over|and|by)\b")


@lru_cache(maxsize=4096)
def read_scene(text: str, concept: str) -> Scene:
    """Read a caption about `concept`; what it does not say is None or empty."""
    rest = text.casefold()
    light, rest = _take(_LIGHT, rest)
    tilt, rest = _take(_TILT, rest)
    relation, other_words, rest = _take_relation(rest)
    ground, rest = _take_ground(rest)
    medium, rest = _take(_MEDIUM, rest)
    finish, rest = _take(_FINISH, rest)
    surface, rest = _take(_SURFACE, rest)
    size, rest = _take(_SIZE, rest)
    weight, rest = _take(_WEIGHT, rest)
    rest = _without_concept(rest, concept)
    return Scene(
        subject=thing_of(concept),
        colours=tuple(COLOURS[name] for name in _COLOUR.findall(rest)),
        size=SIZES.get(size or ""),
        weight=WEIGHTS.get(weight or ""),
        tilt=TILTS.get(tilt or ""),
        finish=FINISHES.get(finish or ""),
        medium=medium,
        surface=SURFACES.get(surface or ""),
        light=LIGHTS.get(light or ""),
        ground=ground,
        relation=relation,
        other=thing_of(_bare(other_words)) if other_words else None,
        other_colours=tuple(COLOURS[name] for name in _COLOUR.findall(other_words)),
    )


def _take(pattern: re.Pattern[str], text: str) -> tuple[str | None, str]:
    """The first match and the text without it."""
    match = pattern.search(text)
    if match is None:
        return None, text
    return match.group(1), text[: match.start()] + " " + text[match.end() :]


def _take_relation(text: str) -> tuple[str | None, str, str]:
    """The relation, the words of the second thing, and the text without both."""
    match = _RELATION.search(text)
    if match is None:
        return None, "", text
    after = text[match.end() :]
    if re.match(r"\s+(?:it|them)\b", after):
        return None, "", text
    stop = _NOUN_PHRASE_END.search(after)
    cut = stop.start() if stop else len(after)
    words = after[:cut].strip()
    if not words:
        return None, "", text
    return match.group(1), words, text[: match.start()] + " , " + after[cut:]


def _take_ground(text: str) -> tuple[str | None, str]:
    """The phrase that names a place or surface, and the text without it; of two equal forms the last."""
    for form in _GROUNDS:
        matches = list(form.finditer(text))
        if matches:
            last = matches[-1]
            return last.group(1).strip(), text[: last.start()] + " , " + text[last.end() :]
    return None, text


def _without_concept(text: str, concept: str) -> str:
    """The text without the concept's own words, so that an `orange` or a `black swan` gives no colour."""
    return re.sub(re.escape(concept.casefold()), " ", text)


def _bare(words: str) -> str:
    """A noun phrase without articles, sizes and colours."""
    dropped = {"a", "an", "the", "some", "its", *COLOURS, *SIZES}
    kept = [word for word in words_of(words) if word not in dropped]
    return " ".join(kept) or words
