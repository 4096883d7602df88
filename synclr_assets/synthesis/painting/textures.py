"""Regular and irregular surface patterns, as fields between 0 and 1 that mix two colours."""

import math
from collections.abc import Callable

import numpy as np

from synclr_assets.synthesis.painting.draws import Draws
from synclr_assets.synthesis.painting.noise import Field, cut_clouds


def texture_field(name: str, u: Field, v: Field, draws: Draws, size_px: int) -> Field:
    """A known texture [height, width] in [0, 1] over coordinates counted in periods of its pattern."""
    return np.clip(_FIELDS[name](u, v, draws, size_px), 0.0, 1.0).astype(np.float32)


def _edge(field: Field, sharpness: float) -> Field:
    """0 below zero, 1 above it, a ramp between."""
    return np.clip(0.5 + field * np.float32(sharpness), 0.0, 1.0)


def _saw(field: Field) -> Field:
    """Distance to the nearest whole number, 0 to 0.5."""
    return np.abs(field - np.round(field))


def _striped(u: Field, v: Field, draws: Draws, size_px: int) -> Field:
    share = np.float32(draws.between("texture/share", 0.15, 0.34))
    bend = cut_clouds(size_px, draws.of_view("texture/across"), draws.of_view("texture/down"))
    return _edge(share - _saw(u + np.float32(draws.between("texture/bend", 0.0, 0.5)) * bend), 6.0)


def _polka_dotted(u: Field, v: Field, draws: Draws, size_px: int) -> Field:
    row = np.floor(v)
    shift = np.float32(0.5) * (row % 2) if draws.chance("texture/staggered", 0.7) else np.float32(0.0)
    radius = np.sqrt(
        (u - np.floor(u) + shift - np.round(u - np.floor(u) + shift)) ** 2 + (v - row - 0.5) ** 2
    )
    return _edge(np.float32(draws.between("texture/radius", 0.22, 0.36)) - radius, 7.0)


def _chequered(u: Field, v: Field, draws: Draws, size_px: int) -> Field:
    return _edge((_saw(u) - 0.25) * (_saw(v) - 0.25), 60.0)


def _zigzagged(u: Field, v: Field, draws: Draws, size_px: int) -> Field:
    depth = np.float32(draws.between("texture/depth", 0.7, 1.5))
    return _edge(np.float32(draws.between("texture/share", 0.18, 0.3)) - _saw(v + depth * _saw(u)), 6.0)


def _honeycombed(u: Field, v: Field, draws: Draws, size_px: int) -> Field:
    tall = math.sqrt(3.0)
    to_walls = []
    for across, down in ((0.0, 0.0), (0.5, tall / 2)):
        x = u - across - np.round(u - across)
        y = v - down - np.float32(tall) * np.round((v - down) / np.float32(tall))
        to_walls.append(np.maximum(np.abs(x), 0.5 * np.abs(x) + np.float32(tall / 2) * np.abs(y)))
    inside = np.float32(0.5) - np.minimum(to_walls[0], to_walls[1])
    return _edge(inside - np.float32(draws.between("texture/wall", 0.06, 0.13)), 12.0)


def _marbled(u: Field, v: Field, draws: Draws, size_px: int) -> Field:
    across, down = draws.of_view("texture/across"), draws.of_view("texture/down")
    folds = cut_clouds(size_px, across, down) * np.float32(3.2) + cut_clouds(size_px, down, across, fine=True)
    veins = np.abs(np.sin(np.float32(1.4) * (u + folds)))
    return 1.0 - np.float32(0.9) * veins ** np.float32(draws.between("texture/vein", 0.5, 1.0))


def _cracked(u: Field, v: Field, draws: Draws, size_px: int) -> Field:
    low_u, low_v = math.floor(float(u.min())), math.floor(float(v.min()))
    wide = min(8, math.ceil(float(u.max())) - low_u)
    high = min(8, math.ceil(float(v.max())) - low_v)
    first = second = np.full_like(u, 99.0)
    for row in range(high):
        for column in range(wide):
            x = low_u + column + draws.of_view(f"crack/{row}/{column}/x")
            y = low_v + row + draws.of_view(f"crack/{row}/{column}/y")
            away = (u - np.float32(x)) ** 2 + (v - np.float32(y)) ** 2
            second = np.minimum(second, np.maximum(first, away))
            first = np.minimum(first, away)
    gap = np.sqrt(second) - np.sqrt(first)
    return _edge(np.float32(draws.between("texture/gap", 0.07, 0.16)) - gap, 10.0)


def _spiralled(u: Field, v: Field, draws: Draws, size_px: int) -> Field:
    x = u - np.float32(draws.shake("texture/centre/x", 0.5))
    y = v - np.float32(draws.shake("texture/centre/y", 0.5))
    arms = draws.pick("texture/arms", (1, 2, 3)) * (1 if draws.chance("texture/turn", 0.5) else -1)
    turn = np.arctan2(y, x) * np.float32(arms / (2.0 * math.pi))
    return _edge(np.float32(0.25) - _saw(np.sqrt(x * x + y * y) + turn), 6.0)


_FIELDS: dict[str, Callable[[Field, Field, Draws, int], Field]] = {
    "striped": _striped,
    "polka-dotted": _polka_dotted,
    "chequered": _chequered,
    "zigzagged": _zigzagged,
    "honeycombed": _honeycombed,
    "marbled": _marbled,
    "cracked": _cracked,
    "spiralled": _spiralled,
}
