"""Draws by name: a caption's, a view's, and the mixture that open attributes take."""

import numpy as np
import pytest

from synclr_assets.synthesis.painting.draws import CAPTION_SHARE, Draws


def test_a_caption_value_is_the_same_in_every_view_and_a_view_value_is_not() -> None:
    views = [Draws.of_keys("caption", f"view {n}") for n in range(4)]
    assert len({draws.of_caption("size") for draws in views}) == 1
    assert len({draws.of_view("size") for draws in views}) == 4


def test_names_are_drawn_apart() -> None:
    draws = Draws.of_keys("caption", "view")
    assert len({draws.of_view(f"name {n}") for n in range(1000)}) == 1000
    assert draws.within("other").of_view("size") != draws.of_view("size")


def test_an_open_attribute_takes_the_captions_value_in_its_share_of_cases() -> None:
    pairs = [(draws.open("size"), draws.of_caption("size")) for draws in
             (Draws.of_keys(f"caption {n // 4}", f"view {n}") for n in range(4000))]  # fmt: skip
    assert np.mean([taken == own for taken, own in pairs]) == pytest.approx(CAPTION_SHARE, abs=0.03)


def test_draws_are_uniform() -> None:
    values = np.array([Draws.of_keys("c", f"v {n}").of_view("x") for n in range(4000)])
    assert np.histogram(values, 8, (0, 1))[0] == pytest.approx(500, abs=90)
    assert 0.0 <= values.min() < values.max() < 1.0


def test_ranges_and_choices_keep_their_bounds() -> None:
    for number in range(300):
        draws = Draws.of_keys("c", f"v {number}")
        assert 2.0 <= draws.between("a", 2.0, 3.0) < 3.0
        assert -0.5 <= draws.shake("b", 0.5) < 0.5
        assert draws.pick("c", "xyz") in "xyz"
    assert np.mean([Draws.of_keys("c", f"v {n}").chance("d", 0.0) for n in range(50)]) == 0.0
