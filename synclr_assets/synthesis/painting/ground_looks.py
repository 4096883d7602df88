"""What backgrounds look like: a look for every phrase, by its known words or else by the phrase itself.

Holds looks as values; `grounds` paints them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from synclr_assets.synthesis.painting.canvas import luma, mix
from synclr_assets.synthesis.painting.draws import Draws
from synclr_assets.synthesis.vocabulary import COLOURS, Rgb, singular


@dataclass(frozen=True)
class GroundLook:
    """What a background looks like in every image that has it."""

    kind: str
    """Key of the painting function."""
    first: Rgb
    second: Rgb
    periods: float
    """Repeats of the pattern over the image's side, where it repeats."""


# word -> kind, first colour, second colour, periods
LOOKS: Mapping[str, tuple[str, Rgb, Rgb, float]] = {
    "chalkboard": ("clouds", (0.11, 0.19, 0.15), (0.26, 0.34, 0.29), 1),
    "blackboard": ("clouds", (0.08, 0.09, 0.09), (0.24, 0.25, 0.25), 1),
    "slate": ("grain", (0.20, 0.23, 0.27), (0.32, 0.36, 0.40), 1),
    "night": ("stars", (0.03, 0.04, 0.13), (0.80, 0.84, 0.98), 1),
    "screen": ("ruled", (0.04, 0.06, 0.08), (0.07, 0.17, 0.15), 14),
    "scoreboard": ("squared", (0.05, 0.06, 0.06), (0.18, 0.18, 0.16), 7),
    "envelope": ("gradient", (0.10, 0.14, 0.34), (0.17, 0.22, 0.46), 1),
    "asphalt": ("grain", (0.13, 0.13, 0.14), (0.33, 0.33, 0.34), 1),
    "cardboard": ("ruled", (0.50, 0.36, 0.21), (0.42, 0.29, 0.16), 11),
    "wooden": ("planks", (0.36, 0.22, 0.12), (0.55, 0.37, 0.21), 4),
    "wood": ("planks", (0.36, 0.22, 0.12), (0.55, 0.37, 0.21), 4),
    "oak": ("planks", (0.50, 0.34, 0.18), (0.66, 0.48, 0.28), 3),
    "jersey": ("weave", (0.10, 0.11, 0.17), (0.19, 0.21, 0.30), 16),
    "denim": ("weave", (0.13, 0.20, 0.38), (0.26, 0.36, 0.56), 15),
    "velvet": ("clouds", (0.20, 0.04, 0.20), (0.38, 0.12, 0.40), 1),
    "curtain": ("ribs", (0.28, 0.03, 0.09), (0.52, 0.10, 0.18), 6),
    "linen": ("weave", (0.80, 0.75, 0.64), (0.91, 0.87, 0.78), 14),
    "cloth": ("weave", (0.62, 0.64, 0.70), (0.80, 0.82, 0.86), 12),
    "blanket": ("weave", (0.56, 0.30, 0.28), (0.78, 0.58, 0.46), 8),
    "leather": ("foliage", (0.22, 0.12, 0.08), (0.34, 0.20, 0.13), 1),
    "steel": ("ribs", (0.36, 0.39, 0.42), (0.55, 0.58, 0.61), 9),
    "rusty": ("foliage", (0.30, 0.15, 0.08), (0.52, 0.29, 0.14), 1),
    "glass": ("gradient", (0.10, 0.16, 0.22), (0.34, 0.44, 0.52), 1),
    "window": ("squared", (0.62, 0.78, 0.92), (0.92, 0.94, 0.95), 2),
    "brick": ("bricks", (0.48, 0.20, 0.15), (0.66, 0.60, 0.55), 5),
    "notebook": ("ruled", (0.95, 0.94, 0.88), (0.55, 0.68, 0.90), 7),
    "whiteboard": ("gradient", (0.96, 0.97, 0.97), (0.85, 0.88, 0.90), 1),
    "graph": ("squared", (0.94, 0.96, 0.94), (0.60, 0.76, 0.80), 8),
    "paper": ("grain", (0.94, 0.92, 0.86), (0.86, 0.83, 0.76), 1),
    "stone": ("foliage", (0.34, 0.34, 0.33), (0.54, 0.54, 0.51), 1),
    "granite": ("grain", (0.16, 0.16, 0.18), (0.42, 0.41, 0.43), 1),
    "gravel": ("grain", (0.36, 0.35, 0.33), (0.72, 0.70, 0.66), 1),
    "rock": ("foliage", (0.36, 0.31, 0.27), (0.60, 0.54, 0.47), 1),
    "concrete": ("clouds", (0.50, 0.50, 0.49), (0.64, 0.64, 0.62), 1),
    "tunnel": ("tiles", (0.12, 0.14, 0.16), (0.24, 0.27, 0.29), 6),
    "storm": ("clouds", (0.20, 0.23, 0.28), (0.46, 0.50, 0.56), 1),
    "sunset": ("gradient", (0.96, 0.55, 0.30), (0.42, 0.22, 0.46), 1),
    "evening": ("gradient", (0.96, 0.55, 0.30), (0.42, 0.22, 0.46), 1),
    "cloudy": ("clouds", (0.48, 0.66, 0.88), (0.92, 0.94, 0.96), 1),
    "sky": ("clouds", (0.38, 0.62, 0.92), (0.80, 0.89, 0.98), 1),
    "city": ("bokeh", (0.07, 0.08, 0.14), (0.96, 0.78, 0.42), 1),
    "street": ("horizon", (0.66, 0.72, 0.78), (0.34, 0.34, 0.36), 1),
    "road": ("horizon", (0.72, 0.80, 0.86), (0.38, 0.37, 0.36), 1),
    "forest": ("foliage", (0.05, 0.17, 0.08), (0.20, 0.42, 0.16), 1),
    "woodland": ("foliage", (0.14, 0.22, 0.08), (0.42, 0.44, 0.18), 1),
    "jungle": ("foliage", (0.03, 0.24, 0.10), (0.24, 0.56, 0.20), 1),
    "garden": ("foliage", (0.20, 0.42, 0.16), (0.52, 0.70, 0.30), 1),
    "orchard": ("bokeh", (0.24, 0.44, 0.18), (0.66, 0.80, 0.36), 1),
    "vineyard": ("ribs", (0.26, 0.40, 0.16), (0.58, 0.66, 0.30), 5),
    "meadow": ("horizon", (0.62, 0.82, 0.96), (0.42, 0.66, 0.24), 1),
    "field": ("horizon", (0.70, 0.84, 0.94), (0.70, 0.62, 0.26), 1),
    "lawn": ("grain", (0.22, 0.50, 0.16), (0.40, 0.68, 0.26), 1),
    "grass": ("grain", (0.20, 0.46, 0.14), (0.44, 0.70, 0.26), 1),
    "runway": ("horizon", (0.62, 0.66, 0.70), (0.26, 0.27, 0.29), 1),
    "lane": ("horizon", (0.58, 0.74, 0.84), (0.44, 0.48, 0.32), 1),
    "track": ("horizon", (0.74, 0.80, 0.84), (0.46, 0.26, 0.20), 1),
    "car": ("squared", (0.24, 0.25, 0.26), (0.70, 0.70, 0.68), 3),
    "rocky": ("foliage", (0.36, 0.31, 0.27), (0.60, 0.54, 0.47), 1),
    "showroom": ("tiles", (0.88, 0.89, 0.92), (0.66, 0.69, 0.74), 3),
    "park": ("foliage", (0.46, 0.34, 0.10), (0.74, 0.60, 0.22), 1),
    "rug": ("weave", (0.46, 0.16, 0.16), (0.72, 0.52, 0.36), 9),
    "mossy": ("foliage", (0.16, 0.28, 0.08), (0.40, 0.54, 0.18), 1),
    "moss": ("foliage", (0.16, 0.28, 0.08), (0.40, 0.54, 0.18), 1),
    "leaves": ("foliage", (0.42, 0.20, 0.06), (0.80, 0.48, 0.14), 1),
    "beach": ("horizon", (0.50, 0.78, 0.92), (0.90, 0.80, 0.58), 1),
    "sand": ("clouds", (0.82, 0.70, 0.48), (0.94, 0.85, 0.66), 1),
    "desert": ("horizon", (0.55, 0.76, 0.94), (0.88, 0.62, 0.34), 1),
    "dune": ("waves", (0.86, 0.66, 0.38), (0.95, 0.80, 0.54), 2),
    "sea": ("waves", (0.06, 0.30, 0.52), (0.28, 0.58, 0.74), 4),
    "ocean": ("waves", (0.04, 0.20, 0.44), (0.20, 0.48, 0.70), 3),
    "reef": ("bokeh", (0.06, 0.40, 0.58), (0.96, 0.60, 0.46), 1),
    "aquarium": ("gradient", (0.08, 0.44, 0.72), (0.02, 0.16, 0.36), 1),
    "lake": ("horizon", (0.70, 0.82, 0.90), (0.22, 0.44, 0.58), 1),
    "river": ("waves", (0.18, 0.40, 0.40), (0.44, 0.62, 0.60), 5),
    "harbour": ("horizon", (0.86, 0.78, 0.68), (0.14, 0.32, 0.44), 1),
    "pond": ("foliage", (0.10, 0.30, 0.28), (0.30, 0.52, 0.38), 1),
    "pool": ("tiles", (0.22, 0.66, 0.80), (0.60, 0.90, 0.96), 6),
    "rainy": ("rain", (0.36, 0.42, 0.48), (0.66, 0.72, 0.78), 12),
    "rain": ("rain", (0.36, 0.42, 0.48), (0.66, 0.72, 0.78), 12),
    "snowy": ("horizon", (0.74, 0.82, 0.92), (0.95, 0.96, 0.98), 1),
    "snow": ("horizon", (0.74, 0.82, 0.92), (0.95, 0.96, 0.98), 1),
    "ice": ("cracked", (0.84, 0.92, 0.97), (0.50, 0.70, 0.86), 3),
    "mountain": ("horizon", (0.60, 0.76, 0.94), (0.36, 0.38, 0.44), 1),
    "hill": ("horizon", (0.66, 0.84, 0.96), (0.34, 0.54, 0.26), 1),
    "kitchen": ("tiles", (0.88, 0.90, 0.88), (0.70, 0.78, 0.80), 5),
    "tiled": ("tiles", (0.80, 0.88, 0.90), (0.56, 0.70, 0.76), 5),
    "marble": ("marbled", (0.93, 0.92, 0.91), (0.62, 0.62, 0.66), 2),
    "checked": ("chequered", (0.95, 0.94, 0.92), (0.80, 0.22, 0.22), 5),
    "bookshelf": ("books", (0.22, 0.13, 0.08), (0.62, 0.44, 0.28), 3),
    "library": ("books", (0.26, 0.16, 0.10), (0.70, 0.52, 0.30), 4),
    "market": ("bokeh", (0.42, 0.26, 0.18), (0.96, 0.72, 0.36), 1),
    "shop": ("books", (0.52, 0.46, 0.40), (0.86, 0.80, 0.70), 3),
    "straw": ("weave", (0.72, 0.58, 0.28), (0.90, 0.78, 0.46), 10),
    "basket": ("weave", (0.48, 0.32, 0.16), (0.74, 0.56, 0.32), 7),
    "studio": ("gradient", (0.74, 0.74, 0.76), (0.52, 0.53, 0.56), 1),
    "plaster": ("clouds", (0.84, 0.80, 0.74), (0.92, 0.89, 0.84), 1),
    "wallpaper": ("ribs", (0.82, 0.74, 0.62), (0.92, 0.86, 0.76), 8),
    "fence": ("planks", (0.78, 0.78, 0.76), (0.94, 0.94, 0.92), 6),
    "wall": ("clouds", (0.70, 0.66, 0.60), (0.80, 0.77, 0.72), 1),
    "greenhouse": ("squared", (0.62, 0.80, 0.62), (0.90, 0.96, 0.92), 4),
    "soil": ("grain", (0.22, 0.14, 0.08), (0.40, 0.28, 0.18), 1),
}

OPEN_KINDS = (
    "plain",
    "gradient",
    "clouds",
    "clouds",
    "grain",
    "bokeh",
    "waves",
    "weave",
    "foliage",
    "gradient",
)
UNKNOWN_KINDS = (
    "gradient", "clouds", "grain", "bokeh", "waves", "weave", "foliage", "planks", "tiles", "bricks", "ribs",
    "horizon", "squared", "books",
)  # fmt: skip
_DARKENING = {"dark", "black", "dusk", "shadowy", "charcoal", "unlit"}


@lru_cache(maxsize=4096)
def look_of(phrase: str) -> GroundLook:
    """The look of a background phrase: by its first known word, else drawn from the phrase itself."""
    own = Draws.of_keys(f"ground/{phrase}", f"ground/{phrase}")
    words = re.findall(r"[^\W_]+", phrase.casefold())
    known = next((LOOKS[w] for word in words for w in (word, singular(word)) if w in LOOKS), None)
    if known:
        kind, first, second, periods = known
        named = next((COLOURS[word] for word in words if word in COLOURS), None)
        if named:
            first, second = mix(first, named, 0.8), mix(second, named, 0.45)
    else:
        kind = own.pick("kind", UNKNOWN_KINDS)
        first, second = (COLOURS[own.pick(f"colour/{index}", tuple(COLOURS))] for index in (1, 2))
        second, periods = mix(first, second, 0.6), 3.0 + 4.0 * own.of_caption("periods")
    shift = 0.06 * (own.of_caption("shift") - 0.5)
    first = mix(first, (1.0, 1.0, 1.0) if shift > 0 else (0.0, 0.0, 0.0), abs(shift))
    if _DARKENING.intersection(words):
        first, second = mix(first, (0.02, 0.02, 0.05), 0.55), mix(second, (0.02, 0.02, 0.05), 0.55)
    return GroundLook(kind, first, second, periods * (0.85 + 0.3 * own.of_caption("scale")))


def open_look(draws: Draws, dark: bool | None) -> GroundLook:
    """A look for a caption that names no background; `dark` None leaves its brightness open."""
    first, second = (COLOURS[draws.pick(f"ground/colour/{index}", tuple(COLOURS))] for index in (1, 2))
    second = mix(first, second, draws.between("ground/contrast", 0.05, 0.4))
    if dark is not None:
        wanted = (
            draws.between("ground/luma", 0.03, 0.26) if dark else draws.between("ground/luma", 0.72, 0.95)
        )
        first, second = _with_luma(first, wanted), _with_luma(second, wanted + (0.08 if dark else -0.08))
    kind = draws.pick("ground/kind", OPEN_KINDS)
    return GroundLook(kind, first, second, draws.between("ground/periods", 3.0, 9.0))


def _with_luma(colour: Rgb, wanted: float) -> Rgb:
    """The colour darkened or paled to a brightness."""
    now = luma(colour)
    if now > wanted:
        return mix(colour, (0.0, 0.0, 0.0), 1.0 - wanted / now)
    return mix(colour, (1.0, 1.0, 1.0), (wanted - now) / (1.0 - now))
