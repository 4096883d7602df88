"""Finding captions that say almost the same: MinHash candidates, then the exact overlap of their word triples.

Deterministic on every machine, and a function of the texts in their order alone. Holds no text: about 250 bytes per
caption remembered, and never more than WINDOW captions, which is 0.3 GB (0.8 GB for a moment while it merges).
"""

import re
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synclr_assets.synthesis.identity import digest_hex

WORDS_PER_SHINGLE = 3
NUM_BANDS = 12
ROWS_PER_BAND = 4
"""A pair of similarity s becomes a candidate with probability 1 - (1 - s^4)^12: 0.94 at 0.68, 0.998 at 0.8."""
WINDOW = 1 << 20
"""Captions remembered; a longer corpus is compared with its latest ones."""
MAX_COMPARED = 64
"""Candidates compared exactly, those that share most bands first: bounds the time of a formulaic corpus."""
_MERGE_EVERY = 1 << 13

_WORD = re.compile(r"\w+")
_NUM_HASHES = NUM_BANDS * ROWS_PER_BAND
_COEFFICIENTS = np.array(
    [
        [int(digest_hex("minhash", name, n)[:16], 16) for n in range(_NUM_HASHES)]
        for name in ("factor", "offset")
    ],
    dtype=np.uint64,
)
_FACTORS, _OFFSETS = _COEFFICIENTS[0] | np.uint64(1), _COEFFICIENTS[1]
_BAND_FACTORS = _FACTORS[:ROWS_PER_BAND]


@dataclass(frozen=True)
class Sketch:
    """What is kept of a text."""

    shingles: bytes
    """Sorted distinct 32-bit hashes of its word triples, native byte order."""
    bands: NDArray[np.uint64]
    """[NUM_BANDS]: one key per band of its MinHash signature (Broder 1997)."""


def sketch_of(text: str) -> Sketch:
    """The sketch of a text; case, punctuation and spacing do not count. A text of few words is one shingle."""
    words = _WORD.findall(text.casefold())
    count = max(1, len(words) - WORDS_PER_SHINGLE + 1)
    hashed = {zlib.crc32(" ".join(words[n : n + WORDS_PER_SHINGLE]).encode()) for n in range(count)}
    shingles = np.array(sorted(hashed), dtype=np.uint32)
    with np.errstate(over="ignore"):
        permuted = (shingles.astype(np.uint64)[:, None] * _FACTORS + _OFFSETS) >> np.uint64(32)
        signature = permuted.min(axis=0).reshape(NUM_BANDS, ROWS_PER_BAND)
        mixed = (signature * _BAND_FACTORS).sum(axis=1, dtype=np.uint64)
        bands = mixed * np.uint64(2 * NUM_BANDS + 1) + np.arange(NUM_BANDS, dtype=np.uint64)
    return Sketch(shingles.tobytes(), bands)


def similarity(first: bytes, second: bytes) -> float:
    """Jaccard similarity, 0 to 1, of the word triples of two sketches."""
    one, other = set(memoryview(first).cast("I")), set(memoryview(second).cast("I"))
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


class NearDuplicateIndex:
    """The texts so far, asked whether a further one is `threshold` similar to any of the latest `window`."""

    def __init__(self, threshold: float, window: int = WINDOW) -> None:
        assert 0.0 < threshold <= 1.0, threshold
        self.threshold = threshold
        self._window = window
        self._num_added = 0
        self._num_forgotten = 0
        self._shingles: list[bytes] = []
        self._keys = np.empty(0, dtype=np.uint64)
        self._owners = np.empty(0, dtype=np.uint32)
        self._recent: dict[int, list[int]] = {}
        self._num_recent = 0

    def __contains__(self, sketch: Sketch) -> bool:
        return any(
            similarity(sketch.shingles, self._shingles[number - self._num_forgotten]) >= self.threshold
            for number in self._candidates(sketch)
        )

    def add(self, sketch: Sketch) -> None:
        """Remember a text; the one that leaves the window is never a candidate again."""
        self._shingles.append(sketch.shingles)
        for key in sketch.bands.tolist():
            self._recent.setdefault(key, []).append(self._num_added)
        self._num_added += 1
        self._num_recent += 1
        if self._num_recent >= _MERGE_EVERY:
            self._merge()

    def _candidates(self, sketch: Sketch) -> list[int]:
        """Numbers of remembered texts that share a band, those with most shared bands first, then the latest."""
        begins = np.searchsorted(self._keys, sketch.bands, side="left")
        ends = np.searchsorted(self._keys, sketch.bands, side="right")
        found = [self._owners[begin:end] for begin, end in zip(begins, ends, strict=True)]
        found += [
            np.array(self._recent[key], dtype=np.uint32)
            for key in sketch.bands.tolist()
            if key in self._recent
        ]
        numbers, num_shared = np.unique(np.concatenate(found), return_counts=True)
        inside = numbers >= max(0, self._num_added - self._window)
        numbers, num_shared = numbers[inside].astype(np.int64), num_shared[inside]
        return numbers[np.lexsort((-numbers, -num_shared))][:MAX_COMPARED].tolist()

    def _merge(self) -> None:
        """Fold the recent texts into the sorted arrays, and let go of what the window has left behind."""
        first = max(0, self._num_added - self._window)
        recent = [(key, number) for key, numbers in self._recent.items() for number in numbers]
        kept = self._owners >= first
        keys = np.concatenate([self._keys[kept], np.array([key for key, _ in recent], dtype=np.uint64)])
        owners = np.concatenate(
            [self._owners[kept], np.array([number for _, number in recent], dtype=np.uint32)]
        )
        order = np.argsort(keys, kind="stable")
        self._keys, self._owners = keys[order], owners[order]
        del self._shingles[: first - self._num_forgotten]
        self._num_forgotten = first
        self._recent.clear()
        self._num_recent = 0
