"""English captions pass, other languages are recognised by script or function words."""

import pytest

from synclr_assets.synthesis.caption_language import is_english
from synclr_assets.synthesis.prompts import load_prompt_set


@pytest.mark.parametrize(
    "text",
    [
        "A red apple.",
        "Red apple, green leaf",
        "Café crème brûlée on a zinc bar in Montréal.",
        "The fleur de lis of a de la Rue banner.",
        "An El Camino at the side of the road in Los Angeles.",
        "Rusty bicycle, weathered blue door, cracked paint",
    ],
)
def test_english_passes(text: str) -> None:
    assert is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ein roter Apfel liegt auf der alten Bank im Garten.",
        "Une pomme rouge est posée sur la table dans le jardin.",
        "Una manzana roja sobre la mesa con el mantel.",
        "Een rode appel ligt op een houten tafel naast het raam.",
        "Красное яблоко лежит на столе.",
        "赤いリンゴがテーブルの上にあります。",
        "एक लाल सेब मेज पर रखा है।",
        "Punainen omena lepää vanhalla puisella pöydällä aurinkoisessa puutarhassa kivisen muurin vieressä, "
        "kauniisti kypsynyt, kiiltävä, tuoksuva",
    ],
)
def test_other_languages_do_not(text: str) -> None:
    assert not is_english(text)


def test_words_of_the_request_do_not_count() -> None:
    assert not is_english("仙人掌 и кактус in a pot")
    assert is_english("仙人掌 in a pot", given=["仙人掌"])
    assert is_english("Der Spiegel und die Zeit", given=["der spiegel und die zeit"])


def test_every_solved_example_is_english() -> None:
    examples = [line for lines in load_prompt_set().examples.values() for line in lines]
    assert [line for line in examples if not is_english(line.partition(" => ")[2])] == []
