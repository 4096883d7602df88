"""Texts that say almost the same are found; the answer depends on the texts in their order alone."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_assets.synthesis import near_duplicates
from synclr_assets.synthesis.near_duplicates import NearDuplicateIndex, similarity, sketch_of

TEXT = "A barn owl glides low and silent over a field of wheat with its pale wings fully spread."


def flags(texts: list[str], threshold: float = 0.8, window: int = 1000) -> list[bool]:
    """Whether each text repeats one before it; repeats are not remembered."""
    index = NearDuplicateIndex(threshold, window)
    found = []
    for text in texts:
        sketch = sketch_of(text)
        found.append(sketch in index)
        if not found[-1]:
            index.add(sketch)
    return found


def varied(text: str, count: int, seed: int) -> str:
    """The text with `count` words replaced by words of no other text."""
    dice = random.Random(seed)
    words = text.split()
    for place in dice.sample(range(len(words)), count):
        words[place] = f"w{dice.randrange(10**9)}"
    return " ".join(words)


def test_similarity_is_the_share_of_common_word_triples() -> None:
    one, other = sketch_of("one two three four five"), sketch_of("one two three four six")
    assert similarity(one.shingles, other.shingles) == 0.5
    assert similarity(one.shingles, one.shingles) == 1.0
    assert similarity(one.shingles, sketch_of("seven eight nine").shingles) == 0.0


@pytest.mark.parametrize(
    ("second", "repeats"),
    [
        (TEXT.upper().replace(".", "!"), True),
        (TEXT.replace("A barn owl", "One barn owl"), True),
        (TEXT + " Slowly.", True),
        (TEXT.replace("glides low and silent over a field of wheat", "sleeps in the rafters"), False),
        ("A barn owl.", False),
    ],
)
def test_a_repeat_in_other_words_is_found(second: str, repeats: bool) -> None:
    assert flags([TEXT, second]) == [False, repeats]


def test_short_texts_repeat_only_when_they_are_the_same() -> None:
    assert flags(["An owl", "an owl!", "An elk"]) == [False, True, False]
    assert flags(["", ""]) == [False, True]


def test_nearly_all_pairs_above_the_threshold_are_found_and_none_below() -> None:
    dice = random.Random(0)
    missed = wrong = close = 0
    for seed in range(400):
        text = " ".join(f"w{dice.randrange(10**6)}" for _ in range(24))
        other = varied(text, seed % 4, seed)
        alike = similarity(sketch_of(text).shingles, sketch_of(other).shingles)
        found = flags([text, other], threshold=0.7)[1]
        close += alike >= 0.7
        missed += alike >= 0.7 and not found
        wrong += alike < 0.7 and found
    assert close > 150
    assert missed <= 0.03 * close
    assert wrong == 0


words = st.lists(st.sampled_from(["owl", "elk", "fox", "sees", "hears", "the", "a"]), min_size=1, max_size=9)


@settings(max_examples=60)
@given(st.lists(words.map(" ".join), max_size=60), st.integers(1, 30))
def test_when_recent_texts_are_merged_changes_nothing(texts: list[str], merge_every: int) -> None:
    plain = flags(texts, window=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_MERGE_EVERY", merge_every)
        assert flags(texts, window=20) == plain


def test_a_text_that_left_the_window_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_MERGE_EVERY", 4)
    others = [f"w{n} x{n} y{n} z{n}" for n in range(12)]
    assert flags([TEXT, *others, TEXT], window=13)[-1] is True
    assert flags([TEXT, *others, TEXT], window=12)[-1] is False


def test_memory_is_bounded_by_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_MERGE_EVERY", 50)
    index = NearDuplicateIndex(0.8, window=100)
    for n in range(1000):
        index.add(sketch_of(f"w{n} x{n} y{n} z{n}"))
    assert len(index._shingles) <= 150
    assert len(index._keys) <= 150 * near_duplicates.NUM_BANDS


def test_sketches_are_the_same_on_every_machine() -> None:
    """A failure here means that a resumed corpus would be judged otherwise; raise CHECKS_VERSION with it."""
    sketch = sketch_of("A barn owl glides")
    assert [int(key) for key in sketch.bands[:2]] == [13845859215558143337, 6838618591229392663]
    assert sorted(memoryview(sketch.shingles).cast("I")) == [1199235467, 3699170546]
