"""Which concepts the painter knows by name."""

from pathlib import Path

import pytest
import yaml

from synclr_assets.synthesis.vocabulary import (
    COLOURS,
    DARK_COLOURS,
    OBJECTS,
    PALE_COLOURS,
    USUAL_COLOURS,
    Thing,
    singular,
    thing_of,
)


@pytest.mark.parametrize(
    ("concept", "kind", "name"),
    [
        ("digit seven", "digit", "seven"),
        ("Handwritten digit 7", "digit", "seven"),
        ("zero", "digit", "zero"),
        ("nine lives", "unknown", "nine lives"),
        ("size eight", "unknown", "size eight"),
        ("apples", "object", "apple"),
        ("red apple", "object", "apple"),
        ("apple pie", "unknown", "apple pie"),
        ("coffee cup", "object", "mug"),
        ("cacti", "object", "cactus"),
        ("striped texture", "texture", "striped"),
        ("polka dotted fabric", "texture", "polka-dotted"),
        ("striped bass", "unknown", "striped bass"),
        ("Golden  Retriever", "unknown", "golden retriever"),
        ("仙人掌", "unknown", "仙人掌"),
        ("!!!", "unknown", "!!!"),
    ],
)
def test_a_concept_is_drawn_by_its_head_noun(concept: str, kind: str, name: str) -> None:
    assert thing_of(concept) == Thing(kind, name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plural", "single"),
    [("apples", "apple"), ("cherries", "cherry"), ("brushes", "brush"), ("glasses", "glass"),
     ("boxes", "box"), ("cactus", "cactus"), ("grass", "grass"), ("iris", "iris"), ("bus", "bus")],
)  # fmt: skip
def test_singular(plural: str, single: str) -> None:
    assert singular(plural) == single


def test_every_colour_that_is_named_exists() -> None:
    named = {*PALE_COLOURS, *DARK_COLOURS, *(name for names in USUAL_COLOURS.values() for name in names)}
    assert named <= set(COLOURS)
    assert set(USUAL_COLOURS) == set(OBJECTS)


@pytest.mark.parametrize(
    ("bucket", "kind"), [("digits", "digit"), ("objects", "object"), ("textures", "texture")]
)
def test_the_painter_knows_every_demo_concept(bucket: str, kind: str) -> None:
    folder = Path(__file__).parents[3] / "concepts"
    content = yaml.safe_load((folder / f"{bucket}.yaml").read_text(encoding="utf-8"))
    assert {thing_of(concept).kind for concept in content["concepts"]} == {kind}
