"""A labelled data set whose pixels are read on demand, and what each of its rows may be used for.

Knows no data set by name (see `datasets`); every one of them becomes a `LabelledImages`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from synclr_train.evals.protocol import Split
from synclr_train.evals.scores import EvaluationError

PARTS = ("train", "validation", "test")
INNER_SHARE = 4
"""One train image in this many chooses constants when the validation part is what gets scored."""
PRESENT, ABSENT, UNDECIDED = 1, 0, -1
"""Entries of a multi-label row; an undecided one (VOC's "difficult") is neither fitted nor scored."""

Measure = Literal["accuracy", "mean_per_class", "map_11_point"]
"""What a data set is scored by (SynCLR appendix B)."""


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
    labels: np.ndarray
    """Class of every row [n], or [n classes] of PRESENT, ABSENT and UNDECIDED where several classes fit."""
    rows: Mapping[str, np.ndarray]
    """Row numbers of `train`, `validation` and `test`."""
    inner_rows: Int[np.ndarray, " i"]
    """The train rows that choose constants when validation is scored."""
    native_side: int | None
    """Side of every image in px, or None where images differ."""
    num_channels: int
    """1 where the three channels are equal."""
    read: Callable[[np.ndarray, int], Tensor]
    """(row numbers, side in px) -> images [rows 3 side side] in [0, 1], shorter side resized, centre cropped."""
    open_image: Callable[[int], Image.Image]
    """Row number -> the whole RGB image, for protocols that crop it their own way."""
    measure: Measure = "accuracy"
    standardise: bool = True
    """Whether a linear probe divides each feature by its deviation over the rows it is fitted on."""

    @property
    def is_multi_label(self) -> bool:
        """Whether an image may show several classes."""
        return self.labels.ndim == 2

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


@dataclass(frozen=True)
class Listing:
    """The image files of a data set with their labels, part by part, before any pixel is read."""

    files: Mapping[str, Sequence[Path]]
    labels: Mapping[str, np.ndarray]
    """[n] class numbers, or [n classes] of PRESENT, ABSENT and UNDECIDED."""


@dataclass(frozen=True)
class Pixels:
    """A data set that is small enough to stand in memory: grey images with their labels, part by part."""

    images: Mapping[str, np.ndarray]
    """[n side side], uint8."""
    labels: Mapping[str, np.ndarray]
    """[n] class numbers."""


def from_pixels(name: str, pixels: Pixels, class_names: Sequence[str], measure: Measure) -> LabelledImages:
    """The data set of `pixels`; its digest covers every pixel and label."""
    images = np.concatenate([pixels.images[part] for part in PARTS])
    labels = np.concatenate([pixels.labels[part] for part in PARTS]).astype(np.int64)
    rows = _rows_of_parts({part: len(pixels.images[part]) for part in PARTS})

    def open_image(row: int) -> Image.Image:
        return Image.fromarray(images[row]).convert("RGB")

    return LabelledImages(
        name=name,
        digest=digest_of(images.tobytes(), labels.tobytes(), *(one.tobytes() for one in rows.values())),
        class_names=tuple(class_names),
        labels=labels,
        rows=rows,
        inner_rows=every_fourth(labels, rows["train"]),
        native_side=images.shape[-1],
        num_channels=1,
        read=lambda wanted, side: torch.stack([centre_square(open_image(int(row)), side) for row in wanted]),
        open_image=open_image,
        measure=measure,
    )


def from_listing(
    name: str, root: Path, listing: Listing, class_names: Sequence[str], measure: Measure
) -> LabelledImages:
    """The data set of `listing`; its digest covers the paths below `root`, sizes, labels and parts."""
    files = [path for part in PARTS for path in listing.files[part]]
    labels = np.concatenate([np.asarray(listing.labels[part], dtype=np.int64) for part in PARTS])
    rows = _rows_of_parts({part: len(listing.files[part]) for part in PARTS})
    named = "\n".join(
        f"{part} {path.relative_to(root).as_posix()} {_size_bytes(name, path)}"
        for part in PARTS
        for path in listing.files[part]
    )

    def read(wanted: np.ndarray, side: int) -> Tensor:
        return torch.stack([centre_square(open_rgb(files[row]), side) for row in wanted])

    return LabelledImages(
        name=name,
        digest=digest_of(named.encode(), labels.tobytes()),
        class_names=tuple(class_names),
        labels=labels,
        rows=rows,
        inner_rows=every_fourth(labels, rows["train"]),
        native_side=None,
        num_channels=3,
        read=read,
        open_image=lambda row: open_rgb(files[row]),
        measure=measure,
    )


def every_fourth(labels: np.ndarray, train: Int[np.ndarray, " t"]) -> Int[np.ndarray, " i"]:
    """Every fourth train row of each class, or every fourth train row where rows have several classes."""
    if labels.ndim == 2:
        return train[INNER_SHARE - 1 :: INNER_SHARE]
    by_class = train[np.argsort(labels[train], kind="stable")]
    _, counts = np.unique(labels[train], return_counts=True)
    places = np.concatenate([np.arange(count) for count in counts])
    return np.sort(by_class[places % INNER_SHARE == INNER_SHARE - 1])


def hold_out(num_rows: int, share: float) -> tuple[Int[np.ndarray, " t"], Int[np.ndarray, " v"]]:
    """Rows to train on and rows to validate on, for a set that has no validation part of its own.

    The rows are shuffled by numpy's legacy generator from seed 0 and the first `share` of them validates, as
    in the evaluation script that the paper's authors published (`valid_size=0.2, random_seed=0`).
    """
    order = np.arange(num_rows)
    np.random.RandomState(0).shuffle(order)
    num_held_out = int(num_rows * share)
    return np.sort(order[num_held_out:]), np.sort(order[:num_held_out])


def open_rgb(path: Path) -> Image.Image:
    """The decoded image. Raises EvaluationError, naming the file, where it cannot be decoded."""
    try:
        with Image.open(path) as image:
            image.load()
            return image.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise EvaluationError(f"image {path} cannot be decoded ({error}): replace it or remove it") from error


def centre_square(rgb: Image.Image, side: int, *, shorter_side: int | None = None) -> Tensor:
    """[3 side side] in [0, 1]: shorter side resized to `shorter_side` (default `side`) with antialiasing,
    then the centre cropped (SynCLR appendix B)."""
    resized = shorter_side or side
    scale = resized / min(rgb.size)
    width, height = max(resized, round(rgb.width * scale)), max(resized, round(rgb.height * scale))
    left, top = (width - side) // 2, (height - side) // 2
    square = rgb.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + side, top + side))
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1).float() / 255


def digest_of(*chunks: bytes) -> str:
    """16 hexadecimal characters."""
    hasher = hashlib.blake2b(digest_size=8)
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.hexdigest()


def _rows_of_parts(num_rows: Mapping[str, int]) -> dict[str, np.ndarray]:
    ends = np.cumsum([0, *(num_rows[part] for part in PARTS)])
    return {part: np.arange(ends[number], ends[number + 1]) for number, part in enumerate(PARTS)}


def _size_bytes(name: str, path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        raise EvaluationError(
            f"dataset {name} lists {path}, which does not exist: extract the whole archive again"
        ) from None
