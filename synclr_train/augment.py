"""The colour of crops: jitter, grey, blur, solarize and normalisation of a whole step on its device (SynCLR 3.3).

Strengths are drawn per crop from its image's key, so that a crop looks the same whatever batch, device or
process it is met in. Where crops are cut is `cropping`'s business.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from synclr_train import colour
from synclr_train.batches import StepBatch
from synclr_train.config import AugmentConfig
from synclr_train.draws import uniforms

DRAWS_PER_CROP = 14
ADJUSTMENTS = (
    colour.adjust_brightness,
    colour.adjust_contrast,
    colour.adjust_saturation,
    colour.adjust_hue,
)


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


@dataclass(frozen=True)
class Strengths:
    """What happens to each crop of a group; all on the CPU."""

    jitters: Bool[Tensor, " n"]
    factors: Float[Tensor, "n 4"]
    """Brightness, contrast, saturation (1 changes nothing) and hue (in turns)."""
    order: Int[Tensor, "n 4"]
    """Which adjustment comes first, second, third and fourth."""
    greys: Bool[Tensor, " n"]
    blurs: Bool[Tensor, " n"]
    sigmas: Float[Tensor, " n"]
    """Of the blur, in pixels."""
    solarizes: Bool[Tensor, " n"]


@torch.no_grad()
def colour_crops(batch: StepBatch, augment: AugmentConfig) -> Crops:
    """The crops of a batch as the networks see them, on the device where the batch's crops are."""
    num_images = len(batch.image_keys)
    num_global = len(batch.global_crops) // num_images
    num_local = len(batch.local_crops) // num_images
    keys = batch.image_keys.numpy().view(np.uint64)
    global_strengths = draw_strengths(keys, range(num_global), augment, is_global=True)
    local_strengths = draw_strengths(
        keys, range(num_global, num_global + num_local), augment, is_global=False
    )
    return Crops(
        colour_group(batch.global_crops, global_strengths, augment),
        colour_group(batch.local_crops, local_strengths, augment) if num_local else None,
    )


def draw_strengths(keys: np.ndarray, crops: range, augment: AugmentConfig, *, is_global: bool) -> Strengths:
    """The strengths of crops number `crops` of the images with `keys`; crop by crop, then image by image.

    Global crops follow one of BYOL's two recipes of blur and solarize each; local crops have one of their own.
    """
    drawn = uniforms(keys, [2 + 2 * crop for crop in crops], DRAWS_PER_CROP)
    draws = torch.from_numpy(drawn.transpose(1, 0, 2).reshape(-1, DRAWS_PER_CROP))
    half_widths = torch.tensor([augment.brightness, augment.contrast, augment.saturation, augment.hue])
    centres = torch.tensor([1.0, 1.0, 1.0, 0.0])
    lowest = torch.tensor([0.0, 0.0, 0.0, -augment.hue])
    lows, highs = torch.maximum(centres - half_widths, lowest), centres + half_widths
    way = (draws[:, 11] >= 0.5).long()
    blur_probabilities = torch.full((len(draws),), augment.local_blur_probability)
    solarize_probabilities = torch.zeros(len(draws))
    if is_global:
        blur_probabilities = torch.tensor(augment.global_blur_probabilities)[way]
        solarize_probabilities = torch.tensor(augment.global_solarize_probabilities)[way]
    return Strengths(
        jitters=draws[:, 0] < augment.jitter_probability,
        factors=(lows + (highs - lows) * draws[:, 1:5]).float(),
        order=draws[:, 5:9].argsort(dim=1),
        greys=draws[:, 9] < augment.grey_probability,
        blurs=draws[:, 10] < blur_probabilities,
        sigmas=(
            augment.blur_sigma[0] + (augment.blur_sigma[1] - augment.blur_sigma[0]) * draws[:, 12]
        ).float(),
        solarizes=draws[:, 13] < solarize_probabilities,
    )


def colour_group(
    crops: UInt8[Tensor, "n 3 h w"], strengths: Strengths, augment: AugmentConfig
) -> Float[Tensor, "n 3 h w"]:
    """Jitter, grey, blur and solarize the crops that are drawn for it, then normalise all."""
    views = crops.float().div_(255)
    for place in range(len(ADJUSTMENTS)):
        for number, adjust in enumerate(ADJUSTMENTS):
            chosen = strengths.jitters & (strengths.order[:, place] == number)
            _change(views, chosen, adjust, strengths.factors[:, number])
    _change(views, strengths.greys, lambda some, _: colour.grey(some).expand(-1, 3, -1, -1))
    _change(
        views,
        strengths.blurs,
        lambda some, by: colour.blur(some, by, augment.blur_kernel_size),
        strengths.sigmas,
    )
    _change(views, strengths.solarizes, lambda some, _: colour.solarize(some))
    return normalise_(views, augment)


def normalise_(images: Float[Tensor, "b 3 h w"], augment: AugmentConfig) -> Float[Tensor, "b 3 h w"]:
    """Subtract the mean and divide by the standard deviation, per channel, in place."""
    mean = torch.tensor(augment.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(augment.std, device=images.device).view(1, 3, 1, 1)
    return images.sub_(mean).div_(std)


def _change(
    images: Tensor,
    chosen: Bool[Tensor, " n"],
    change: Callable[[Tensor, Tensor], Tensor],
    strengths: Float[Tensor, " n"] | None = None,
) -> None:
    """Replace the `chosen` images by `change(those images, their strengths)`, in place."""
    rows = chosen.nonzero().squeeze(1)
    if len(rows) == 0:
        return
    by = strengths[rows] if strengths is not None else rows
    on_device = rows.to(images.device, non_blocking=True)
    images.index_copy_(0, on_device, change(images[on_device], by.to(images.device, non_blocking=True)))
