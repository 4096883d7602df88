"""What the painter reads out of a caption."""

import pytest

from synclr_assets.synthesis.painting.scene import Scene, read_scene
from synclr_assets.synthesis.vocabulary import (
    COLOURS,
    FINISHES,
    LIGHTS,
    SIZES,
    SURFACES,
    TILTS,
    WEIGHTS,
    Thing,
)


def test_a_bare_caption_leaves_everything_open() -> None:
    scene = read_scene("A photo of a mug.", "mug")
    assert scene == Scene(Thing("object", "mug"), (), *[None] * 9, None, ())  # type: ignore[arg-type]


def test_a_full_caption_is_read_word_by_word() -> None:
    text = (
        "Close-up of a huge thick blurry yellow digit seven written in chalk, set against a dusty "
        "chalkboard, slanting to the right, in dim light."
    )
    scene = read_scene(text, "digit seven")
    assert scene.subject == Thing("digit", "seven")
    assert scene.colours == (COLOURS["yellow"],)
    assert (scene.size, scene.weight, scene.finish) == (SIZES["huge"], WEIGHTS["thick"], FINISHES["blurry"])
    assert (scene.tilt, scene.medium) == (TILTS["slanting to the right"], "chalk")
    assert scene.ground == "a dusty chalkboard"
    assert scene.light == LIGHTS["dim light"]
    assert scene.relation is None


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("A mug against a brick wall.", "a brick wall"),
        ("A mug, set against wet asphalt, by moonlight.", "wet asphalt"),
        ("A mug, with a market stall behind it.", "a market stall"),
        ("A red mug with white details, with fallen leaves in the background.", "fallen leaves"),
        ("A mug, with dewy grass as the backdrop, under a single spotlight.", "dewy grass"),
        ("A mug on a wooden table, steaming.", "a wooden table"),
        ("A mug stands forgotten in a dim workshop.", "a dim workshop"),
        ("A mug in soft morning light.", None),
        ("A mug in white.", None),
    ],
)
def test_backgrounds_are_found_in_each_form(text: str, ground: str | None) -> None:
    assert read_scene(text, "mug").ground == ground


def test_colours_of_the_background_are_not_the_subjects() -> None:
    assert read_scene("A mug against a red brick wall.", "mug").colours == ()


@pytest.mark.parametrize(
    ("relation", "other", "colours"),
    [
        ("beside", "a red apple", ("red",)),
        ("in front of", "an old navy lantern", ("navy",)),
        ("behind", "a chair", ()),
    ],
)
def test_a_relation_names_the_second_thing(relation: str, other: str, colours: tuple[str, ...]) -> None:
    scene = read_scene(f"A white mug {relation} {other}, in evening light.", "mug")
    assert scene.relation == relation
    assert scene.colours == (COLOURS["white"],)
    assert scene.other_colours == tuple(COLOURS[name] for name in colours)
    assert scene.other is not None
    assert scene.other.name == {"beside": "apple", "in front of": "old lantern", "behind": "chair"}[relation]


def test_the_concepts_own_words_are_no_attributes() -> None:
    scene = read_scene("An orange against a plain studio wall.", "orange")
    assert scene.colours == ()
    assert read_scene("A white black swan.", "black swan").colours == (COLOURS["white"],)


def test_words_inside_other_words_do_not_count() -> None:
    scene = read_scene("A scarred, bigoted, goldfish-like mug.", "mug")
    assert (scene.colours, scene.size) == ((), None)


def test_a_texture_reads_two_colours_and_its_surface() -> None:
    scene = read_scene("A swatch of a worn striped texture in teal and cream.", "striped texture")
    assert scene.colours == (COLOURS["teal"], COLOURS["cream"])
    assert scene.surface == SURFACES["worn"]
