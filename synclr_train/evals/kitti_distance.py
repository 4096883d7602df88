"""KITTI distance: how near is the nearest vehicle, in four classes, split so that no video is in two parts.

The task and the split are VTAB's (Zhai et al. 2019), which CLIP and SynCLR evaluate on.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from torchvision.datasets import Kitti

VEHICLES = ("Car", "Van", "Truck")
THRESHOLDS_M = (8.0, 20.0, 999.0)
"""Upper ends of the classes, in metres ahead of the camera; beyond the last there is no vehicle."""
DISTANCE_NAMES = ("under 8 m", "8 to 20 m", "over 20 m", "no vehicle")
HELD_OUT_PERCENT = 10
"""Share of the videos that tests, and the same share that validates."""
SPLIT_SEED = 123
"""Seed of the videos' draw in the builder of TensorFlow Datasets that VTAB reads."""


def list_kitti(root: Path) -> tuple[list[Path], Int[np.ndarray, " n"], list[str]]:
    """Images of `Kitti/raw/training` in order, their distance classes, and the part of each.

    Raises OSError where the images, the labels or the devkit's mapping are missing.
    """
    training = Kitti(root, train=True)
    pairs = sorted(zip(map(Path, training.images), map(Path, training.targets), strict=True))
    labels = np.array([distance_class(target.read_text().splitlines()) for _, target in pairs])
    part_of = parts_by_image(root / "Kitti" / "raw" / "mapping")
    unknown = [path.name for path, _ in pairs if int(path.stem) not in part_of]
    if unknown:
        raise FileNotFoundError(f"mapping/train_rand.txt does not name the video of {unknown[0]}")
    return [path for path, _ in pairs], labels, [part_of[int(path.stem)] for path, _ in pairs]


def distance_class(lines: Sequence[str]) -> int:
    """Class of an image from the lines of its label file (columns: type, ..., x, y, z, angle)."""
    fields = [line.split() for line in lines if line.strip()]
    depths_m = [float(field[13]) for field in fields if field[0] in VEHICLES]
    return int(np.searchsorted(THRESHOLDS_M, min(depths_m, default=1000.0), side="left"))


def parts_by_image(mapping: Path) -> Mapping[int, str]:
    """The part of every image number, videos drawn whole: a tenth tests, a tenth validates."""
    lines = (mapping / "train_mapping.txt").read_text().splitlines()
    numbers = (mapping / "train_rand.txt").read_text().replace("\n", ",").split(",")
    video_of = [lines[int(number) - 1].split()[1] for number in numbers if number.strip()]
    videos = sorted(set(video_of))
    draws = np.random.RandomState(SPLIT_SEED)
    num_held_out = max(1, HELD_OUT_PERCENT * len(videos) // 100)
    testing = set(draws.choice(videos, num_held_out, replace=False))
    left = sorted(set(videos) - testing)
    validating = set(draws.choice(left, num_held_out, replace=False))
    return {
        image: "test" if video in testing else "validation" if video in validating else "train"
        for image, video in enumerate(video_of)
    }
