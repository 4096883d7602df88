"""Table 11: how a total of captions divides over the eleven sources."""

import math

import pytest

from synclr_assets.concept_bank.bucket import SOURCES
from synclr_assets.concept_bank.sources.paper import PAPER_SOURCES, source_shares

SIZES = {source.name: len(source.concepts()) for source in PAPER_SOURCES}


def test_the_sources_are_all_that_a_bucket_may_name_but_custom():
    assert [source.name for source in PAPER_SOURCES] == [name for name in SOURCES if name != "custom"]
    assert sum(SIZES.values()) == 12_415


def test_shares_are_those_of_table_11_and_sum_to_1():
    shares = source_shares(SIZES)
    assert math.fsum(shares.values()) == pytest.approx(1.0)
    assert {name: shares[name] for name in ("imagenet1k", "aircraft", "cars", "food", "flowers")} == {
        "imagenet1k": 0.47,
        "aircraft": 0.05,
        "cars": 0.05,
        "food": 0.05,
        "flowers": 0.03,
    }
    assert shares["sun397"] + shares["places365"] == pytest.approx(0.09)
    others = ("imagenet21k", "pets", "caltech101", "textures")
    assert sum(shares[name] for name in others) == pytest.approx(0.26)


@pytest.mark.parametrize("group", [("sun397", "places365"), ("imagenet21k", "pets", "caltech101")])
def test_within_a_group_every_concept_is_as_likely_as_any_other(group):
    shares = source_shares(SIZES)
    first, *rest = [shares[name] / SIZES[name] for name in group]
    assert rest == pytest.approx([first] * len(rest))


def test_aircraft_cars_and_textures_say_what_they_are():
    texts = {source.name: [concept.text for concept in source.concepts()] for source in PAPER_SOURCES}
    assert texts["aircraft"][0] == "707-320 aircraft"
    assert all(text.endswith(" aircraft") for text in texts["aircraft"])
    assert all(text.endswith(" car") for text in texts["cars"])
    assert "striped texture" in texts["textures"]


def test_places_and_textures_are_only_captioned_as_themselves():
    plain = {source.name for source in PAPER_SOURCES if set(source.template_shares) == {"c"}}
    assert plain == {"textures", "sun397", "places365"}
    assert all(concept.templates == ("c",) for concept in PAPER_SOURCES[-1].concepts())
