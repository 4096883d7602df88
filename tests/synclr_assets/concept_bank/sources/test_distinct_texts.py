"""Display texts of synsets: plain where one word is enough, told apart where it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.concept_bank.sources.distinct_texts import (
    Synset,
    distinct_texts,
    first_clause,
    short_gloss,
)
from synclr_assets.concept_bank.values import sameness

BIRD = Synset("n02012849", ("crane",), "large long-necked wading bird of marshes and plains")
MACHINE = Synset("n03126707", ("crane",), "lifts and moves heavy objects; lifting tackle is suspended")
OWL = Synset("n01621127", ("owl", "bird of Minerva"), "nocturnal bird of prey")
RABBIT = Synset("n02328150", ("Angora", "Angora rabbit"), "domestic breed of rabbit")
CAT = Synset("n02123917", ("Angora", "Angora cat"), "a long-haired breed of cat")


def test_a_synset_alone_with_its_lemma_is_called_by_it():
    assert distinct_texts([OWL, BIRD], {}) == ["owl", "crane"]


def test_of_several_that_share_a_lemma_none_keeps_it_bare():
    assert distinct_texts([BIRD, OWL, MACHINE], {}) == [
        "crane (large long-necked wading bird)",
        "owl",
        "crane (lifts and moves heavy objects)",
    ]


def test_a_longer_lemma_with_the_word_in_it_comes_first():
    assert distinct_texts([RABBIT, CAT], {}) == ["Angora rabbit", "Angora cat"]


def test_given_texts_are_taken_and_kept_free():
    texts = distinct_texts([BIRD, MACHINE, OWL], {"n02012849": "crane (bird)", "n03126707": "Owl"})
    assert texts[:2] == ["crane (bird)", "Owl"]
    assert texts[2] == "owl (nocturnal bird)"


def test_equal_definitions_fall_back_to_the_other_lemma_and_then_to_the_wnid():
    twins = [
        Synset("n00000001", ("echidna", "spiny anteater"), "a mammal"),
        Synset("n00000002", ("echidna",), "a mammal"),
    ]
    assert distinct_texts(twins, {}) == ["echidna (spiny anteater)", "echidna (n00000002)"]


WORDS = st.sampled_from(["crane", "Crane", "crib", "bird", "wading bird"])
SYNSETS = st.lists(st.tuples(st.lists(WORDS, min_size=1, max_size=3), WORDS), min_size=1, max_size=12).map(
    lambda drawn: [
        Synset(f"n{index:08}", tuple(lemmas), definition) for index, (lemmas, definition) in enumerate(drawn)
    ]
)


@given(SYNSETS)
def test_texts_differ_and_do_not_depend_on_the_order(synsets):
    texts = distinct_texts(synsets, {})
    assert len({sameness(text) for text in texts}) == len(synsets)
    assert distinct_texts(synsets[::-1], {}) == texts[::-1]


@pytest.mark.parametrize(
    ("definition", "gloss"),
    [
        ("a belt with loops or slots for carrying small hand tools", "belt"),
        ("any of numerous seed-eating songbirds of Europe or North America", "seed-eating songbirds"),
        ("(baseball) the person who does the pitching", "person"),
        (
            "a framework of hexagonal cells resembling the honeycomb built by bees",
            "framework of hexagonal cells",
        ),
        ("food cooked and served in a casserole", "food"),
        ("of western North America", "of western North America"),
        ("a breed of dairy cattle developed on the island of Jersey", "breed of dairy cattle"),
    ],
)
def test_a_gloss_is_the_head_of_the_definition(definition, gloss):
    assert short_gloss(definition) == gloss


def test_the_first_clause_ends_at_a_semicolon_and_has_no_article():
    assert (
        first_clause("a club used for hitting a ball; of wood (or aluminum)")
        == "club used for hitting a ball"
    )
