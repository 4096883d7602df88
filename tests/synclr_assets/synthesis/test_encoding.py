"""Images survive encoding; damaged bytes are refused."""

import numpy as np
import pytest

from synclr_assets.synthesis.encoding import decode, encode, encode_jpeg, extension_of
from synclr_assets.synthesis.painter import RehearsalPainter
from synclr_assets.synthesis.protocols import ImageRequest

IMAGE = RehearsalPainter(48).sample([ImageRequest("ab", 0, 0, 5, "A crisp red apple.", "apple")])[0]


def test_an_image_comes_back_nearly_as_it_was() -> None:
    back = decode(encode_jpeg(IMAGE))
    assert back.shape == IMAGE.shape
    assert back.dtype == np.uint8
    assert np.abs(back.astype(int) - IMAGE.astype(int)).mean() < 4


def test_the_same_image_gives_the_same_bytes_and_less_quality_fewer() -> None:
    assert encode_jpeg(IMAGE) == encode_jpeg(IMAGE.copy())
    assert len(encode_jpeg(IMAGE, 50)) < len(encode_jpeg(IMAGE, 95))


@pytest.mark.parametrize("kept", [0, 1, 100, -200, -2])
def test_bytes_cut_short_are_refused(kept: int) -> None:
    data = encode_jpeg(IMAGE)[:kept]
    with pytest.raises(ValueError, match=rf"^these {len(data)} bytes are not a whole image"):
        decode(data)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="not a whole image"):
        decode(b"<html>502 Bad Gateway</html>")


def test_webp_comes_back_nearly_as_it_was_and_its_bytes_repeat() -> None:
    data = encode(IMAGE, "webp", 95)
    assert np.abs(decode(data).astype(int) - IMAGE.astype(int)).mean() < 8
    assert data == encode(IMAGE.copy(), "webp", 95)
    assert len(encode(IMAGE, "webp", 50)) < len(data)


def test_the_extension_follows_the_bytes() -> None:
    assert extension_of(encode(IMAGE, "jpeg", 95)) == "jpg"
    assert extension_of(encode(IMAGE, "webp", 95)) == "webp"
    with pytest.raises(AssertionError, match="neither JPEG nor WebP"):
        extension_of(b"\x89PNG")
