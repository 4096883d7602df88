"""Curated backgrounds: plausible per known thing, shared per fine-grained source, consistent for the rest."""

from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.synthesis.rehearsal_backgrounds import NUM_GENERIC, RehearsalBackgrounds, shipped_lists
from synclr_assets.synthesis.vocabulary import DIGITS, OBJECTS

WRITER = RehearsalBackgrounds()


def test_every_drawable_object_has_its_own_list() -> None:
    assert set(shipped_lists().objects) == set(OBJECTS)
    lists = [tuple(WRITER.write(name, "custom", 100)) for name in OBJECTS]
    assert min(map(len, lists)) >= 10
    assert len(set(lists)) == len(OBJECTS)


def test_all_digits_share_one_list() -> None:
    assert len({tuple(WRITER.write(f"digit {name}", "custom", 100)) for name in DIGITS}) == 1


def test_a_fine_grained_source_shares_one_list() -> None:
    assert WRITER.write("Boeing 747 aircraft", "aircraft", 100) == WRITER.write(
        "A380 aircraft", "aircraft", 100
    )
    assert WRITER.write("Boeing 747 aircraft", "aircraft", 100) != WRITER.write("pizza", "food", 100)


@given(st.text(min_size=1, max_size=30), st.integers(1, 60))
def test_any_concept_gets_distinct_backgrounds_up_to_the_count(concept: str, count: int) -> None:
    backgrounds = WRITER.write(concept, "custom", count)
    assert backgrounds
    assert len(backgrounds) == len(set(backgrounds)) <= count
    assert backgrounds == WRITER.write(concept, "custom", count)


def test_unknown_concepts_get_different_parts_of_the_generic_list() -> None:
    tiger, toaster = WRITER.write("tiger", "imagenet1k", 100), WRITER.write("toaster", "imagenet1k", 100)
    assert len(tiger) == len(toaster) == NUM_GENERIC
    assert set(tiger) != set(toaster)
    assert set(tiger) | set(toaster) <= set(shipped_lists().generic)


def test_shipped_backgrounds_are_single_phrases_without_commas() -> None:
    """A comma would end the phrase in a caption and hide the rest from the painter."""
    lists = shipped_lists()
    phrases = [*lists.digit, *lists.generic]
    phrases += [
        text for group in (lists.objects, lists.sources) for texts in group.values() for text in texts
    ]
    assert [text for text in phrases if "," in text or text != text.strip() or not text] == []
