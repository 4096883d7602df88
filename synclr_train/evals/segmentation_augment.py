"""A training crop from a scene: random scale, crop, flip and colours. A function of the scene and of one seed."""

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from synclr_train.evals.segmentation_datasets import IGNORED, Example
from synclr_train.evals.segmentation_recipes import SceneAugmentConfig, SegmentationRecipe
from synclr_train.evals.segmenter import scaled_size

TRIES = 10
"""Crops drawn before one that a single class fills is taken after all."""


def training_crop(
    example: Example, recipe: SegmentationRecipe, draws: np.random.Generator
) -> tuple[Float[Tensor, "3 s s"], Int[Tensor, "s s"]]:
    """Image in [0, 1] and mask of `crop_size`; what lies beyond the scene is grey and ignored."""
    side, augment = recipe.crop_size, recipe.augment
    height, width = scaled_size(example.image.shape[0], example.image.shape[1], recipe)
    factor = draws.uniform(*augment.scale_range)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    image = np.asarray(Image.fromarray(example.image).resize(size, Image.Resampling.BILINEAR))
    mask = np.asarray(
        Image.fromarray(example.mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST), dtype=np.int64
    )
    top, left = _corner(mask, side, augment.largest_class_share, draws)
    image, mask = image[top : top + side, left : left + side], mask[top : top + side, left : left + side]
    if draws.random() < augment.flip_probability:
        image, mask = image[:, ::-1], mask[:, ::-1]
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255
    pixels = _recolour(pixels, augment, draws)
    missing = (0, side - mask.shape[1], 0, side - mask.shape[0])
    return (
        torch.nn.functional.pad(pixels, missing, value=0.5),
        torch.nn.functional.pad(torch.from_numpy(mask.copy()), missing, value=IGNORED),
    )


def _corner(
    mask: Int[np.ndarray, "h w"], side: int, largest_share: float, draws: np.random.Generator
) -> tuple[int, int]:
    """Top left of a crop in which, after a few tries, no class covers more than `largest_share`."""
    top = left = 0
    for _ in range(TRIES):
        top = int(draws.integers(0, max(mask.shape[0] - side, 0) + 1))
        left = int(draws.integers(0, max(mask.shape[1] - side, 0) + 1))
        labels = mask[top : top + side, left : left + side]
        counts = np.bincount(labels[labels != IGNORED])
        if np.count_nonzero(counts) > 1 and counts.max() < largest_share * counts.sum():
            break
    return top, left


def _recolour(
    pixels: Float[Tensor, "3 h w"], augment: SceneAugmentConfig, draws: np.random.Generator
) -> Float[Tensor, "3 h w"]:
    """Brightness, contrast, saturation and hue, each with its own chance; contrast is first or last."""
    chances = draws.random(4) < augment.photometric_probability
    shift, contrast = draws.uniform(-1, 1), draws.uniform(*augment.contrast)
    saturation, turn = draws.uniform(*augment.saturation), draws.uniform(-augment.hue, augment.hue)
    contrast_first = draws.random() < 0.5
    if chances[0]:
        pixels = (pixels + shift * augment.brightness).clamp(0, 1)
    if chances[1] and contrast_first:
        pixels = (pixels * contrast).clamp(0, 1)
    if chances[2]:
        pixels = functional.adjust_saturation(pixels, saturation)
    if chances[3]:
        pixels = functional.adjust_hue(pixels, turn)
    if chances[1] and not contrast_first:
        pixels = (pixels * contrast).clamp(0, 1)
    return pixels
