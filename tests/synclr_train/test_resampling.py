"""Crops and blurs as matrix products equal Pillow's and torchvision's, image by image."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from synclr_train.resampling import apply_along_axes, blur_matrix, crop_matrix


def noise(num: int, side: int) -> torch.Tensor:
    return torch.rand(num, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("top", "left", "height", "width", "out"),
    [(0, 0, 48, 48, 32), (5, 9, 20, 31, 16), (3, 1, 10, 12, 24), (7, 7, 1, 1, 4), (0, 11, 48, 37, 37)],
)
def test_a_crop_equals_cropping_then_antialiased_bicubic(top, left, height, width, out):
    images = noise(2, 48)
    boxes = [torch.full((2,), float(number)) for number in (top, left, height, width)]
    rows = crop_matrix(boxes[0], boxes[2], 48, out)
    columns = crop_matrix(boxes[1], boxes[3], 48, out)
    expected = functional.resized_crop(
        images, top, left, height, width, [out, out], functional.InterpolationMode.BICUBIC, antialias=True
    )
    torch.testing.assert_close(apply_along_axes(images, rows, columns), expected, rtol=0, atol=2e-5)


def test_a_crop_agrees_with_pillow_to_a_rounding():
    image = (64 + noise(1, 48)[0].permute(1, 2, 0).numpy() * 128).astype(np.uint8)
    expected = Image.fromarray(image).crop((4, 8, 40, 44)).resize((20, 20), Image.Resampling.BICUBIC)
    starts, lengths = torch.tensor([[8.0], [4.0]]), torch.tensor([36.0])
    matrices = [crop_matrix(start, lengths, 48, 20) for start in starts]
    measured = apply_along_axes(torch.tensor(image).permute(2, 0, 1)[None].float(), *matrices)
    rounded = measured.clamp(0, 255).round()[0].permute(1, 2, 0).numpy()
    assert np.abs(rounded - np.asarray(expected).astype(float)).max() <= 1


def test_each_image_has_its_own_crop():
    images = noise(2, 16)
    whole, half = torch.tensor([0.0, 4.0]), torch.tensor([16.0, 8.0])
    matrix = crop_matrix(whole, half, 16, 8)
    together = apply_along_axes(images, matrix, matrix)
    alone = apply_along_axes(images[1:], matrix[1:], matrix[1:])
    torch.testing.assert_close(together[1:], alone)


@pytest.mark.parametrize(("side", "taps", "sigma"), [(32, 9, 0.1), (32, 9, 2.0), (20, 5, 0.7)])
def test_a_blur_equals_torchvision(side, taps, sigma):
    images = noise(2, side)
    matrix = blur_matrix(torch.full((2,), sigma), side, taps)
    expected = functional.gaussian_blur(images, [taps, taps], [sigma, sigma])
    torch.testing.assert_close(apply_along_axes(images, matrix, matrix), expected, rtol=0, atol=1e-5)


def test_weights_of_a_blur_sum_to_one_on_tiny_images():
    matrix = blur_matrix(torch.tensor([3.0]), 3, 9)
    torch.testing.assert_close(matrix.sum(dim=2), torch.ones(1, 3))
