"""Smooth thick lines through control points."""

import numpy as np
import pytest

from synclr_assets.synthesis.painting.canvas import pixel_axis
from synclr_assets.synthesis.painting.digits import STYLES
from synclr_assets.synthesis.painting.strokes import skeleton_of, stroke_distance
from synclr_assets.synthesis.vocabulary import DIGITS

CORNER = (((-0.5, -0.5), (0.0, 0.4), (0.5, -0.5)), ((-0.5, 0.8), (0.5, 0.8)))


def test_a_stroke_starts_and_ends_at_its_control_points_and_passes_the_others() -> None:
    skeleton = skeleton_of(CORNER, 60)
    points = skeleton.trace(skeleton.controls)
    assert points[0] == pytest.approx((-0.5, -0.5), abs=1e-5)
    assert points[-1] == pytest.approx((0.5, 0.8), abs=1e-5)
    assert np.linalg.norm(points - np.array([0.0, 0.4]), axis=1).min() < 0.05
    assert np.allclose(skeleton.basis.sum(axis=1), 1.0, atol=1e-5)


def test_moving_all_controls_moves_the_stroke() -> None:
    skeleton = skeleton_of(CORNER, 60)
    moved = skeleton.trace(skeleton.controls + np.array([0.25, -0.5], dtype=np.float32))
    assert np.allclose(moved, skeleton.trace(skeleton.controls) + np.array([0.25, -0.5]), atol=1e-5)


def test_points_are_spread_evenly_along_a_stroke() -> None:
    points = skeleton_of((CORNER[0],), 50)
    steps = np.linalg.norm(np.diff(points.trace(points.controls), axis=0), axis=1)
    assert steps.max() < 1.2 * steps.min()


def test_distance_is_negative_inside_zero_on_the_outline_and_grows_outside() -> None:
    axis = pixel_axis(200)
    points = np.stack([np.linspace(-0.5, 0.5, 80), np.zeros(80)], axis=1).astype(np.float32)
    distance = stroke_distance(axis, points, np.full(80, 0.2, dtype=np.float32))
    middle = distance[:, 100]
    assert middle[100] == pytest.approx(-0.2, abs=0.02)
    assert np.abs(middle[np.abs(np.abs(axis) - 0.2).argmin()]) < 0.02
    assert np.all(np.diff(middle[100:]) > 0)


def test_every_digit_has_three_styles_or_more_inside_its_box() -> None:
    assert tuple(STYLES) == DIGITS
    for styles in STYLES.values():
        assert len(styles) >= 3
        for strokes in styles:
            controls = np.array([point for stroke in strokes for point in stroke])
            assert np.abs(controls[:, 0]).max() <= 0.62
            assert np.abs(controls[:, 1]).max() <= 1.0
            assert np.ptp(controls[:, 1]) > 1.6
