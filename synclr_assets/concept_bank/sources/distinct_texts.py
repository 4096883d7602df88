"""One display text per WordNet synset, no two alike: the first lemma, told apart where several share it.

Works on lemmas and definitions alone; a text is a function of the whole set of synsets, never of their order.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from synclr_assets.concept_bank.values import sameness

MAX_GLOSS_WORDS = 8
"""Words of a definition that may stand in parentheses, while that tells synsets apart."""

_OPENING = re.compile(
    r"^(?:any (?:of (?:the )?)?(?:various|numerous|several|many|the)\b(?: of (?:the )?)?|any of|"
    r"either of two|one of (?:the )?|(?:the|a|an|any|some)\b)\s*",
    re.IGNORECASE,
)
_REMARK = re.compile(r"\([^)]*\)")
_CLAUSE_END = re.compile(r"[;:]| -- ")
_GOES_ON = re.compile(
    "that|which|who|whose|whom|where|when|while|with|without|for|in|on|to|from|by|at|as|under|over|between|but|like|"
    "especially|formerly|usually|often|having|used|made|consisting|containing|resembling|similar|worn|designed|"
    "intended|found|native|growing|considered|producing|bearing",
    re.IGNORECASE,
)
"""Words that open what a gloss can do without."""
_LOOSE_END = re.compile(r"and|or|of|a|an|the|not|can|be|is|are|e\.g\.|i\.e\.|\w+ed,?|\w+ing,?")
"""Words that cannot end a gloss: what they lead to was cut off."""
_TOO_GENERAL = re.compile(
    "kind|type|sort|form|variety|breed|species|genus|family|group|class|set|piece|part|pair|member|state|act|one|"
    "female|male|any|small|large",
    re.IGNORECASE,
)
"""Words that say too little to be a gloss by themselves."""


@dataclass(frozen=True, slots=True)
class Synset:
    """One WordNet synset as ImageNet uses it."""

    wnid: str
    """`n` and eight digits."""
    lemmas: tuple[str, ...]
    """Its synonyms, the commonest first; never empty."""
    definition: str


def distinct_texts(synsets: Sequence[Synset], given: Mapping[str, str]) -> list[str]:
    """A display text per synset, in their order; all differ after NFKC and case folding.

    `given` maps wnids to texts that are taken as they are. A synset alone with its first lemma is called by
    it; of several that share one, none keeps it bare: "Angora" becomes "Angora cat", "kiwi" becomes "kiwi
    (nocturnal flightless bird)".
    """
    sharers = Counter(sameness(synset.lemmas[0]) for synset in synsets)
    sharers.update(sameness(text) for text in given.values())
    plain: dict[str, str] = {}
    ambiguous: list[Synset] = []
    for synset in synsets:
        if synset.wnid in given:
            plain[synset.wnid] = given[synset.wnid]
        elif sharers[sameness(synset.lemmas[0])] == 1:
            plain[synset.wnid] = synset.lemmas[0]
        else:
            ambiguous.append(synset)
    taken = Counter(sameness(text) for text in plain.values())
    taken.update(sharers)
    owners = Counter(sameness(lemma) for synset in synsets for lemma in synset.lemmas)
    candidates = {synset.wnid: list(_candidates(synset, owners)) for synset in ambiguous}
    for texts in candidates.values():
        taken.update({sameness(text) for text in texts})
    for wnid, texts in candidates.items():
        plain[wnid] = next(text for text in texts if taken[sameness(text)] == 1)
    texts = [plain[synset.wnid] for synset in synsets]
    assert len({sameness(text) for text in texts}) == len(texts), "two synsets got one display text"
    return texts


def _candidates(synset: Synset, owners: Mapping[str, int]) -> Iterator[str]:
    """Texts for a synset whose first lemma is shared, the best first; the last is certainly its own."""
    first, *others = synset.lemmas
    for lemma in others:
        if re.search(rf"\b{re.escape(first)}\b", lemma, re.IGNORECASE) and owners[sameness(lemma)] == 1:
            yield lemma
    yield f"{first} ({short_gloss(synset.definition)})"
    yield f"{first} ({first_clause(synset.definition)})"
    for lemma in others:
        if owners[sameness(lemma)] == 1:
            yield f"{first} ({lemma})"
    yield f"{first} ({synset.wnid})"


def first_clause(definition: str) -> str:
    """The definition up to its first punctuation, without its article and without remarks in parentheses."""
    text = " ".join(_REMARK.sub(" ", definition).split())
    clause = _CLAUSE_END.split(text, maxsplit=1)[0].strip(" `'\"")
    return _OPENING.sub("", clause) or clause or definition


def short_gloss(definition: str) -> str:
    """The head of the first clause: "large long-necked wading bird" for a crane; at least one word."""
    kept: list[str] = []
    for word in first_clause(definition).split()[:MAX_GLOSS_WORDS]:
        says_enough = any(not _TOO_GENERAL.fullmatch(earlier) for earlier in kept)
        if says_enough and (_GOES_ON.fullmatch(word) or (word == "of" and len(kept) > 1)):
            break
        kept.append(word)
        if word.endswith(",") and len(kept) > 2:
            break
    while len(kept) > 1 and _LOOSE_END.fullmatch(kept[-1]):
        kept.pop()
    return " ".join(kept).rstrip(",")
