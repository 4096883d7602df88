"""Thick lines through control points: what digits and handles are made of."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from synclr_assets.synthesis.painting.noise import Field

Points = NDArray[np.float32]
"""float32 [points, 2], x then y."""


@dataclass(frozen=True)
class Skeleton:
    """Strokes as a linear map from control points to dense points: moved controls move the strokes."""

    controls: Points
    """float32 [controls, 2]."""
    basis: NDArray[np.float32]
    """float32 [points, controls]; each row sums to 1."""

    def trace(self, controls: Points) -> Points:
        """Dense points of the strokes through moved controls [controls, 2]."""
        return self.basis @ controls


def skeleton_of(strokes: tuple[tuple[tuple[float, float], ...], ...], num_points: int) -> Skeleton:
    """Smooth strokes (Catmull-Rom splines through their control points), dense by length."""
    lengths = [sum(float(np.hypot(b[0] - a[0], b[1] - a[1])) for a, b in pairwise(s)) for s in strokes]
    num_controls = sum(map(len, strokes))
    rows: list[NDArray[np.float64]] = []
    first = 0
    for stroke, length in zip(strokes, lengths, strict=True):
        count = max(2, round(num_points * length / sum(lengths)))
        rows.append(_spline_basis(np.array(stroke), count, first, num_controls))
        first += len(stroke)
    controls = np.array([point for stroke in strokes for point in stroke], dtype=np.float32)
    return Skeleton(controls, np.concatenate(rows).astype(np.float32))


def stroke_distance(axis: NDArray[np.float32], points: Points, radii: NDArray[np.float32]) -> Field:
    """Signed distance [height, width] to discs of `radii` [points] around `points`, exact on the outline.

    `axis` [side] holds the pixel centres; dense points make the discs a line.
    """
    inverse = 1.0 / radii
    across = ((axis[None, :] - points[:, :1]) * inverse[:, None]) ** 2
    down = ((axis[None, :] - points[:, 1:]) * inverse[:, None]) ** 2
    nearest = (down[:, :, None] + across[:, None, :]).min(axis=0)
    return (np.sqrt(nearest) - np.float32(1.0)) * np.float32(radii.mean())


def _spline_basis(stroke: NDArray[np.float64], count: int, first: int, width: int) -> NDArray[np.float64]:
    """Weights of the controls in `count` points spaced evenly along one stroke: [count, width]."""
    fine = np.linspace(0.0, len(stroke) - 1.0, 16 * len(stroke))
    weights = _catmull_rom(fine, len(stroke))
    path = weights @ stroke
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    even = np.interp(np.linspace(0.0, steps[-1], count), steps, fine)
    basis = np.zeros((count, width))
    basis[:, first : first + len(stroke)] = _catmull_rom(even, len(stroke))
    return basis


def _catmull_rom(place: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Weights [places, count] of a Catmull-Rom spline; the ends repeat."""
    left = np.minimum(place.astype(int), count - 2)
    t = place - left
    parts = (
        -0.5 * t + t**2 - 0.5 * t**3,
        1.0 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2.0 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    )
    weights = np.zeros((len(place), count))
    for offset, part in zip((-1, 0, 1, 2), parts, strict=True):
        np.add.at(weights, (np.arange(len(place)), np.clip(left + offset, 0, count - 1)), part)
    return weights
