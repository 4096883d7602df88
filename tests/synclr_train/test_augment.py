"""The crops of a step: their shapes, their frequencies, and that they depend on the step alone."""

import pytest
import torch
from torchvision.transforms import RandomResizedCrop

from synclr_train.augment import draw_boxes, draw_crops, normalise, step_generator, step_seed
from synclr_train.recipes import rehearsal, vit_b16

IMAGES = torch.randint(0, 256, (6, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def quiet(**changes):
    """Augmentation that changes nothing, apart from `changes`."""
    names = ("downsample", "flip", "jitter", "grey", "local_blur")
    nothing = {f"{name}_probability": 0.0 for name in names}
    pairs = {"global_blur_probabilities": (0.0, 0.0), "global_solarize_probabilities": (0.0, 0.0)}
    return rehearsal().augment.model_copy(update=nothing | pairs | changes)


def whole_image(num_local: int = 0):
    area = {"global_area": (1.0, 1.0), "aspect_ratio": (1.0, 1.0), "num_local": num_local}
    return rehearsal().crops.model_copy(update=area)


def crops_of(augment, crops, size=48, seed=0):
    return draw_crops(IMAGES, crops, augment, size, torch.Generator().manual_seed(seed))


def test_nothing_drawn_changes_nothing():
    crops = crops_of(quiet(), whole_image())
    torch.testing.assert_close(
        crops.global_crops, normalise(IMAGES.float() / 255, quiet()), rtol=0, atol=1e-5
    )
    assert crops.local_crops is None


def test_a_certain_flip_mirrors():
    plain, flipped = crops_of(quiet(), whole_image()), crops_of(quiet(flip_probability=1.0), whole_image())
    torch.testing.assert_close(flipped.global_crops, plain.global_crops.flip(3), rtol=0, atol=1e-5)


def test_shapes_and_order_of_crops():
    crops = rehearsal().crops.model_copy(update={"num_global": 2, "num_local": 3})
    drawn = crops_of(vit_b16().augment, crops, size=32)
    assert drawn.global_crops.shape == (12, 3, 32, 32)
    assert drawn.local_crops.shape == (18, 3, 16, 16)
    solid = torch.arange(0, 240, 40, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 48, 48)
    ordered = draw_crops(solid, crops, quiet(), 32, torch.Generator().manual_seed(0))
    torch.testing.assert_close(ordered.global_crops[:6], ordered.global_crops[6:], rtol=0, atol=1e-4)
    torch.testing.assert_close(
        ordered.local_crops[:6, :, 0, 0], ordered.global_crops[:6, :, 0, 0], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(
    ("change", "share"),
    [
        ({"grey_probability": 0.2}, 0.2),
        ({"jitter_probability": 0.8}, 0.8),
        ({"downsample_probability": 0.3, "downsample_sizes": (8, 16)}, 0.3),
        ({"global_blur_probabilities": (1.0, 0.0), "blur_sigma": (1.0, 1.0)}, 0.5),
        ({"global_solarize_probabilities": (0.0, 0.4)}, 0.2),
    ],
)
def test_each_change_happens_as_often_as_stated(change, share):
    num = 800
    images = IMAGES[:1].expand(num, -1, -1, -1)
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    before = draw_crops(images, whole_image(), quiet(), 48, generators[0]).global_crops
    after = draw_crops(images, whole_image(), quiet(**change), 48, generators[1]).global_crops
    changed = ((before - after).abs().amax(dim=(1, 2, 3)) > 1e-3).float().mean()
    assert float(changed) == pytest.approx(share, abs=0.06)


def test_boxes_lie_inside_and_cover_the_stated_area():
    boxes = draw_boxes(4000, 256, (0.32, 1.0), (3 / 4, 4 / 3), torch.Generator().manual_seed(0))
    top, left, height, width = boxes.unbind(dim=1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 256).all()
    assert (left + width <= 256).all()
    shares = height * width / 256**2
    image = torch.zeros(3, 256, 256)
    theirs = [RandomResizedCrop.get_params(image, (0.32, 1.0), (3 / 4, 4 / 3)) for _ in range(2000)]
    expected = sum(h * w for _, _, h, w in theirs) / len(theirs) / 256**2
    assert float(shares.min()) > 0.31
    assert float(shares.mean()) == pytest.approx(expected, abs=0.02)
    ratios = width / height
    assert float(ratios.min()) > 0.74
    assert float(ratios.max()) < 1.35


def test_a_step_names_its_crops():
    augment, crops = vit_b16().augment, rehearsal().crops

    def drawn(step: int, rank: int = 0) -> torch.Tensor:
        return draw_crops(IMAGES, crops, augment, 32, step_generator(7, step, rank, 1)).global_crops

    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))
    assert not torch.equal(drawn(3), drawn(3, rank=1))


def test_seeds_of_purposes_differ():
    seeds = {step_seed(s, t, r, p) for s in range(3) for t in range(3) for r in range(3) for p in range(3)}
    assert len(seeds) == 81
    assert all(0 <= seed < 2**63 for seed in seeds)
