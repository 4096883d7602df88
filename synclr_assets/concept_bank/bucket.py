"""What a checked bucket is: its concepts, its caption budget, its template shares and its fingerprint.

Values only; `bucket_file` is what checks them, so a bucket made by hand is taken as it is.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

OBJECT_TEMPLATE_SHARES: Mapping[str, float] = {"c": 0.44, "c_rel": 0.11, "c_bg": 0.45}
"""How often the reference implementation draws each template for an object concept (SynCLR 3.1)."""

PLAIN_TEMPLATE_SHARES: Mapping[str, float] = {"c": 1.0}
"""Textures and places are only ever captioned as themselves (SynCLR 3.4)."""

TEMPLATES: tuple[str, ...] = tuple(OBJECT_TEMPLATE_SHARES)
"""The caption templates, in their one order."""

SOURCES: Mapping[str, Mapping[str, float]] = {
    "custom": OBJECT_TEMPLATE_SHARES,
    "imagenet1k": OBJECT_TEMPLATE_SHARES,
    "imagenet21k": OBJECT_TEMPLATE_SHARES,
    "aircraft": OBJECT_TEMPLATE_SHARES,
    "cars": OBJECT_TEMPLATE_SHARES,
    "flowers": OBJECT_TEMPLATE_SHARES,
    "pets": OBJECT_TEMPLATE_SHARES,
    "food": OBJECT_TEMPLATE_SHARES,
    "caltech101": OBJECT_TEMPLATE_SHARES,
    "textures": PLAIN_TEMPLATE_SHARES,
    "sun397": PLAIN_TEMPLATE_SHARES,
    "places365": PLAIN_TEMPLATE_SHARES,
}
"""Where concepts may come from (SynCLR App. A), each with its default template shares."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One visual class of a bucket."""

    name: str
    """Identity within the bucket; caption ids derive from it."""
    text: str
    """What captions call it."""
    weight: float
    """Share of the bucket's budget, relative to the other concepts; positive and finite."""
    templates: tuple[str, ...]
    """Templates it may be drawn in, in the order of `TEMPLATES`; a non-empty part of the bucket's."""


@dataclass(frozen=True)
class Bucket:
    """One bucket file: the partition key of everything made from it."""

    name: str
    """Slug and partition key, equal to the file's stem."""
    description: str
    """For people; may be empty."""
    source: str
    """One of `SOURCES`."""
    num_captions: int
    """Captions of one generation."""
    template_shares: Mapping[str, float] = field(hash=False)
    """Template -> share, in the order of `TEMPLATES`; shares are positive and sum to 1."""
    concepts: tuple[Concept, ...]
    """In the order of the file; never empty."""
    path: Path = field(compare=False)
    """The file it was read from."""

    @cached_property
    def fingerprint(self) -> str:
        """32 hex characters over what decides the captions: name, source, budget, shares, concepts in order.

        Blind to formatting, comments, description and path, and to defaults being written out or left out.
        """
        meaning = {
            "name": self.name,
            "source": self.source,
            "num_captions": self.num_captions,
            # Twelve digits: 0.132/0.033/0.135 means what 0.44/0.11/0.45 means, but for the last bit.
            "template_shares": {name: round(share, 12) for name, share in self.template_shares.items()},
            "concepts": [[c.name, c.text, c.weight, list(c.templates)] for c in self.concepts],
        }
        canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


def template_shares_of(bucket: Bucket, concept: Concept) -> dict[str, float]:
    """Template -> probability for one concept: the bucket's shares over its templates, summing to 1.

    Raises ValueError when the concept allows none of the bucket's templates, as only one made by hand can.
    """
    shares = {
        name: bucket.template_shares[name] for name in concept.templates if name in bucket.template_shares
    }
    if not shares:
        raise ValueError(
            f"concept {concept.name!r} allows no template of bucket {bucket.name!r}; give it one."
        )
    return normalise(shares)


def normalise(shares: Mapping[str, float]) -> dict[str, float]:
    """`shares` scaled to sum to 1, zeros dropped, in the order of `TEMPLATES`; one must be positive."""
    total = math.fsum(shares.values())
    scaled = {name: shares[name] / total for name in TEMPLATES if name in shares}
    return {name: share for name, share in scaled.items() if share > 0}
