"""A look of its own for anything the painter has no drawing of: outline, colours and pattern by its name.

The same name always gets the same look, so that any list of concepts can be rehearsed.
"""

import math

import numpy as np

from synclr_assets.synthesis.painting.canvas import Brush, Canvas, Pose, colour_distance, luma, mix
from synclr_assets.synthesis.painting.draws import Draws
from synclr_assets.synthesis.painting.noise import Field
from synclr_assets.synthesis.painting.textures import texture_field
from synclr_assets.synthesis.vocabulary import COLOURS, Rgb

_PATTERNS = ("", "striped", "polka-dotted", "chequered", "zigzagged", "")
_SILHOUETTES = ("lobed", "lobed", "starred", "boxed")


def draw_unknown(canvas: Canvas, name: str, pose: Pose, colours: tuple[Rgb, ...], draws: Draws) -> None:
    """Draw the thing called `name`; a colour its caption names replaces the body's own colour."""
    own = Draws.of_keys(f"identity/{name}", f"identity/{name}")
    main = colours[0] if colours else _own_colour(own, draws)
    second = colours[1] if len(colours) > 1 else COLOURS[own.pick("second", tuple(COLOURS))]
    if abs(luma(main) - luma(second)) < 0.2:
        second = mix(second, (0.05, 0.05, 0.08) if luma(main) > 0.45 else (0.97, 0.97, 0.94), 0.7)
    if colour_distance(main, canvas.mean_colour()) < 0.4:
        canvas.give_way(main)
    wobble = (draws.shake("unknown/wobble/x", 1.2), draws.shake("unknown/wobble/y", 1.2))
    brush = Brush(canvas, pose, wobble, shading=draws.between("unknown/shading", -0.2, 0.2))
    for limb in range(int(own.of_caption("limbs") * 4)):
        turn = 2.0 * math.pi * own.of_caption(f"limb/{limb}")
        x, y = 0.62 * math.cos(turn), 0.62 * math.sin(turn)
        size = 0.16 + 0.18 * own.of_caption(f"limb/{limb}/size")
        brush.fill(
            brush.ellipse(x, y, size, size * (0.7 + 0.9 * own.of_caption(f"limb/{limb}/long"))), second
        )
    body = _silhouette(brush, own)
    brush.fill(body, main)
    pattern = own.pick("pattern", _PATTERNS)
    if pattern:
        periods = 1.2 + 1.6 * own.of_caption("periods")
        field = texture_field(
            pattern, brush.u * np.float32(periods), brush.v * np.float32(periods), own, canvas.size_px
        )
        canvas.blend(field * brush.cover(body + 0.1), second)
    for mark in range(int(own.of_caption("marks") * 3)):
        x, y = own.of_caption(f"mark/{mark}/x") - 0.5, own.of_caption(f"mark/{mark}/y") - 0.5
        radius = 0.10 + 0.12 * own.of_caption(f"mark/{mark}/size")
        brush.fill(brush.ellipse(0.8 * x, 0.8 * y, radius, radius), mix(second, (0.05, 0.05, 0.05), 0.35))


def _own_colour(own: Draws, draws: Draws) -> Rgb:
    """Mostly the name's first colour, sometimes its other one: things come in more than one colour."""
    index = 0 if draws.chance("unknown/usual", 0.7) else 1
    return COLOURS[own.pick(f"colour/{index}", tuple(COLOURS))]


def _silhouette(brush: Brush, own: Draws) -> Field:
    """Signed distance, roughly, to the name's outline."""
    kind = own.pick("silhouette", _SILHOUETTES)
    wide = 0.62 + 0.3 * own.of_caption("wide")
    if kind == "boxed":
        high = 0.55 + 0.35 * own.of_caption("high")
        slope = 0.5 * own.of_caption("slope")
        return brush.polygon((-wide + slope, -high), (wide - slope, -high), (wide, high), (-wide, high))
    turn, radius = np.arctan2(brush.v, brush.u), np.sqrt(brush.u**2 + brush.v**2)
    start = 2.0 * math.pi * own.of_caption("start")
    if kind == "starred":
        points = 3 + int(own.of_caption("points") * 5)
        depth = 0.18 + 0.2 * own.of_caption("depth")
        ripple = np.abs(np.cos(turn * np.float32(points / 2.0) + np.float32(start)))
        return radius - np.float32(0.95) * (1.0 - np.float32(depth) * 2.0 * (1.0 - ripple))
    outline = np.full_like(radius, 0.72)
    for waves in (2, 3, 5):
        height = (0.22 if waves < 4 else 0.12) * own.of_caption(f"lobe/{waves}")
        outline += np.float32(height) * np.cos(np.float32(waves) * turn + np.float32(start * waves))
    return radius - outline
