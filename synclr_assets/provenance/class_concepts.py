"""Which concepts the classes of an evaluation are: by equal names, by equal texts, or by a mapping file.

Guesses nothing: a class without a concept keeps the reason why.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from synclr_assets.concept_bank.problems import RefusedError
from synclr_assets.concept_bank.values import shown
from synclr_assets.concept_bank.yaml_tree import Plain, Tree, parse_yaml
from synclr_assets.provenance.concept_reading import ConceptRead

SHIPPED = ("sklearn_digits", "digits_on_photos")
"""Data sets whose classes carry other names than the shipped bank's concepts: each has a file in class_names."""

ClassMap = Mapping[str, tuple[str, ...]]
"""Class -> concepts, each by name, by text or as `bucket/name`; an empty tuple says that it is none."""


@dataclass(frozen=True)
class ClassConcepts:
    """One class of an evaluation and the concepts it is; none, and then the reason."""

    name: str
    concepts: tuple[ConceptRead, ...]
    reason: str | None


class ClassMapError(ValueError):
    """A mapping file that cannot be read, told in one sentence."""


def normalised(text: str) -> str:
    """What two spellings of one name share: letters and digits in one case and form, single blanks between."""
    return " ".join(re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).split())


def match_classes(
    class_names: Iterable[str], concepts: Sequence[ConceptRead], class_map: ClassMap
) -> list[ClassConcepts]:
    """Every class with its concepts: those the map names, else those whose name or text is the class's own.

    A concept that is in several buckets matches in each of them.
    """
    index: dict[str, dict[tuple[str, str], ConceptRead]] = defaultdict(dict)
    for each in concepts:
        for spelling in (each.concept, each.text, f"{each.bucket}/{each.concept}"):
            index[normalised(spelling)][each.bucket, each.concept] = each
    return [_matched(name, index, class_map) for name in class_names]


def shipped_class_map(dataset: str) -> ClassMap:
    """The mapping that comes with a known data set; empty for any other."""
    if dataset not in SHIPPED:
        return {}
    file = files("synclr_assets.provenance") / "class_names" / f"{dataset}.yaml"
    return _class_map_of(file.read_bytes(), file.name)


def read_class_map(path: Path) -> ClassMap:
    """The mapping file at `path`. Raises ClassMapError naming the file and the mend."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ClassMapError(f"{path}: cannot be read ({error.strerror}); name a mapping file.") from error
    return _class_map_of(content, str(path))


def _matched(
    name: str, index: Mapping[str, Mapping[tuple[str, str], ConceptRead]], class_map: ClassMap
) -> ClassConcepts:
    wanted = class_map.get(name, (name,))
    if not wanted:
        return ClassConcepts(name, (), "the mapping says that it is no concept")
    found: dict[tuple[str, str], ConceptRead] = {}
    for spelling in wanted:
        matches = index.get(normalised(spelling), {})
        if not matches:
            where = f"the mapping's {spelling!r}" if name in class_map else "its name"
            return ClassConcepts(name, (), f"{where} is no concept of the model's buckets")
        found |= matches
    return ClassConcepts(name, tuple(found.values()), None)


def _class_map_of(content: bytes, file: str) -> ClassMap:
    try:
        tree = parse_yaml(content)
        if not isinstance(tree, dict):
            raise RefusedError("", "is no mapping", 'write lines such as "0": digit zero')
        return {name: _spellings_of(name, value) for name, value in tree.items()}
    except RefusedError as refusal:
        raise ClassMapError(refusal.in_file(file).sentence) from refusal


def _spellings_of(name: str, value: Tree) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    for item in items:
        if not isinstance(item, str | Plain) or item == Plain("nothing", ""):
            raise RefusedError(
                name, f"{shown(item)} is no concept", "give a concept, a list of concepts, or [] for none"
            )
    return tuple(item.raw if isinstance(item, Plain) else str(item) for item in items)
