"""The schedules at the steps that matter, with the paper's numbers (SynCLR table 12)."""

import pytest

from synclr_train.recipes import vit_b16, vit_l14
from synclr_train.schedules import cosine, linear, values_at, warmup_cosine


@pytest.mark.parametrize(
    ("step", "learning_rate"), [(0, 0.0), (40_000, 1e-3), (80_000, 2e-3), (290_000, 1e-3), (500_000, 0.0)]
)
def test_learning_rate_warms_up_then_falls(step, learning_rate):
    assert values_at(vit_b16(), step).learning_rate == pytest.approx(learning_rate, abs=1e-9)


@pytest.mark.parametrize(("step", "weight_decay"), [(0, 0.04), (250_000, 0.12), (500_000, 0.2)])
def test_weight_decay_rises(step, weight_decay):
    assert values_at(vit_b16(), step).weight_decay == pytest.approx(weight_decay)


@pytest.mark.parametrize(("step", "momentum"), [(0, 0.994), (250_000, 0.997), (500_000, 1.0)])
def test_ema_momentum_rises_to_one(step, momentum):
    assert values_at(vit_b16(), step).ema_momentum == pytest.approx(momentum)


@pytest.mark.parametrize(("step", "temperature"), [(0, 0.04), (2000, 0.055), (4000, 0.07), (400_000, 0.07)])
def test_teacher_temperature_rises_for_4000_steps(step, temperature):
    assert values_at(vit_b16(), step).teacher_temperature == pytest.approx(temperature)


def test_no_teacher_temperature_without_ibot():
    assert values_at(vit_b16().varied(ibot=None), 0).teacher_temperature is None


def test_learning_rate_scales_with_the_batch():
    base = vit_l14()
    smaller = base.varied(batch={"captions": 1024, "views_per_caption": 4})
    assert values_at(base, 80_000).learning_rate == pytest.approx(1.5e-3)
    assert values_at(smaller, 80_000).learning_rate == pytest.approx(1.5e-3 / 8)


def test_shapes_hold_their_ends():
    assert linear(0, 1.0, 3.0, 10) == 1
    assert linear(99, 1.0, 3.0, 10) == 3
    assert cosine(5, 1.0, 3.0, 10) == pytest.approx(2)
    assert cosine(99, 1.0, 3.0, 10) == pytest.approx(3)
    assert warmup_cosine(0, 7.0, 0, 10) == pytest.approx(7)
