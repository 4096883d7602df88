"""The head fits shares of classes, and its masks and counts are what a slow reading of its logits gives."""

import numpy as np
import torch

from synclr_train.evals.segmentation_head import LinearHead, class_shares, fit_heads, image_confusions


def test_shares_are_counted_pixel_by_pixel():
    masks = torch.randint(0, 3, (2, 12, 12), generator=torch.Generator().manual_seed(0))
    shares = class_shares(masks, 4, 3)
    patch = masks[1, 3:6, 6:9].flatten().tolist()
    assert shares[1, :, 1, 2].tolist() == [np.float32(patch.count(label) / 9) for label in range(3)]
    torch.testing.assert_close(shares.sum(1), torch.ones(2, 4, 4))


def test_masks_are_the_largest_upsampled_logits_after_the_discount():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(70, 5, 4, 4, generator=generator)
    head = LinearHead(torch.randn(5, 3, generator=generator), torch.randn(3, generator=generator))
    contest = head.contest(features, 16, background=2)
    for discount in (0.0, 1.5):
        logits = torch.stack(
            [(features * head.weights[:, k, None, None]).sum(1) + head.biases[k] for k in range(3)], 1
        )
        logits[:, 2] -= discount
        upsampled = torch.nn.functional.interpolate(logits, (16, 16), mode="bilinear", align_corners=False)
        assert (contest.masks(discount) == upsampled.argmax(1)).float().mean() > 0.9999


def test_a_solvable_scene_is_solved():
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randint(0, 3, (6, 4, 4), generator=generator)
    masks = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    features = torch.nn.functional.one_hot(coarse, 3).permute(0, 3, 1, 2).float()
    [head] = fit_heads(
        features, masks, num_classes=3, l2_constants=[1e-3], max_iterations=100, relative_tolerance=1e-4
    )
    found = head.contest(features, 4, background=2).masks(0.0)
    assert torch.equal(found, coarse)


def test_confusions_of_images_sum_to_their_pixels():
    draws = np.random.default_rng(0)
    truths, predictions = draws.integers(0, 4, (2, 5, 8, 8))
    counts = image_confusions(truths, predictions, 4)
    assert counts.sum((1, 2)).tolist() == [64] * 5
    for image in range(5):
        assert counts[image, 2, 3] == ((truths[image] == 2) & (predictions[image] == 3)).sum()
