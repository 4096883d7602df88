"""Random numbers belong to an image: the same wherever it is met, unrelated between images, streams and epochs."""

import itertools

import numpy as np

from synclr_train.draws import image_keys, uniforms


def test_every_part_of_an_images_name_counts():
    names = itertools.product((0, 1), (0, 1, 2), (b"a", b"b"))
    keys = np.concatenate([image_keys(seed, epoch, caption, 4) for seed, epoch, caption in names])
    assert len(set(keys.tolist())) == 48


def test_an_image_draws_the_same_alone_and_in_company():
    keys = image_keys(3, 1, b"caption", 4)
    together = uniforms(keys, [0, 5], 7)
    np.testing.assert_array_equal(uniforms(keys[2:3], [5], 7)[0, 0], together[2, 1])
    np.testing.assert_array_equal(uniforms(keys, [0, 5], 3), together[:, :, :3])


def test_draws_are_uniform_and_independent():
    keys = np.concatenate([image_keys(0, 0, str(number).encode(), 4) for number in range(2500)])
    draws = uniforms(keys, [0, 1], 3).reshape(len(keys), 6)
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.stack([np.histogram(column, bins=20, range=(0, 1))[0] for column in draws.T])
    chi_squared = ((counts - 500) ** 2 / 500).sum(axis=1)
    assert chi_squared.max() < 50  # 19 degrees of freedom: one in 10 000 exceeds it
    correlations = np.corrcoef(draws.T) - np.eye(6)
    assert np.abs(correlations).max() < 0.05
