"""The rehearsal background writer: curated lists for things the painter knows, sensible ones for the rest.

Stands where GPT-4 stands in SynCLR 3.1; its lists are a data file shipped with the package.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

import yaml

from synclr_assets.synthesis.identity import digest_hex, draw_distinct
from synclr_assets.synthesis.protocols import ModelProvenance, settings_fingerprint
from synclr_assets.synthesis.vocabulary import thing_of

NUM_GENERIC = 14
"""Backgrounds an unknown concept gets out of the generic list."""


@dataclass(frozen=True)
class BackgroundLists:
    """The shipped lists and a hash of their file."""

    digit: tuple[str, ...]
    objects: dict[str, tuple[str, ...]]
    sources: dict[str, tuple[str, ...]]
    generic: tuple[str, ...]
    content_hash: str


class RehearsalBackgrounds:
    """The `BackgroundWriter` of the rehearsal profile."""

    origin: Literal["frozen", "generated"] = "frozen"

    def __init__(self) -> None:
        revision = shipped_lists().content_hash
        self.provenance = ModelProvenance(
            model="rehearsal-backgrounds",
            revision=revision,
            licence="Apache-2.0",
            fingerprint=settings_fingerprint("rehearsal-backgrounds", revision, num_generic=NUM_GENERIC),
        )

    def write(self, concept: str, source: str, count: int) -> list[str]:
        """A known thing's list, else a fine-grained source's shared list, else generic ones drawn by name."""
        lists, thing = shipped_lists(), thing_of(concept)
        if thing.kind == "digit":
            known = lists.digit
        elif thing.kind == "object":
            known = lists.objects[thing.name]
        elif source in lists.sources:
            known = lists.sources[source]
        else:
            drawn = draw_distinct("generic-backgrounds", thing.name, choices=lists.generic, count=NUM_GENERIC)
            known = tuple(drawn)
        return list(known[:count])


@lru_cache(maxsize=1)
def shipped_lists() -> BackgroundLists:
    """The lists of `background_lists/default.yaml`."""
    file = resources.files("synclr_assets.synthesis").joinpath("background_lists/default.yaml")
    text = file.read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    return BackgroundLists(
        digit=tuple(content["digit"]),
        objects={name: tuple(lines) for name, lines in content["objects"].items()},
        sources={name: tuple(lines) for name, lines in content["sources"].items()},
        generic=tuple(content["generic"]),
        content_hash=digest_hex("background-lists", text),
    )
