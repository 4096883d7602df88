"""Which patches of which images the student does not see (SynCLR 3.3; iBOT)."""

import torch
from jaxtyping import Bool
from torch import Tensor


def draw_masks(
    num_images: int,
    num_patches: int,
    *,
    image_share: float,
    patch_share: float,
    generator: torch.Generator,
) -> Bool[Tensor, "images patches"]:
    """Masks of exactly `image_share` of the images and `patch_share` of each one's patches, rounded down.

    True hides a patch. Every masked image hides the same number of patches, so that all devices gather
    equally many tokens. Drawn uniformly without replacement from `generator` (a CPU generator).
    """
    num_masked_images = int(num_images * image_share)
    num_masked_patches = int(num_patches * patch_share)
    masks = torch.zeros(num_images, num_patches, dtype=torch.bool)
    images = torch.randperm(num_images, generator=generator)[:num_masked_images]
    ranks = torch.rand(num_masked_images, num_patches, generator=generator).argsort(dim=1).argsort(dim=1)
    masks[images] = ranks < num_masked_patches
    return masks
