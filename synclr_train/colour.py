"""Colour changes and blur on image batches, every image with its own strength. Knows no randomness.

Images are RGB on a 0 to 1 scale; strengths are vectors of one number per image. The formulas are those of
torchvision's ColorJitter, RandomGrayscale, GaussianBlur and RandomSolarize.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in the grey value (ITU-R BT.601)."""
SOLARIZE_THRESHOLD = 128 / 255
"""As on uint8 images, where BYOL-style training inverts values from 128 on."""


def grey(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """The grey value of every pixel."""
    red, green, blue = images.unbind(dim=1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(1)


def adjust_brightness(
    images: Float[Tensor, "b 3 h w"], factors: Float[Tensor, " b"]
) -> Float[Tensor, "b 3 h w"]:
    """Blend with black; factor 1 changes nothing."""
    return (images * factors.view(-1, 1, 1, 1)).clamp(0, 1)


def adjust_contrast(
    images: Float[Tensor, "b 3 h w"], factors: Float[Tensor, " b"]
) -> Float[Tensor, "b 3 h w"]:
    """Blend with the image's mean grey value; factor 1 changes nothing."""
    mean = grey(images).mean(dim=(2, 3), keepdim=True)
    return torch.lerp(mean.expand_as(images), images, factors.view(-1, 1, 1, 1)).clamp(0, 1)


def adjust_saturation(
    images: Float[Tensor, "b 3 h w"], factors: Float[Tensor, " b"]
) -> Float[Tensor, "b 3 h w"]:
    """Blend with the grey image; factor 1 changes nothing."""
    return torch.lerp(grey(images).expand_as(images), images, factors.view(-1, 1, 1, 1)).clamp(0, 1)


def adjust_hue(images: Float[Tensor, "b 3 h w"], shifts: Float[Tensor, " b"]) -> Float[Tensor, "b 3 h w"]:
    """Turn the hue of HSV by `shifts` turns; 0 changes nothing.

    A channel of HSV is value - chroma * clamp(min(k, 4 - k), 0, 1) with k = (n + 6 hue) mod 6 and n = 5, 3, 1
    for red, green, blue.
    """
    value, lowest = images.amax(dim=1), images.amin(dim=1)
    chroma = value - lowest
    divisor = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    red, green, blue = images.unbind(dim=1)
    sextant = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sextant = sextant + 6 * shifts.view(-1, 1, 1)
    channels = []
    for first in (5, 3, 1):
        k = (first + sextant) % 6
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, dim=1)


def blur(
    images: Float[Tensor, "b 3 h w"], sigmas: Float[Tensor, " b"], num_taps: int
) -> Float[Tensor, "b 3 h w"]:
    """Gaussian blur of `num_taps` taps per axis, reflected at the edges; `sigmas` in pixels.

    Images smaller than the kernel are blurred with as many taps as fit.
    """
    num, channels, height, width = images.shape
    reach = min(num_taps // 2, height - 1, width - 1)
    offsets = torch.arange(-reach, reach + 1, device=images.device)
    kernels = torch.exp(-0.5 * (offsets / sigmas.unsqueeze(1)) ** 2)
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    planes = num * channels
    padded = functional.pad(images.reshape(1, planes, height, width), (reach,) * 4, mode="reflect")
    down = functional.conv2d(padded, kernels.view(planes, 1, -1, 1), groups=planes)
    return functional.conv2d(down, kernels.view(planes, 1, 1, -1), groups=planes).view(images.shape)


def solarize(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Invert every value that is at least 128 of 255."""
    return torch.where(images >= SOLARIZE_THRESHOLD, 1 - images, images)
