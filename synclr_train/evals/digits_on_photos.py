"""A segmentation set of real pixels: handwritten digits, tinted and pasted on photographs, with their masks.

Painted anew from fixed seeds whenever it is asked for. No digit and no piece of photograph serves two parts.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from synclr_train.evals.datasets import digit_images
from synclr_train.evals.protocol import Split

DIGITS_ON_PHOTOS = "digits_on_photos"
CLASS_NAMES = (*(str(digit) for digit in range(10)), "background")
BACKGROUND = 10
SIDE = 96
"""Side of images and masks in px."""
DIGIT_SIDES = (44, 80)
"""Smallest and largest side of a pasted digit in px."""
MOST_DIGITS = 2
LEAST_CONTRAST = 0.35
"""Least difference of luminance between a tint and the mean of what it covers, on a 0 to 1 scale."""
TILE_GRID = (4, 6)
"""Rows and columns of tiles that each photograph is cut into."""
SMALLEST_CROP = 64
"""Smallest side of a background cut from a tile, in px of the photograph."""
TRIES = 30

_LUMINANCE = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Source:
    """What one set of scenes is painted from: digit rows [first, last) and the tiles of one diagonal."""

    first_digit: int
    last_digit: int
    diagonal: int
    """Tile (row, column) belongs to diagonal (row + column) % 4."""
    num_scenes: int


SOURCES = {
    "train_fit": Source(0, 675, 0, 240),
    "train_choose": Source(675, 900, 1, 80),
    "validation": Source(900, 1200, 2, 150),
    "test": Source(1200, 1797, 3, 300),
}
"""The train part is the first two; apart from each other they serve when validation is what gets scored."""


@dataclass(frozen=True)
class Scenes:
    """Images in [0, 1] and, for every pixel, a class: 0 to 9 the digit, 10 the background."""

    images: Float[Tensor, "n 3 s s"]
    masks: Int[Tensor, "n s s"]


@dataclass(frozen=True)
class SceneRoles:
    """Scenes by what may be done with them, and the hash of all their pixels."""

    fit: Scenes
    choose: Scenes
    score: Scenes
    digest: str


def load_scenes(split: Split) -> SceneRoles:
    """Test fits on train and chooses on validation; validation does both inside train and paints no test."""
    fit_names, choose_name = (
        (("train_fit", "train_choose"), "validation") if split == "test" else (("train_fit",), "train_choose")
    )
    fit, choose, score = paint(fit_names), paint([choose_name]), paint([split])
    hasher = hashlib.blake2b(digest_size=8)
    for scenes in (fit, choose, score):
        hasher.update((scenes.images * 255).round().byte().numpy().tobytes())
        hasher.update(scenes.masks.byte().numpy().tobytes())
    return SceneRoles(fit, choose, score, hasher.hexdigest())


def paint(names: Sequence[str]) -> Scenes:
    """All scenes of the named sources; scene i of a source depends on the source's name and on i alone."""
    ink, labels, _ = digit_images()
    photos = photographs()
    images, masks = [], []
    for name in names:
        source = SOURCES[name]
        backgrounds = tiles(photos, source.diagonal)
        for scene in range(source.num_scenes):
            draws = np.random.default_rng([*name.encode(), scene])
            image, mask = _paint_scene(draws, ink, labels, source, backgrounds)
            images.append(image)
            masks.append(mask)
    stacked = np.stack(images).astype(np.float32) / 255
    return Scenes(
        torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(np.stack(masks))
    )


def photographs() -> list[np.ndarray]:
    """The photographs that scikit-learn ships, 427 x 640 px: a pagoda (china.jpg), a dahlia (flower.jpg)."""
    from sklearn import datasets

    return [datasets.load_sample_image(name) for name in ("china.jpg", "flower.jpg")]


def tiles(photos: Sequence[np.ndarray], diagonal: int) -> list[np.ndarray]:
    """The tiles of every photograph whose (row + column) % 4 is `diagonal`; tiles never overlap."""
    found = []
    for photo in photos:
        height, width = photo.shape[0] // TILE_GRID[0], photo.shape[1] // TILE_GRID[1]
        for row in range(TILE_GRID[0]):
            for column in range(TILE_GRID[1]):
                if (row + column) % 4 == diagonal:
                    found.append(
                        photo[row * height : (row + 1) * height, column * width : (column + 1) * width]
                    )
    return found


def _paint_scene(
    draws: np.random.Generator,
    ink: np.ndarray,
    labels: np.ndarray,
    source: Source,
    backgrounds: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    canvas = _background(draws, backgrounds[int(draws.integers(len(backgrounds)))])
    mask = np.full((SIDE, SIDE), BACKGROUND, dtype=np.int64)
    taken = np.zeros((SIDE, SIDE), dtype=bool)
    for _ in range(draws.integers(1, MOST_DIGITS + 1)):
        row = draws.integers(source.first_digit, source.last_digit)
        side = int(draws.integers(DIGIT_SIDES[0], DIGIT_SIDES[1] + 1))
        box = _free_box(draws, taken, side)
        if box is None:
            continue
        taken[box] = True
        alpha = _stroke(ink[row], side)
        tint = _legible_tint(draws, canvas[box][alpha > 0.5].mean(0))
        canvas[box] += alpha[:, :, None] * (tint - canvas[box])
        mask[box][alpha > 0.5] = labels[row]
    return (canvas * 255).round().astype(np.uint8), mask


def _background(draws: np.random.Generator, tile: np.ndarray) -> np.ndarray:
    crop = int(draws.integers(SMALLEST_CROP, min(tile.shape[:2]) + 1))
    top, left = (int(draws.integers(0, length - crop + 1)) for length in tile.shape[:2])
    cut = Image.fromarray(tile[top : top + crop, left : left + crop])
    if draws.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(cut.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255


def _free_box(draws: np.random.Generator, taken: np.ndarray, side: int) -> tuple[slice, slice] | None:
    """A square on which nothing lies yet, or None when none was found; the first digit always finds one."""
    for _ in range(TRIES):
        top, left = (int(corner) for corner in draws.integers(0, SIDE - side + 1, size=2))
        box = (slice(top, top + side), slice(left, left + side))
        if not taken[box].any():
            return box
    return None


def _stroke(ink: Float[np.ndarray, "8 8"], side: int) -> Float[np.ndarray, "s s"]:
    """Opacity of the digit's strokes at `side` px, rimmed by one source pixel so that none is cut off."""
    rimmed = Image.fromarray(np.pad(ink, 1).astype(np.float32))
    smooth = np.asarray(rimmed.resize((side, side), Image.Resampling.BICUBIC))
    return np.clip((smooth - 0.3) / 0.3, 0, 1)


def _legible_tint(draws: np.random.Generator, covered: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """The first drawn colour that stands out in luminance from what it covers, else black or white."""
    luminance = float(covered @ _LUMINANCE)
    for _ in range(TRIES):
        tint = draws.random(3)
        if abs(float(tint @ _LUMINANCE) - luminance) >= LEAST_CONTRAST:
            return tint
    return np.zeros(3) if luminance > 0.5 else np.ones(3)
