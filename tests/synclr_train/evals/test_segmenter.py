"""The network at a new input size, the layers' learning rates, and the sliding window."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_train.backbone import load_encoder
from synclr_train.evals.scores import EvaluationError
from synclr_train.evals.segmentation_recipes import (
    SEGMENTATION_RECIPES,
    get_segmentation_recipe,
    upernet_tiny,
    upernet_vit_b16,
    upernet_vit_l14,
)
from synclr_train.evals.segmenter import Segmenter, parameter_groups, scaled_size, slide, windows


@pytest.fixture
def encoder(encoder_dir):
    return load_encoder(encoder_dir)


def test_the_papers_numbers():
    base, large = upernet_vit_b16(), upernet_vit_l14()
    assert base.head.blocks == (3, 5, 7, 11)
    assert (base.crop_size, base.stride, base.steps, base.batch_size, base.warmup_steps) == (
        512,
        341,
        60_000,
        32,
        1500,
    )
    assert (base.learning_rate, base.weight_decay, base.layer_decay, base.drop_path_rate) == (
        8e-5,
        0.05,
        0.6,
        0.1,
    )
    assert (large.crop_size, large.steps, large.batch_size, large.layer_decay, large.drop_path_rate) == (
        518,
        160_000,
        16,
        0.8,
        0.2,
    )
    assert large.head.blocks == (7, 11, 15, 23)


def test_every_named_recipe_is_complete_and_bears_its_name():
    assert [get_segmentation_recipe(name).name for name in SEGMENTATION_RECIPES] == list(SEGMENTATION_RECIPES)
    with pytest.raises(ValueError, match="head 'fcn' does not exist: choose linear or upernet_vit_b16"):
        get_segmentation_recipe("fcn")
    with pytest.raises(ValueError, match="leaves gaps between windows"):
        upernet_vit_b16().varied(stride=513)


def test_logits_have_the_images_resolution_at_any_window(encoder):
    segmenter = Segmenter(encoder, upernet_tiny(), 5).eval()
    assert segmenter(torch.rand(2, 3, 64, 64)).shape == (2, 5, 64, 64)
    assert [tuple(each.shape) for each in segmenter.training_logits(torch.rand(2, 3, 64, 64))] == [
        (2, 5, 64, 64)
    ] * 2


def test_the_encoders_weights_are_there_and_its_positions_are_resampled(encoder):
    segmenter = Segmenter(encoder, upernet_tiny(), 5)
    before, after = encoder.vit.state_dict(), segmenter.vit.state_dict()
    assert after["pos_embed"].shape == (1, 64, 128)
    assert before["pos_embed"].shape == (1, 16, 128)
    assert all(torch.equal(before[name], after[name]) for name in before if name != "pos_embed")
    grid = after["pos_embed"].view(8, 8, 128)
    corners = before["pos_embed"].view(4, 4, 128)
    assert float((grid[0, 0] - corners[0, 0]).norm()) < float((grid[0, 0] - corners[3, 3]).norm())


def test_learning_rates_fall_by_layer_and_vectors_do_not_decay(encoder):
    segmenter = Segmenter(encoder, upernet_tiny().varied(layer_decay=0.5), 5)
    groups = parameter_groups(segmenter, upernet_tiny().varied(layer_decay=0.5))
    names = {id(parameter): name for name, parameter in segmenter.named_parameters()}
    of = {names[id(p)]: group for group in groups for p in group["params"]}
    assert of["vit.patch_embed.proj.weight"]["scale"] == 0.5**3
    assert of["vit.pos_embed"]["scale"] == 0.5**3
    assert of["vit.blocks.0.mlp.fc1.weight"]["scale"] == 0.5**2
    assert of["vit.blocks.1.mlp.fc1.weight"]["scale"] == 0.5
    assert of["head.fuse.0.weight"]["scale"] == of["pyramid.twofold.weight"]["scale"] == 1
    assert of["vit.pos_embed"]["weight_decay"] == of["vit.blocks.0.norm1.weight"]["weight_decay"] == 0
    assert of["vit.blocks.0.mlp.fc1.weight"]["weight_decay"] == 0.05
    trained = {name for name, parameter in segmenter.named_parameters() if parameter.requires_grad}
    assert set(of) == trained
    assert not any(name.startswith("vit.norm.") for name in trained)


def test_a_frozen_encoder_has_no_rate_and_stays_in_evaluation(encoder):
    recipe = upernet_tiny().varied(train_encoder=False)
    segmenter = Segmenter(encoder, recipe, 5).train()
    assert not segmenter.vit.training
    assert segmenter.head.training
    names = {id(parameter): name for name, parameter in segmenter.named_parameters()}
    assert not any(
        names[id(p)].startswith("vit.")
        for group in parameter_groups(segmenter, recipe)
        for p in group["params"]
    )


@pytest.mark.parametrize(
    ("make", "said"), [(upernet_vit_b16, "reads block 11, but the encoder has only 2 blocks")]
)
def test_a_head_of_another_encoder_is_refused(encoder, make, said):
    with pytest.raises(EvaluationError, match=said):
        Segmenter(encoder, make(), 5)
    with pytest.raises(EvaluationError, match="60 px, which is no multiple of the encoder's 8 px patch"):
        Segmenter(encoder, upernet_tiny().varied(crop_size=60), 5)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(3, 16), st.data())
def test_windows_of_a_pointwise_model_give_the_whole_images_prediction(height, width, window, data):
    stride = data.draw(st.integers(1, window))
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height * 41 + width))
    seen = []

    def predict(crop):
        assert crop.shape[-2:] == (window, window)
        seen.append(crop)
        return torch.cat([crop.sin(), crop.square()], 1)

    torch.testing.assert_close(slide(predict, image, window, stride), predict_whole(image))
    assert seen


def predict_whole(image):
    return torch.cat([image.sin(), image.square()], 1)


def test_overlaps_are_averaged():
    calls = iter((1.0, 3.0))
    found = slide(lambda crop: torch.full((1, 1, 4, 4), next(calls)), torch.rand(1, 3, 4, 6), 4, 2)
    assert found[0, 0, 0].tolist() == [1, 1, 2, 2, 3, 3]


@settings(max_examples=50)
@given(st.integers(1, 300), st.integers(1, 64), st.data())
def test_windows_cover_every_pixel_and_none_leaves_the_image(length, window, data):
    stride = data.draw(st.integers(1, window))
    covered = np.zeros(max(length, window), dtype=bool)
    for first in windows(max(length, window), window, stride):
        assert 0 <= first <= max(length, window) - window
        covered[first : first + window] = True
    assert covered.all()


def test_images_are_tested_at_the_shorter_side_unless_they_are_very_long():
    recipe = upernet_vit_b16()
    assert scaled_size(683, 512, recipe) == (683, 512)
    assert scaled_size(256, 512, recipe) == (512, 1024)
    assert scaled_size(100, 1000, recipe) == (205, 2048)
