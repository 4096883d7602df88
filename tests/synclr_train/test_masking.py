"""Masks hide exactly the stated shares, and depend on their generator alone."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from synclr_train.masking import draw_masks


def draw(images: int, patches: int, image_share: float, patch_share: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return draw_masks(images, patches, image_share=image_share, patch_share=patch_share, generator=generator)


@given(
    images=st.integers(1, 40),
    patches=st.integers(1, 64),
    image_share=st.floats(0, 1),
    patch_share=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_shares_are_exact(images, patches, image_share, patch_share, seed):
    masks = draw(images, patches, image_share, patch_share, seed)
    per_image = masks.sum(dim=1)
    hidden = int(patches * patch_share)
    assert set(per_image.tolist()) <= {0, hidden}
    assert (per_image > 0).sum() == (int(images * image_share) if hidden else 0)


def test_images_and_patches_are_drawn_at_random():
    masks = torch.stack([draw(10, 16, 0.5, 0.5, seed) for seed in range(400)]).float()
    assert ((masks.amax(dim=2).mean(dim=0) - 0.5).abs() < 0.1).all()
    assert ((masks.mean(dim=(0, 1)) - 0.25).abs() < 0.05).all()


def test_a_seed_names_its_masks():
    assert torch.equal(draw(8, 16, 0.5, 0.5, 3), draw(8, 16, 0.5, 0.5, 3))
    assert not torch.equal(draw(8, 16, 0.5, 0.5, 3), draw(8, 16, 0.5, 0.5, 4))
