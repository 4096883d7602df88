"""Which part of an image a crop sees, and the cut itself on uint8 pixels: the geometry of multi-crop (SynCLR 3.3).

Runs where images are decoded. Colour belongs to `augment`, on the device.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from synclr_train.config import AugmentConfig, CropsConfig
from synclr_train.decoding import decode, read_size, reduction_for
from synclr_train.draws import uniforms

IMAGE_STREAM = 0
"""Stream of an image's own draws; crop c draws its box from stream 1 + 2c and its colours from 2 + 2c."""
BOX_TRIES = 10
DRAWS_PER_BOX = 2 * BOX_TRIES + 3


@dataclass(frozen=True)
class Cutter:
    """Cuts all crops of an image; what it cuts depends on the image and its key alone."""

    crops: CropsConfig
    augment: AugmentConfig
    global_size: int
    """Side of a global crop, in pixels."""

    def cut(
        self, encoded: bytes, key: np.uint64
    ) -> tuple[UInt8[np.ndarray, "g 3 gs gs"], UInt8[np.ndarray, "l 3 ls ls"]]:
        """Global and local crops of one encoded image. Raises ValueError when it cannot be decoded."""
        crops = self.crops
        height, width = read_size(encoded)
        boxes, flips, shrunk_side = self.draw(key, height, width)
        sizes = [self.global_size] * crops.num_global + [crops.local_size] * crops.num_local
        # Every crop keeps `decode_sharpness` decoded pixels per pixel it needs.
        least_scale = float((crops.decode_sharpness * np.array(sizes) / boxes[:, 2:].min(axis=1)).max())
        pixels = decode(encoded, reduction_for(least_scale))
        if shrunk_side is not None:
            pixels = shrink_and_enlarge(pixels, shrunk_side)
        scales = np.array([pixels.shape[0] / height, pixels.shape[1] / width])
        cuts = [
            resize_crop(pixels, box, size, mirrored=bool(flip))
            for box, size, flip in zip(scale_boxes(boxes, scales), sizes, flips, strict=True)
        ]
        num_global, local = crops.num_global, (crops.num_local, 3, crops.local_size, crops.local_size)
        return np.stack(cuts[:num_global]), np.array(cuts[num_global:], dtype=np.uint8).reshape(local)

    def draw(
        self, key: np.uint64, height: int, width: int
    ) -> tuple[Int[np.ndarray, "crops 4"], Bool[np.ndarray, " crops"], int | None]:
        """What is drawn for one image: boxes, mirrorings, and the side to shrink the whole image to, if any.

        A box is top, left, height and width in pixels of the stored image.
        """
        crops, augment = self.crops, self.augment
        streams = [IMAGE_STREAM, *(1 + 2 * crop for crop in range(crops.num_global + crops.num_local))]
        of_image, *rows = uniforms(np.array([key], dtype=np.uint64), streams, DRAWS_PER_BOX)[0]
        of_crops = np.stack(rows)
        areas = np.array([crops.global_area] * crops.num_global + [crops.local_area] * crops.num_local)
        boxes = boxes_of(of_crops[:, :-1], height, width, areas, crops.aspect_ratio)
        shrunk_side = None
        if of_image[0] < augment.downsample_probability:
            shrunk_side = augment.downsample_sizes[int(of_image[1] * len(augment.downsample_sizes))]
        return boxes, of_crops[:, -1] < augment.flip_probability, shrunk_side


def boxes_of(
    draws: Float[np.ndarray, "n 22"],
    height: int,
    width: int,
    areas: Float[np.ndarray, "n 2"],
    aspect: tuple[float, float],
) -> Int[np.ndarray, "n 4"]:
    """Top, left, height and width of random boxes, in pixels, from uniform draws.

    The area is uniform, the aspect ratio log-uniform; of ten tries the first that fits is taken, else the
    largest centred box of an allowed ratio, as in torchvision's RandomResizedCrop.
    """
    area = height * width * _between(draws[:, :BOX_TRIES], areas[:, :1], areas[:, 1:])
    ratio = np.exp(_between(draws[:, BOX_TRIES : 2 * BOX_TRIES], math.log(aspect[0]), math.log(aspect[1])))
    widths, heights = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = (widths <= width) & (heights <= height) & (widths > 0) & (heights > 0)
    first, rows = fits.argmax(axis=1), np.arange(len(draws))
    box_height, box_width = heights[rows, first], widths[rows, first]
    place = draws[:, 2 * BOX_TRIES :]
    top = np.floor(place[:, 0] * (height - box_height + 1))
    left = np.floor(place[:, 1] * (width - box_width + 1))
    drawn = np.stack([top, left, box_height, box_width], axis=1)
    return np.where(fits.any(axis=1, keepdims=True), drawn, largest_box(height, width, aspect)).astype(
        np.int64
    )


def largest_box(height: int, width: int, aspect: tuple[float, float]) -> tuple[int, int, int, int]:
    """The largest centred box whose aspect ratio is allowed: top, left, height, width."""
    box_height, box_width = height, width
    if width / height < aspect[0]:
        box_height = round(width / aspect[0])
    elif width / height > aspect[1]:
        box_width = round(height * aspect[1])
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def scale_boxes(boxes: Int[np.ndarray, "n 4"], scales: Float[np.ndarray, " 2"]) -> Int[np.ndarray, "n 4"]:
    """Boxes of the stored image in pixels of the decoded one, their edges rounded to whole pixels."""
    first = np.rint(boxes[:, :2] * scales)
    end = np.rint((boxes[:, :2] + boxes[:, 2:]) * scales)
    return np.concatenate([first, np.maximum(end - first, 1)], axis=1).astype(np.int64)


def resize_crop(
    pixels: UInt8[np.ndarray, "h w 3"], box: Int[np.ndarray, " 4"], side: int, *, mirrored: bool
) -> UInt8[np.ndarray, "3 side side"]:
    """Cut `box` and resize it to a square: antialiased bicubic on uint8, as torchvision does."""
    top, left, height, width = box.tolist()
    cut = _resized(pixels[top : top + height, left : left + width], side, side).numpy()
    return cut[:, :, ::-1] if mirrored else cut


def shrink_and_enlarge(pixels: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "h w 3"]:
    """StableRep's random down-sampling: resize to a square of `side` pixels and back."""
    small = _resized(pixels, side, side).permute(1, 2, 0).numpy()
    return _resized(small, *pixels.shape[:2]).permute(1, 2, 0).numpy()


def _resized(pixels: np.ndarray, height: int, width: int) -> UInt8[Tensor, "3 height width"]:
    image = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
    return functional.interpolate(image, (height, width), mode="bicubic", antialias=True).squeeze(0)


def _between(draws: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
    return low + (high - low) * draws
