"""Any labelled folder: `<root>/{train,val,test}/<class>/<image>`, or `<root>/<class>/<image>` split here."""

from pathlib import Path

import numpy as np

from synclr_train.evals.labelled_images import PARTS, LabelledImages, Listing, from_listing, hold_out
from synclr_train.evals.scores import EvaluationError

FOLDER_PREFIX = "folder:"
FOLDER_NAMES = {"train": "train", "validation": "val", "test": "test"}
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff")
SPLIT_SHARE = 0.2
"""Share of the images that test, and share of the others that validates, where a folder has no parts."""

Classes = dict[str, list[Path]]


def load_folder(root: Path) -> LabelledImages:
    """The images below `root`; raises EvaluationError naming what is missing or out of place.

    A folder without `train`, `val` and `test` is split class by class, by a fixed shuffle.
    """
    if not root.is_dir():
        raise EvaluationError(
            f"dataset folder {root} does not exist: expected {root}/train/<class>/<image> and likewise val "
            f"and test, or {root}/<class>/<image>"
        )
    if any((root / name).is_dir() for name in FOLDER_NAMES.values()):
        parts = {part: class_folders(root / FOLDER_NAMES[part], root) for part in PARTS}
        _require_same_classes(parts, root)
    else:
        parts = split_classes(class_folders(root, root))
    class_names = tuple(parts["train"])
    return from_listing(
        f"{FOLDER_PREFIX}{root.name}", root, listing_of(parts, class_names), class_names, "accuracy"
    )


def listing_of(parts: dict[str, Classes], class_names: tuple[str, ...]) -> Listing:
    """Class folders of each part as one listing, classes in the order of `class_names`."""
    return Listing(
        files={part: [path for name in class_names for path in parts[part][name]] for part in PARTS},
        labels={
            part: np.repeat(np.arange(len(class_names)), [len(parts[part][name]) for name in class_names])
            for part in PARTS
        },
    )


def class_folders(folder: Path, root: Path) -> Classes:
    """Images by class. Raises EvaluationError for a missing folder, an empty class, or fewer than two."""
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


def split_classes(classes: Classes) -> dict[str, Classes]:
    """Train, validation and test files of each class. Raises EvaluationError for a class that is too small."""
    parts: dict[str, Classes] = {part: {} for part in PARTS}
    for name, files in classes.items():
        known, test = hold_out(len(files), SPLIT_SHARE)
        train, validation = hold_out(len(known), SPLIT_SHARE)
        if min(len(test), len(validation), len(train)) == 0:
            raise EvaluationError(
                f"class {name} has {len(files)} images, too few to split into train, validation and test: "
                "give it at least 7, or make the folders train, val and test"
            )
        parts["train"][name] = [files[known[row]] for row in train]
        parts["validation"][name] = [files[known[row]] for row in validation]
        parts["test"][name] = [files[row] for row in test]
    return parts


def _require_same_classes(parts: dict[str, Classes], root: Path) -> None:
    for part in PARTS[1:]:
        if different := sorted(set(parts["train"]) ^ set(parts[part])):
            raise EvaluationError(
                f"{root / FOLDER_NAMES[part]} and {root / 'train'} must hold the same class folders, "
                f"but only one of them has {different[0]!r}"
            )
