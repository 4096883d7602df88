"""Reasons for which a view is refused, and the hash behind one of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.synthesis.encoding import decode, encode_jpeg
from synclr_assets.synthesis.image_checks import check_group, hamming, is_blank, perceptual_hash
from synclr_assets.synthesis.protocols import UInt8Image

hashes = st.integers(0, 2**64 - 1).map(lambda bits: f"{bits:016x}")


def scene(seed: int, size_px: int = 48) -> UInt8Image:
    """A smooth random picture."""
    coarse = np.random.RandomState(seed).randint(0, 256, (6, 6, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((size_px // 6, size_px // 6, 1), dtype=np.uint8))


def test_different_views_pass() -> None:
    assert check_group([scene(n) for n in range(4)], 48) == [None, None, None, None]


def test_the_later_of_two_near_identical_views_is_refused() -> None:
    first = scene(0)
    noisy = np.clip(first.astype(int) + np.random.RandomState(1).randint(-3, 4, first.shape), 0, 255).astype(
        np.uint8
    )
    for twin in (first.copy(), noisy, decode(encode_jpeg(first, 60))):
        assert check_group([first, scene(1), twin, scene(2)], 48) == [None, None, "near_identical", None]


def test_the_same_layout_in_other_colours_is_another_view() -> None:
    first = scene(0)
    recoloured = (first[..., ::-1].astype(int) * 2 // 3).astype(np.uint8)
    assert check_group([first, recoloured], 48) == [None, None]


def test_a_blank_view_is_refused_and_is_nobodys_twin() -> None:
    black = np.zeros((48, 48, 3), dtype=np.uint8)
    assert check_group([black, scene(0), black, scene(1)], 48) == ["blank", None, "blank", None]


@pytest.mark.parametrize("shape", [(48, 47, 3), (64, 64, 3), (48, 48, 4), (48, 48)])
def test_a_view_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    odd = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    assert check_group([odd, scene(0)], 48) == ["wrong_size", None]


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 90)])
def test_one_colour_is_blank_even_after_encoding(colour: tuple[int, int, int]) -> None:
    image = np.full((48, 48, 3), colour, dtype=np.uint8)
    assert is_blank(image)
    assert is_blank(decode(encode_jpeg(image)))
    assert is_blank(np.clip(image.astype(int) + np.random.RandomState(0).randint(0, 2, image.shape), 0, 255))


def test_a_small_mark_is_not_blank() -> None:
    image = np.zeros((48, 48, 3), dtype=np.uint8)
    image[20:24, 20:24] = 120
    assert not is_blank(image)


def test_the_hash_stands_for_the_layout_not_for_encoding_or_scale() -> None:
    image = scene(3)
    assert len(perceptual_hash(image)) == 16
    assert hamming(perceptual_hash(image), perceptual_hash(decode(encode_jpeg(image, 70)))) <= 4
    assert hamming(perceptual_hash(image), perceptual_hash(scene(3, 96))) <= 4
    assert hamming(perceptual_hash(image), perceptual_hash(scene(4))) > 12


@given(hashes, hashes)
def test_hamming_is_a_distance(first: str, second: str) -> None:
    assert hamming(first, first) == 0
    assert hamming(first, second) == hamming(second, first) <= 64
    assert (hamming(first, second) == 0) == (first == second)
