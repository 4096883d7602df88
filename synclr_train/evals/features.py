"""Frozen features of real images, batch by batch: representations, patch features, and raw pixels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from synclr_train.backbone import Encoder
from synclr_train.evals.labelled_images import LabelledImages

BATCH_SIZE = 128
"""Images per forward pass; features do not depend on it beyond rounding."""


@dataclass(frozen=True)
class RoleFeatures:
    """Features and labels of the rows that fit, choose and are scored, stacked in this order."""

    features: Float[Tensor, "n d"]
    labels: Tensor
    """[n] class numbers, or [n k] of PRESENT, ABSENT and UNDECIDED."""
    num_fit: int
    num_choose: int
    num_classes: int

    @property
    def fit(self) -> slice:
        """The rows that classifiers are fitted on while constants are being chosen."""
        return slice(0, self.num_fit)

    @property
    def choose(self) -> slice:
        """The rows on which constants are chosen."""
        return slice(self.num_fit, self.num_fit + self.num_choose)

    @property
    def known(self) -> slice:
        """Fit and choose together: what the final classifier, its constants chosen, may see."""
        return slice(0, self.num_fit + self.num_choose)

    @property
    def score(self) -> slice:
        """The rows that are scored and that nothing is chosen on."""
        return slice(self.num_fit + self.num_choose, None)


def represent(
    encoder: Encoder, dataset: LabelledImages, rows: np.ndarray, *, batch_size: int = BATCH_SIZE
) -> Float[Tensor, "n d"]:
    """The encoder's representation of the given rows at its own input size; float64, on its device."""
    return torch.cat(list(represent_batches(encoder, dataset, rows, batch_size=batch_size))).double()


def represent_batches(
    encoder: Encoder, dataset: LabelledImages, rows: np.ndarray, *, batch_size: int = BATCH_SIZE
) -> Iterator[Float[Tensor, "b d"]]:
    """The same batch by batch, in float32, so that nobody has to hold all features."""
    for start in range(0, len(rows), batch_size):
        with torch.inference_mode():
            images = dataset.read(rows[start : start + batch_size], encoder.image_size)
            features = encoder.represent(normalise(images, encoder)).float()
        yield features.clone()


def raw_pixels(
    dataset: LabelledImages, rows: np.ndarray, *, largest_side: int, batch_size: int = BATCH_SIZE
) -> Float[Tensor, "n d"]:
    """The pixels themselves as features, at most `largest_side` px a side; equal channels count once."""
    side = min(dataset.native_side or largest_side, largest_side)
    chunks = []
    for start in range(0, len(rows), batch_size):
        images = dataset.read(rows[start : start + batch_size], side)
        chunks.append(images[:, : dataset.num_channels].flatten(1).double())
    return torch.cat(chunks)


def normalise(images: Float[Tensor, "b 3 h w"], encoder: Encoder) -> Float[Tensor, "b 3 h w"]:
    """Images in [0, 1] as the encoder expects them, on its device."""
    parameter = next(encoder.parameters())
    images = images.to(parameter)
    mean = images.new_tensor(encoder.mean).view(1, 3, 1, 1)
    std = images.new_tensor(encoder.std).view(1, 3, 1, 1)
    return (images - mean) / std


def patch_features(
    encoder: Encoder,
    images: Float[Tensor, "n 3 s s"],
    *,
    grid_side: int,
    num_last_blocks: int,
    batch_size: int = BATCH_SIZE,
) -> Float[Tensor, "n d g g"]:
    """Patch features of images in [0, 1], scaled so that `grid_side` patches fit a side; float32.

    Those of the last blocks are concatenated, the last block first.
    """
    blocks = [-1 - number for number in range(min(num_last_blocks, encoder.depth))]
    chunks = []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            scaled = scale_images(images[start : start + batch_size], grid_side * encoder.patch_size)
            chunks.append(
                torch.cat(encoder.patch_features(normalise(scaled, encoder), blocks), dim=1).float()
            )
    return torch.cat(chunks).clone()


def patch_pixels(
    images: Float[Tensor, "n 3 s s"], *, grid_side: int, patch_size: int
) -> Float[Tensor, "n d g g"]:
    """The pixels of each patch as its features, on the same grid as `patch_features` would give."""
    scaled = scale_images(images, grid_side * patch_size)
    unfolded = torch.nn.functional.unfold(scaled, patch_size, stride=patch_size)
    return unfolded.view(len(images), -1, grid_side, grid_side)


def scale_images(images: Float[Tensor, "n 3 s s"], side: int) -> Float[Tensor, "n 3 t t"]:
    """Bicubic with antialiasing, kept in [0, 1]."""
    if images.shape[-1] == side:
        return images
    scaled = torch.nn.functional.interpolate(images, (side, side), mode="bicubic", antialias=True)
    return scaled.clamp(0, 1)
