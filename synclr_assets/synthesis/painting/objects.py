"""Ten things the painter knows how to draw, each from a few plain shapes in its own frame."""

import math
from collections.abc import Callable

import numpy as np

from synclr_assets.synthesis.painting.canvas import Brush, Canvas, Pose, colour_distance, luma, mix
from synclr_assets.synthesis.painting.draws import Draws
from synclr_assets.synthesis.vocabulary import COLOURS, USUAL_COLOURS, Rgb

_BROWN, _GREEN, _PALE = COLOURS["brown"], (0.24, 0.55, 0.20), COLOURS["ivory"]
_DARK: Rgb = (0.12, 0.10, 0.10)


def draw_object(canvas: Canvas, name: str, pose: Pose, colours: tuple[Rgb, ...], draws: Draws) -> None:
    """Draw a known object; `colours` are its main colour and, if given, a second one."""
    main = colours[0] if colours else COLOURS[draws.pick("object/colour", USUAL_COLOURS[name])]
    second = colours[1] if len(colours) > 1 else None
    if colour_distance(main, canvas.mean_colour()) < 0.4:
        canvas.give_way(main)
    wobble = (draws.shake("object/wobble/x", 1.0), draws.shake("object/wobble/y", 1.0))
    brush = Brush(canvas, pose, wobble, shading=draws.between("object/shading", -0.22, 0.22))
    _PAINTERS[name](brush, main, second, draws)


def _apple(b: Brush, main: Rgb, second: Rgb | None, draws: Draws) -> None:
    cleft = draws.between("apple/cleft", 0.22, 0.34)
    left, right = b.ellipse(-cleft, 0.15, 0.58, 0.76), b.ellipse(cleft, 0.15, 0.58, 0.76)
    b.fill(b.capsule(0.0, -0.45, draws.between("apple/stem", -0.2, 0.25), -0.98, 0.08), _BROWN)
    b.fill(np.minimum(left, right), main)
    if second or draws.chance("apple/blush", 0.5):
        b.fill(b.ellipse(0.35, 0.35, 0.3, 0.36), second or mix(main, COLOURS["yellow"], 0.45))
    b.fill(b.ellipse(-0.42, -0.15, 0.13, 0.22), mix(main, (1.0, 1.0, 1.0), 0.7))
    if draws.chance("apple/leaf", 0.75):
        b.fill(np.maximum(b.ellipse(0.4, -0.62, 0.36, 0.3), b.ellipse(0.32, -0.88, 0.4, 0.34)), _GREEN)


def _banana(b: Brush, main: Rgb, second: Rgb | None, draws: Draws) -> None:
    inner = draws.between("banana/bend", -1.1, -0.9)
    tips = second or mix(main, _DARK, 0.75)
    for turn in (0.3, 0.0)[draws.pick("banana/one", (0, 1, 1)) :]:
        moon = np.maximum(b.ellipse(0.0, -0.62 - turn, 0.97, 1.25), -b.ellipse(0.0, inner - turn, 1.15, 1.02))
        moon = np.maximum(moon, -(b.v + 0.55 + turn))
        b.fill(moon, mix(main, _BROWN, turn))
        b.fill(np.maximum(moon, b.v + 0.38 + turn), tips)
    ridge = np.abs(b.ellipse(0.0, -0.62, 0.85, 1.02)) - 0.03
    b.fill(np.maximum(ridge, -b.v - 0.2), mix(main, _BROWN, 0.4))


def _cactus(b: Brush, main: Rgb, second: Rgb | None, draws: Draws) -> None:
    high = draws.between("cactus/height", -0.72, -0.5)
    left, right = draws.between("cactus/left", -0.35, 0.1), draws.between("cactus/right", -0.5, 0.0)
    body = np.minimum(b.capsule(0.0, high, 0.0, 0.6, 0.27), b.capsule(0.0, 0.3, -0.58, 0.25, 0.14))
    body = np.minimum(body, b.capsule(-0.62, 0.25, -0.62, left, 0.15))
    if draws.chance("cactus/two", 0.8):
        arm = np.minimum(b.capsule(0.0, 0.1, 0.58, 0.05, 0.14), b.capsule(0.62, 0.05, 0.62, right, 0.15))
        body = np.minimum(body, arm)
    b.fill(body, main)
    ribs = np.abs(np.abs(b.u) - 0.1) - 0.025
    b.fill(np.maximum(np.maximum(ribs, body + 0.06), b.v - 0.6), mix(main, _DARK, 0.4))
    b.fill(b.polygon((-0.48, 0.55), (0.48, 0.55), (0.34, 1.0), (-0.34, 1.0)), second or (0.72, 0.38, 0.24))
    b.fill(b.box(-0.54, 0.5, 0.54, 0.64), mix(second or (0.72, 0.38, 0.24), (1.0, 1.0, 1.0), 0.2))


def _fish(b: Brush, main: Rgb, second: Rgb | None, draws: Draws) -> None:
    deep = draws.between("fish/depth", 0.36, 0.52)
    fin = second or mix(main, _DARK, 0.3)
    b.fill(b.polygon((0.35, 0.0), (0.98, -0.5), (0.86, 0.0)), fin)
    b.fill(b.polygon((0.35, 0.0), (0.86, 0.0), (0.98, 0.5)), fin)
    b.fill(b.polygon((-0.3, -deep + 0.1), (0.05, -deep - 0.28), (0.35, -deep + 0.2)), fin)
    b.fill(b.polygon((-0.1, deep - 0.08), (0.25, deep - 0.12), (0.15, deep + 0.22)), fin)
    body = b.ellipse(-0.18, 0.0, 0.74, deep)
    b.fill(body, main)
    b.fill(np.maximum(body, 0.12 - b.v), mix(main, (1.0, 1.0, 1.0), 0.35))
    if second or draws.chance("fish/bands", 0.5):
        b.fill(np.maximum(body, np.abs(np.abs(b.u + 0.02) - 0.2) - 0.06), second or (0.97, 0.97, 0.95))
    b.fill(b.ellipse(-0.6, -0.1, 0.11, 0.11), (0.97, 0.97, 0.95))
    b.fill(b.ellipse(-0.62, -0.1, 0.06, 0.06), _DARK)


def _house(b: Brush, main: Rgb, second: Rgb | None, draws: Draws) -> None:
    roof = second or COLOURS[draws.pick("house/roof", ("red", "brown", "charcoal", "teal", "crimson"))]
    eaves, peak = draws.between("house/eaves", -0.25, 0.05), draws.between("house/peak", -0.98, -0.75)
    if draws.chance("house/chimney", 0.6):
        b.fill(b.box(0.35, -0.85, 0.55, eaves), mix(roof, _DARK, 0.3))
    b.fill(b.box(-0.7, eaves - 0.05, 0.7, 0.92), main)
    b.fill(b.polygon((0.0, peak), (0.95, eaves), (-0.95, eaves)), roof)
    pane = mix((0.62, 0.82, 0.95), COLOURS["yellow"], draws.between("house/lit", 0.0, 0.8))
    door = COLOURS[draws.pick("house/door", ("brown", "teal", "crimson", "charcoal"))]
    shift = 0.42 if draws.chance("house/side", 0.5) else 0.0
    b.fill(b.box(-0.16 - shift, 0.4, 0.16 - shift, 0.92), door)
    for x in (-0.42, 0.42):
        if shift == 0.0 or x > 0:
            b.fill(b.box(x - 0.18, 0.1, x + 0.18, 0.46), _DARK)
            b.fill(b.box(x - 0.13, 0.15, x + 0.13, 0.41), pane)


def _mug(b: Brush, main: Rgb, second: Rgb | None, draws: Draws) -> None:
    high = draws.between("mug/height", -0.7, -0.45)
    ring = np.abs(b.ellipse(0.48, 0.12, 0.36, 0.40)) - np.float32(0.09)
    b.fill(ring, mix(main, _DARK, 0.12))
    body = b.polygon((-0.72, high), (0.5, high), (0.42, 0.8), (-0.64, 0.8))
    b.fill(np.minimum(body, b.ellipse(-0.11, 0.8, 0.53, 0.14)), main)
    if second or draws.chance("mug/band", 0.4):
        stripe = np.abs(b.v - 0.15) - 0.14
        b.fill(
            np.maximum(body, stripe),
            second or mix(main, (1.0, 1.0, 1.0) if luma(main) < 0.5 else _DARK, 0.55),
        )
    b.fill(b.ellipse(-0.11, high, 0.61, 0.17), mix(main, (1.0, 1.0, 1.0), 0.35))
    b.fill(b.ellipse(-0.11, high + 0.02, 0.51, 0.12), (0.26, 0.15, 0.09))


def _mushroom(b: Brush, main: Rgb, second: Rgb | None, draws: Draws) -> None:
    foot = draws.between("mushroom/foot", 0.24, 0.40)
    b.fill(b.polygon((-0.22, -0.1), (0.22, -0.1), (foot, 0.92), (-foot, 0.92)), _PALE)
    wide, low = draws.between("mushroom/width", 0.78, 0.98), draws.between("mushroom/low", 0.05, 0.2)
    cap = np.maximum(b.ellipse(0.0, low, wide, low + 0.92), b.v - low)
    b.fill(np.maximum(b.ellipse(0.0, low, wide - 0.05, 0.16), low - b.v), mix(_PALE, _BROWN, 0.3))
    b.fill(cap, main)
    spots = second or ((0.97, 0.97, 0.93) if luma(main) < 0.8 else _BROWN)
    for x, y, radius in ((-0.42, -0.2, 0.13), (0.05, -0.5, 0.15), (0.46, -0.15, 0.14), (0.02, -0.08, 0.09)):
        b.fill(np.maximum(b.ellipse(x * wide, y + low - 0.1, radius, radius * 0.9), cap), spots)


def _sailboat(b: Brush, main: Rgb, second: Rgb | None, draws: Draws) -> None:
    hull = second or COLOURS[draws.pick("sailboat/hull", ("brown", "navy", "crimson", "teal", "charcoal"))]
    mast = draws.between("sailboat/mast", -0.15, 0.1)
    b.fill(b.capsule(mast, -0.95, mast, 0.5, 0.045), _BROWN)
    b.fill(b.polygon((mast + 0.07, -0.95), (0.82, 0.32), (mast + 0.07, 0.32)), main)
    if draws.chance("sailboat/jib", 0.75):
        b.fill(b.polygon((mast - 0.07, -0.7), (mast - 0.07, 0.32), (-0.75, 0.32)), mix(main, _DARK, 0.15))
    b.fill(b.polygon((-0.95, 0.45), (0.95, 0.45), (0.55, 0.92), (-0.6, 0.92)), hull)
    b.fill(b.box(-0.88, 0.45, 0.88, 0.53), mix(hull, (1.0, 1.0, 1.0), 0.5))


def _sunflower(b: Brush, main: Rgb, second: Rgb | None, draws: Draws) -> None:
    petals = draws.pick("sunflower/petals", (9, 11, 13))
    long = draws.between("sunflower/length", 0.62, 0.74)
    b.fill(b.capsule(0.0, 0.0, draws.between("sunflower/sway", -0.2, 0.2), 0.98, 0.08), _GREEN)
    b.fill(np.maximum(b.ellipse(0.3, 0.6, 0.32, 0.3), b.ellipse(0.35, 0.86, 0.42, 0.34)), _GREEN)
    y = b.v + np.float32(0.25)
    radius, turn = np.sqrt(b.u**2 + y**2), np.arctan2(y, b.u)
    waves = np.abs(np.cos(turn * np.float32(petals / 2.0)))
    b.fill(radius - np.float32(long) * (np.float32(0.62) + np.float32(0.42) * waves), main)
    b.fill(b.ellipse(0.0, -0.25, 0.32, 0.32), second or (0.36, 0.21, 0.10))
    b.fill(b.ellipse(0.0, -0.25, 0.14, 0.14), mix(second or (0.36, 0.21, 0.10), main, 0.35))


def _umbrella(b: Brush, main: Rgb, second: Rgb | None, draws: Draws) -> None:
    tall = draws.between("umbrella/dome", 0.75, 0.95)
    hook = np.maximum(np.abs(b.ellipse(0.17, 0.78, 0.17, 0.16)) - 0.05, 0.78 - b.v)
    handle = np.minimum(b.capsule(0.0, -0.2, 0.0, 0.78, 0.05), hook)
    b.fill(handle, _BROWN)
    scallops = b.v - 0.02 + np.float32(0.14) * np.abs(np.sin(b.u * np.float32(1.5 * math.pi / 0.97)))
    dome = np.maximum(b.ellipse(0.0, 0.02, 0.97, tall), scallops)
    b.fill(dome, main)
    panel = np.abs(b.u) - 0.32 * np.sqrt(np.maximum(0.0, 1.0 - ((b.v - 0.02) / tall) ** 2))
    b.fill(
        np.maximum(dome, panel),
        second or mix(main, (1.0, 1.0, 1.0), draws.between("umbrella/panel", 0.1, 0.45)),
    )
    b.fill(b.capsule(0.0, -tall, 0.0, -tall - 0.06, 0.05), _BROWN)


_PAINTERS: dict[str, Callable[[Brush, Rgb, Rgb | None, Draws], None]] = {
    "apple": _apple,
    "banana": _banana,
    "cactus": _cactus,
    "fish": _fish,
    "house": _house,
    "mug": _mug,
    "mushroom": _mushroom,
    "sailboat": _sailboat,
    "sunflower": _sunflower,
    "umbrella": _umbrella,
}
