"""The schema of a bucket file: from a YAML tree to a checked `Bucket`, or to every fault found on the way.

Reads no file; corrects nothing but Unicode form and runs of blanks.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec, TypeVar

from synclr_assets.concept_bank.bucket import (
    OBJECT_TEMPLATE_SHARES,
    SOURCES,
    TEMPLATES,
    Bucket,
    Concept,
    normalise,
)
from synclr_assets.concept_bank.names import check_name
from synclr_assets.concept_bank.problems import RefusedError, among, key_path, quote
from synclr_assets.concept_bank.values import kind_of, number_of, sameness, shown, text_of
from synclr_assets.concept_bank.yaml_tree import Plain, Tree

MAX_CONCEPT_CHARS = 200
"""Length of a concept's name or text, in characters."""
MAX_DESCRIPTION_CHARS = 2000
"""Length of a bucket's description, in characters."""
MAX_NUM_CAPTIONS = 1_000_000_000
"""Caption budget of one bucket; the paper's whole corpus is 150 million."""
MAX_TEMPLATE_SHARE = 1e6
"""Largest single template share, on whatever scale the file uses."""

BUCKET_KEYS = ("bucket", "description", "source", "captions", "templates", "concepts")
CONCEPT_KEYS = ("name", "text", "weight", "templates")

_WHOLE_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*(_[0-9]+)*)")

P = ParamSpec("P")
T = TypeVar("T")


def bucket_of(tree: Tree | None, path: Path, refusals: list[RefusedError]) -> Bucket | None:
    """The bucket in `tree`; None after adding one `RefusedError` per fault to `refusals`."""

    def attempt(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return read(*args, **kwargs)
        except RefusedError as refusal:
            refusals.append(refusal)
            return None

    fields = attempt(top_level_of, tree, "captions: 100 and a list of concepts")
    if fields is None:
        return None
    for key in fields:
        attempt(_check_key, key)
    name = attempt(_name_of, fields.get("bucket"), path.stem)
    description = attempt(_description_of, fields.get("description"))
    source = attempt(_source_of, fields.get("source"))
    num_captions = attempt(_num_captions_of, fields)
    shares = attempt(_template_shares_of, fields.get("templates"), SOURCES[source or "custom"])
    items = attempt(_concept_list_of, fields) or []
    concepts = []
    for index, item in enumerate(items):
        concept = attempt(_concept_of, item, f"concepts[{index}]", shares or OBJECT_TEMPLATE_SHARES)
        if concept:
            concepts.append((index, concept))
    _find_duplicates(concepts, refusals)
    if refusals:
        return None
    assert name, "every field of a file without refusals was read"
    assert source
    assert description is not None
    assert num_captions
    assert shares
    return Bucket(name, description, source, num_captions, shares, tuple(c for _, c in concepts), path)


def top_level_of(tree: Tree | None, example: str) -> dict[str, Tree]:
    """The file's mapping, or a `RefusedError` whose mend shows `example`."""
    if tree is None:
        raise RefusedError("", "is empty", f"write {example}")
    if not isinstance(tree, dict):
        raise RefusedError(
            "", f"is {kind_of(tree)} at its top level, not keys with values", f"begin with {example}"
        )
    return tree


def _check_key(key: str) -> None:
    if key not in BUCKET_KEYS:
        raise RefusedError(key_path(key), f"{quote(key)} is no key of a bucket file", among(key, BUCKET_KEYS))


def _name_of(value: Tree | None, stem: str) -> str:
    check_name(stem, "file name")
    if value is None:
        return stem
    name = check_name(text_of(value, "bucket", MAX_CONCEPT_CHARS), "bucket")
    if name != stem:
        mend = f"rename the file to {name}.yaml or write bucket: {stem}"
        raise RefusedError("bucket", f"{quote(name)} is not the file's name {quote(stem)}", mend)
    return name


def _description_of(value: Tree | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        value = " ".join(value.split())
    return text_of(value, "description", MAX_DESCRIPTION_CHARS)


def _source_of(value: Tree | None) -> str:
    if value is None:
        return "custom"
    source = text_of(value, "source", MAX_CONCEPT_CHARS)
    if source not in SOURCES:
        raise RefusedError("source", f"{quote(source)} is no known source", among(source, SOURCES))
    return source


def _num_captions_of(fields: Mapping[str, Tree]) -> int:
    mend = "give the whole number of captions of one generation, such as 1400"
    if "captions" not in fields:
        raise RefusedError("captions", "is missing", mend)
    value = fields["captions"]
    if not isinstance(value, Plain) or not _WHOLE_NUMBER.fullmatch(value.raw):
        raise RefusedError("captions", f"{shown(value)} is not a whole number", mend)
    digits = value.raw.replace("_", "")
    # Judged by length first: Python refuses to read numbers of thousands of digits.
    if len(digits) > 12 or int(digits) > MAX_NUM_CAPTIONS:
        raise RefusedError("captions", f"{shown(value)} is out of range", f"give 1 to {MAX_NUM_CAPTIONS}")
    if int(digits) < 1:
        raise RefusedError("captions", f"{shown(value)} is not positive", mend)
    return int(digits)


def _template_shares_of(value: Tree | None, default: Mapping[str, float]) -> dict[str, float]:
    """Shares as written, or the paper's object shares over the named templates, or the source's default."""
    if value is None:
        return normalise(default)
    if isinstance(value, list):
        return normalise(
            {name: OBJECT_TEMPLATE_SHARES[name] for name in _template_names_of(value, "templates")}
        )
    example = "{c: 0.44, c_rel: 0.11, c_bg: 0.45}"
    if not isinstance(value, dict):
        raise RefusedError("templates", f"{shown(value)} is neither shares nor a list", f"write {example}")
    shares = {}
    for name, written in value.items():
        field = f"templates.{name}" if name in TEMPLATES else "templates"
        _check_template(name, field)
        share = number_of(written, field, "share such as 0.5")
        if not 0 <= share <= MAX_TEMPLATE_SHARE:
            raise RefusedError(field, f"{shown(written)} is not a share", "give a number from 0 to 1")
        shares[name] = share
    if not any(shares.values()):
        raise RefusedError("templates", "no template has a share above 0", f"write {example}")
    return normalise(shares)


def _template_names_of(value: Tree, field: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise RefusedError(
            field, f"{shown(value)} is not a list of templates", "write a list such as [c, c_bg]"
        )
    if not value:
        raise RefusedError(field, "names no template", f"name at least one of {', '.join(TEMPLATES)}")
    names = [text_of(item, f"{field}[{index}]", MAX_CONCEPT_CHARS) for index, item in enumerate(value)]
    for index, name in enumerate(names):
        _check_template(name, f"{field}[{index}]")
        if name in names[:index]:
            raise RefusedError(f"{field}[{index}]", f"{quote(name)} is named twice", "remove one of the two")
    return tuple(name for name in TEMPLATES if name in names)


def _check_template(name: str, field: str) -> None:
    if name not in TEMPLATES:
        raise RefusedError(field, f"{quote(name)} is no known template", f"use one of {', '.join(TEMPLATES)}")


def _concept_list_of(fields: Mapping[str, Tree]) -> list[Tree]:
    mend = 'list at least one, such as "- digit zero"'
    if "concepts" not in fields:
        raise RefusedError("concepts", "is missing", mend)
    value = fields["concepts"]
    if not isinstance(value, list):
        raise RefusedError("concepts", f"{shown(value)} is not a list", mend)
    if not value:
        raise RefusedError("concepts", "is an empty list", mend)
    return value


def _concept_of(item: Tree, field: str, shares: Mapping[str, float]) -> Concept:
    if not isinstance(item, dict):
        text = text_of(item, field, MAX_CONCEPT_CHARS)
        return Concept(text, text, 1.0, tuple(shares))
    for key in item:
        if key not in CONCEPT_KEYS:
            mend = f"{among(key, CONCEPT_KEYS)}, or quote the whole text if the colon belongs to it"
            raise RefusedError(key_path(field, key), f"{quote(key)} is no key of a concept", mend)
    if "name" not in item:
        raise RefusedError(f"{field}.name", "is missing", "give the concept a name")
    name = text_of(item["name"], f"{field}.name", MAX_CONCEPT_CHARS)
    text = text_of(item["text"], f"{field}.text", MAX_CONCEPT_CHARS) if "text" in item else name
    weight = _weight_of(item["weight"], f"{field}.weight") if "weight" in item else 1.0
    templates = tuple(shares)
    if "templates" in item:
        templates = _template_names_of(item["templates"], f"{field}.templates")
        barred = next((template for template in templates if template not in shares), None)
        if barred:
            message = f"{quote(barred)} has no share in this bucket"
            raise RefusedError(
                f"{field}.templates", message, f"remove it or give the bucket's templates {barred}"
            )
    return Concept(name, text, weight, templates)


def _weight_of(value: Tree, field: str) -> float:
    weight = number_of(value, field, "number such as 1.0")
    if weight <= 0:
        raise RefusedError(field, f"{shown(value)} is not positive", "give a positive number such as 1.0")
    return weight


def _find_duplicates(concepts: list[tuple[int, Concept]], refusals: list[RefusedError]) -> None:
    """Two concepts of one name or one text would be two labels of the same captions."""
    by_name: dict[str, int] = {}
    by_text: dict[str, int] = {}
    for index, concept in concepts:
        earlier_name = by_name.setdefault(sameness(concept.name), index)
        earlier_text = by_text.setdefault(sameness(concept.text), index)
        if earlier_name != index:
            message = f"{quote(concept.name)} repeats the name of concepts[{earlier_name}]"
        elif earlier_text != index:
            message = f"{quote(concept.text)} repeats the text of concepts[{earlier_text}]"
        else:
            continue
        refusals.append(RefusedError(f"concepts[{index}]", message, "remove one or tell the two apart"))
