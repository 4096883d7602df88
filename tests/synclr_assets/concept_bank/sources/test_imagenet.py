"""ImageNet's classes from timm's metadata: the counts, who is left out, which texts are told apart."""

import sys
from importlib.machinery import ModuleSpec

import pytest

from synclr_assets.concept_bank.sources import imagenet
from synclr_assets.concept_bank.sources.class_lists import text_pairs
from synclr_assets.concept_bank.sources.distinct_texts import sameness
from synclr_assets.concept_bank.sources.imagenet import (
    MissingMetadataError,
    frequent_wnids,
    imagenet_classes,
)


@pytest.fixture(scope="module")
def text_of():
    """Wnid -> display text, over both sources."""
    classes = imagenet_classes()
    return {named.name[-9:]: named.text for named in classes.imagenet1k + classes.imagenet21k}


def test_the_two_sources_have_their_counts_and_no_class_in_common():
    classes = imagenet_classes()
    assert (len(classes.imagenet1k), len(classes.imagenet21k)) == (1000, 9969)
    assert not {c.name for c in classes.imagenet1k} & {c.name for c in classes.imagenet21k}


def test_every_text_is_its_own_across_both_sources(text_of):
    assert len({sameness(text) for text in text_of.values()}) == 10_969


@pytest.mark.parametrize(
    ("wnid", "text"),
    [
        ("n02012849", "crane (bird)"),
        ("n03126707", "crane (machine)"),
        ("n03250847", "drumstick (for a drum)"),
        ("n01608432", "kite (bird of prey)"),
        ("n03710637", "maillot (tights)"),
        ("n03710721", "maillot (one-piece swimsuit)"),
        ("n03773504", "missile (rocket weapon)"),
        ("n04008634", "projectile (missile)"),
        ("n04355933", "sunglass (burning lens)"),
        ("n04356056", "sunglasses"),
        ("n01443537", "goldfish"),
    ],
)
def test_ambiguous_names_are_told_apart(text_of, wnid, text):
    assert text_of[wnid] == text


def test_a_name_is_readable_and_ends_in_its_synset():
    assert imagenet_classes().imagenet1k[2].name == "great_white_shark_n01484850"


def test_written_texts_are_for_classes_of_imagenet1k_and_say_what_the_lemma_does_not():
    lemmas = {named.name[-9:] for named in imagenet_classes().imagenet1k}
    assert set(text_pairs("imagenet_texts")) <= lemmas


def test_persons_withdrawn_by_imagenet_are_left_out():
    wnids = set(frequent_wnids())
    withdrawn, kept_person, animal = "n10787470", "n09818022", "n02121808"
    assert withdrawn not in wnids
    assert {kept_person, animal} <= wnids


def test_timm_itself_is_not_imported():
    imagenet._read.cache_clear()
    loaded = sys.modules.pop("timm", None)
    try:
        assert len(frequent_wnids()) == 9969
        assert "timm" not in sys.modules
    finally:
        if loaded is not None:
            sys.modules["timm"] = loaded


@pytest.mark.parametrize("locations", [None, ["/nowhere"]])
def test_without_timms_files_there_is_one_sentence(monkeypatch, locations):
    spec = ModuleSpec("timm", None, is_package=True) if locations else None
    if spec:
        spec.submodule_search_locations = locations
    imagenet._read.cache_clear()
    monkeypatch.setattr(imagenet, "find_spec", lambda name: spec)
    with pytest.raises(MissingMetadataError, match=r"timm.*synclr\[train\].*\.$"):
        frequent_wnids()
    imagenet._read.cache_clear()
