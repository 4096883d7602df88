"""Images to bytes and back."""

import io
from typing import Literal

import numpy as np
from PIL import Image

from synclr_assets.synthesis.protocols import UInt8Image

ImageFormat = Literal["jpeg", "webp"]
WEBP_EFFORT = 4
"""Pillow's `method`, 0 (fast) to 6 (small); the bytes depend on it."""


def encode(image: UInt8Image, image_format: ImageFormat, quality: int) -> bytes:
    """JPEG or lossy WebP of a uint8 [height, width, 3] image; quality 1 to 95, no metadata."""
    return encode_jpeg(image, quality) if image_format == "jpeg" else encode_webp(image, quality)


def encode_jpeg(image: UInt8Image, quality: int = 95) -> bytes:
    """JPEG of a uint8 [height, width, 3] image; quality 1 to 95, colour at full resolution, no metadata."""
    assert image.dtype == np.uint8, image.dtype
    assert image.shape[2:] == (3,), image.shape
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0, optimize=False)
    return buffer.getvalue()


def encode_webp(image: UInt8Image, quality: int = 95) -> bytes:
    """Lossy WebP of a uint8 [height, width, 3] image; quality 1 to 95, no metadata."""
    assert image.dtype == np.uint8, image.dtype
    assert image.shape[2:] == (3,), image.shape
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", quality=quality, method=WEBP_EFFORT)
    return buffer.getvalue()


def extension_of(data: bytes) -> str:
    """`jpg` or `webp`, by the first bytes of an encoded image."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    assert data[:2] == b"\xff\xd8", f"neither JPEG nor WebP: {data[:12]!r}"
    return "jpg"


def decode(data: bytes) -> UInt8Image:
    """Encoded image to uint8 [height, width, 3]. Raises ValueError when it is no image or is cut short."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"these {len(data)} bytes are not a whole image ({error}).") from error
