"""Images with a class for every pixel: ADE20k, VOC 2012, any folder of images and masks, and the digits.

Files are read one at a time; masks keep their own size. Which images may train, and which are scored, is decided
here alone. Nothing is downloaded.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from synclr_train.evals import digits_on_photos
from synclr_train.evals.digits_on_photos import DIGITS_ON_PHOTOS
from synclr_train.evals.image_folders import IMAGE_SUFFIXES
from synclr_train.evals.protocol import Split
from synclr_train.evals.scores import EvaluationError

IGNORED = 255
"""Mask value of a pixel that neither trains nor counts."""
HELD_OUT = 20
"""One training image in this many is scored, and trains nothing, where the split is `validation`."""
ADE20K_CLASSES = 150
VOC_CLASSES = tuple(
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor".split()
)
LAYOUTS = {
    "ade20k": "ADEChallengeData2016 as published: images/{training,validation}/*.jpg, "
    "annotations/{training,validation}/*.png, objectInfo150.txt",
    "voc2012": "VOCdevkit/VOC2012 as published: JPEGImages/*.jpg, SegmentationClass/*.png, "
    "ImageSets/Segmentation/{train,val}.txt",
    "folder": "{train,val,test}/images/NAME.jpg with {train,val,test}/masks/NAME.png of class numbers from 0 "
    "(255 is ignored), and classes.txt with one name a line",
}
"""What the folder after the colon must hold, by data set."""


@dataclass(frozen=True)
class Example:
    """One image and its mask at their own size, which may be two sizes."""

    image: UInt8[np.ndarray, "h w 3"]
    mask: Int[np.ndarray, "mh mw"]
    """Class numbers from 0, or IGNORED."""


@dataclass(frozen=True)
class SegmentationSet:
    """A data set of which a part trains and a part is scored."""

    name: str
    digest: str
    """Hash of the names and sizes of all files of both parts."""
    class_names: tuple[str, ...]
    num_train: int
    num_score: int
    read_train: Callable[[int], Example]
    read_score: Callable[[int], Example]


def load_segmentation_set(name: str, split: Split) -> SegmentationSet:
    """`digits_on_photos`, `ade20k:/path`, `voc2012:/path` or `folder:/path`; EvaluationError where it is not.

    ADE20k and VOC publish no test masks: their `test` is the official validation part, as the literature scores
    it, and their `validation` holds images out of the training part.
    """
    if name == DIGITS_ON_PHOTOS:
        return _digits(split)
    kind, separator, path = name.partition(":")
    if kind not in LAYOUTS or not separator or not path:
        raise EvaluationError(
            f"dataset {name!r} has no masks: give {DIGITS_ON_PHOTOS}, ade20k:/path, voc2012:/path or folder:/path"
        )
    root = Path(path)
    make = {"ade20k": _ade20k, "voc2012": _voc2012, "folder": _folder}[kind]
    return make(root, split)


@dataclass(frozen=True)
class _Pairs:
    """Image and mask files of one part, in order, and how a mask's numbers become classes."""

    files: tuple[tuple[Path, Path], ...]
    num_classes: int
    zero_is_ignored: bool = False

    def read(self, number: int) -> Example:
        image_path, mask_path = self.files[number]
        image = np.asarray(_open(image_path).convert("RGB"))
        mask = np.asarray(_open(mask_path))
        if mask.ndim != 2 or mask.dtype.kind not in "ui":
            raise EvaluationError(
                f"mask {mask_path} is no image of one channel of class numbers: convert it, or name another folder"
            )
        mask = mask.astype(np.int64)
        if self.zero_is_ignored:
            mask = np.where(mask == 0, IGNORED, mask - 1)
        wrong = mask[(mask >= self.num_classes) & (mask != IGNORED)]
        if len(wrong):
            raise EvaluationError(
                f"mask {mask_path} holds class {int(wrong[0])}, but there are {self.num_classes} classes from 0: "
                f"add its name to the classes or write {IGNORED} for pixels to ignore"
            )
        return Example(image, mask)


def _ade20k(root: Path, split: Split) -> SegmentationSet:
    info = root / "objectInfo150.txt"
    _require(info, "ade20k")
    rows = [line.split("\t") for line in info.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    names = tuple(row[-1].split(",")[0].strip() for row in rows)
    if len(names) != ADE20K_CLASSES:
        raise EvaluationError(
            f"{info} names {len(names)} classes, not {ADE20K_CLASSES}: take the published file"
        )

    def part(name: str) -> _Pairs:
        files = _paired(root / "images" / name, root / "annotations" / name, "ade20k")
        return _Pairs(files, len(names), zero_is_ignored=True)

    return _without_test("ade20k", names, part("training"), lambda: part("validation"), split)


def _voc2012(root: Path, split: Split) -> SegmentationSet:
    def part(name: str) -> _Pairs:
        listing = root / "ImageSets" / "Segmentation" / f"{name}.txt"
        _require(listing, "voc2012")
        pairs = tuple(
            (root / "JPEGImages" / f"{stem}.jpg", root / "SegmentationClass" / f"{stem}.png")
            for stem in listing.read_text(encoding="utf-8").split()
        )
        for path in (path for pair in pairs for path in pair):
            _require(path, "voc2012")
        return _Pairs(pairs, len(VOC_CLASSES))

    return _without_test("voc2012", VOC_CLASSES, part("train"), lambda: part("val"), split)


def _folder(root: Path, split: Split) -> SegmentationSet:
    """`test` trains on train and val together, `validation` on train alone and never opens test."""
    listing = root / "classes.txt"
    _require(listing, "folder")
    names = tuple(line.strip() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip())
    if not 2 <= len(names) <= IGNORED:
        raise EvaluationError(f"{listing} names {len(names)} classes: name at least 2 and at most {IGNORED}")

    def part(*parts: str) -> _Pairs:
        found = [
            pair for one in parts for pair in _paired(root / one / "images", root / one / "masks", "folder")
        ]
        return _Pairs(tuple(found), len(names))

    train, score = (part("train", "val"), part("test")) if split == "test" else (part("train"), part("val"))
    return _set(f"folder:{root.name}", names, train, score)


def _digits(split: Split) -> SegmentationSet:
    """Painted scenes; the parts are those of the linear head, fit and choose joined for training."""
    roles = digits_on_photos.load_scenes(split)

    def reader(*parts: digits_on_photos.Scenes) -> Callable[[int], Example]:
        images = np.concatenate(
            [(one.images * 255).round().byte().permute(0, 2, 3, 1).numpy() for one in parts]
        )
        masks = np.concatenate([one.masks.numpy() for one in parts])
        return lambda number: Example(images[number], masks[number])

    return SegmentationSet(
        name=DIGITS_ON_PHOTOS,
        digest=roles.digest,
        class_names=digits_on_photos.CLASS_NAMES,
        num_train=len(roles.fit.images) + len(roles.choose.images),
        num_score=len(roles.score.images),
        read_train=reader(roles.fit, roles.choose),
        read_score=reader(roles.score),
    )


def _without_test(
    name: str, class_names: tuple[str, ...], train: _Pairs, official: Callable[[], _Pairs], split: Split
) -> SegmentationSet:
    if split == "test":
        return _set(name, class_names, train, official())
    held_out = train.files[HELD_OUT - 1 :: HELD_OUT]
    if not held_out:
        raise EvaluationError(f"{name} has fewer than {HELD_OUT} training images: score the test part")
    kept = tuple(pair for number, pair in enumerate(train.files) if number % HELD_OUT != HELD_OUT - 1)
    inner = _Pairs(kept, train.num_classes, train.zero_is_ignored)
    return _set(name, class_names, inner, _Pairs(tuple(held_out), train.num_classes, train.zero_is_ignored))


def _set(name: str, class_names: tuple[str, ...], train: _Pairs, score: _Pairs) -> SegmentationSet:
    hasher = hashlib.blake2b("\n".join(class_names).encode(), digest_size=8)
    for part in (train, score):
        for pair in part.files:
            hasher.update("".join(f"{path.name} {path.stat().st_size}\n" for path in pair).encode())
        hasher.update(b"--\n")
    return SegmentationSet(
        name=name,
        digest=hasher.hexdigest(),
        class_names=class_names,
        num_train=len(train.files),
        num_score=len(score.files),
        read_train=train.read,
        read_score=score.read,
    )


def _paired(images: Path, masks: Path, kind: str) -> tuple[tuple[Path, Path], ...]:
    """Every image with the mask of its name; EvaluationError names the first image without one."""
    for folder in (images, masks):
        _require(folder, kind)
    found: Sequence[Path] = sorted(path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise EvaluationError(f"{images} holds no image: expected {LAYOUTS[kind]}")
    pairs = tuple((path, masks / f"{path.stem}.png") for path in found)
    for image, mask in pairs:
        if not mask.is_file():
            raise EvaluationError(f"image {image} has no mask {mask}: add it or remove the image")
    return pairs


def _require(path: Path, kind: str) -> None:
    if not path.exists():
        raise EvaluationError(f"{kind} is not complete: {path} does not exist; expected {LAYOUTS[kind]}")


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, SyntaxError) as error:
        raise EvaluationError(f"image {path} cannot be decoded ({error}): replace it or remove it") from error
