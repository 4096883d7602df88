"""One value of a bucket file: text and numbers as the schema wants them, or the reason why they are not."""

import math
import re
import unicodedata

from synclr_assets.concept_bank.problems import RefusedError, quote
from synclr_assets.concept_bank.yaml_tree import Plain, Tree

# YAML 1.1 takes 1e-3 and 1.5e3 for text, YAML 1.2 and everybody else for numbers.
_EXPONENT_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+")
_JOINERS = "\u200c\u200d"
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def number_of(value: Tree, field: str, what: str) -> float:
    """A finite decimal number written without quotes, else a `RefusedError` asking for `what`."""
    mend = f"give a positive {what}"
    if isinstance(value, str) and _EXPONENT_NUMBER.fullmatch(value):
        value = Plain("a number", value)
    if not isinstance(value, Plain) or value.kind != "a number":
        raise RefusedError(field, f"{shown(value)} is not a number", mend)
    if value.raw.lower().lstrip("+-") in (".nan", ".inf"):
        raise RefusedError(field, f"{shown(value)} is not finite", mend)
    try:
        number = float(value.raw)
    except ValueError as error:
        raise RefusedError(field, f"{shown(value)} is not a decimal number", mend) from error
    if not math.isfinite(number):
        raise RefusedError(field, f"{shown(value)} is not finite", mend)
    return number


def text_of(value: Tree, field: str, max_chars: int) -> str:
    """Text in Unicode NFC with single blanks, without control or invisible characters."""
    if isinstance(value, Plain):
        if value.kind == "nothing":
            raise RefusedError(field, "is empty", "give it a text or remove the line")
        raise RefusedError(field, f"{quote(value.raw)} is {value.kind} to YAML", f"quote it as '{value.raw}'")
    if not isinstance(value, str):
        raise RefusedError(field, f"is {kind_of(value)}, not text", "write one line of text")
    if not value.isprintable():
        _refuse_invisible(value, field)
    text = " ".join(unicodedata.normalize("NFC", value).split())
    if not text:
        raise RefusedError(field, "is empty", "give it a text or remove the line")
    if len(text) > max_chars:
        mend = f"keep it within {max_chars}"
        raise RefusedError(field, f"{quote(text)} has {len(text)} characters", mend)
    return text


def _refuse_invisible(text: str, field: str) -> None:
    for char in text:
        if unicodedata.category(char) in _INVISIBLE and char not in _JOINERS:
            name = "a line break" if char in "\n\r" else f"the control character U+{ord(char):04X}"
            raise RefusedError(
                field, f"{quote(text)} holds {name}", "write it on one line of visible characters"
            )


def shown(value: Tree) -> str:
    if isinstance(value, Plain):
        return quote(value.raw) if value.raw else "nothing"
    return quote(value) if isinstance(value, str) else kind_of(value)


def kind_of(value: Tree) -> str:
    if isinstance(value, Plain):
        return value.kind
    return {str: "text", list: "a list", dict: "a mapping"}[type(value)]


def sameness(text: str) -> str:
    """What two texts share that differ only in case or in compatible forms of their letters."""
    return unicodedata.normalize("NFKC", text).casefold()
