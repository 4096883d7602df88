"""The colour of crops: how often each change happens, and that a crop's colours belong to its image alone."""

import numpy as np
import pytest
import torch
from torchvision.transforms import functional

from synclr_train.augment import colour_crops, colour_group, draw_strengths, step_seed
from synclr_train.batches import StepBatch
from synclr_train.draws import image_keys
from synclr_train.recipes import vit_b16

NOTHING = {
    "jitter_probability": 0.0,
    "grey_probability": 0.0,
    "local_blur_probability": 0.0,
    "global_blur_probabilities": (0.0, 0.0),
    "global_solarize_probabilities": (0.0, 0.0),
}
KEYS = np.concatenate([image_keys(0, 0, str(number).encode(), 4) for number in range(2000)])


def augmentation(**changes):
    return vit_b16().augment.model_copy(update=changes)


def random_crops(num: int, side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(num)
    return torch.randint(0, 256, (num, 3, side, side), dtype=torch.uint8, generator=generator)


def batch_of(num_images: int, num_local: int = 2) -> StepBatch:
    return StepBatch(
        step=0,
        global_crops=random_crops(num_images, 16),
        local_crops=random_crops(num_images * num_local, 8),
        image_keys=torch.from_numpy(KEYS[:num_images].view(np.int64)),
        caption_rows=torch.zeros(0, dtype=torch.int64),
        shard_numbers=torch.zeros(0, dtype=torch.int64),
        quarantined=(),
    )


def test_nothing_drawn_only_normalises():
    augment, batch = augmentation(**NOTHING), batch_of(6)
    crops = colour_crops(batch, augment)
    expected = functional.normalize(batch.global_crops / 255, augment.mean, augment.std)
    torch.testing.assert_close(crops.global_crops, expected)
    assert crops.local_crops.shape == (12, 3, 8, 8)
    assert colour_crops(batch_of(6, num_local=0), augment).local_crops is None


def test_the_shares_are_the_papers():
    """BYOL's two ways: always blurred, or blurred in a tenth and solarized in a fifth of the cases."""
    drawn = draw_strengths(KEYS, range(1), augmentation(), is_global=True)
    local = draw_strengths(KEYS, range(1, 2), augmentation(), is_global=False)
    expected = [
        (drawn.jitters, 0.8),
        (drawn.greys, 0.2),
        (drawn.blurs, 0.55),
        (drawn.solarizes, 0.1),
        (drawn.solarizes & drawn.blurs, 0.01),
        (local.jitters, 0.8),
        (local.blurs, 0.5),
        (local.solarizes, 0.0),
    ]
    for happened, share in expected:
        assert float(happened.float().mean()) == pytest.approx(share, abs=0.02)


def test_strengths_fill_the_papers_ranges():
    drawn = draw_strengths(KEYS, range(1), augmentation(), is_global=True)
    ranges = [(0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1)]
    for column, (low, high) in zip(drawn.factors.T, ranges, strict=True):
        assert low <= float(column.min()) < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < float(column.max()) <= high
    assert float(drawn.sigmas.mean()) == pytest.approx(1.05, abs=0.03)
    firsts = torch.bincount(drawn.order[:, 0]) / len(KEYS)
    assert float((firsts - 0.25).abs().max()) < 0.03


def test_a_crop_is_changed_as_torchvision_would_in_the_drawn_order():
    augment = augmentation(jitter_probability=1.0, global_solarize_probabilities=(0.5, 0.5))
    crops = random_crops(24, 16)
    drawn = draw_strengths(KEYS[:24], range(1), augment, is_global=True)
    measured = colour_group(crops, drawn, augment)
    adjust = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    assert len({tuple(order) for order in drawn.order.tolist()}) > 8
    for number, crop in enumerate(crops):
        image = crop / 255
        for which in drawn.order[number].tolist():
            image = adjust[which](image, float(drawn.factors[number, which]))
        if drawn.greys[number]:
            image = functional.rgb_to_grayscale(image, 3)
        if drawn.blurs[number]:
            image = functional.gaussian_blur(image, [9, 9], [float(drawn.sigmas[number])] * 2)
        if drawn.solarizes[number]:
            image = functional.solarize(image, 128 / 255)
        expected = functional.normalize(image, augment.mean, augment.std)
        torch.testing.assert_close(measured[number], expected, rtol=0, atol=2e-4)


def test_a_crops_colours_do_not_depend_on_its_company():
    augment = augmentation()
    whole = colour_crops(batch_of(8), augment)
    batch = batch_of(8)
    some = StepBatch(
        step=3,
        global_crops=batch.global_crops[2:5],
        local_crops=batch.local_crops.unflatten(0, (2, 8))[:, 2:5].flatten(0, 1),
        image_keys=batch.image_keys[2:5],
        caption_rows=batch.caption_rows,
        shard_numbers=batch.shard_numbers,
        quarantined=(),
    )
    alone = colour_crops(some, augment)
    torch.testing.assert_close(alone.global_crops, whole.global_crops[2:5], rtol=0, atol=1e-5)
    expected = whole.local_crops.unflatten(0, (2, 8))[:, 2:5].flatten(0, 1)
    torch.testing.assert_close(alone.local_crops, expected, rtol=0, atol=1e-5)


def test_seeds_of_purposes_differ():
    seeds = {step_seed(s, t, r, p) for s in range(3) for t in range(3) for r in range(3) for p in range(3)}
    assert len(seeds) == 81
    assert all(0 <= seed < 2**63 for seed in seeds)
