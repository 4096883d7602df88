"""From an encoded image to uint8 pixels, no larger than asked. What cannot be decoded cleanly is a ValueError.

JPEG goes through libjpeg-turbo, whose warnings (a damaged stream that still gives a picture) count as damage.
"""

from io import BytesIO

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

JPEG_START = b"\xff\xd8"
LARGEST_IMAGE_PIXELS = 2**26
"""A header that promises more is damaged or hostile."""
REDUCTIONS = (8, 4, 2)
"""Factors by which libjpeg-turbo decodes smaller with vector instructions; others are slower than 1."""


def read_size(encoded: bytes) -> tuple[int, int]:
    """Height and width that the header states, in pixels. Raises ValueError for what is no image."""
    if encoded.startswith(JPEG_START):
        height, width = simplejpeg.decode_jpeg_header(encoded, strict=True)[:2]
    else:
        with _opened(encoded) as image:
            width, height = image.size
    if height * width > LARGEST_IMAGE_PIXELS:
        raise ValueError(f"the header states {width} x {height} pixels")
    return height, width


def decode(encoded: bytes, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """RGB pixels; a JPEG is decoded to 1/`reduction` of its sides, rounded up, other formats whole.

    Raises ValueError for an image that is damaged, cut off or of no known format.
    """
    if encoded.startswith(JPEG_START):
        height, width, space = simplejpeg.decode_jpeg_header(encoded, strict=True)[:3]
        if space not in ("CMYK", "YCCK"):
            least = {"min_height": -(-height // reduction), "min_width": -(-width // reduction)}
            pixels: np.ndarray = simplejpeg.decode_jpeg(encoded, strict=True, min_factor=1, **least)
            return pixels
    with _opened(encoded) as image:
        try:
            return np.array(image.convert("RGB"))
        except (OSError, SyntaxError) as error:
            raise ValueError(str(error)) from error


def reduction_for(scale: float) -> int:
    """The largest reduction whose sides are still at least `scale` of the stored ones."""
    return next((reduction for reduction in REDUCTIONS if reduction * scale <= 1), 1)


def _opened(encoded: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(encoded))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError("it is no image of a known format") from error
