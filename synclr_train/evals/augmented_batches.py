"""Batches of randomly cropped and mirrored real images, for classifiers that are trained on them.

A crop depends on (seed, epoch, row) alone, never on the batch, the worker or their number.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from synclr_train.evals.labelled_images import LabelledImages

AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)
ATTEMPTS = 10

Augment = Callable[[Image.Image, np.random.Generator], Tensor]
"""(image, draws) -> [3 side side]."""


class AugmentedImages(Dataset[tuple[Tensor, int]]):
    """One epoch's images in the order of `rows`, each under its own draws."""

    def __init__(
        self, images: LabelledImages, rows: Int[np.ndarray, " n"], augment: Augment, seed: int, epoch: int
    ) -> None:
        self.images, self.rows, self.augment, self.seed, self.epoch = images, rows, augment, seed, epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        row = int(self.rows[place])
        draws = np.random.default_rng((self.seed, self.epoch, row))
        return self.augment(self.images.open_image(row), draws), int(self.images.labels[row])


def epoch_order(rows: Int[np.ndarray, " n"], seed: int, epoch: int) -> Int[np.ndarray, " n"]:
    """The rows in the order in which an epoch sees them."""
    return np.random.default_rng((seed, epoch)).permutation(rows)


def augmented_batches(
    images: LabelledImages,
    rows: Int[np.ndarray, " n"],
    augment: Augment,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    num_workers: int,
) -> Iterator[tuple[Float[Tensor, "b 3 s s"], Int[Tensor, " b"]]]:
    """All whole batches of one epoch, shuffled; the images left over wait for the next epoch's order."""
    dataset = AugmentedImages(images, epoch_order(rows, seed, epoch), augment, seed, epoch)
    # fork: the readers of a data set are closures, and workers touch no GPU.
    context = "fork" if num_workers else None
    loader = DataLoader(
        dataset, batch_size, num_workers=num_workers, drop_last=True, multiprocessing_context=context
    )
    yield from loader


def crop_and_flip(side: int) -> Augment:
    """RandomResizedCrop (area 0.08 to 1, aspect 3/4 to 4/3, bilinear) and a mirror half of the time."""

    def augment(image: Image.Image, draws: np.random.Generator) -> Tensor:
        left, top, width, height = draw_box(image.size, draws)
        crop = image.resize(
            (side, side), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height)
        )
        if draws.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.asarray(crop).copy()).permute(2, 0, 1).float() / 255

    return augment


def draw_box(size: tuple[int, int], draws: np.random.Generator) -> tuple[int, int, int, int]:
    """Left, top, width and height in px of a crop of an image of `size` (width, height).

    Area and aspect are drawn until a box fits; after ten attempts the largest central box within the aspects.
    """
    width, height = size
    for _ in range(ATTEMPTS):
        area = width * height * draws.uniform(*AREA)
        aspect = np.exp(draws.uniform(*np.log(ASPECT)))
        box_width, box_height = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < box_width <= width and 0 < box_height <= height:
            left = int(draws.integers(0, width - box_width + 1))
            top = int(draws.integers(0, height - box_height + 1))
            return left, top, box_width, box_height
    box_width, box_height = min(width, round(height * ASPECT[1])), min(height, round(width / ASPECT[0]))
    return (width - box_width) // 2, (height - box_height) // 2, box_width, box_height
