"""Batched colour changes equal torchvision's, image by image."""

import pytest
import torch
from torchvision.transforms import functional

from synclr_train import colour


@pytest.fixture
def images() -> torch.Tensor:
    random = torch.rand(6, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    random[0] = 0.5
    random[1, :, :4] = 0.0
    random[2, 1] = random[2, 0]
    return random


@pytest.mark.parametrize(
    ("ours", "theirs", "strengths"),
    [
        (colour.adjust_brightness, functional.adjust_brightness, [0.6, 0.9, 1.0, 1.2, 1.4, 0.0]),
        (colour.adjust_contrast, functional.adjust_contrast, [0.6, 0.9, 1.0, 1.2, 1.4, 0.0]),
        (colour.adjust_saturation, functional.adjust_saturation, [0.6, 0.9, 1.0, 1.2, 1.4, 0.0]),
        (colour.adjust_hue, functional.adjust_hue, [-0.5, -0.1, 0.0, 0.03, 0.1, 0.5]),
    ],
)
def test_adjustments_equal_torchvision(images, ours, theirs, strengths):
    expected = torch.stack(
        [theirs(image, strength) for image, strength in zip(images, strengths, strict=True)]
    )
    torch.testing.assert_close(ours(images, torch.tensor(strengths)), expected, rtol=0, atol=2e-5)


def test_grey_and_solarize_equal_torchvision(images):
    torch.testing.assert_close(colour.grey(images), functional.rgb_to_grayscale(images))
    torch.testing.assert_close(colour.solarize(images), functional.solarize(images, 128 / 255))


def test_solarize_inverts_the_values_that_it_inverts_on_uint8():
    values = torch.arange(256, dtype=torch.uint8).repeat(3, 1, 1).unsqueeze(0)
    measured = (colour.solarize(values / 255) * 255).round().to(torch.uint8)
    torch.testing.assert_close(measured, functional.solarize(values, 128), rtol=0, atol=0)


@pytest.mark.parametrize(("side", "taps"), [(32, 9), (20, 5)])
def test_a_blur_equals_torchvision_image_by_image(side, taps):
    images = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    sigmas = [0.1, 0.7, 2.0]
    pairs = zip(images, sigmas, strict=True)
    expected = torch.stack(
        [functional.gaussian_blur(each, [taps, taps], [sigma] * 2) for each, sigma in pairs]
    )
    torch.testing.assert_close(colour.blur(images, torch.tensor(sigmas), taps), expected, rtol=0, atol=1e-5)


def test_an_image_smaller_than_the_kernel_keeps_its_mean_grey():
    flat = torch.full((1, 3, 3, 3), 0.4)
    torch.testing.assert_close(colour.blur(flat, torch.tensor([3.0]), 9), flat)
