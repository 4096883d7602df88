"""The picture of a segmentation: scenes, their truth, and what each subject saw in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from synclr_train.atomic_files import write_atomically
from synclr_train.evals.pictures import PALETTE, Row, overlay, png_bytes, sheet, to_image

NUM_SCENES = 8
CELL_SIDE = 144
MOST_LEGEND_CLASSES = 10
UNCOLOURED = 255
"""Mask value that gets no colour: ignored pixels, and the background where there is one."""


@dataclass(frozen=True)
class Scene:
    """One scene with its true and its predicted mask; image and masks may differ in size."""

    image: UInt8[np.ndarray, "h w 3"]
    truth: Int[np.ndarray, "mh mw"]
    predicted: Int[np.ndarray, "mh mw"]


def write_overlay_sheet(
    path: Path, scenes: Mapping[str, Sequence[Scene]], class_names: Sequence[str]
) -> None:
    """Writes the first scenes, uncurated: image, truth, and one row for each subject's masks.

    The legend names the classes that cover most of these scenes' truth.
    """
    first = next(iter(scenes.values()))[:NUM_SCENES]
    images = [_square(scene.image) for scene in first]
    masks = {"truth": [scene.truth for scene in first]}
    masks |= {name: [scene.predicted for scene in seen[:NUM_SCENES]] for name, seen in scenes.items()}
    rows = [Row("image", [to_image(image, CELL_SIDE) for image in images])]
    for name, each in masks.items():
        cells = [
            overlay(image, _visible(mask, class_names), UNCOLOURED, CELL_SIDE)
            for image, mask in zip(images, each, strict=True)
        ]
        rows.append(Row(name.replace("_", " "), cells))
    visible = [_visible(mask, class_names).ravel() for mask in masks["truth"]]
    covered = np.bincount(np.concatenate(visible), minlength=256)
    labels = [
        int(label) for label in np.argsort(-covered, kind="stable") if covered[label] and label != UNCOLOURED
    ]
    legend = [
        (class_names[label], PALETTE[label % len(PALETTE)]) for label in sorted(labels[:MOST_LEGEND_CLASSES])
    ]
    write_atomically(path, png_bytes(sheet(rows, legend)))


def _square(image: UInt8[np.ndarray, "h w 3"]) -> np.ndarray:
    resized = Image.fromarray(image).resize((CELL_SIDE, CELL_SIDE), Image.Resampling.BICUBIC)
    return np.asarray(resized).transpose(2, 0, 1) / 255


def _visible(mask: Int[np.ndarray, "h w"], class_names: Sequence[str]) -> Int[np.ndarray, "s s"]:
    """The mask at a cell's size, with what gets no colour as UNCOLOURED."""
    background = class_names.index("background") if "background" in class_names else UNCOLOURED
    resized = Image.fromarray(mask.astype(np.uint8)).resize((CELL_SIDE, CELL_SIDE), Image.Resampling.NEAREST)
    shown = np.asarray(resized).astype(np.int64)
    return np.where(shown == background, UNCOLOURED, shown)
