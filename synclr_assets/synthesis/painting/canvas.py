"""The picture under work and its pen: planar colour, poses, filling signed distances, blurring, light.

Knows shapes only as coverage in [0, 1] or as signed distances; what is drawn is decided elsewhere.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from synclr_assets.synthesis.painting.noise import Field
from synclr_assets.synthesis.vocabulary import Light, Rgb

Planes = NDArray[np.float32]
"""float32 [3, height, width], red, green, blue in [0, 1]."""

MIN_CONTRAST = 0.32
"""Least difference of brightness between a thing and what it is drawn on."""


@dataclass(frozen=True)
class Pose:
    """Where a thing stands. The image spans -1 to 1 both ways, right and down count up."""

    x: float
    y: float
    half: float
    """Half height of the thing."""
    angle: float = 0.0
    """Rotation in radians, clockwise as seen."""
    aspect: float = 1.0
    """Width over height of what is drawn in a square."""
    shear: float = 0.0
    """Sideways shift per unit of height: positive leans to the right."""
    flipped: bool = False


class Canvas:
    """One image under work."""

    def __init__(self, size_px: int) -> None:
        self.size_px = size_px
        self.axis = pixel_axis(size_px)
        self.planes: Planes = np.zeros((3, size_px, size_px), dtype=np.float32)

    def blend(self, coverage: Field, colour: Rgb | Planes) -> None:
        """Lay a colour over the picture where `coverage` [height, width] is 1, mixed where it is between."""
        self.planes += coverage * (as_planes(colour) - self.planes)

    def mean_colour(self) -> Rgb:
        """Mean over the whole picture."""
        red, green, blue = self.planes.mean(axis=(1, 2)).tolist()
        return (red, green, blue)

    def give_way(self, colour: Rgb) -> None:
        """Darken or pale the picture until its mean brightness differs enough from a colour to come."""
        now, coming = luma(self.mean_colour()), luma(colour)
        if abs(now - coming) >= MIN_CONTRAST:
            return
        if coming > 0.42:
            self.planes *= np.float32((coming - MIN_CONTRAST) / max(now, 1e-3))
        else:
            self.planes += (1.0 - self.planes) * np.float32((coming + MIN_CONTRAST - now) / (1.0 - now))

    def blur(self, sigma_share: float) -> None:
        """Gaussian blur with a standard deviation given as a share of the side; edges repeat."""
        step = round(sigma_share * self.size_px * 8)
        if step > 0:
            matrix = _blur_matrix(self.size_px, step)
            self.planes = np.asarray(matrix @ self.planes @ matrix.T, dtype=np.float32)

    def coarsen(self, cells: int) -> None:
        """As scanned at `cells` x `cells` and smoothly enlarged again."""
        matrix = _coarsen_matrix(self.size_px, cells)
        self.planes = np.asarray(matrix @ self.planes @ matrix.T, dtype=np.float32)

    def shine(self, light: Light) -> None:
        """Let light fall on the whole picture."""
        across = 1.0 + light.slope * self.axis
        edge = 1.0 - 0.5 * light.vignette * self.axis**2
        falloff = (edge[:, None] * (edge * across)[None, :]) * np.float32(light.gain)
        self.planes *= falloff
        self.planes *= as_planes(light.tint)

    def to_uint8(self) -> NDArray[np.uint8]:
        """The picture as uint8 [height, width, 3]."""
        scaled = np.clip(self.planes, 0.0, 1.0)
        scaled *= 255.0
        scaled += 0.5
        return np.ascontiguousarray(scaled.astype(np.uint8).transpose(1, 2, 0))


class Brush:
    """Draws a thing made of signed distances (negative inside) in its own frame, -1 to 1 both ways."""

    def __init__(self, canvas: Canvas, pose: Pose, wobble: tuple[float, float], shading: float) -> None:
        self._canvas = canvas
        cosine, sine = math.cos(pose.angle), math.sin(pose.angle)
        across = (canvas.axis - np.float32(pose.x)) / np.float32(pose.half)
        down = ((canvas.axis - np.float32(pose.y)) / np.float32(pose.half))[:, None]
        mirror = (-1.0 if pose.flipped else 1.0) / pose.aspect
        self.v: Field = np.float32(-sine) * across + np.float32(cosine) * down
        self.u: Field = np.float32(mirror) * (
            np.float32(cosine) * across + np.float32(sine) * down + np.float32(pose.shear) * self.v
        )
        self.u = self.u + np.float32(0.06 * wobble[0]) * np.sin(3.0 * down + np.float32(9.0 * wobble[1]))
        self.v = self.v + np.float32(0.06 * wobble[1]) * np.sin(3.0 * across + np.float32(9.0 * wobble[0]))
        self._sharpness = np.float32(0.5 * canvas.size_px * pose.half * min(1.0, pose.aspect))
        self._shade: Field = 1.0 + np.float32(shading) * (self.u + self.v)

    def fill(self, distance: Field, colour: Rgb | Planes) -> None:
        """Lay a colour, shaded by the light's side, wherever `distance` is negative."""
        self._canvas.blend(self.cover(distance), as_planes(colour) * self._shade)

    def cover(self, distance: Field) -> Field:
        """Coverage in [0, 1] of the inside, one pixel soft."""
        return np.clip(0.5 - distance * self._sharpness, 0.0, 1.0)

    def ellipse(self, x: float, y: float, width: float, height: float) -> Field:
        """Distance to an ellipse by its centre and half axes, exact on its outline."""
        radius: Field = np.sqrt(((self.u - x) * (1.0 / width)) ** 2 + ((self.v - y) * (1.0 / height)) ** 2)
        return (radius - 1.0) * min(width, height)

    def polygon(self, *corners: tuple[float, float]) -> Field:
        """Distance to a convex polygon given by its corners clockwise as seen."""
        distance: Field | None = None
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            length = math.hypot(x1 - x0, y1 - y0)
            normal_x, normal_y = (y1 - y0) / length, -(x1 - x0) / length
            edge = self.u * normal_x + (self.v * normal_y - (normal_x * x0 + normal_y * y0))
            distance = edge if distance is None else np.maximum(distance, edge)
        assert distance is not None
        return distance

    def box(self, left: float, top: float, right: float, bottom: float) -> Field:
        """Distance to an upright rectangle."""
        across = np.abs(self.u - 0.5 * (left + right)) - 0.5 * (right - left)
        return np.maximum(across, np.abs(self.v - 0.5 * (top + bottom)) - 0.5 * (bottom - top))

    def capsule(self, x0: float, y0: float, x1: float, y1: float, radius: float) -> Field:
        """Distance to a straight thick line with round ends."""
        dx, dy = x1 - x0, y1 - y0
        squared = dx * dx + dy * dy
        along = np.clip(
            (self.u * (dx / squared)) + (self.v * (dy / squared) - (x0 * dx + y0 * dy) / squared), 0, 1
        )
        away: Field = np.sqrt((self.u - x0 - along * dx) ** 2 + (self.v - y0 - along * dy) ** 2)
        return away - radius


def as_planes(colour: Rgb | Planes) -> Planes:
    """A colour as something that broadcasts over [3, height, width]."""
    if isinstance(colour, tuple):
        return np.array(colour, dtype=np.float32)[:, None, None]
    return colour


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """`share` of the second colour in the first."""
    red, green, blue = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def luma(colour: Rgb) -> float:
    """Brightness in [0, 1] (ITU-R BT.601 weights)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def colour_distance(first: Rgb, second: Rgb) -> float:
    """Euclidean distance of two colours, 0 to the square root of 3."""
    return math.dist(first, second)


@lru_cache(maxsize=8)
def pixel_axis(size_px: int) -> NDArray[np.float32]:
    """Pixel centres between -1 and 1: float32 [size_px]."""
    return ((np.arange(size_px, dtype=np.float32) + 0.5) * (2.0 / size_px) - 1.0).astype(np.float32)


@lru_cache(maxsize=256)
def _blur_matrix(size_px: int, sigma_eighths_px: int) -> NDArray[np.float32]:
    sigma = sigma_eighths_px / 8.0
    index = np.arange(size_px)
    matrix = np.zeros((size_px, size_px))
    reach = int(3 * sigma) + 1
    for offset in range(-reach, reach + 1):
        column = np.clip(index + offset, 0, size_px - 1)
        matrix[index, column] += math.exp(-0.5 * (offset / sigma) ** 2)
    return (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)


@lru_cache(maxsize=64)
def _coarsen_matrix(size_px: int, cells: int) -> NDArray[np.float32]:
    """Area means into cells, then straight lines between the cells' centres."""
    owner = np.arange(size_px) * cells // size_px
    down = (owner[None, :] == np.arange(cells)[:, None]).astype(np.float64)
    down /= down.sum(axis=1, keepdims=True)
    place = np.clip((np.arange(size_px) + 0.5) * cells / size_px - 0.5, 0, cells - 1)
    left = np.minimum(place.astype(int), cells - 2)
    up = np.zeros((size_px, cells))
    up[np.arange(size_px), left] = 1 - (place - left)
    up[np.arange(size_px), left + 1] = place - left
    return (up @ down).astype(np.float32)
