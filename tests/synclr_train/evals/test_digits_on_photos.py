"""Scenes repeat exactly, show what their masks say, and share neither digits nor photograph between parts."""

import itertools

import numpy as np
import pytest
import torch

from synclr_train.evals import digits_on_photos
from synclr_train.evals.digits_on_photos import (
    BACKGROUND,
    LEAST_CONTRAST,
    SIDE,
    SOURCES,
    Source,
    load_scenes,
    paint,
    photographs,
    tiles,
)


@pytest.fixture
def few_scenes(monkeypatch):
    few = {
        name: Source(source.first_digit, source.last_digit, source.diagonal, 12)
        for name, source in SOURCES.items()
    }
    monkeypatch.setattr(digits_on_photos, "SOURCES", few)


def test_sources_share_no_digit_and_no_tile():
    for one, other in itertools.combinations(SOURCES.values(), 2):
        assert one.last_digit <= other.first_digit or other.last_digit <= one.first_digit
        assert one.diagonal != other.diagonal
    assert SOURCES["test"].first_digit == 1200


def test_tiles_cut_each_photograph_into_disjoint_pieces():
    numbered = [np.arange(427 * 640).reshape(427, 640)]
    pieces = [tile for diagonal in range(4) for tile in tiles(numbered, diagonal)]
    pixels = np.concatenate([piece.ravel() for piece in pieces])
    assert len(pieces) == 24
    assert len(np.unique(pixels)) == len(pixels)
    assert [photo.shape for photo in photographs()] == [(427, 640, 3)] * 2


@pytest.mark.usefixtures("few_scenes")
def test_painting_repeats_exactly_and_scenes_stand_alone():
    first, again = paint(["validation"]), paint(["test", "validation"])
    assert torch.equal(first.images, again.images[12:])
    assert torch.equal(first.masks, again.masks[12:])
    assert not torch.equal(again.images[:12], again.images[12:])


@pytest.mark.usefixtures("few_scenes")
def test_masks_hold_digits_on_background_and_the_ink_stands_out():
    scenes = paint(["train_fit"])
    assert scenes.images.shape == (12, 3, SIDE, SIDE)
    assert 0 <= float(scenes.images.min()) <= float(scenes.images.max()) <= 1
    luminance = torch.einsum("nchw,c->nhw", scenes.images, torch.tensor([0.299, 0.587, 0.114]))
    for mask, grey in zip(scenes.masks, luminance, strict=True):
        ink = mask != BACKGROUND
        assert 0.01 < float(ink.float().mean()) < 0.6
        assert float(grey[ink].std()) < LEAST_CONTRAST


@pytest.mark.usefixtures("few_scenes")
def test_validation_never_paints_the_test_part(monkeypatch):
    without_test = {name: source for name, source in digits_on_photos.SOURCES.items() if name != "test"}
    with_test = load_scenes("test")
    monkeypatch.setattr(digits_on_photos, "SOURCES", without_test)
    scenes = load_scenes("validation")
    assert len(scenes.fit.images) == len(scenes.choose.images) == len(scenes.score.images) == 12
    assert len(with_test.fit.images) == 24
    assert torch.equal(with_test.choose.images, scenes.score.images)
    assert scenes.digest != with_test.digest
    with pytest.raises(KeyError):
        load_scenes("test")
