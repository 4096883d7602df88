"""Images to bytes and back."""

import io

import numpy as np
from PIL import Image

from synclr_assets.synthesis.protocols import UInt8Image


def encode_jpeg(image: UInt8Image, quality: int = 95) -> bytes:
    """JPEG of a uint8 [height, width, 3] image; quality 1 to 95, colour at full resolution, no metadata."""
    assert image.dtype == np.uint8, image.dtype
    assert image.shape[2:] == (3,), image.shape
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0, optimize=False)
    return buffer.getvalue()


def decode(data: bytes) -> UInt8Image:
    """Encoded image to uint8 [height, width, 3]. Raises ValueError when it is no image or is cut short."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"these {len(data)} bytes are not a whole image ({error}).") from error
