"""An exported encoder with random weights, and a small folder-per-class data set that colour alone solves."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from synclr_train.backbone import build_vit
from synclr_train.export import export_encoder
from synclr_train.recipes import rehearsal

COLOURS = {"blue": (20, 30, 200), "green": (20, 180, 40), "red": (210, 30, 20)}


@pytest.fixture(scope="session")
def encoder_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    recipe = rehearsal()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        weights = build_vit(recipe.backbone).state_dict()
    export_encoder(weights, recipe, folder)
    return folder


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    draws = np.random.default_rng(0)
    for part, num_images in (("train", 8), ("val", 4), ("test", 5)):
        for name, colour in COLOURS.items():
            folder = tmp_path / "colours" / part / name
            folder.mkdir(parents=True)
            for number in range(num_images):
                noise = draws.integers(-20, 20, (30, 40, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "colours"
