"""Real labelled images for probing by name: scikit-learn's digits, the paper's sets, any folder of classes.

Every data set has fixed train, validation and test parts; what each may be used for is decided by `Roles`.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from synclr_train.evals.image_folders import FOLDER_PREFIX, load_folder
from synclr_train.evals.labelled_images import INNER_SHARE, LabelledImages, digest_of
from synclr_train.evals.scores import EvaluationError

DIGITS = "sklearn_digits"


def load_dataset(name: str) -> LabelledImages:
    """The data set called `sklearn_digits`, `folder:/path`, or `<paper's name>:/root`.

    Raises EvaluationError where there is none, in one sentence that says where it is expected.
    """
    if name == DIGITS:
        return load_digits()
    if name.startswith(FOLDER_PREFIX):
        return load_folder(Path(name.removeprefix(FOLDER_PREFIX)))
    from synclr_train.evals.paper_datasets import PAPER_DATASETS, load_paper_dataset

    known, _, root = name.partition(":")
    if known not in PAPER_DATASETS:
        raise EvaluationError(
            f"dataset {name!r} is unknown: give {DIGITS}, {FOLDER_PREFIX}/path/to/folder, "
            f"or NAME:/root/folder with NAME among {', '.join(PAPER_DATASETS)}"
        )
    if not root:
        raise EvaluationError(
            f"dataset {known} needs its root folder: write {known}:/root, "
            f"where /root/{PAPER_DATASETS[known].layout} stands"
        )
    return load_paper_dataset(known, Path(root))


def digit_images() -> tuple[Float[np.ndarray, "n 8 8"], Int[np.ndarray, " n"], dict[str, np.ndarray]]:
    """All digits as ink in [0, 1], their labels, and the rows of each part.

    The set is the 1797 test digits of UCI's "Optical Recognition of Handwritten Digits", by 13 writers whose
    digits mostly stand together, so contiguous parts are mostly, not strictly, by different writers.
    """
    from sklearn import datasets

    digits = datasets.load_digits()
    rows = {"train": np.arange(0, 900), "validation": np.arange(900, 1200), "test": np.arange(1200, 1797)}
    return digits.images / 16.0, digits.target.astype(np.int64), rows


def load_digits() -> LabelledImages:
    """1797 real digits of 8 x 8 px, bright ink on dark; rows 0-899 train, 900-1199 validate, others test."""
    ink, labels, rows = digit_images()

    def read(wanted: np.ndarray, side: int) -> Tensor:
        images = torch.from_numpy(ink[wanted]).float()[:, None]
        if side != ink.shape[-1]:
            images = torch.nn.functional.interpolate(images, (side, side), mode="bicubic", antialias=True)
        return images.clamp(0, 1).expand(-1, 3, -1, -1)

    def open_image(row: int) -> Image.Image:
        return Image.fromarray(np.round(255 * ink[row]).astype(np.uint8)).convert("RGB")

    return LabelledImages(
        name=DIGITS,
        digest=digest_of(ink.tobytes(), labels.tobytes()),
        class_names=tuple(str(digit) for digit in range(10)),
        labels=labels,
        rows=rows,
        inner_rows=rows["train"][-len(rows["train"]) // INNER_SHARE :],
        native_side=8,
        num_channels=1,
        read=read,
        open_image=open_image,
        standardise=False,  # the digits' rims are constant on most rows, and dividing by their deviation is noise
    )
