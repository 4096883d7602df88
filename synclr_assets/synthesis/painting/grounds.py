"""Painting backgrounds: one function per kind of look, each a field that mixes the look's two colours."""

from collections.abc import Callable, Mapping

import numpy as np

from synclr_assets.synthesis.painting.canvas import Canvas, as_planes
from synclr_assets.synthesis.painting.draws import Draws
from synclr_assets.synthesis.painting.ground_looks import GroundLook
from synclr_assets.synthesis.painting.noise import Field, cut_clouds, cut_grain
from synclr_assets.synthesis.painting.textures import texture_field


def paint_ground(canvas: Canvas, look: GroundLook, draws: Draws) -> None:
    """Fill the whole canvas; where lines and blobs fall differs from view to view."""
    field = PAINTERS[look.kind](canvas, np.float32(look.periods), draws)
    canvas.planes = as_planes(look.first) + field * (as_planes(look.second) - as_planes(look.first))


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


PAINTERS: Mapping[str, Painter] = {
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
