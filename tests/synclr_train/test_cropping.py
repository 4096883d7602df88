"""Crops have the paper's areas and ratios, are cut as torchvision cuts, and belong to their image alone."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.v2 import functional

from synclr_train.cropping import (
    DRAWS_PER_BOX,
    Cutter,
    boxes_of,
    largest_box,
    resize_crop,
    scale_boxes,
    shrink_and_enlarge,
)
from synclr_train.decoding import decode
from synclr_train.recipes import vit_b16

ASPECT = (3 / 4, 4 / 3)


def picture(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def jpeg(height: int = 512, width: int = 512) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(height, width)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def cutter(**augment) -> Cutter:
    recipe = vit_b16()
    return Cutter(recipe.crops, recipe.augment.model_copy(update=augment), recipe.backbone.image_size)


def random_boxes(num: int, height: int, width: int, area: tuple[float, float]) -> np.ndarray:
    draws = np.random.default_rng(0).random((num, DRAWS_PER_BOX - 1))
    return boxes_of(draws, height, width, np.array([area] * num), ASPECT)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 700), width=st.integers(1, 700), low=st.floats(0.01, 1))
def test_boxes_lie_inside_the_image(height, width, low):
    top, left, box_height, box_width = random_boxes(50, height, width, (low, 1.0)).T
    assert min(top.min(), left.min()) >= 0
    assert min(box_height.min(), box_width.min()) >= 1
    assert (top + box_height).max() <= height
    assert (left + box_width).max() <= width


@pytest.mark.parametrize("area", [(0.32, 1.0), (0.08, 0.32)])
@pytest.mark.parametrize(("height", "width"), [(512, 512), (300, 500)])
def test_boxes_are_distributed_as_torchvisions(area, height, width):
    ours = random_boxes(4000, height, width, area)
    image = torch.zeros(3, height, width)
    torch.manual_seed(0)
    theirs = np.array([RandomResizedCrop.get_params(image, area, ASPECT) for _ in range(4000)])
    for ours_is, theirs_is in (
        (ours[:, 2] * ours[:, 3] / (height * width), theirs[:, 2] * theirs[:, 3] / (height * width)),
        (np.log(ours[:, 3] / ours[:, 2]), np.log(theirs[:, 3] / theirs[:, 2])),
        ((ours[:, 0] + ours[:, 2] / 2) / height, (theirs[:, 0] + theirs[:, 2] / 2) / height),
        ((ours[:, 1] + ours[:, 3] / 2) / width, (theirs[:, 1] + theirs[:, 3] / 2) / width),
    ):
        quantiles = np.linspace(0.02, 0.98, 13)
        spread = theirs_is.max() - theirs_is.min()
        difference = np.quantile(ours_is, quantiles) - np.quantile(theirs_is, quantiles)
        assert np.abs(difference).max() < 0.03 * spread


def test_an_image_too_narrow_for_any_box_gives_its_largest_allowed_part():
    assert largest_box(100, 1000, ASPECT) == (0, 433, 100, 133)
    assert largest_box(1000, 75, ASPECT) == (450, 0, 100, 75)
    assert (random_boxes(5, 10, 1000, (0.9, 1.0)) == largest_box(10, 1000, ASPECT)).all()


@pytest.mark.parametrize(
    ("box", "side"), [((3, 5, 200, 260), 96), ((0, 0, 300, 300), 224), ((9, 9, 60, 50), 96)]
)
def test_a_crop_equals_torchvisions_to_the_last_bit(box, side):
    pixels = picture(300, 400)
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    expected = functional.resized_crop(
        image, *box, [side, side], InterpolationMode.BICUBIC, antialias=True
    ).numpy()
    np.testing.assert_array_equal(resize_crop(pixels, np.array(box), side, mirrored=False), expected)
    np.testing.assert_array_equal(
        resize_crop(pixels, np.array(box), side, mirrored=True), expected[:, :, ::-1]
    )


def test_a_crop_agrees_with_pillow_to_a_rounding():
    pixels = picture(300, 400)
    ours = resize_crop(pixels, np.array((10, 20, 200, 220)), 96, mirrored=False)
    theirs = Image.fromarray(pixels).crop((20, 10, 240, 210)).resize((96, 96), Image.Resampling.BICUBIC)
    assert np.abs(ours.transpose(1, 2, 0).astype(int) - np.asarray(theirs)).max() <= 1


def test_shrinking_and_enlarging_equals_two_resizes():
    pixels = picture(120, 160)
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    bicubic = {"interpolation": InterpolationMode.BICUBIC, "antialias": True}
    expected = functional.resize(functional.resize(image, [64, 64], **bicubic), [120, 160], **bicubic)
    np.testing.assert_array_equal(shrink_and_enlarge(pixels, 64), expected.permute(1, 2, 0).numpy())


def test_a_cutter_cuts_what_it_draws():
    plain, key = cutter(downsample_probability=0.0), np.uint64(5)
    global_crops, local_crops = plain.cut(jpeg(), key)
    assert global_crops.shape == (1, 3, 224, 224)
    assert local_crops.shape == (4, 3, 96, 96)
    boxes, flips, _ = plain.draw(key, 512, 512)
    pixels = decode(jpeg())
    for crop, box, flip in zip([*global_crops, *local_crops], boxes, flips, strict=True):
        expected = resize_crop(pixels, box, crop.shape[1], mirrored=bool(flip))
        np.testing.assert_array_equal(crop, expected)


def test_large_images_are_decoded_smaller_and_look_the_same(monkeypatch):
    from synclr_train import cropping

    reductions = []

    def watched(encoded, reduction):
        reductions.append(reduction)
        return decode(encoded, reduction)

    plain, key = cutter(downsample_probability=0.0), np.uint64(5)
    content = jpeg(2048, 2048)
    whole = decode(content)
    monkeypatch.setattr(cropping, "decode", watched)
    small_crops = plain.cut(content, key)
    assert reductions == [4]
    boxes, flips, _ = plain.draw(key, 2048, 2048)
    for crop, box, flip in zip([*small_crops[0], *small_crops[1]], boxes, flips, strict=True):
        expected = resize_crop(whole, box, crop.shape[1], mirrored=bool(flip)).astype(int)
        assert np.abs(crop - expected).mean() < 1


def test_boxes_shrink_with_the_image():
    assert scale_boxes(np.array([[10, 20, 101, 40]]), np.array([0.5, 0.25])).tolist() == [[5, 5, 51, 10]]
    assert scale_boxes(np.array([[8, 8, 1, 1]]), np.array([0.125, 0.125])).tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("change", "share"), [({"flip_probability": 0.3}, 0.3), ({"downsample_probability": 0.2}, 0.2)]
)
def test_geometry_is_drawn_as_often_as_stated(change, share):
    drawn = [cutter(**change).draw(np.uint64(number), 512, 512) for number in range(600)]
    if "flip_probability" in change:
        measured = np.mean([flips for _, flips, _ in drawn])
    else:
        measured = np.mean([side is not None for _, _, side in drawn])
        sides = [side for _, _, side in drawn if side is not None]
        assert np.mean([side == 64 for side in sides]) == pytest.approx(0.5, abs=0.17)
    assert measured == pytest.approx(share, abs=0.05)
