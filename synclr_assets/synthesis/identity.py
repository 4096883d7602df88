"""Who a caption and an image are: ids, seeds and draws as pure hashes of what names them.

Knows no global random state and no clock: the same names give the same values on every machine, in any order.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

Choice = TypeVar("Choice")
KeyPart = str | int

TEMPLATES = ("c", "c_rel", "c_bg")
"""The caption templates of SynCLR 3.1, in the order in which shares are laid out when one is drawn."""


DRAWS_VERSION = 2
"""Raised whenever the same key would draw other choices; part of the settings of every stage that draws prompts."""


def digest_hex(*parts: KeyPart) -> str:
    """128-bit blake2b of the parts as 32 lowercase hex characters; no two part lists share an encoding."""
    return hashlib.blake2b(_encode(parts), digest_size=16).hexdigest()


def draw_unit(*key_parts: KeyPart) -> float:
    """A number in [0, 1), uniform over keys, fixed for one key."""
    digest = hashlib.blake2b(_encode(("unit", *key_parts)), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53


def draw(*key_parts: KeyPart, choices: Sequence[Choice], weights: Sequence[float] | None = None) -> Choice:
    """One of `choices`, drawn by `weights` (any positive scale; equal when None), fixed for one key."""
    assert choices, "cannot draw from nothing"
    if weights is None:
        return choices[int(draw_unit(*key_parts) * len(choices))]
    assert len(weights) == len(choices), f"{len(weights)} weights for {len(choices)} choices"
    assert min(weights) >= 0, "weights are not negative"
    assert sum(weights) > 0, "weights are not all zero"
    threshold = draw_unit(*key_parts) * sum(weights)
    reached = 0.0
    for choice, weight in zip(choices, weights, strict=True):
        reached += weight
        if threshold < reached:
            return choice
    return [c for c, weight in zip(choices, weights, strict=True) if weight > 0][-1]


def draw_distinct(*key_parts: KeyPart, choices: Sequence[Choice], count: int) -> list[Choice]:
    """`count` different positions of `choices` in a drawn order; fewer when there are fewer.

    The first steps of a Fisher-Yates shuffle: one hash for each position drawn, however many there are.
    """
    swapped: dict[int, int] = {}
    drawn = []
    for place in range(min(count, len(choices))):
        other = place + int(draw_unit("distinct", *key_parts, place) * (len(choices) - place))
        drawn.append(choices[swapped.get(other, other)])
        swapped[other] = swapped.get(place, place)
    return drawn


def template_of(bucket: str, generation: int, concept: str, ordinal: int, shares: Mapping[str, float]) -> str:
    """The template of a concept's `ordinal`-th caption, drawn by `shares` (template -> share, any scale).

    A slot's template never depends on how many slots there are, so a grown budget keeps every earlier id.
    """
    names = [name for name in TEMPLATES if shares.get(name, 0.0) > 0.0]
    assert set(shares) <= set(TEMPLATES), f"unknown template in {shares}"
    return draw(
        "template", bucket, generation, concept, ordinal, choices=names, weights=[shares[n] for n in names]
    )


def caption_id(bucket: str, generation: int, concept: str, template: str, ordinal: int) -> str:
    """32 hex characters that name a caption for good: its place in the plan, not its text."""
    return digest_hex("caption", bucket, generation, concept, template, ordinal)


def image_seed(caption_id: str, view: int, reseed: int) -> int:
    """Noise seed of one view in [0, 2**63); each reseed gives another."""
    digest = hashlib.blake2b(_encode(("image", caption_id, view, reseed)), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _encode(parts: Sequence[KeyPart]) -> bytes:
    """Type, length and bytes of each part, so that ("ab", "c") and ("a", "bc") or 1 and "1" differ."""
    encoded = bytearray()
    for part in parts:
        assert isinstance(part, str | int), f"cannot key by {part!r}"
        assert not isinstance(part, bool), "True and 1 would be one key"
        kind, content = (b"i", str(part).encode()) if isinstance(part, int) else (b"s", part.encode())
        encoded += kind + str(len(content)).encode() + b":" + content
    return bytes(encoded)
