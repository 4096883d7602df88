"""Resizing, cropping and blurring of image batches as two matrix products, one per axis.

Every image has its own matrices, so a batch of different crops is one batched product on any device. Exact
antialiased bicubic, as Pillow and torchvision compute it; refuses nothing, knows no randomness.
"""

import torch
from jaxtyping import Float
from torch import Tensor

CUBIC_SHARPNESS = -0.5
"""The `a` of the cubic convolution kernel, as in Pillow and in torch's antialiased bicubic."""


def apply_along_axes(
    images: Float[Tensor, "b c h w"], rows: Float[Tensor, "#b oh h"], columns: Float[Tensor, "#b ow w"]
) -> Float[Tensor, "b c oh ow"]:
    """`rows @ image @ columns.T` for every image and channel; one pair of matrices may serve all images."""
    return rows.unsqueeze(1) @ images @ columns.unsqueeze(1).mT


def crop_matrix(
    starts: Float[Tensor, " b"], lengths: Float[Tensor, " b"], in_size: int, out_size: int
) -> Float[Tensor, "b out in"]:
    """Weights that resize the interval [start, start + length) of an axis of `in_size` pixels to `out_size`.

    Bicubic, antialiased when it shrinks; pixels outside the interval do not count, as if cropped first.
    `starts` and `lengths` are in pixels and may be fractional.
    """
    device = starts.device
    scale = (lengths / out_size).view(-1, 1, 1)
    first = starts.view(-1, 1, 1)
    out_centres = (torch.arange(out_size, device=device, dtype=torch.float32) + 0.5).view(1, -1, 1)
    in_centres = (torch.arange(in_size, device=device, dtype=torch.float32) + 0.5).view(1, 1, -1)
    weights = _cubic((in_centres - (first + out_centres * scale)) / scale.clamp(min=1.0))
    inside = (in_centres > first) & (in_centres < first + lengths.view(-1, 1, 1))
    weights = weights * inside
    return weights / weights.sum(dim=2, keepdim=True)


def blur_matrix(sigmas: Float[Tensor, " b"], size: int, num_taps: int) -> Float[Tensor, "b size size"]:
    """Weights of a Gaussian blur of `num_taps` taps along an axis of `size` pixels, reflected at its ends."""
    device = sigmas.device
    reach = min(num_taps // 2, size - 1)
    offsets = torch.arange(-reach, reach + 1, device=device)
    kernel = torch.exp(-0.5 * (offsets.float().unsqueeze(0) / sigmas.unsqueeze(1)) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    sources = (torch.arange(size, device=device).unsqueeze(1) + offsets).abs()
    sources = (size - 1) - ((size - 1) - sources).abs()
    matrix = torch.zeros(len(sigmas), size, size, device=device)
    index = sources.unsqueeze(0).expand(len(sigmas), -1, -1)
    return matrix.scatter_add_(2, index, kernel.unsqueeze(1).expand(-1, size, -1))


def _cubic(distance: Tensor) -> Tensor:
    x, a = distance.abs(), CUBIC_SHARPNESS
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
