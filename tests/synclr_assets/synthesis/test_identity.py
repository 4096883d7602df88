"""Ids, seeds and draws are pure functions of what they name."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.synthesis import identity
from synclr_assets.synthesis.identity import (
    TEMPLATES,
    caption_id,
    digest_hex,
    draw,
    draw_distinct,
    draw_unit,
    image_seed,
    template_of,
)

SHARES = {"c": 0.44, "c_rel": 0.11, "c_bg": 0.45}
parts = st.lists(st.one_of(st.text(max_size=8), st.integers()), max_size=5)
buckets = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True)
concepts = st.text(min_size=1, max_size=12)
ordinals = st.integers(min_value=0, max_value=10**9)


def test_ids_of_stored_captions_never_change() -> None:
    """Stored corpora refer to these; a failure here means every user's ids would change."""
    identity = caption_id("digits", 0, "digit zero", "c", 0)
    assert identity == "18fc0c33164ede4f099ad4de1de96a6c"
    assert image_seed(identity, 0, 0) == 3142640339631543065
    drawn = [template_of("digits", 0, "digit zero", ordinal, SHARES) for ordinal in range(6)]
    assert drawn == ["c_bg", "c_bg", "c_bg", "c", "c", "c"]


@given(parts, parts)
def test_two_part_lists_share_a_digest_only_if_they_are_equal(
    first: list[str | int], second: list[str | int]
) -> None:
    assert (digest_hex(*first) == digest_hex(*second)) == (first == second)


@pytest.mark.parametrize(
    ("first", "second"), [(("ab", "c"), ("a", "bc")), ((1,), ("1",)), (("",), ()), (("s1:a",), ("a",))]
)
def test_boundaries_and_types_of_parts_count(
    first: tuple[str | int, ...], second: tuple[str | int, ...]
) -> None:
    assert digest_hex(*first) != digest_hex(*second)


@given(buckets, st.integers(0, 1000), concepts, st.sampled_from(TEMPLATES), ordinals)
def test_caption_id_is_32_lowercase_hex_characters(b: str, g: int, c: str, t: str, o: int) -> None:
    identity = caption_id(b, g, c, t, o)
    assert len(identity) == 32
    assert set(identity) <= set("0123456789abcdef")
    assert identity == caption_id(b, g, c, t, o)
    assert identity != caption_id(b, g + 1, c, t, o)


@given(concepts, st.integers(0, 3), st.integers(0, 50))
def test_image_seed_has_63_bits_and_differs_by_view_and_reseed(identity: str, view: int, reseed: int) -> None:
    seed = image_seed(identity, view, reseed)
    assert 0 <= seed < 2**63
    assert seed != image_seed(identity, view + 1, reseed)
    assert seed != image_seed(identity, view, reseed + 1)


@given(parts)
def test_draw_unit_lies_in_the_half_open_unit_interval(key: list[str | int]) -> None:
    assert 0.0 <= draw_unit(*key) < 1.0


@given(parts, st.lists(st.floats(0, 10), min_size=1, max_size=6).filter(lambda weights: sum(weights) > 0))
def test_draw_never_takes_a_choice_of_weight_zero(key: list[str | int], weights: list[float]) -> None:
    assert weights[draw(*key, choices=range(len(weights)), weights=weights)] > 0


def test_draw_follows_its_weights() -> None:
    counts = Counter(draw("weights", n, choices="abc", weights=[1, 2, 5]) for n in range(8000))
    assert counts["a"] == pytest.approx(1000, abs=120)
    assert counts["c"] == pytest.approx(5000, abs=180)


@given(parts, st.integers(0, 12), st.integers(0, 12))
def test_draw_distinct_repeats_no_position(key: list[str | int], available: int, count: int) -> None:
    drawn = draw_distinct(*key, choices=range(available), count=count)
    assert len(drawn) == len(set(drawn)) == min(available, count)


@given(parts, st.integers(1, 12), st.integers(0, 12))
def test_draw_distinct_of_fewer_is_the_beginning_of_more(
    key: list[str | int], available: int, count: int
) -> None:
    everything = draw_distinct(*key, choices=range(available), count=available)
    assert sorted(everything) == list(range(available))
    assert draw_distinct(*key, choices=range(available), count=count) == everything[:count]


def test_draw_distinct_favours_no_position_and_no_order() -> None:
    counts = Counter(tuple(draw_distinct("fair", n, choices="abcd", count=2)) for n in range(6000))
    assert len(counts) == 12
    assert max(counts.values()) < 600
    assert min(counts.values()) > 400


def test_draw_distinct_hashes_once_per_drawn_position(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(identity, "draw_unit", lambda *key: calls.append(key) or 0.5)
    assert len(draw_distinct("few", choices=range(100_000), count=3)) == len(calls) == 3


def test_draws_of_stored_prompts_never_change() -> None:
    """A failure here means that committed captions could not be drawn again; raise DRAWS_VERSION with it."""
    assert draw_distinct("shots", "ab", 0, choices=range(106), count=3) == [93, 62, 66]


@given(buckets, concepts, st.integers(1, 40), st.integers(0, 40))
def test_growing_a_budget_keeps_every_earlier_id(bucket: str, concept: str, budget: int, more: int) -> None:
    def ids(count: int) -> list[str]:
        templates = [template_of(bucket, 0, concept, n, SHARES) for n in range(count)]
        return [caption_id(bucket, 0, concept, template, n) for n, template in enumerate(templates)]

    assert ids(budget + more)[:budget] == ids(budget)


def test_templates_are_drawn_by_share() -> None:
    counts = Counter(template_of("digits", 0, "digit zero", n, SHARES) for n in range(5000))
    assert {name: counts[name] / 5000 for name in SHARES} == pytest.approx(SHARES, abs=0.03)


def test_a_template_without_share_is_never_drawn() -> None:
    assert {template_of("t", 0, "striped", n, {"c": 1.0, "c_bg": 0.0}) for n in range(200)} == {"c"}
