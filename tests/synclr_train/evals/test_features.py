"""Features follow the rows asked for, not the batches; patch features lie on the grid asked for."""

import numpy as np
import pytest
import torch

from synclr_train.backbone import load_encoder
from synclr_train.evals.datasets import load_digits
from synclr_train.evals.features import normalise, patch_features, patch_pixels, raw_pixels, represent
from synclr_train.evals.image_folders import load_folder


def test_representations_follow_the_rows_whatever_the_batch(encoder_dir):
    encoder, digits = load_encoder(encoder_dir), load_digits()
    rows = np.array([7, 3, 500, 11, 900])
    whole = represent(encoder, digits, rows)
    pieces = represent(encoder, digits, rows, batch_size=2)
    assert whole.shape == (5, encoder.embed_dim)
    torch.testing.assert_close(whole, pieces, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(represent(encoder, digits, rows[2:3]), whole[2:3], atol=1e-5, rtol=1e-4)


def test_normalising_uses_the_encoders_own_constants(encoder_dir):
    encoder = load_encoder(encoder_dir)
    image = torch.tensor(encoder.mean).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    torch.testing.assert_close(normalise(image, encoder), torch.zeros(1, 3, 4, 4))


def test_raw_pixels_of_digits_are_their_64_grey_values():
    digits = load_digits()
    raw = raw_pixels(digits, np.array([4]), largest_side=16)
    assert raw.shape == (1, 64)
    torch.testing.assert_close(raw[0].view(8, 8).float(), digits.read(np.array([4]), 8)[0, 0])


def test_raw_pixels_of_colour_images_keep_their_colours(image_folder):
    assert raw_pixels(load_folder(image_folder), np.arange(2), largest_side=16).shape == (2, 3 * 16 * 16)


@pytest.mark.parametrize("grid_side", [6, 8])
def test_patch_features_lie_on_the_grid_last_block_first(encoder_dir, grid_side):
    encoder = load_encoder(encoder_dir)
    images = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    both = patch_features(encoder, images, grid_side=grid_side, num_last_blocks=4, batch_size=2)
    last = patch_features(encoder, images, grid_side=grid_side, num_last_blocks=1)
    assert both.shape == (3, 2 * encoder.embed_dim, grid_side, grid_side)
    torch.testing.assert_close(both[:, : encoder.embed_dim], last, atol=1e-4, rtol=1e-3)


def test_patch_pixels_are_the_pixels_of_each_patch():
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    patches = patch_pixels(images, grid_side=4, patch_size=4)
    torch.testing.assert_close(patches[1, :, 2, 3], images[1, :, 8:12, 12:16].flatten())
