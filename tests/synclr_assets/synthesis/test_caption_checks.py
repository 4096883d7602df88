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
        ("A dented trumpet.", "concept_missing"),
    ],
)
def test_check_caption(text: str, reason: str | None) -> None:
    assert check_caption(text, REQUEST) == reason
    assert reason is None or reason in CAPTION_REASONS


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
