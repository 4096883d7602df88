"""The rehearsal painter: an image is a function of its request, and shows what the caption says."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_assets.synthesis.identity import digest_hex, image_seed
from synclr_assets.synthesis.image_checks import check_group, is_blank
from synclr_assets.synthesis.painter import RehearsalPainter
from synclr_assets.synthesis.protocols import ImageRequest, UInt8Image
from synclr_assets.synthesis.vocabulary import COLOURS, DIGITS, OBJECTS, TEXTURES

PAINTER = RehearsalPainter(48)
CAPTIONS = [
    ("A bold yellow digit three in chalk, set against a dusty chalkboard.", "digit three"),
    ("The digit eight beside a red apple, in dim light.", "digit eight"),
    ("A red mug with white details, with a library table behind it, slanting to the left.", "mug"),
    ("A tiny glossy cracked texture in navy and gold, by lamplight.", "cracked texture"),
    ("A marbled texture.", "marbled texture"),
    ("A golden retriever behind a chair.", "golden retriever"),
    ("Water lily against an unheard-of backdrop.", "water lily"),
    ("Quatre-vingts ≠ 81 🎈", "🎈"),
]


def request_of(text: str, concept: str, caption: int = 0, view: int = 0, reseed: int = 0) -> ImageRequest:
    identity = digest_hex("test", text, caption)
    return ImageRequest(identity, view, reseed, image_seed(identity, view, reseed), text, concept)


def paint(text: str, concept: str, count: int) -> list[UInt8Image]:
    return PAINTER.sample([request_of(text, concept, caption=n // 4, view=n % 4) for n in range(count)])


def centre_colour(images: list[UInt8Image]) -> np.ndarray:
    """Mean red, green, blue in [0, 1] of the middle quarter."""
    return np.mean([image[18:30, 18:30].mean(axis=(0, 1)) for image in images], axis=0) / 255.0


def test_a_batch_of_64_paints_the_same_bytes_as_64_batches_of_one() -> None:
    requests = [request_of(*CAPTIONS[n % len(CAPTIONS)], caption=n // 32, view=n // 8 % 4) for n in range(64)]
    together = PAINTER.sample(requests)
    alone = [RehearsalPainter(48).sample([request])[0] for request in reversed(requests)][::-1]
    assert [image.tobytes() for image in together] == [image.tobytes() for image in alone]


@pytest.mark.parametrize("size_px", [24, 48, 96])
def test_images_have_the_size_and_type_asked_for(size_px: int) -> None:
    painter = RehearsalPainter(size_px)
    for image in painter.sample([request_of(*caption) for caption in CAPTIONS]):
        assert image.shape == (size_px, size_px, 3)
        assert image.dtype == np.uint8
        assert image.flags["C_CONTIGUOUS"]
        assert not is_blank(image)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=120), st.text(min_size=1, max_size=30), st.integers(0, 2**63 - 1))
def test_any_text_about_any_concept_can_be_painted(text: str, concept: str, seed: int) -> None:
    request = ImageRequest("ab", 0, 0, seed, text, concept)
    first, second = PAINTER.sample([request]), PAINTER.sample([request])
    assert first[0].shape == (48, 48, 3)
    assert first[0].tobytes() == second[0].tobytes()


@pytest.mark.parametrize("part", ["text", "caption_id", "view", "reseed", "seed"])
def test_every_part_of_a_request_changes_the_image(part: str) -> None:
    request = request_of(*CAPTIONS[0])
    changed = {"text": CAPTIONS[0][0] + " Blurry.", "caption_id": "cd"}.get(part, 7)
    other = replace(request, **{part: changed})
    assert PAINTER.sample([request])[0].tobytes() != PAINTER.sample([other])[0].tobytes()


@pytest.mark.parametrize("caption", CAPTIONS)
def test_the_views_of_a_caption_make_a_sound_positive_group(caption: tuple[str, str]) -> None:
    groups = [
        PAINTER.sample([request_of(*caption, caption=n, view=view) for view in range(4)]) for n in range(20)
    ]
    refused = sum(reason is not None for group in groups for reason in check_group(group, 48))
    assert refused <= 2


@pytest.mark.parametrize("colour", ["red", "green", "blue", "yellow", "purple", "white", "black"])
def test_an_object_has_the_colour_its_caption_names(colour: str) -> None:
    """Among seven clearly different colours the named one is the nearest to the middle of the apple."""
    rivals = ("red", "green", "blue", "yellow", "purple", "white", "black")
    seen = centre_colour(paint(f"A large {colour} apple.", "apple", 24))
    assert min(rivals, key=lambda name: float(np.abs(seen - COLOURS[name]).sum())) == colour


def test_digits_are_mostly_bright_ink_on_darker_ground() -> None:
    brighter = []
    for image in paint("The digit one.", "digit one", 200):
        grey = image.mean(axis=2)
        brighter.append(grey[20:28, 22:26].mean() > np.concatenate([grey[:, :4], grey[:, -4:]]).mean())
    assert 0.75 <= np.mean(brighter) <= 0.97


@pytest.mark.parametrize(("word", "other"), [("tiny", "huge"), ("small", "big")])
def test_size_words_set_the_size(word: str, other: str) -> None:
    def spread(size: str) -> float:
        """Mean difference of the border from the middle: large where the thing leaves the border free."""
        images = paint(f"A crisp {size} white apple against the night sky.", "apple", 40)
        return float(np.mean([(image > 140).all(axis=2).mean() for image in images]))

    assert spread(other) > 1.5 * spread(word)


def test_bold_lines_are_thicker_than_thin_ones() -> None:
    def ink(weight: str) -> float:
        images = paint(f"A crisp {weight} white digit two in marker against the night sky.", "digit two", 40)
        return float(np.mean([(image > 140).all(axis=2).mean() for image in images]))

    assert ink("heavy") > 1.4 * ink("thin")


@pytest.mark.parametrize(
    ("relation", "axis", "sign"),
    [("to the left of", 1, -1), ("to the right of", 1, 1), ("above", 0, -1), ("on top of", 0, -1),
     ("below", 0, 1), ("underneath", 0, 1)],
)  # fmt: skip
def test_the_second_thing_stands_where_the_relation_says(relation: str, axis: int, sign: int) -> None:
    images = paint(
        f"A red apple {relation} a blue mug against a black wall, in bright daylight.", "apple", 40
    )
    offsets = []
    for image in images:
        pixels = image.astype(int)
        red = np.argwhere((pixels[..., 0] > 110) & (pixels[..., 2] < 90)).mean(axis=0)
        blue = np.argwhere((pixels[..., 2] > 110) & (pixels[..., 0] < 90)).mean(axis=0)
        offsets.append(red - blue)
    assert sign * np.mean(offsets, axis=0)[axis] > 10


def test_a_named_background_looks_alike_everywhere_and_unlike_another() -> None:
    def border(phrase: str, concept: str) -> np.ndarray:
        images = paint(f"A small {concept} against {phrase}, in bright daylight.", concept, 40)
        return np.mean([np.concatenate([i[:5], i[-5:]]).mean(axis=(0, 1)) for i in images], axis=0)

    forest = border("a pine forest", "mug")
    assert np.abs(forest - border("a pine forest", "fish")).max() < 25
    assert np.abs(forest - border("a sandy beach", "mug")).max() > 60


def class_means(concepts: list[str], texts: str, first: int, count: int) -> np.ndarray:
    """Mean grey image per concept over captions from `first` on: [concepts, 2304], centred and scaled."""
    means = []
    for concept in concepts:
        text = texts.format(concept)
        requests = [request_of(text, concept, caption=first + n) for n in range(count)]
        grey = np.stack([image.mean(axis=2) for image in PAINTER.sample(requests)])
        flat = grey.reshape(count, -1)
        flat = (flat - flat.mean(axis=1, keepdims=True)) / flat.std(axis=1, keepdims=True)
        means.append(flat.mean(axis=0))
    return np.stack(means)


def test_digits_are_told_apart_by_their_shape() -> None:
    """Half of the images of each digit resembles its other half more than any other digit."""
    concepts = [f"digit {name}" for name in DIGITS]
    text = "A crisp white {} in marker against the night sky, standing upright."
    first, second = class_means(concepts, text, 0, 60), class_means(concepts, text, 1000, 60)
    assert (first @ second.T).argmax(axis=1).tolist() == list(range(10))


@pytest.mark.parametrize("concepts", [list(OBJECTS), ["gryphon", "toaster", "red fox", "zebra", "tuba"]])
def test_things_known_and_unknown_keep_a_look_of_their_own(concepts: list[str]) -> None:
    """Mean colour pictures of two disjoint halves match class by class."""

    def looks(first: int) -> np.ndarray:
        means = []
        for concept in concepts:
            requests = [
                request_of(f"A crisp {concept} against the night sky.", concept, caption=first + n)
                for n in range(60)
            ]
            means.append(np.mean([image.astype(float) for image in PAINTER.sample(requests)], axis=0).ravel())
        stacked = np.stack(means)
        stacked -= stacked.mean(axis=0)
        return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)

    assert (looks(0) @ looks(1000).T).argmax(axis=1).tolist() == list(range(len(concepts)))


@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_shows_both_colours_its_caption_names(name: str) -> None:
    images = paint(f"A crisp {name} texture in navy and yellow, in bright daylight.", f"{name} texture", 24)
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(int)
    yellow = (pixels[:, 0] - pixels[:, 2] > 60).mean()
    navy = ((pixels[:, 2] > pixels[:, 0]) & (pixels.sum(axis=1) < 300)).mean()
    assert min(yellow, navy) > 0.1


def test_about_half_of_what_a_caption_leaves_open_is_its_own() -> None:
    """Views of one caption share more than views of two, and less than everything."""

    def distance(pairs: list[tuple[UInt8Image, UInt8Image]]) -> float:
        return float(np.mean([np.abs(a.mean(axis=(0, 1)) - b.mean(axis=(0, 1))).mean() for a, b in pairs]))

    images = paint("A striped texture.", "striped texture", 400)
    within = distance(list(zip(images[0::4], images[1::4], strict=True)))
    across = distance(list(zip(images[0::4], images[5::4] + images[1:2], strict=True)))
    assert 0.5 * across < within < 0.92 * across
