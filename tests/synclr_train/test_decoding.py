"""Images are decoded as Pillow decodes them, smaller when asked; damage is an error, never a grey half."""

import io

import numpy as np
import pytest
from PIL import Image

from synclr_train.decoding import decode, read_size, reduction_for

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).repeat(16, 0).repeat(15, 1).astype(np.uint8)


def encoded(style: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    options = {"quality": 90} if style == "JPEG" else {"lossless": True} if style == "WEBP" else {}
    Image.fromarray(PIXELS).convert(mode).save(buffer, style, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("style", "mode"),
    [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGB")],
)
def test_pixels_are_those_of_pillow(style, mode):
    content = encoded(style, mode)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert read_size(content) == (96, 75)
    np.testing.assert_array_equal(decode(content), expected)


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_jpeg_is_decoded_as_small_as_asked(reduction):
    with Image.open(io.BytesIO(encoded("JPEG"))) as image:
        image.draft("RGB", (75 // reduction, 96 // reduction))
        expected = np.asarray(image)
    assert expected.shape[:2] == (96 // reduction, -(-75 // reduction))
    np.testing.assert_array_equal(decode(encoded("JPEG"), reduction), expected)


@pytest.mark.parametrize(
    ("scale", "reduction"),
    [(1.7, 1), (1.0, 1), (0.51, 1), (0.5, 2), (0.3, 2), (0.25, 4), (0.1, 8), (0.01, 8)],
)
def test_no_image_is_decoded_smaller_than_its_crops_need(scale, reduction):
    assert reduction_for(scale) == reduction


@pytest.mark.parametrize("style", ["JPEG", "PNG", "WEBP"])
def test_a_cut_off_image_is_damage(style):
    with pytest.raises(ValueError, match=r"\w"):
        decode(encoded(style)[: len(encoded(style)) * 2 // 3])


def test_flipped_bytes_that_break_the_stream_are_seen():
    """A flip that yields another valid stream cannot be seen without a checksum; many break the stream."""
    content, seen = encoded("JPEG"), 0
    start = content.index(b"\xff\xda") + 20
    places = range(start, len(content) - 2, (len(content) - start) // 40)
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        try:
            decode(bytes(flipped))
        except ValueError:
            seen += 1
    assert seen > len(places) / 4


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8 no image"])
def test_what_is_no_image_is_refused(content):
    for read in (read_size, decode):
        with pytest.raises(ValueError, match=r"\w"):
            read(content)


def test_a_header_of_absurd_size_is_refused_before_memory_is_taken():
    buffer = io.BytesIO()
    Image.new("L", (8200, 8200)).save(buffer, "JPEG")
    with pytest.raises(ValueError, match="8200 x 8200 pixels"):
        read_size(buffer.getvalue())
