"""ImageNet-1k and the frequent classes of ImageNet-21k, from the metadata that timm ships (SynCLR 3.4).

Reads timm's data files without importing timm, which would load torch.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from synclr_assets.concept_bank.sources.class_lists import NamedClass, text_pairs
from synclr_assets.concept_bank.sources.distinct_texts import Synset, distinct_texts

_INFO = Path("data/_info")
_CLASSES_1K = "imagenet_synsets.txt"
_CLASSES_12K = "imagenet12k_synsets.txt"
"""Timm's frequent classes of the Fall 2011 release: 11 821, the nearest to the paper's 13k."""
_CLASSES_21K_FALL11 = "imagenet21k_miil_synsets.txt"
_CLASSES_21K_WINTER21 = "imagenet21k_miil_w21_synsets.txt"
_PERSONS = ("n09600000", "n10810000")
"""WordNet 3.0 keeps its nouns for persons between these offsets."""


class MissingMetadataError(ValueError):
    """Timm or one of its metadata files is not there; one sentence."""


@dataclass(frozen=True)
class ImageNetClasses:
    """The classes of both sources, with display texts that differ across the two."""

    imagenet1k: tuple[NamedClass, ...]
    """The 1000 classes in the order of their labels."""
    imagenet21k: tuple[NamedClass, ...]
    """Frequent classes outside ImageNet-1k, in the order of WordNet."""


@cache
def imagenet_classes() -> ImageNetClasses:
    """Both sources from the installed timm. Raises MissingMetadataError."""
    wnids_1k = _wnids(_CLASSES_1K)
    wnids_21k = frequent_wnids()
    synsets = _synsets([*wnids_1k, *wnids_21k])
    texts = distinct_texts(synsets, text_pairs("imagenet_texts"))
    classes = tuple(NamedClass(_name_of(s), text) for s, text in zip(synsets, texts, strict=True))
    return ImageNetClasses(classes[: len(wnids_1k)], classes[len(wnids_1k) :])


def frequent_wnids() -> list[str]:
    """The ImageNet-12k list without ImageNet-1k and without the persons that ImageNet withdrew.

    ImageNet took most classes of persons out of its Winter 2021 release, as unsafe or as nothing one can see
    (Yang et al., "Towards Fairer Datasets", FAT* 2020). A class that is a person is kept only if timm's list
    of that release has it.
    """
    winter21 = set(_wnids(_CLASSES_21K_WINTER21))
    withdrawn = set(_wnids(_CLASSES_21K_FALL11)) - winter21
    known = set(_wnids(_CLASSES_1K))
    first_person, end_of_persons = _PERSONS
    return [
        wnid
        for wnid in _wnids(_CLASSES_12K)
        if wnid not in known
        and wnid not in withdrawn
        and (wnid in winter21 or not first_person <= wnid < end_of_persons)
    ]


def _name_of(synset: Synset) -> str:
    """A readable and lasting identity such as `great_white_shark_n01484850`."""
    slug = re.sub(r"[^a-z0-9]+", "_", synset.lemmas[0].lower()).strip("_")
    return f"{slug}_{synset.wnid}"


def _synsets(wnids: Iterable[str]) -> list[Synset]:
    lemmas = _by_wnid("imagenet_synset_to_lemma.txt")
    definitions = _by_wnid("imagenet_synset_to_definition.txt")
    return [Synset(wnid, tuple(lemmas[wnid].split(", ")), definitions[wnid]) for wnid in wnids]


def _by_wnid(file_name: str) -> dict[str, str]:
    rows = csv.reader(_read(file_name).splitlines(), delimiter="\t")
    return dict(rows)


def _wnids(file_name: str) -> list[str]:
    return _read(file_name).split()


@cache
def _read(file_name: str) -> str:
    mend = "pip install 'synclr[train]'"
    spec = find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        raise MissingMetadataError(f"timm is not installed, and ImageNet's class names come with it: {mend}.")
    path = Path(spec.submodule_search_locations[0]) / _INFO / file_name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise MissingMetadataError(
            f"{path}: this file of timm cannot be read, and ImageNet's class names come from it; "
            f"install timm 1.0.15 or later ({mend})."
        ) from error
