"""Looks of backgrounds and their painting."""

import re

import numpy as np
import pytest

from synclr_assets.synthesis.painting.canvas import Canvas, luma
from synclr_assets.synthesis.painting.draws import Draws
from synclr_assets.synthesis.painting.ground_looks import LOOKS, OPEN_KINDS, UNKNOWN_KINDS, look_of, open_look
from synclr_assets.synthesis.painting.grounds import PAINTERS, paint_ground
from synclr_assets.synthesis.rehearsal_backgrounds import shipped_lists
from synclr_assets.synthesis.vocabulary import singular


def draws_of(number: int) -> Draws:
    return Draws.of_keys("caption", f"view {number}")


def test_every_kind_of_look_can_be_painted_and_every_painting_is_used() -> None:
    kinds = {look[0] for look in LOOKS.values()} | set(OPEN_KINDS) | set(UNKNOWN_KINDS)
    assert kinds == set(PAINTERS)


@pytest.mark.parametrize("kind", sorted(PAINTERS))
def test_a_painted_ground_stays_within_range_and_moves_between_views(kind: str) -> None:
    word = next((word for word, look in LOOKS.items() if look[0] == kind), None)
    look = look_of(f"a {word}") if word else next(
        look for n in range(500) if (look := open_look(draws_of(n), dark=None)).kind == kind
    )  # fmt: skip
    pictures = []
    for view in range(3):
        canvas = Canvas(48)
        paint_ground(canvas, look, draws_of(view))
        assert canvas.planes.shape == (3, 48, 48)
        assert canvas.planes.dtype == np.float32
        assert canvas.planes.min() > -0.3
        assert canvas.planes.max() < 1.3
        pictures.append(canvas.planes)
    assert not np.array_equal(pictures[0], pictures[1]) or not np.array_equal(pictures[0], pictures[2])


def test_a_phrase_has_one_look_and_another_phrase_another() -> None:
    assert look_of("a quiet cellar of clocks") == look_of("a quiet cellar of clocks")
    assert look_of("a quiet cellar of clocks") != look_of("a loud cellar of clocks")
    assert look_of("a brick wall").kind == look_of("a red brick wall").kind == "bricks"
    assert look_of("a red brick wall").first != look_of("a brick wall").first


def test_dark_words_darken() -> None:
    assert luma(look_of("a dark wooden door").first) < 0.7 * luma(look_of("a wooden door").first)
    assert look_of("a storm-grey sky").kind == "clouds"


def test_all_shipped_backgrounds_have_a_known_look_and_no_two_are_the_same() -> None:
    lists = shipped_lists()
    phrases = {*lists.digit, *lists.generic}
    phrases |= {
        text for group in (lists.objects, lists.sources) for texts in group.values() for text in texts
    }
    looks = {phrase: look_of(phrase) for phrase in phrases}
    words = {phrase: re.findall(r"[^\W_]+", phrase) for phrase in phrases}
    unknown = [p for p in phrases if not any(word in LOOKS or singular(word) in LOOKS for word in words[p])]
    assert unknown == []
    assert len(set(looks.values())) == len(looks)


@pytest.mark.parametrize(("dark", "low", "high"), [(True, 0.0, 0.4), (False, 0.6, 1.0)])
def test_an_open_look_keeps_its_side_of_brightness(dark: bool, low: float, high: float) -> None:
    for number in range(100):
        look = open_look(draws_of(number), dark)
        assert low <= luma(look.first) <= high
        assert low <= luma(look.second) <= high
