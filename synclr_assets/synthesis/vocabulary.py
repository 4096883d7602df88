"""The words the rehearsal captioner writes and the rehearsal painter draws, and what each looks like.

Also decides which concepts are drawable by name. Holds no grammar and draws nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Rgb = tuple[float, float, float]
"""Red, green, blue in [0, 1]."""

COLOURS: Mapping[str, Rgb] = {
    "white": (0.96, 0.96, 0.95),
    "ivory": (0.97, 0.94, 0.84),
    "cream": (0.98, 0.93, 0.76),
    "yellow": (0.98, 0.87, 0.18),
    "gold": (0.87, 0.70, 0.22),
    "amber": (0.99, 0.70, 0.12),
    "orange": (0.96, 0.52, 0.12),
    "peach": (0.99, 0.77, 0.61),
    "coral": (0.98, 0.48, 0.40),
    "red": (0.86, 0.13, 0.14),
    "crimson": (0.70, 0.06, 0.20),
    "pink": (0.98, 0.64, 0.76),
    "magenta": (0.85, 0.16, 0.60),
    "purple": (0.49, 0.20, 0.65),
    "violet": (0.56, 0.40, 0.90),
    "lavender": (0.78, 0.72, 0.94),
    "blue": (0.16, 0.36, 0.84),
    "navy": (0.08, 0.13, 0.36),
    "turquoise": (0.20, 0.79, 0.77),
    "teal": (0.05, 0.47, 0.49),
    "mint": (0.66, 0.93, 0.77),
    "green": (0.17, 0.60, 0.24),
    "lime": (0.66, 0.90, 0.20),
    "olive": (0.46, 0.47, 0.16),
    "brown": (0.44, 0.27, 0.14),
    "tan": (0.80, 0.66, 0.46),
    "silver": (0.75, 0.77, 0.80),
    "grey": (0.52, 0.53, 0.54),
    "charcoal": (0.20, 0.21, 0.23),
    "black": (0.06, 0.06, 0.07),
}

PALE_COLOURS = (
    "white", "ivory", "cream", "yellow", "gold", "amber", "peach", "pink", "lavender", "turquoise", "mint",
    "lime", "silver",
)  # fmt: skip
"""Colours of ink that shows on a dark ground."""

DARK_COLOURS = ("crimson", "purple", "navy", "blue", "teal", "brown", "charcoal", "black")
"""Colours of ink that shows on a pale ground."""

SIZES: Mapping[str, float] = {"tiny": 0.40, "small": 0.52, "large": 0.80, "big": 0.84, "huge": 0.93}
"""Half height of the subject as a share of half the image."""

WEIGHTS: Mapping[str, float] = {"thin": 0.11, "slender": 0.13, "bold": 0.20, "thick": 0.22, "heavy": 0.25}
"""Stroke radius as a share of the subject's half height."""

TILTS: Mapping[str, float] = {
    "slanting to the right": 0.30,
    "slanting to the left": -0.22,
    "leaning forward": 0.22,
    "leaning back": -0.18,
    "standing upright": 0.0,
}
"""Shear of the subject: sideways shift per unit of height."""

FINISHES: Mapping[str, float] = {
    "crisp": 0.005,
    "sharp": 0.01,
    "soft": 0.03,
    "hazy": 0.04,
    "blurry": 0.055,
    "out-of-focus": 0.06,
}
"""Blur of the whole image: standard deviation as a share of the image's side."""

MEDIA = ("chalk", "neon", "marker", "paint", "pencil", "crayon", "ink")
"""What a digit may be written in."""


@dataclass(frozen=True)
class Light:
    """How light falls on the whole image."""

    gain: float
    """Factor on brightness."""
    tint: Rgb
    """Factor per channel."""
    slope: float
    """Change of brightness from one side of the image to the other."""
    vignette: float
    """Loss of brightness in the corners."""


LIGHTS: Mapping[str, Light] = {
    "bright daylight": Light(1.12, (1.0, 1.0, 0.98), 0.0, 0.0),
    "soft morning light": Light(1.02, (1.05, 1.0, 0.92), 0.15, 0.0),
    "evening light": Light(0.92, (1.10, 0.95, 0.80), 0.25, 0.1),
    "lamplight": Light(0.90, (1.12, 0.97, 0.74), 0.0, 0.35),
    "dim light": Light(0.68, (1.0, 1.0, 1.0), 0.0, 0.15),
    "cool overcast light": Light(0.92, (0.94, 1.0, 1.08), 0.0, 0.0),
    "light from the left": Light(1.0, (1.0, 1.0, 1.0), -0.45, 0.0),
    "light from the right": Light(1.0, (1.0, 1.0, 1.0), 0.45, 0.0),
    "a single spotlight": Light(1.08, (1.03, 1.0, 0.95), 0.0, 0.55),
    "moonlight": Light(0.75, (0.86, 0.95, 1.14), 0.1, 0.2),
}


@dataclass(frozen=True)
class Surface:
    """What a texture is made of."""

    grain: float
    """Depth of fine noise."""
    gloss: float
    """Strength of a diagonal sheen."""
    wear: float
    """Depth of worn patches."""


SURFACES: Mapping[str, Surface] = {
    "glossy": Surface(0.0, 0.5, 0.0),
    "matte": Surface(0.04, 0.0, 0.0),
    "grainy": Surface(0.28, 0.0, 0.0),
    "worn": Surface(0.10, 0.0, 0.7),
    "polished": Surface(0.0, 0.3, 0.15),
}
"""Surfaces of a texture."""

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OBJECTS = (
    "apple", "banana", "cactus", "fish", "house", "mug", "mushroom", "sailboat", "sunflower", "umbrella",
)  # fmt: skip
TEXTURES = (
    "striped", "polka-dotted", "chequered", "zigzagged", "honeycombed", "marbled", "cracked", "spiralled",
)  # fmt: skip

USUAL_COLOURS: Mapping[str, tuple[str, ...]] = {
    "apple": ("red", "crimson", "green", "lime", "yellow"),
    "banana": ("yellow", "gold", "lime"),
    "cactus": ("green", "olive", "teal"),
    "fish": ("orange", "blue", "silver", "gold", "turquoise", "coral"),
    "house": ("cream", "red", "white", "blue", "yellow", "tan", "pink"),
    "mug": ("white", "red", "blue", "teal", "yellow", "charcoal", "pink"),
    "mushroom": ("red", "brown", "tan", "orange", "crimson"),
    "sailboat": ("white", "cream", "red", "orange", "blue"),
    "sunflower": ("yellow", "gold", "amber", "orange"),
    "umbrella": ("red", "blue", "purple", "yellow", "black", "pink", "green"),
}
"""Colours of an object whose caption names none."""

RELATIONS: Mapping[str, tuple[float, float]] = {
    "to the left of": (-1.0, 0.0),
    "to the right of": (1.0, 0.0),
    "in front of": (0.35, 0.45),
    "on top of": (0.0, -1.0),
    "underneath": (0.0, 1.0),
    "beside": (0.9, 0.1),
    "behind": (-0.35, -0.45),
    "above": (0.0, -1.0),
    "below": (0.0, 1.0),
    "near": (-0.8, 0.4),
}
"""Positional relations, and where the first thing stands as seen from the second: right and down count up."""

Kind = Literal["digit", "object", "texture", "unknown"]

_SYNONYMS = {
    "dotted": "polka-dotted", "polka dotted": "polka-dotted", "checkered": "chequered", "zigzag": "zigzagged",
    "honeycomb": "honeycombed", "stripe": "striped", "spiraled": "spiralled", "spiral": "spiralled",
    "cacti": "cactus", "boat": "sailboat", "cup": "mug", "toadstool": "mushroom", "cottage": "house",
}  # fmt: skip
_DIGIT_WORDS = {"the", "a", "digit", "number", "numeral", "figure", "handwritten", "written"}
_TEXTURE_WORDS = {"texture", "pattern", "surface", "fabric", "material"}


@dataclass(frozen=True)
class Thing:
    """Something to draw: a digit, object or texture by its name, or an unknown by its whole name."""

    kind: Kind
    name: str


@lru_cache(maxsize=4096)
def thing_of(concept: str) -> Thing:
    """How a concept is drawn: by its head noun if that is known, else as an identity of its own."""
    words = words_of(concept)
    if not words:
        return Thing("unknown", concept)
    head = singular(words[-1])
    number = DIGITS[int(head)] if re.fullmatch(r"[0-9]", head) else head
    if number in DIGITS and set(words[:-1]) <= _DIGIT_WORDS:
        return Thing("digit", number)
    head = _SYNONYMS.get(head, head)
    if head in OBJECTS:
        return Thing("object", head)
    described = [word for word in words if singular(word) not in _TEXTURE_WORDS]
    texture = _SYNONYMS.get(" ".join(described), " ".join(described))
    if texture in TEXTURES:
        return Thing("texture", texture)
    return Thing("unknown", " ".join(words))


def words_of(text: str) -> list[str]:
    """Lower-case words; hyphens and apostrophes inside a word belong to it."""
    return re.findall(r"[^\W_]+(?:[-'\u2019][^\W_]+)*", text.casefold())


def singular(word: str) -> str:
    """A word without its English plural ending, roughly: enough to tell `apples` from `apple`."""
    for plural, single in (("ies", "y"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"), ("sses", "ss")):
        if word.endswith(plural) and len(word) > len(plural) + 1:
            return word[: -len(plural)] + single
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        return word[:-1]
    return word
