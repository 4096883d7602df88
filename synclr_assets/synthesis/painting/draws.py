"""What a caption leaves open: named draws that are partly the caption's own and partly the view's.

Pure integer hashing by name, so one more draw never shifts another, and no random state is shared.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

Choice = TypeVar("Choice")

CAPTION_SHARE = 0.5
"""How often an open attribute takes the caption's value. At 0 the views of a caption share only their
concept, and contrastive training at miniature size stalls."""

_MASK = (1 << 64) - 1


class Draws:
    """Draws of one image, by name."""

    def __init__(self, caption_stream: int, view_stream: int) -> None:
        self._caption = caption_stream
        self._view = view_stream

    @classmethod
    def of_keys(cls, caption_key: str, view_key: str) -> "Draws":
        """Draws of a caption, named by one key, and of one of its views, named by another."""
        return cls(_hash(caption_key), _hash(view_key))

    def within(self, role: str) -> "Draws":
        """Draws of the same image for another thing in it."""
        return Draws(_mix(self._caption ^ _key_of(role)), _mix(self._view ^ _key_of(role)))

    def of_view(self, name: str) -> float:
        """In [0, 1), of this view alone: poses, phases, noise offsets."""
        return _unit(_mix(self._view ^ _key_of(name)))

    def of_caption(self, name: str) -> float:
        """In [0, 1), the same in every view of the caption."""
        return _unit(_mix(self._caption ^ _key_of(name)))

    def open(self, name: str) -> float:
        """In [0, 1): the caption's value in a `CAPTION_SHARE` of cases, else this view's."""
        hashed = _mix(self._view ^ _key_of(name))
        if (hashed & 0xFFFF) < CAPTION_SHARE * 0x10000:
            return self.of_caption(name)
        return _unit(hashed)

    def between(self, name: str, low: float, high: float) -> float:
        """An open value in [low, high)."""
        return low + (high - low) * self.open(name)

    def shake(self, name: str, spread: float) -> float:
        """A value of this view alone in [-spread, spread)."""
        return spread * (2.0 * self.of_view(name) - 1.0)

    def pick(self, name: str, choices: Sequence[Choice]) -> Choice:
        """One of `choices`, open."""
        return choices[int(self.open(name) * len(choices))]

    def chance(self, name: str, probability: float) -> bool:
        """Whether an open event of this probability happens."""
        return self.open(name) < probability


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


_key_of = lru_cache(maxsize=4096)(_hash)


def _mix(value: int) -> int:
    """The finaliser of splitmix64 (Steele, Lea and Flood, 2014): every input bit reaches every output bit."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _unit(hashed: int) -> float:
    return (hashed >> 11) / 2.0**53
