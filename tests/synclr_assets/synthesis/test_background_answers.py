"""A model's answer about backgrounds is read tolerantly and checked strictly."""

import json

import pytest

from synclr_assets.synthesis.background_answers import (
    MAX_BACKGROUND_CHARACTERS,
    WrongAnswer,
    background_list,
    rewritten_caption,
)
from synclr_assets.synthesis.purchases import Delivery

TEN = [
    f"a {look} table near the {place}"
    for look in ("wooden", "round")
    for place in "sea lake wall door oak".split()
]


def delivery(text: object, refused: bool = False) -> Delivery:
    return Delivery(text if isinstance(text, str) else json.dumps(text), refused, "m", 1, 1, 0.0)


@pytest.mark.parametrize(
    "text",
    [
        {"backgrounds": TEN},
        TEN,
        {"answer": TEN},
        "Sure, here they are:\n```json\n" + json.dumps({"backgrounds": TEN}, indent=1) + "\n```\nEnjoy!",
        "\n".join(f"{number}. {name}." for number, name in enumerate(TEN, 1)),
        "\n".join(f"- {name}" for name in TEN),
    ],
)
def test_a_list_is_read_from_any_usual_shape(text: object) -> None:
    assert background_list(delivery(text), 10) == TEN


def test_a_longer_list_is_cut_and_one_a_little_short_will_do() -> None:
    assert background_list(delivery({"backgrounds": TEN}), 4) == TEN[:4]
    assert background_list(delivery({"backgrounds": TEN[:8]}), 10) == TEN[:8]


def test_unusable_items_do_not_count() -> None:
    spoiled = [
        *TEN[:7],
        TEN[0].upper(),
        " " + TEN[1],
        "x" * (MAX_BACKGROUND_CHARACTERS + 1),
        "",
        "12",
        "a\u200b b",
    ]
    with pytest.raises(WrongAnswer, match=r"^too_few: 7 of 10$"):
        background_list(delivery({"backgrounds": spoiled}), 10)


@pytest.mark.parametrize(
    ("text", "refused", "reason"),
    [
        ({"backgrounds": TEN[:7]}, False, "too_few: 7 of 10"),
        ("I cannot help.", True, "refused"),
        ("I'm sorry, but I can't help with that.", False, "unreadable"),
        (json.dumps({"backgrounds": TEN})[:90], False, "unreadable"),
        ({"backgrounds": [1, 2, 3]}, False, "unreadable"),
        ({"backgrounds": {"a": "b"}}, False, "unreadable"),
        ({"backgrounds": [f"auf dem Tisch und mit der Lampe {n}" for n in range(10)]}, False, "not_english"),
        ({"backgrounds": [f"sur la table dans le jardin {n}" for n in range(10)]}, False, "not_english"),
        ({"backgrounds": [f"木のテーブル {n}" for n in range(10)]}, False, "not_english"),
    ],
)
def test_a_wrong_answer_has_its_reason(text: object, refused: bool, reason: str) -> None:
    with pytest.raises(WrongAnswer, match=f"^{reason}$"):
        background_list(delivery(text, refused), 10)


def test_a_rewritten_caption_comes_with_the_background_it_names() -> None:
    answer = {"background": "a sunny  meadow", "caption": "An apple lies in a sunny\nmeadow."}
    assert rewritten_caption(delivery(answer)) == ("An apple lies in a sunny meadow.", "a sunny meadow")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"background": "a sunny meadow", "caption": "An apple lies on a table."}, "background_missing"),
        ({"background": "", "caption": "An apple."}, "unreadable"),
        ({"caption": "An apple in a meadow."}, "unreadable"),
        ("An apple in a meadow.", "unreadable"),
        ('{"background": "a meadow", "capt', "unreadable"),
    ],
)
def test_a_caption_without_its_background_is_no_rewriting(answer: object, reason: str) -> None:
    with pytest.raises(WrongAnswer, match=f"^{reason}$"):
        rewritten_caption(delivery(answer))
