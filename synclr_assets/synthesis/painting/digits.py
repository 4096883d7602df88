"""Handwritten digits: several ways to write each, as strokes, bent and inked anew in every view."""

import math
from functools import lru_cache

import numpy as np

from synclr_assets.synthesis.painting.canvas import Canvas, Pose, mix
from synclr_assets.synthesis.painting.draws import Draws
from synclr_assets.synthesis.painting.noise import cut_grain
from synclr_assets.synthesis.painting.strokes import Points, Skeleton, skeleton_of, stroke_distance
from synclr_assets.synthesis.vocabulary import Rgb

Stroke = tuple[tuple[float, float], ...]

NUM_POINTS = 56
"""Dense points of one digit."""

# Control points, right and down count up, in a box of half width 0.6 and half height 1.
STYLES: dict[str, tuple[tuple[Stroke, ...], ...]] = {
    "zero": (
        (((0.15, -0.95), (-0.3, -0.75), (-0.5, -0.1), (-0.35, 0.7), (0.05, 0.95), (0.4, 0.65), (0.5, 0.0),
          (0.38, -0.7), (0.05, -0.95)),),
        (((0.3, -0.8), (0.0, -0.97), (-0.35, -0.55), (-0.42, 0.2), (-0.2, 0.85), (0.15, 0.92), (0.42, 0.35),
          (0.4, -0.4), (0.2, -0.9), (-0.1, -0.88)),),
        (((0.0, -0.95), (-0.42, -0.62), (-0.6, 0.0), (-0.42, 0.66), (0.0, 0.95), (0.42, 0.66), (0.6, 0.0),
          (0.42, -0.62), (0.0, -0.95)),),
    ),
    "one": (
        (((0.0, -0.95), (0.0, 0.0), (0.0, 0.95)),),
        (((-0.35, -0.5), (-0.12, -0.72), (0.06, -0.95)), ((0.06, -0.95), (0.05, 0.0), (0.04, 0.95))),
        (((-0.32, -0.6), (-0.1, -0.78), (0.04, -0.95)), ((0.04, -0.95), (0.04, 0.9)), ((-0.4, 0.92),
          (0.45, 0.92))),
        (((0.2, -0.95), (0.05, 0.0), (-0.15, 0.95)),),
    ),
    "two": (
        (((-0.48, -0.5), (-0.3, -0.84), (0.08, -0.95), (0.42, -0.7), (0.38, -0.25), (0.0, 0.3), (-0.5, 0.9)),
         ((-0.5, 0.9), (0.0, 0.9), (0.55, 0.88))),
        (((-0.42, -0.6), (-0.15, -0.93), (0.3, -0.88), (0.45, -0.45), (0.15, 0.15), (-0.3, 0.7), (-0.5, 0.9),
          (-0.58, 0.7), (-0.35, 0.58), (0.0, 0.82), (0.35, 0.95), (0.58, 0.75)),),
        (((-0.5, -0.75), (-0.1, -0.95), (0.4, -0.8), (0.42, -0.3), (-0.1, 0.3), (-0.5, 0.75)),
         ((-0.5, 0.75), (-0.1, 0.78), (0.5, 0.95))),
    ),
    "three": (
        (((-0.45, -0.7), (-0.12, -0.95), (0.34, -0.82), (0.38, -0.4), (0.0, -0.08)),
         ((0.0, -0.08), (0.4, 0.12), (0.48, 0.58), (0.12, 0.94), (-0.35, 0.86), (-0.52, 0.6))),
        (((-0.45, -0.92), (0.0, -0.92), (0.42, -0.92)), ((0.42, -0.92), (0.2, -0.55), (-0.05, -0.2)),
         ((-0.05, -0.2), (0.35, -0.05), (0.48, 0.45), (0.15, 0.92), (-0.25, 0.9), (-0.5, 0.7))),
        (((-0.35, -0.88), (0.1, -0.96), (0.36, -0.65), (0.2, -0.25), (-0.12, -0.06), (0.25, 0.08),
          (0.42, 0.45),
          (0.2, 0.88), (-0.2, 0.96), (-0.42, 0.82)),),
    ),
    "four": (
        (((-0.22, -0.92), (-0.38, -0.4), (-0.52, 0.18)), ((-0.52, 0.18), (0.0, 0.18), (0.56, 0.14)),
         ((0.24, -0.5), (0.22, 0.2), (0.18, 0.95))),
        (((0.25, -0.95), (-0.15, -0.35), (-0.56, 0.32)), ((-0.56, 0.32), (0.0, 0.32), (0.6, 0.3)),
         ((0.25, -0.95), (0.26, 0.0), (0.25, 0.95))),
        (((-0.42, -0.9), (-0.46, -0.35), (-0.32, 0.05), (0.0, 0.1), (0.38, -0.02)),
         ((0.4, -0.92), (0.38, 0.0), (0.3, 0.95))),
        (((0.3, 0.95), (0.28, 0.0), (0.3, -0.9), (-0.1, -0.45), (-0.5, 0.1)), ((-0.5, 0.1), (0.0, 0.2),
          (0.58, 0.2))),
    ),
    "five": (
        (((0.46, -0.92), (0.0, -0.92), (-0.36, -0.9)),
         ((-0.36, -0.9), (-0.4, -0.5), (-0.42, -0.12)),
         ((-0.42, -0.12), (-0.02, -0.3), (0.4, -0.05), (0.46, 0.48), (0.12, 0.92), (-0.3, 0.9), (-0.5, 0.7))),
        (((0.5, -0.95), (0.1, -0.88), (-0.25, -0.85)), ((-0.25, -0.85), (-0.38, -0.3)),
         ((-0.38, -0.3), (0.05, -0.22), (0.38, 0.1), (0.32, 0.6), (-0.05, 0.92), (-0.48, 0.85))),
        (((0.4, -0.85), (-0.05, -0.93), (-0.35, -0.65), (-0.25, -0.25), (0.15, -0.05), (0.4, 0.3),
          (0.25, 0.8),
          (-0.15, 0.95), (-0.45, 0.78)),),
    ),
    "six": (
        (((0.3, -0.93), (-0.12, -0.6), (-0.42, -0.05), (-0.44, 0.5), (-0.12, 0.93), (0.3, 0.82), (0.42, 0.45),
          (0.2, 0.12), (-0.15, 0.15), (-0.4, 0.45)),),
        (((0.05, -0.95), (-0.3, -0.4), (-0.4, 0.3), (-0.25, 0.82), (0.1, 0.94), (0.4, 0.65), (0.25, 0.28),
          (-0.08, 0.3), (-0.32, 0.6)),),
        (((0.42, -0.75), (0.12, -0.95), (-0.28, -0.65), (-0.46, 0.0), (-0.4, 0.6), (0.0, 0.95), (0.42, 0.62),
          (0.34, 0.14), (-0.05, -0.02), (-0.4, 0.25)),),
    ),
    "seven": (
        (((-0.5, -0.9), (0.0, -0.9), (0.5, -0.9)), ((0.5, -0.9), (0.22, -0.1), (-0.05, 0.95))),
        (((-0.5, -0.88), (0.0, -0.9), (0.5, -0.9)), ((0.5, -0.9), (0.15, -0.05), (-0.1, 0.95)),
         ((-0.22, 0.05), (0.45, 0.02))),
        (((-0.5, -0.6), (-0.46, -0.9), (0.0, -0.86), (0.48, -0.92), (0.25, -0.3), (0.02, 0.3),
          (-0.06, 0.95)),),
    ),
    "eight": (
        (((0.34, -0.72), (0.0, -0.95), (-0.36, -0.7), (-0.22, -0.3), (0.2, 0.05), (0.44, 0.5), (0.02, 0.95),
          (-0.44, 0.55), (-0.2, 0.05), (0.22, -0.28), (0.34, -0.72)),),
        (((0.0, -0.95), (-0.34, -0.75), (-0.34, -0.28), (0.0, -0.08), (0.34, -0.28), (0.34, -0.75),
          (0.0, -0.95)),
         ((0.0, -0.08), (-0.45, 0.2), (-0.45, 0.72), (0.0, 0.95), (0.45, 0.72), (0.45, 0.2), (0.0, -0.08))),
        (((0.42, -0.85), (0.0, -0.95), (-0.35, -0.75), (-0.15, -0.25), (0.22, 0.2), (0.3, 0.75),
          (-0.05, 0.95),
          (-0.34, 0.68), (-0.1, 0.15), (0.25, -0.3), (0.46, -0.7)),),
    ),
    "nine": (
        (((0.4, -0.55), (0.12, -0.93), (-0.32, -0.78), (-0.42, -0.35), (-0.1, -0.05), (0.28, -0.2),
          (0.42, -0.6)),
         ((0.42, -0.7), (0.4, 0.1), (0.34, 0.95))),
        (((0.38, -0.5), (0.08, -0.95), (-0.36, -0.72), (-0.36, -0.25), (0.05, -0.08), (0.38, -0.4),
          (0.42, -0.7),
          (0.42, 0.1), (0.3, 0.7), (-0.05, 0.95), (-0.4, 0.78)),),
        (((0.36, -0.6), (0.02, -0.94), (-0.34, -0.62), (-0.2, -0.18), (0.18, -0.2), (0.4, -0.6), (0.36, -0.1),
          (0.12, 0.45), (-0.18, 0.95)),),
    ),
}  # fmt: skip


def draw_digit(
    canvas: Canvas, name: str, pose: Pose, radius: float, ink: Rgb, medium: str | None, draws: Draws
) -> None:
    """Write one digit; `radius` is half the line's width as a share of the pose's half height."""
    style = draws.pick("digit/style", range(len(STYLES[name])))
    skeleton = _skeleton(name, style)
    points = _place(skeleton.trace(_shaken(skeleton, draws)), pose, draws)
    half_width = pose.half * radius * (0.6 if medium == "pencil" else 1.0)
    radii = half_width * _pressure(len(points), draws, 0.35 if medium in ("paint", "ink") else 0.18)
    distance = stroke_distance(
        canvas.axis, points, np.maximum(radii, 1.6 / canvas.size_px).astype(np.float32)
    )
    pixels = np.float32(0.5 * canvas.size_px)
    softness = np.float32(canvas.size_px / 48.0 * draws.between("digit/softness", 0.8, 2.6))
    if medium == "neon":
        glow = np.clip(1.0 - distance * (pixels / (0.16 * canvas.size_px)), 0.0, 1.0) ** 2
        canvas.blend(0.7 * glow, mix(ink, (0.5, 0.5, 0.5), 0.1))
        ink = mix(ink, (1.0, 1.0, 1.0), 0.45)
    coverage = np.clip(0.5 - distance * (pixels / softness), 0.0, 1.0)
    if medium in ("chalk", "crayon", "pencil"):
        grain = cut_grain(canvas.size_px, draws.of_view("grain/across"), draws.of_view("grain/down"))
        coverage = coverage * np.minimum(1.0, np.float32(0.45) + grain)
    canvas.blend(coverage, ink)


@lru_cache(maxsize=64)
def _skeleton(name: str, style: int) -> Skeleton:
    return skeleton_of(STYLES[name][style], NUM_POINTS)


def _shaken(skeleton: Skeleton, draws: Draws) -> Points:
    """Control points moved a little, each by itself; points that strokes share move together."""
    seeds = np.round(skeleton.controls * 50.0).astype(int)
    unsteady = draws.between("digit/unsteady", 0.02, 0.09)
    moves = [
        (draws.shake(f"control/{x}/{y}/x", unsteady), draws.shake(f"control/{x}/{y}/y", unsteady))
        for x, y in seeds.tolist()
    ]
    return skeleton.controls + np.array(moves, dtype=np.float32)


def _place(points: Points, pose: Pose, draws: Draws) -> Points:
    """Dense points in the image: bent, stretched, sheared, turned and moved."""
    x, y = points[:, 0], points[:, 1]
    bend, swell = draws.shake("digit/bend", 0.10), draws.shake("digit/swell", 0.16)
    x = (x + np.float32(bend) * y * y) * np.float32(pose.aspect) * (1.0 + np.float32(swell) * y)
    y = y + np.float32(draws.shake("digit/balance", 0.12)) * (1.0 - y * y)
    x = x - np.float32(pose.shear) * y
    cosine, sine = np.float32(math.cos(pose.angle)), np.float32(math.sin(pose.angle))
    placed = np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=1) * np.float32(pose.half)
    return (placed + np.array([pose.x, pose.y], dtype=np.float32)).astype(np.float32)


def _pressure(num_points: int, draws: Draws, depth: float) -> Points:
    """Line width along the strokes relative to its mean: slow swelling of the pen."""
    along = np.linspace(0.0, 2.0 * math.pi, num_points, dtype=np.float32)
    turns, start = 0.6 + draws.of_view("digit/turns"), 7.0 * draws.of_view("digit/start")
    return (1.0 + np.float32(depth) * np.sin(np.float32(turns) * along + np.float32(start))).astype(
        np.float32
    )
