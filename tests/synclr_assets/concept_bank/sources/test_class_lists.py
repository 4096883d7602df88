"""The class lists of the paper's sources: right counts, unique names, texts a language model can use."""

import pytest

from synclr_assets.concept_bank.sources.class_lists import class_list, data_lines, text_pairs
from synclr_assets.concept_bank.sources.distinct_texts import sameness

COUNTS = {
    "aircraft": 100,
    "cars": 196,
    "flowers": 102,
    "pets": 37,
    "food": 101,
    "caltech101": 101,
    "textures": 47,
    "sun397": 397,
    "places365": 365,
}


@pytest.mark.parametrize(("source", "count"), COUNTS.items())
def test_a_list_has_the_data_sets_number_of_classes_each_named_once(source, count):
    classes = class_list(source)
    assert len(classes) == count
    assert len({sameness(named.name) for named in classes}) == count
    assert len({sameness(named.text) for named in classes}) == count


@pytest.mark.parametrize("source", COUNTS)
def test_a_text_is_plain_words(source):
    for named in class_list(source):
        assert named.text == " ".join(named.text.split())
        assert "_" not in named.text
        assert "=" not in named.text
        assert "/" not in named.text or source in ("aircraft", "cars"), named


@pytest.mark.parametrize("source", ["sun397", "places365"])
def test_places_are_in_the_data_sets_alphabetical_order(source):
    names = [named.name for named in class_list(source)]
    assert names == sorted(names)


def test_places365_names_stand_at_their_labels():
    # Labels as in the data set's categories_places365.txt.
    names = [named.name for named in class_list("places365")]
    labels = {
        "airfield": 0,
        "closet": 95,
        "farm": 138,
        "landfill": 206,
        "stadium/soccer": 314,
        "zen_garden": 364,
    }
    assert {name: names.index(name) for name in labels} == labels


def test_flowers_are_those_of_torchvision():
    torchvision_flowers = pytest.importorskip("torchvision.datasets").Flowers102.classes
    # torchvision keeps the data set's own doubt about one name.
    expected = [name.rstrip("?") for name in torchvision_flowers]
    assert [named.name for named in class_list("flowers")] == expected


def test_a_view_goes_into_parentheses_and_a_given_text_is_taken():
    texts = {named.name: named.text for named in class_list("sun397")}
    assert texts["church/indoor"] == "church (indoor)"
    assert texts["airplane_cabin"] == "airplane cabin"
    assert texts["theater/indoor_procenium"] == "theater with a proscenium stage"


def test_lines_of_origin_are_no_classes():
    assert not any(line.startswith("#") for line in data_lines("cars"))
    assert text_pairs("imagenet_texts")["n02012849"] == "crane (bird)"
