"""The eleven sources of SynCLR and how captions divide over them (SynCLR 3.4, App. A, Table 11)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from synclr_assets.concept_bank.bucket import SOURCES as DEFAULT_TEMPLATE_SHARES
from synclr_assets.concept_bank.bucket import Concept, normalise
from synclr_assets.concept_bank.sources.class_lists import NamedClass, class_list
from synclr_assets.concept_bank.sources.imagenet import imagenet_classes

OWN_SHARES: Mapping[str, float] = MappingProxyType(
    {"imagenet1k": 0.47, "aircraft": 0.05, "cars": 0.05, "food": 0.05, "flowers": 0.03}
)
"""Sources with a probability of their own in Table 11."""
PLACES_SHARE = 0.09
"""Table 11 gives the two lists of places one probability."""
OTHERS_SHARE = 0.26
"""Table 11 gives ImageNet-21k and all other sources one probability."""
TEXTURES_SHARE = 0.002
"""The part of `OTHERS_SHARE` that the reference implementation draws from the textures."""
PLACES = ("sun397", "places365")
OTHERS = ("imagenet21k", "pets", "caltech101")
"""What shares the rest of `OTHERS_SHARE`."""


@dataclass(frozen=True)
class Source:
    """One of the paper's sources."""

    name: str
    """A key of `concept_bank.bucket.SOURCES`."""
    title: str
    """What people call it."""
    read: Callable[[], tuple[NamedClass, ...]]
    """Its classes, in the data set's order."""
    text_suffix: str = ""
    """What every display text ends in."""

    @property
    def template_shares(self) -> dict[str, float]:
        """Template -> share: textures and places are only captioned as themselves (SynCLR 3.4)."""
        return normalise(DEFAULT_TEMPLATE_SHARES[self.name])

    def concepts(self) -> tuple[Concept, ...]:
        """Its classes as equally weighted concepts."""
        templates = tuple(self.template_shares)
        return tuple(Concept(c.name, c.text + self.text_suffix, 1.0, templates) for c in self.read())


PAPER_SOURCES: tuple[Source, ...] = (
    Source("imagenet1k", "ImageNet-1k", lambda: imagenet_classes().imagenet1k),
    Source("imagenet21k", "ImageNet-21k, frequent classes", lambda: imagenet_classes().imagenet21k),
    Source("aircraft", "FGVC-Aircraft variants", lambda: class_list("aircraft"), " aircraft"),
    Source("cars", "Stanford Cars", lambda: class_list("cars"), " car"),
    Source("flowers", "Oxford 102 Flowers", lambda: class_list("flowers")),
    Source("pets", "Oxford-IIIT Pet", lambda: class_list("pets")),
    Source("food", "Food-101", lambda: class_list("food")),
    Source("caltech101", "Caltech-101", lambda: class_list("caltech101")),
    Source("textures", "Describable Textures", lambda: class_list("textures"), " texture"),
    Source("sun397", "SUN397", lambda: class_list("sun397")),
    Source("places365", "Places365", lambda: class_list("places365")),
)


def source_shares(num_concepts: Mapping[str, int]) -> dict[str, float]:
    """Source -> probability of a caption, for sources of these numbers of concepts; they sum to 1.

    Within "places", and within "ImageNet-21k and all others" once the textures have theirs, every concept is
    as likely as any other, as in the reference implementation, which draws from the joined lists.
    """
    shares = dict(OWN_SHARES)
    shares["textures"] = TEXTURES_SHARE
    for group, share in ((PLACES, PLACES_SHARE), (OTHERS, OTHERS_SHARE - TEXTURES_SHARE)):
        total = sum(num_concepts[name] for name in group)
        shares |= {name: share * num_concepts[name] / total for name in group}
    return {source.name: shares[source.name] for source in PAPER_SOURCES}
