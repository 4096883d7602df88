"""One image of one caption: ground, things in their places, light and finish."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from synclr_assets.synthesis.painting.canvas import MIN_CONTRAST, Brush, Canvas, Pose, luma, mix
from synclr_assets.synthesis.painting.digits import draw_digit
from synclr_assets.synthesis.painting.draws import Draws
from synclr_assets.synthesis.painting.ground_looks import GroundLook, look_of, open_look
from synclr_assets.synthesis.painting.grounds import paint_ground
from synclr_assets.synthesis.painting.identities import draw_unknown
from synclr_assets.synthesis.painting.noise import cut_clouds, cut_grain
from synclr_assets.synthesis.painting.objects import draw_object
from synclr_assets.synthesis.painting.scene import Scene
from synclr_assets.synthesis.painting.textures import texture_field
from synclr_assets.synthesis.vocabulary import (
    COLOURS,
    DARK_COLOURS,
    LIGHTS,
    MEDIA,
    PALE_COLOURS,
    RELATIONS,
    SURFACES,
    Rgb,
    Surface,
    Thing,
)

BRIGHT_INK_SHARE = 0.88
"""Digits on an open ground that are pale on dark; the others are dark on pale."""


def paint_scene(scene: Scene, draws: Draws, size_px: int) -> NDArray[np.uint8]:
    """One image uint8 [size_px, size_px, 3] of what a caption says, open attributes drawn."""
    canvas = Canvas(size_px)
    if scene.subject.kind == "texture":
        _paint_texture(canvas, scene, draws)
    else:
        paint_ground(canvas, _ground(scene, draws), draws)
        _draw_things(canvas, scene, draws)
    _finish(canvas, scene, draws)
    return canvas.to_uint8()


def _ground(scene: Scene, draws: Draws) -> GroundLook:
    """The ground the caption names, or an open one; a digit's ground keeps clear of the ink it must show."""
    if scene.ground:
        return look_of(scene.ground)
    if scene.subject.kind != "digit":
        return open_look(draws, dark=None)
    if scene.colours:
        return open_look(draws, dark=luma(scene.colours[0]) > 0.42)
    return open_look(draws, dark=draws.chance("digit/bright", BRIGHT_INK_SHARE))


def _draw_things(canvas: Canvas, scene: Scene, draws: Draws) -> None:
    if scene.relation is None or scene.other is None:
        _draw_thing(canvas, scene.subject, scene, _lone_pose(scene, draws), scene.colours, draws)
        return
    subject_pose, other_pose = _paired_poses(scene, draws)
    subject = (scene.subject, subject_pose, scene.colours, "subject")
    other = (scene.other, other_pose, scene.other_colours, "other")
    for thing, pose, colours, role in (subject, other) if scene.relation == "behind" else (other, subject):
        _draw_thing(canvas, thing, scene, pose, colours, draws.within(role))


def _lone_pose(scene: Scene, draws: Draws) -> Pose:
    half = scene.size or draws.between("pose/half", 0.74, 0.96)
    half *= 1.0 + draws.shake("pose/grow", 0.06)
    room = max(0.06, 0.9 * (1.0 - half))
    pose = Pose(draws.shake("pose/x", room), draws.shake("pose/y", min(room, 0.25)), half)
    return _turned(pose, scene.subject, scene.tilt, draws)


def _paired_poses(scene: Scene, draws: Draws) -> tuple[Pose, Pose]:
    """Where the two things of a relation stand, the second as seen from the first."""
    assert scene.relation is not None
    assert scene.other is not None
    right, down = RELATIONS[scene.relation]
    apart = 0.46 + draws.shake("pair/apart", 0.05)
    x, y = draws.shake("pair/x", 0.06), draws.shake("pair/y", 0.06)
    half = 0.48 + draws.shake("pair/half", 0.05)
    subject = Pose(x + apart * right, y + apart * down, half)
    other = Pose(x - apart * right, y - apart * down, half * draws.between("pair/ratio", 0.78, 1.05))
    return (
        _turned(subject, scene.subject, scene.tilt, draws),
        _turned(other, scene.other, None, draws.within("other")),
    )


def _turned(pose: Pose, thing: Thing, tilt: float | None, draws: Draws) -> Pose:
    """The pose with the turn, lean and proportions a thing of this kind may have."""
    shear = (
        draws.between("pose/shear", -0.18, 0.34) if tilt is None else tilt + draws.shake("pose/shear", 0.05)
    )
    if thing.kind == "digit":
        aspect = draws.between("pose/aspect", 0.72, 1.3)
        return replace(pose, angle=draws.shake("pose/angle", 0.12), aspect=aspect, shear=shear)
    lean = shear if tilt is not None else draws.shake("pose/lean", 0.12)
    turn = 0.5 if thing.name in ("banana", "fish") else 0.22
    return replace(
        pose,
        angle=draws.shake("pose/angle", turn),
        aspect=draws.between("pose/aspect", 0.84, 1.14),
        shear=lean,
        flipped=draws.of_view("pose/flip") < 0.5,
    )


def _draw_thing(
    canvas: Canvas, thing: Thing, scene: Scene, pose: Pose, colours: tuple[Rgb, ...], draws: Draws
) -> None:
    if thing.kind == "digit":
        radius = scene.weight or draws.between("digit/radius", 0.13, 0.25)
        medium = scene.medium or draws.pick("digit/medium", (None, None, None, None, None, None, *MEDIA))
        draw_digit(canvas, thing.name, pose, radius, _ink(canvas, colours, draws), medium, draws)
    elif thing.kind == "object":
        draw_object(canvas, thing.name, pose, colours, draws)
    elif thing.kind == "unknown":
        draw_unknown(canvas, thing.name, pose, colours, draws)
    else:
        _draw_patch(canvas, thing, pose, colours, draws)


def _ink(canvas: Canvas, colours: tuple[Rgb, ...], draws: Draws) -> Rgb:
    """The caption's ink, or an open one that shows on the ground; the ground gives way where it must."""
    ground = luma(canvas.mean_colour())
    ink = (
        colours[0]
        if colours
        else COLOURS[draws.pick("digit/ink", PALE_COLOURS if ground < 0.5 else DARK_COLOURS)]
    )
    canvas.give_way(ink)
    return ink


def _draw_patch(canvas: Canvas, thing: Thing, pose: Pose, colours: tuple[Rgb, ...], draws: Draws) -> None:
    """A texture as the second thing of a relation: a sheet of it."""
    brush = Brush(canvas, pose, (0.0, 0.0), shading=0.0)
    field = texture_field(
        thing.name, brush.u * np.float32(1.6), brush.v * np.float32(1.6), draws, canvas.size_px
    )
    first, second = _two_colours(colours, draws)
    sheet = brush.box(-0.9, -0.9, 0.9, 0.9)
    brush.fill(sheet, first)
    canvas.blend(field * brush.cover(sheet), second)


def _paint_texture(canvas: Canvas, scene: Scene, draws: Draws) -> None:
    """A texture fills the image; size words set the scale of its pattern."""
    periods = draws.between("texture/periods", 2.6, 5.2) * math.sqrt(0.75 / (scene.size or 0.75))
    turn = draws.shake("texture/turn", math.pi)
    cosine, sine = np.float32(math.cos(turn) * periods * 0.5), np.float32(math.sin(turn) * periods * 0.5)
    across = canvas.axis[None, :] + np.float32(draws.shake("texture/bow", 0.12)) * (canvas.axis**2)[:, None]
    down = canvas.axis[:, None] + np.float32(draws.shake("texture/sag", 0.12)) * (canvas.axis**2)[None, :]
    shift = 0.0 if scene.subject.name == "spiralled" else 1.0
    u = (cosine * across + sine * down + np.float32(shift * draws.of_view("texture/u"))).astype(np.float32)
    v = (cosine * down - sine * across + np.float32(shift * draws.of_view("texture/v"))).astype(np.float32)
    field = texture_field(scene.subject.name, u, v, draws, canvas.size_px)
    first, second = _two_colours(scene.colours, draws)
    canvas.blend(np.ones_like(field), first)
    canvas.blend(field, second)
    _apply_surface(canvas, scene.surface or SURFACES[draws.pick("texture/surface", tuple(SURFACES))], draws)


def _apply_surface(canvas: Canvas, surface: Surface, draws: Draws) -> None:
    """Grain, sheen and wear of what a texture is made of."""
    across, down = draws.of_view("surface/across"), draws.of_view("surface/down")
    if surface.wear > 0:
        patches = np.clip(3.0 * cut_clouds(canvas.size_px, across, down) - 1.4, 0.0, 1.0)
        canvas.blend(np.float32(surface.wear) * patches, canvas.mean_colour())
    if surface.gloss > 0:
        diagonal = canvas.axis[None, :] + canvas.axis[:, None] + np.float32(draws.shake("surface/sheen", 1.0))
        canvas.blend(np.clip(surface.gloss - np.abs(diagonal), 0.0, 1.0).astype(np.float32), (1.0, 1.0, 1.0))
    if surface.grain > 0:
        canvas.planes += np.float32(surface.grain) * (
            cut_grain(canvas.size_px, down, across) - np.float32(0.5)
        )


def _two_colours(colours: tuple[Rgb, ...], draws: Draws) -> tuple[Rgb, Rgb]:
    """The caption's colours, filled up with open ones, told apart in brightness."""
    first = colours[0] if colours else COLOURS[draws.pick("texture/first", tuple(COLOURS))]
    if len(colours) > 1:
        return first, colours[1]
    second = COLOURS[draws.pick("texture/second", tuple(COLOURS))]
    if abs(luma(first) - luma(second)) < MIN_CONTRAST:
        second = mix(second, (0.04, 0.04, 0.06) if luma(first) > 0.45 else (0.97, 0.97, 0.95), 0.8)
    return first, second


def _finish(canvas: Canvas, scene: Scene, draws: Draws) -> None:
    """Light, blur and grain over the whole image."""
    light = scene.light
    if light is None and draws.chance("light/any", 0.35):
        light = LIGHTS[draws.pick("light", tuple(LIGHTS))]
    if light is not None:
        canvas.shine(light)
    if scene.finish is not None:
        canvas.blur(scene.finish * _blur_borne(scene))
    elif scene.subject.kind == "digit" and draws.chance("finish/scanned", 0.2):
        canvas.coarsen(draws.pick("finish/cells", (9, 10, 12, 14, 16)))
    elif draws.chance("finish/soft", 0.6):
        canvas.blur(draws.between("finish/blur", 0.0, 0.035 if scene.subject.kind == "digit" else 0.02))
    noise = cut_grain(canvas.size_px, draws.of_view("noise/across"), draws.of_view("noise/down"))
    canvas.planes += (noise - np.float32(0.5)) * np.float32(draws.between("noise/depth", 0.0, 0.07))


def _blur_borne(scene: Scene) -> float:
    """Share of a named blur that keeps the subject recognisable: fine patterns and small things bear less."""
    if scene.subject.kind == "texture":
        return 0.4
    return min(1.0, (scene.size or 0.8) / 0.8) if scene.relation is None else 0.6
