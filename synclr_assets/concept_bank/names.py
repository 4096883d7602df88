"""The rule for names of buckets and slices: what can be a partition key, a folder and part of a URI alike."""

import re

from synclr_assets.concept_bank.problems import RefusedError, quote

MAX_NAME_CHARS = 64
"""Length of a bucket or slice name, in characters."""

ALL = "all"
"""The slice that always exists and holds every bucket."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]*")
_RESERVED = {
    ALL: "is the slice of every bucket",
    "slices": "belongs to slices.yaml",
}


def check_name(name: str, field: str) -> str:
    """`name` when it is a slug `[a-z0-9][a-z0-9_-]*` of at most 64 characters and not reserved."""
    fault = _fault_of(name)
    if fault is None:
        return name
    raise RefusedError(
        field,
        f"the name {quote(name)} {fault}",
        f"use lowercase letters, digits, - and _, such as {quote(suggest_slug(name))}",
    )


def suggest_slug(name: str) -> str:
    """The nearest allowed name to `name`."""
    slug = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:MAX_NAME_CHARS]
    return f"my-{slug}"[:MAX_NAME_CHARS] if slug in _RESERVED else slug or "my-concepts"


def _fault_of(name: str) -> str | None:
    if not name:
        return "is empty"
    if len(name) > MAX_NAME_CHARS:
        return f"has {len(name)} characters, more than {MAX_NAME_CHARS}"
    if name in _RESERVED:
        return _RESERVED[name]
    if _SLUG.fullmatch(name):
        return None
    if ".." in name:
        return 'holds ".."'
    capital = next((char for char in name if char.isupper()), None)
    if capital:
        return f"holds the capital {quote(capital)}"
    stranger = re.search(r"[^a-z0-9_-]", name)
    if stranger is None:
        return f"begins with {quote(name[0])}"
    return "holds a blank" if stranger.group().isspace() else f"holds {quote(stranger.group())}"
