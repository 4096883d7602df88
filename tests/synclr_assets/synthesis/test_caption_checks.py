"""Reasons for which a completion is refused."""

import pytest

from synclr_assets.synthesis.caption_checks import CAPTION_REASONS, MAX_CHARACTERS, check_caption, mentions
from synclr_assets.synthesis.protocols import CaptionRequest

PROMPT = "Describe each thing.\nowl => An owl sleeps.\ntuba =>"
REQUEST = CaptionRequest("ab", "tuba", "c", None, None, 0, PROMPT)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A dented tuba leans on a chair.", None),
        ("Tubas, polished for the parade.", None),
        ("", "empty"),
        (" ... ", "empty"),
        ("A tuba " + "x" * MAX_CHARACTERS, "too_long"),
        ("A tuba\x00.", "unprintable"),
        ("A tuba.\nowl", "unprintable"),
        ("A tub� tuba.", "unprintable"),
        ("tuba => A tuba.", "prompt_echoed"),
        ("An owl sleeps", "prompt_echoed"),
        ("describe each thing", "prompt_echoed"),
        ("I'm sorry, I can't describe a tuba.", "refused"),
        ("I\u2019m really sorry, but a tuba is beyond me.", "refused"),
        ("As an AI language model, I have no photo of a tuba.", "refused"),
        ("Sorry, but I cannot help with that. " + "x" * MAX_CHARACTERS, "refused"),
        ("Unfortunately, I do not see a tuba.", "refused"),
        ('A tuba beside a card that says "I am sorry".', None),
        ("As an assistant polishes it, a tuba gleams.", None),
        ("Eine Tuba und der Mann mit dem Hut: tuba.", "wrong_language"),
        ("Туба tuba на стуле", "wrong_language"),
        ("A dented trumpet.", "concept_missing"),
    ],
)
def test_check_caption(text: str, reason: str | None) -> None:
    assert check_caption(text, REQUEST) == reason
    assert reason is None or reason in CAPTION_REASONS


def test_a_query_of_two_parts_is_no_caption() -> None:
    prompt = "Describe each thing.\nowl, beside => An owl sleeps beside a jug.\ntuba, beside =>"
    request = CaptionRequest("ab", "tuba", "c_rel", "beside", None, 0, prompt)
    assert check_caption("Tuba, beside", request) == "prompt_echoed"
    assert check_caption("A tuba beside a drum", request) is None


def test_the_concept_and_the_background_may_be_in_another_language() -> None:
    request = CaptionRequest("ab", "仙人掌", "c_bg", None, "el jardín de la casa", 0, PROMPT)
    assert check_caption("仙人掌 in el jardín de la casa", request) is None


@pytest.mark.parametrize(
    ("text", "concept", "expected"),
    [
        ("Two golden retrievers play.", "golden retriever", True),
        ("A retriever with a golden coat.", "golden retriever", True),
        ("A golden eagle.", "golden retriever", False),
        ("A polka dotted scarf", "polka-dotted", True),
        ("Cherries in a bowl", "cherry", True),
        ("The carpet is red", "car", False),
        ("Lily of a valley", "lily of the valley", True),
        ("一只仙人掌。", "仙人掌", False),
        ("仙人掌 in a pot", "仙人掌", True),
        ("A & sign", "&", True),
        ("A sign", "&", False),
    ],
)
def test_mentions(text: str, concept: str, expected: bool) -> None:
    assert mentions(text, concept) is expected
