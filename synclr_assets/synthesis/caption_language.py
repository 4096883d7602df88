"""Whether a caption is English, judged by its script and its function words. Knows no model and no dictionary.

Words that the request itself brought (a concept may be `fleur-de-lis` or `仙人掌`) do not count. Limits: a caption of
fewer than twelve words in a Latin script passes unless two function words of another listed language stand in it;
English of any quality passes; other languages are seen by their script, or by the want of English function words.
"""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from synclr_assets.synthesis.vocabulary import words_of

MAX_FOREIGN_LETTERS = 0.2
"""Share of letters of another script than Latin, above which a caption is not English."""
MIN_FOREIGN_WORDS = 2
"""Function words of another language that make a caption foreign, where they outnumber the English ones."""
MIN_WORDS_WITHOUT_ENGLISH = 12
"""A caption of this many words without one English function word is not English."""

_ENGLISH = """
a about above across after against all along amid among an and any are around as at away be been before behind being
below beneath beside besides between beyond both but by can down during each for from full had has have he her hers
him his if in inside into is it its just like made more near next no not of off on onto one or other out over past set
she so some such than that the their them then there these they this those three through to toward towards two under
underneath until up upon very was were what when where which while who whose with within without you your
"""
_FOREIGN = {
    "German": """der das den dem des ein eine einen einem einer und mit auf aus im vor neben ist sind nicht für über
        unter zwischen hinter zum zur wird""",
    "French": """le les des du un une et est sont dans sur avec au aux pour qui ses cette devant près sous par""",
    "Spanish": """el los las del un una unos unas y es están está en con sobre por para que sus junto al bajo""",
    "Italian": """il gli della delle dei del di un una uno è sono nel nella con sul sulla che per accanto sotto""",
    "Portuguese": """o os as da das dos um uma em no na com sobre é são ao pela pelo que para seu sua""",
    "Dutch": """de het een en van op met voor naast onder boven tussen zijn wordt staat ligt aan bij""",
    "Swedish": """en ett och på med av är i som bredvid under för från till det den""",
    "Polish": """na w z i jest się pod obok przed nad ze oraz które który jego""",
    "Turkish": """bir ve ile bu için üzerinde yanında altında olan çok""",
    "Indonesian": """yang di dan dengan dari sebuah seorang pada ini itu atas bawah""",
}
_ENGLISH_WORDS = frozenset(_ENGLISH.split())
_FOREIGN_WORDS = {name: frozenset(words.split()) - _ENGLISH_WORDS for name, words in _FOREIGN.items()}


def is_english(text: str, given: Iterable[str] = ()) -> bool:
    """Whether the text reads as English; the words of `given` phrases are left out of the judgement."""
    known = {word for phrase in given for word in words_of(phrase)}
    words = [word for word in words_of(text) if word not in known]
    letters = [letter for word in words for letter in word if letter.isalpha()]
    if sum(not _is_latin(letter) for letter in letters) > MAX_FOREIGN_LETTERS * len(letters):
        return False
    num_english = sum(word in _ENGLISH_WORDS for word in words)
    num_foreign = max(sum(word in listed for word in words) for listed in _FOREIGN_WORDS.values())
    if num_foreign >= MIN_FOREIGN_WORDS and num_foreign > num_english:
        return False
    return num_english > 0 or len(words) < MIN_WORDS_WITHOUT_ENGLISH


@lru_cache(maxsize=4096)
def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("LATIN", "FEMININE ORDINAL", "MASCULINE ORDINAL"))
