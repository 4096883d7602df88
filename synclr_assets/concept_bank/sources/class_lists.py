"""The class lists written down as data files: one class per line, under a header that names their origin.

Reads only files of this package; what is wrong with one is a fault of the package, not of a user.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

_TEXT_SEPARATOR = " = "
_VIEW = re.compile(r"(.+)/(indoor|outdoor|interior|exterior)")


@dataclass(frozen=True, slots=True)
class NamedClass:
    """One class of a source."""

    name: str
    """The data set's own name for it: the concept's identity."""
    text: str
    """What captions call it."""


@cache
def class_list(source: str) -> tuple[NamedClass, ...]:
    """The classes of `sources/data/<source>.txt` in the order of the file.

    A line is a name, or `name = text` where the name itself would mislead; otherwise the text is the name
    with blanks for underscores, and a trailing `/indoor` (outdoor, interior, exterior) in parentheses.
    """
    classes = []
    for line in data_lines(source):
        name, _, text = line.partition(_TEXT_SEPARATOR)
        classes.append(NamedClass(name, text or _spoken(name)))
    return tuple(classes)


def data_lines(stem: str) -> list[str]:
    """The lines of `sources/data/<stem>.txt` that are neither empty nor comments."""
    file = resources.files("synclr_assets.concept_bank.sources").joinpath(f"data/{stem}.txt")
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def text_pairs(stem: str) -> dict[str, str]:
    """`sources/data/<stem>.txt` as a mapping: each of its lines is `name = text`."""
    pairs = dict(line.split(_TEXT_SEPARATOR) for line in data_lines(stem))
    assert len(pairs) == len(data_lines(stem)), f"{stem}.txt names a class twice"
    return pairs


def _spoken(name: str) -> str:
    view = _VIEW.fullmatch(name)
    text = f"{view[1]} ({view[2]})" if view else name
    return text.replace("_", " ")
