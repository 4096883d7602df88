"""The picture of a segmentation: scenes, their truth, and what each subject saw in them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int

from synclr_train.atomic_files import write_atomically
from synclr_train.evals.digits_on_photos import BACKGROUND, CLASS_NAMES, Scenes
from synclr_train.evals.pictures import PALETTE, Row, overlay, png_bytes, sheet, to_image

NUM_SCENES = 8
CELL_SIDE = 144


def write_overlay_sheet(
    path: Path, scenes: Scenes, predictions: Mapping[str, Int[np.ndarray, "n s s"]]
) -> None:
    """Writes the first scenes, uncurated: image, truth, and one row for each subject's masks."""
    images = scenes.images[:NUM_SCENES].numpy()
    rows = [Row("image", [to_image(image, CELL_SIDE) for image in images])]
    named = {"truth": scenes.masks.numpy(), **predictions}
    for name, masks in named.items():
        cells = [
            overlay(image, mask, BACKGROUND, CELL_SIDE)
            for image, mask in zip(images, masks[:NUM_SCENES], strict=True)
        ]
        rows.append(Row(name.replace("_", " "), cells))
    legend = [(name, PALETTE[label]) for label, name in enumerate(CLASS_NAMES) if label != BACKGROUND]
    write_atomically(path, png_bytes(sheet(rows, legend)))
