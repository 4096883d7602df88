"""Real labelled images for probing: scikit-learn's handwritten digits, and any folder of class folders.

Every data set has fixed train, validation and test parts; what each may be used for is decided here alone.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from synclr_train.evals.protocol import Split
from synclr_train.evals.scores import EvaluationError

DIGITS = "sklearn_digits"
FOLDER_PREFIX = "folder:"
PARTS = ("train", "validation", "test")
FOLDER_NAMES = {"train": "train", "validation": "val", "test": "test"}
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff")
INNER_SHARE = 4
"""One train image in this many chooses constants when the validation part is what gets scored."""


@dataclass(frozen=True)
class Roles:
    """Rows by what may be done with them: fit a classifier, choose its constants, and be scored, once."""

    fit: Int[np.ndarray, " f"]
    choose: Int[np.ndarray, " c"]
    score: Int[np.ndarray, " s"]


@dataclass(frozen=True)
class LabelledImages:
    """A labelled data set whose pixels are read on demand, rows of all parts numbered together."""

    name: str
    digest: str
    class_names: tuple[str, ...]
    labels: Int[np.ndarray, " n"]
    rows: Mapping[str, np.ndarray]
    """Row numbers of `train`, `validation` and `test`."""
    inner_rows: Int[np.ndarray, " i"]
    """The train rows that choose constants when validation is scored."""
    native_side: int | None
    """Side of every image in px, or None where images differ."""
    num_channels: int
    """1 where the three channels are equal."""
    read: Callable[[np.ndarray, int], Tensor]
    """(row numbers, side in px) -> images [rows 3 side side] in [0, 1], centre cropped."""

    def roles(self, split: Split) -> Roles:
        """Test fits on train and chooses on validation; validation does both inside train, test unread."""
        if split == "test":
            return Roles(self.rows["train"], self.rows["validation"], self.rows["test"])
        if len(self.inner_rows) == 0:
            raise EvaluationError(
                f"scoring the validation part of {self.name} needs a class with at least {INNER_SHARE} "
                "train images to choose constants on: add images or score the test part"
            )
        outer = np.setdiff1d(self.rows["train"], self.inner_rows)
        return Roles(outer, self.inner_rows, self.rows["validation"])


def load_dataset(name: str) -> LabelledImages:
    """The data set called `sklearn_digits` or `folder:/path`; raises EvaluationError where there is none."""
    if name == DIGITS:
        return load_digits()
    if name.startswith(FOLDER_PREFIX):
        return load_folder(Path(name.removeprefix(FOLDER_PREFIX)))
    raise EvaluationError(f"dataset {name!r} is unknown: give {DIGITS} or {FOLDER_PREFIX}/path/to/folder")


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

    return LabelledImages(
        name=DIGITS,
        digest=_digest(ink.tobytes(), labels.tobytes()),
        class_names=tuple(str(digit) for digit in range(10)),
        labels=labels,
        rows=rows,
        inner_rows=rows["train"][-len(rows["train"]) // INNER_SHARE :],
        native_side=8,
        num_channels=1,
        read=read,
    )


def load_folder(root: Path) -> LabelledImages:
    """A folder `root/{train,val,test}/<class>/<image>`; raises EvaluationError naming what is missing."""
    classes = {part: _class_folders(root, part) for part in PARTS}
    class_names = tuple(classes["train"])
    for part in PARTS[1:]:
        if different := sorted(set(class_names) ^ set(classes[part])):
            raise EvaluationError(
                f"{root / FOLDER_NAMES[part]} and {root / 'train'} must hold the same class folders, "
                f"but only one of them has {different[0]!r}"
            )
    files: list[Path] = []
    labels: list[int] = []
    rows: dict[str, np.ndarray] = {}
    inner: list[int] = []
    for part in PARTS:
        first = len(files)
        for label, class_name in enumerate(class_names):
            found = classes[part][class_name]
            if part == "train":
                inner.extend(range(len(files) + INNER_SHARE - 1, len(files) + len(found), INNER_SHARE))
            files.extend(found)
            labels.extend([label] * len(found))
        rows[part] = np.arange(first, len(files))

    def read(wanted: np.ndarray, side: int) -> Tensor:
        return torch.stack([_read_square(files[row], side) for row in wanted])

    listing = "\n".join(f"{path.relative_to(root).as_posix()} {path.stat().st_size}" for path in files)
    return LabelledImages(
        name=f"{FOLDER_PREFIX}{root.name}",
        digest=_digest(listing.encode()),
        class_names=class_names,
        labels=np.array(labels),
        rows=rows,
        inner_rows=np.array(inner, dtype=np.int64),
        native_side=None,
        num_channels=3,
        read=read,
    )


def _class_folders(root: Path, part: str) -> dict[str, list[Path]]:
    folder = root / FOLDER_NAMES[part]
    if not folder.is_dir():
        raise EvaluationError(
            f"dataset folder {folder} does not exist: "
            f"expected {root}/train/<class>/<image> and likewise val and test"
        )
    classes = {}
    for class_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        images = sorted(path for path in class_folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if not images:
            raise EvaluationError(
                f"class folder {class_folder} holds no image: add images to it or remove it"
            )
        classes[class_folder.name] = images
    if len(classes) < 2:
        raise EvaluationError(f"{folder} must hold at least two class folders, but it holds {len(classes)}")
    return classes


def _read_square(path: Path, side: int) -> Tensor:
    """Shorter side resized to `side` with antialiasing, centre cropped (SynCLR appendix B)."""
    try:
        with Image.open(path) as image:
            image.load()
            rgb = image.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise EvaluationError(f"image {path} cannot be decoded ({error}): replace it or remove it") from error
    scale = side / min(rgb.size)
    width, height = max(side, round(rgb.width * scale)), max(side, round(rgb.height * scale))
    left, top = (width - side) // 2, (height - side) // 2
    square = rgb.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + side, top + side))
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1).float() / 255


def _digest(*chunks: bytes) -> str:
    hasher = hashlib.blake2b(digest_size=8)
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.hexdigest()
