"""From stored images to the crops of one step: StableRep's random down-sampling, crops, flips, colour.

All strengths are drawn from one CPU generator that is seeded by (seed, step, rank): the same step gives the
same crops after a restart, on any device, with any number of loader processes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from synclr_train import colour
from synclr_train.config import AugmentConfig, CropsConfig
from synclr_train.resampling import apply_along_axes, blur_matrix, crop_matrix


def step_seed(seed: int, step: int, rank: int, purpose: int) -> int:
    """A 63-bit seed for one `purpose` at one step of one process; neighbours share no randomness."""
    return int(np.random.SeedSequence([seed, step, rank, purpose]).generate_state(1, np.uint64)[0] >> 1)


def step_generator(seed: int, step: int, rank: int, purpose: int) -> torch.Generator:
    """A CPU generator seeded by `step_seed`."""
    return torch.Generator().manual_seed(step_seed(seed, step, rank, purpose))


@dataclass(frozen=True)
class Crops:
    """The crops of one step, normalised; crop c of image i is at row c * num_images + i."""

    global_crops: Float[Tensor, "g 3 gs gs"]
    local_crops: Float[Tensor, "l 3 ls ls"] | None


@torch.no_grad()
def draw_crops(
    images: UInt8[Tensor, "n 3 s s"],
    crops: CropsConfig,
    augment: AugmentConfig,
    image_size: int,
    generator: torch.Generator,
) -> Crops:
    """Global crops of side `image_size`, then local crops, of every image (SynCLR 3.3)."""
    pixels = images.float() / 255
    pixels = _downsample_some(pixels, augment, generator)
    global_crops = [
        _one_crop(pixels, crops.global_area, image_size, crops, augment, generator, is_global=True)
        for _ in range(crops.num_global)
    ]
    local_crops = [
        _one_crop(pixels, crops.local_area, crops.local_size, crops, augment, generator, is_global=False)
        for _ in range(crops.num_local)
    ]
    return Crops(torch.cat(global_crops), torch.cat(local_crops) if local_crops else None)


def normalise(images: Float[Tensor, "b 3 h w"], augment: AugmentConfig) -> Float[Tensor, "b 3 h w"]:
    """Subtract the mean and divide by the standard deviation, per channel."""
    mean = torch.tensor(augment.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(augment.std, device=images.device).view(1, 3, 1, 1)
    return (images - mean) / std


def _one_crop(
    pixels: Tensor,
    area: tuple[float, float],
    out_size: int,
    crops: CropsConfig,
    augment: AugmentConfig,
    generator: torch.Generator,
    *,
    is_global: bool,
) -> Tensor:
    num, in_size, device = len(pixels), pixels.shape[-1], pixels.device
    boxes = draw_boxes(num, in_size, area, crops.aspect_ratio, generator).float().to(device)
    tops, lefts, heights, widths = boxes.unbind(dim=1)
    flips = _drawn(num, augment.flip_probability, generator).to(device).view(-1, 1, 1)
    columns = crop_matrix(lefts, widths, in_size, out_size)
    columns = torch.where(flips, columns.flip(1), columns)
    views = apply_along_axes(pixels, crop_matrix(tops, heights, in_size, out_size), columns).clamp_(0, 1)
    views = _jitter_some(views, augment, generator)
    greyed = _drawn(num, augment.grey_probability, generator)
    views = _change(views, greyed, lambda some, _: colour.grey(some).expand(-1, 3, -1, -1))
    blur_probabilities = torch.full((num,), augment.local_blur_probability)
    solarize_probabilities = torch.zeros(num)
    if is_global:
        way = (torch.rand(num, generator=generator) < 0.5).long()
        blur_probabilities = torch.tensor(augment.global_blur_probabilities)[way]
        solarize_probabilities = torch.tensor(augment.global_solarize_probabilities)[way]
    views = _blur_some(views, blur_probabilities, augment, generator)
    solarized = _drawn(num, solarize_probabilities, generator)
    views = _change(views, solarized, lambda some, _: colour.solarize(some))
    return normalise(views, augment)


def draw_boxes(
    num: int, in_size: int, area: tuple[float, float], aspect: tuple[float, float], generator: torch.Generator
) -> Int[Tensor, "n 4"]:
    """Top, left, height and width of `num` random boxes inside a square of side `in_size`, in pixels.

    The area is uniform, the aspect ratio log-uniform; of ten tries the first that fits is taken, else the
    whole image, as in torchvision's RandomResizedCrop.
    """
    tries = 10
    areas = in_size**2 * _uniform((num, tries), area, generator)
    ratios = torch.exp(_uniform((num, tries), (math.log(aspect[0]), math.log(aspect[1])), generator))
    widths, heights = (areas * ratios).sqrt().round().long(), (areas / ratios).sqrt().round().long()
    fits = (widths <= in_size) & (heights <= in_size) & (widths > 0) & (heights > 0)
    first = fits.float().argmax(dim=1, keepdim=True)
    found = fits.any(dim=1)
    width = torch.where(found, widths.gather(1, first).squeeze(1), in_size)
    height = torch.where(found, heights.gather(1, first).squeeze(1), in_size)
    places = torch.rand(num, 2, generator=generator)
    top = (places[:, 0] * (in_size - height + 1)).long()
    left = (places[:, 1] * (in_size - width + 1)).long()
    return torch.stack([top, left, height, width], dim=1)


def _downsample_some(pixels: Tensor, augment: AugmentConfig, generator: torch.Generator) -> Tensor:
    num, in_size = len(pixels), pixels.shape[-1]
    chosen = _drawn(num, augment.downsample_probability, generator)
    if not augment.downsample_sizes:
        return pixels
    picks = torch.randint(len(augment.downsample_sizes), (num,), generator=generator)
    for pick, size in enumerate(augment.downsample_sizes):
        start, whole, small = (torch.tensor([float(x)], device=pixels.device) for x in (0, in_size, size))
        there_and_back = crop_matrix(start, small, size, in_size) @ crop_matrix(start, whole, in_size, size)
        pixels = _change(
            pixels,
            chosen & (picks == pick),
            lambda some, _, m=there_and_back: apply_along_axes(some, m, m).clamp_(0, 1),  # type: ignore[misc]
        )
    return pixels


def _jitter_some(views: Tensor, augment: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation and hue of the drawn images, in one random order for all of them."""
    num = len(views)
    chosen = _drawn(num, augment.jitter_probability, generator)
    adjustments = (
        (colour.adjust_brightness, _factors(num, augment.brightness, generator)),
        (colour.adjust_contrast, _factors(num, augment.contrast, generator)),
        (colour.adjust_saturation, _factors(num, augment.saturation, generator)),
        (colour.adjust_hue, _uniform((num,), (-augment.hue, augment.hue), generator)),
    )
    order = torch.randperm(len(adjustments), generator=generator).tolist()

    def jitter(some: Tensor, rows: Tensor) -> Tensor:
        for index in order:
            adjust, strengths = adjustments[index]
            some = adjust(some, strengths[rows].to(some.device))
        return some

    return _change(views, chosen, jitter)


def _blur_some(
    views: Tensor, probabilities: Tensor, augment: AugmentConfig, generator: torch.Generator
) -> Tensor:
    num, size = len(views), views.shape[-1]
    chosen = _drawn(num, probabilities, generator)
    sigmas = _uniform((num,), augment.blur_sigma, generator)

    def blur(some: Tensor, rows: Tensor) -> Tensor:
        matrix = blur_matrix(sigmas[rows].to(some.device), size, augment.blur_kernel_size)
        return apply_along_axes(some, matrix, matrix)

    return _change(views, chosen, blur)


def _change(images: Tensor, chosen: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`images` with the `chosen` ones replaced by `change(those images, their row numbers)`."""
    rows = chosen.nonzero().squeeze(1)
    if len(rows) == 0:
        return images
    on_device = rows.to(images.device)
    return images.index_copy(0, on_device, change(images[on_device], rows))


def _drawn(num: int, probability: float | Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(num, generator=generator) < probability


def _uniform(shape: tuple[int, ...], bounds: tuple[float, float], generator: torch.Generator) -> Tensor:
    return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(shape, generator=generator)


def _factors(num: int, half_width: float, generator: torch.Generator) -> Tensor:
    return _uniform((num,), (max(0.0, 1 - half_width), 1 + half_width), generator)
