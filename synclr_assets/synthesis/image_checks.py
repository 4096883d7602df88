"""What makes an image unfit for its positive group, with the reason. Pure: reseeding is the stage's work."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synclr_assets.synthesis.protocols import UInt8Image

BLANK = "blank"
WRONG_SIZE = "wrong_size"
NEAR_IDENTICAL = "near_identical"
TEXT_MISMATCH = "text_mismatch"
"""Below the threshold of a model of image-text agreement; see `image_text_agreement`."""

GROUP_CHECKS = (WRONG_SIZE, BLANK, NEAR_IDENTICAL)
"""Every check of `check_group`, in order; each names the reason it gives."""

BLANK_SPREAD = 2.0
"""An image whose channels all have a standard deviation below this (of 255) shows nothing: one colour and its
encoding noise, or the black image that a diffusion pipeline's safety checker leaves."""

NEAR_HASH_BITS = 4
"""Siblings whose hashes differ in at most this many of 64 bits are compared by pixels: a hash alone would
also join images of one layout in different colours."""

NEAR_PIXEL_DIFFERENCE = 6.0
"""Mean absolute difference (of 255) of 16 x 16 thumbnails up to which two such siblings are one image."""

_HASH_SIDE = 8
_THUMBNAIL_SIDE = 16


def check_group(images: Sequence[UInt8Image], size_px: int) -> list[str | None]:
    """Why each view cannot stay in its positive group; None where it can.

    Of two near-identical siblings the later one is refused. `images` are uint8 [height, width, 3].
    """
    reasons: list[str | None] = []
    kept: list[tuple[str, NDArray[np.int16]]] = []
    for image in images:
        reason = _check_alone(image, size_px)
        if reason is None:
            fingerprint = (perceptual_hash(image), _thumbnail(image))
            if any(_near(fingerprint, sibling) for sibling in kept):
                reason = NEAR_IDENTICAL
            else:
                kept.append(fingerprint)
        reasons.append(reason)
    return reasons


def is_blank(image: UInt8Image) -> bool:
    """Whether an image shows nothing but one colour."""
    return bool(np.all(image.std(axis=(0, 1)) < BLANK_SPREAD))


def perceptual_hash(image: UInt8Image) -> str:
    """64-bit difference hash, 16 hex characters: is each of 8 x 8 cells darker than its right neighbour?

    The idea is Neal Krawetz's dHash ("Kind of like that", 2013).
    """
    grey = Image.fromarray(image).convert("L").resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX)
    cells = np.asarray(grey, dtype=np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes().hex()


def hamming(first: str, second: str) -> int:
    """Bits in which two perceptual hashes differ, 0 to 64."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


def _check_alone(image: UInt8Image, size_px: int) -> str | None:
    if image.shape != (size_px, size_px, 3):
        return WRONG_SIZE
    return BLANK if is_blank(image) else None


def _thumbnail(image: UInt8Image) -> NDArray[np.int16]:
    small = Image.fromarray(image).resize((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.int16)


def _near(first: tuple[str, NDArray[np.int16]], second: tuple[str, NDArray[np.int16]]) -> bool:
    if hamming(first[0], second[0]) > NEAR_HASH_BITS:
        return False
    return float(np.abs(first[1] - second[1]).mean()) <= NEAR_PIXEL_DIFFERENCE
