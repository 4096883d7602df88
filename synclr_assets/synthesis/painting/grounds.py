"""Backgrounds: a look for every phrase, by its known words or else by itself, and how each is painted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from synclr_assets.synthesis.painting.canvas import Canvas, as_planes, luma, mix
from synclr_assets.synthesis.painting.draws import Draws
from synclr_assets.synthesis.painting.noise import Field, cut_clouds, cut_grain
from synclr_assets.synthesis.painting.textures import texture_field
from synclr_assets.synthesis.vocabulary import COLOURS, Rgb, singular, words_of


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
_LOOKS: Mapping[str, tuple[str, Rgb, Rgb, float]] = {
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
    "rain": ("rain", (0.36, 0.42, 0.48), (0.66, 0.72, 0.78), 12),
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

_OPEN_KINDS = (
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
_DARKENING = {"dark", "black", "dusk", "shadowy", "charcoal", "unlit"}


@lru_cache(maxsize=4096)
def look_of(phrase: str) -> GroundLook:
    """The look of a background phrase: by its first known word, else drawn from the phrase itself."""
    own = Draws(f"ground/{phrase}", f"ground/{phrase}")
    words = words_of(phrase)
    known = next((_LOOKS[w] for word in words for w in (word, singular(word)) if w in _LOOKS), None)
    if known:
        kind, first, second, periods = known
        named = next((COLOURS[word] for word in words if word in COLOURS), None)
        if named:
            first, second = mix(first, named, 0.8), mix(second, named, 0.45)
    else:
        kind = own.pick("kind", tuple(sorted(_PAINTERS)))
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
    kind = draws.pick("ground/kind", _OPEN_KINDS)
    return GroundLook(kind, first, second, draws.between("ground/periods", 3.0, 9.0))


def paint_ground(canvas: Canvas, look: GroundLook, draws: Draws) -> None:
    """Fill the whole canvas; where lines and blobs fall differs from view to view."""
    field = _PAINTERS[look.kind](canvas, np.float32(look.periods), draws)
    canvas.planes = as_planes(look.first) + field * (as_planes(look.second) - as_planes(look.first))


def _with_luma(colour: Rgb, wanted: float) -> Rgb:
    """The colour darkened or paled to a brightness."""
    now = luma(colour)
    if now > wanted:
        return mix(colour, (0.0, 0.0, 0.0), 1.0 - wanted / now)
    return mix(colour, (1.0, 1.0, 1.0), (wanted - now) / (1.0 - now))


Painter = Callable[[Canvas, np.float32, Draws], Field]


def _offset(draws: Draws) -> tuple[float, float]:
    return draws.of_view("ground/across"), draws.of_view("ground/down")


def _lines(axis: Field, periods: np.float32, start: float, width: float) -> Field:
    """1 on thin lines across an axis, 0 between: float32 [side]."""
    place = (axis * np.float32(0.5) + np.float32(start)) * periods
    return np.clip((np.float32(width) - np.abs(place - np.round(place))) * 12.0 + 0.5, 0.0, 1.0).astype(
        np.float32
    )


def _tones(count: int, draws: Draws, size_px: int) -> Field:
    """A tone per plank, brick or book, uniform in [0, 1): float32 [count]."""
    return cut_grain(max(size_px, count), *_offset(draws))[0, :count]


def _plain(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    return cut_clouds(canvas.size_px, *_offset(draws)) * np.float32(0.25)


def _gradient(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    tilt = np.float32(draws.shake("ground/tilt", 0.5))
    return np.clip(0.5 + 0.5 * (canvas.axis[:, None] + tilt * canvas.axis[None, :]), 0.0, 1.0)


def _clouds(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    return cut_clouds(canvas.size_px, *_offset(draws))


def _foliage(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    fine, coarse = (
        cut_clouds(canvas.size_px, *_offset(draws), fine=True),
        cut_clouds(canvas.size_px, *_offset(draws)),
    )
    return np.clip(1.3 * fine + 0.6 * coarse - 0.45, 0.0, 1.0)


def _grain(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    return cut_grain(canvas.size_px, *_offset(draws)) ** 2


def _stars(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    noise = cut_grain(canvas.size_px, *_offset(draws))
    return np.clip((noise - 0.985) * 60.0, 0.0, 1.0) + 0.08 * cut_clouds(canvas.size_px, *_offset(draws))


def _ruled(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    return np.broadcast_to(
        _lines(canvas.axis, periods, draws.of_view("ground/down"), 0.1)[:, None], (canvas.size_px,) * 2
    )


def _squared(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    across, down = _offset(draws)
    return np.maximum(
        _lines(canvas.axis, periods, down, 0.07)[:, None], _lines(canvas.axis, periods, across, 0.07)[None, :]
    )


def _tiles(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    return np.float32(0.8) * _squared(canvas, periods, draws) + np.float32(0.2) * _clouds(
        canvas, periods, draws
    )


def _planks(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    place = (canvas.axis * np.float32(0.5) + np.float32(0.5 + draws.of_view("ground/down"))) * periods
    tones = _tones(64, draws, canvas.size_px)[np.floor(place).astype(int) % 64]
    seams = np.abs(place - np.round(place)) < 0.07
    field = np.where(seams, np.float32(-0.5), np.float32(0.8) * tones)
    grain = cut_clouds(canvas.size_px, *_offset(draws), fine=True)
    return field[:, None].astype(np.float32) + np.float32(0.25) * grain


def _bricks(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    across, down = _offset(draws)
    v = (canvas.axis[:, None] * np.float32(0.5) + np.float32(1.0 + down)) * periods
    row = np.floor(v)
    u = (canvas.axis[None, :] * np.float32(0.5) + np.float32(1.0 + across)) * periods * 0.5 + 0.5 * (row % 2)
    mortar = np.maximum(0.14 - np.abs(v - np.round(v)), 0.07 - np.abs(u - np.round(u)))
    tones = _tones(64, draws, canvas.size_px)[((row * 7 + np.floor(u)) % 64).astype(int)]
    return np.maximum(np.clip(mortar * 12.0, 0.0, 1.0), np.float32(0.3) * tones)


def _horizon(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    hills = cut_clouds(canvas.size_px, *_offset(draws))
    height = np.float32(draws.between("ground/horizon", -0.25, 0.35)) + (hills[:1] - 0.5) * np.float32(0.5)
    land = np.clip((canvas.axis[:, None] - height) * np.float32(0.25 * canvas.size_px), 0.0, 1.0)
    fine = cut_clouds(canvas.size_px, *_offset(draws), fine=True)
    return land * (np.float32(0.72) + np.float32(0.4) * fine) + (1.0 - land) * np.float32(0.12) * hills


def _bokeh(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    field = np.zeros((canvas.size_px,) * 2, dtype=np.float32)
    for disc in range(7):
        x, y = draws.shake(f"bokeh/{disc}/x", 1.0), draws.shake(f"bokeh/{disc}/y", 1.0)
        radius = 0.12 + 0.22 * draws.of_view(f"bokeh/{disc}/size")
        away = ((canvas.axis - np.float32(x)) ** 2)[None, :] + ((canvas.axis - np.float32(y)) ** 2)[:, None]
        field += np.clip((np.float32(radius**2) - away) * 12.0, 0.0, 0.45)
    return np.minimum(field, 0.9)


def _waves(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    across, down = _offset(draws)
    swell = np.sin(canvas.axis * np.float32(4.0) + np.float32(6.3 * across)) * np.float32(0.25)
    place = (canvas.axis[:, None] * np.float32(0.5) + np.float32(down)) * periods + swell[None, :]
    return np.float32(0.5) + np.float32(0.5) * np.sin(place * np.float32(6.2832))


def _ribs(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    place = (canvas.axis * np.float32(0.5) + np.float32(draws.of_view("ground/across"))) * periods
    return np.broadcast_to((0.5 + 0.5 * np.sin(place * np.float32(6.2832)))[None, :], (canvas.size_px,) * 2)


def _weave(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    across, down = _offset(draws)
    warp = np.sin((canvas.axis + np.float32(across)) * periods * np.float32(3.1416))[None, :]
    weft = np.sin((canvas.axis + np.float32(down)) * periods * np.float32(3.1416))[:, None]
    return np.float32(0.5) + np.float32(0.4) * warp * weft + np.float32(0.1) * warp


def _rain(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    across, _ = _offset(draws)
    slant = canvas.axis[None, :] * np.float32(0.5) + canvas.axis[:, None] * np.float32(0.12)
    streaks = np.sin((slant + np.float32(across)) * periods * np.float32(6.2832))
    return np.clip(streaks - 0.4, 0.0, 0.6) + np.float32(0.3) * _clouds(canvas, periods, draws)


def _books(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
    across, down = _offset(draws)
    u = (canvas.axis * np.float32(0.5) + np.float32(1.0 + across)) * periods * 4
    v = (canvas.axis * np.float32(0.5) + np.float32(1.0 + down)) * periods
    index = (np.floor(u)[None, :] + 17 * np.floor(v)[:, None]) % 64
    tones = _tones(64, draws, canvas.size_px)[index.astype(int)]
    return tones * (np.abs(v - np.round(v)) > 0.1)[:, None]


def _patterned(name: str) -> Painter:
    def paint(canvas: Canvas, periods: np.float32, draws: Draws) -> Field:
        across, down = _offset(draws)
        u = (canvas.axis * np.float32(0.5) + np.float32(across)) * periods
        v = (canvas.axis * np.float32(0.5) + np.float32(down)) * periods
        shape = (canvas.size_px,) * 2
        return texture_field(
            name,
            np.broadcast_to(u[None, :], shape),
            np.broadcast_to(v[:, None], shape),
            draws,
            canvas.size_px,
        )

    return paint


_PAINTERS: Mapping[str, Painter] = {
    "plain": _plain,
    "gradient": _gradient,
    "clouds": _clouds,
    "foliage": _foliage,
    "grain": _grain,
    "stars": _stars,
    "ruled": _ruled,
    "squared": _squared,
    "tiles": _tiles,
    "planks": _planks,
    "bricks": _bricks,
    "horizon": _horizon,
    "bokeh": _bokeh,
    "waves": _waves,
    "ribs": _ribs,
    "weave": _weave,
    "rain": _rain,
    "books": _books,
    "marbled": _patterned("marbled"),
    "chequered": _patterned("chequered"),
    "cracked": _patterned("cracked"),
}
