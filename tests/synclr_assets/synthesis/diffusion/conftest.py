"""A tiny Stable Diffusion pipeline of the real architecture, saved as an ordinary model folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.random_diffusion import SIZES, make_pipeline
from synclr_assets.synthesis.diffusion.sampler import DiffusersSampler, make_diffusers_sampler
from synclr_assets.synthesis.diffusion.settings import DiffusersSettings
from synclr_assets.synthesis.identity import caption_id, image_seed
from synclr_assets.synthesis.protocols import ImageRequest

TINY = SIZES["tiny"]
MakeSampler = Callable[..., DiffusersSampler]


def requests_of(num_captions: int, views: Sequence[int] = range(4)) -> list[ImageRequest]:
    """Requests for views of `num_captions` different captions."""
    found = []
    for number in range(num_captions):
        identity = caption_id("fruit", 0, "apple", "c", number)
        text = f"Apple number {number} on a table."
        found += [ImageRequest(identity, v, 0, image_seed(identity, v, 0), text, "apple") for v in views]
    return found


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-diffusion"
    make_pipeline(TINY, safety_checker=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_sampler(tiny_folder: Path) -> MakeSampler:
    """Samplers of the tiny model with six steps unless a test says otherwise."""

    def make(model: Path = tiny_folder, size_px: int = TINY.size_px, **changes: Any) -> DiffusersSampler:
        options: dict[str, Any] = {"licence": "CC0-1.0", "num_steps": 6, "device": "cpu"} | changes
        return make_diffusers_sampler(DiffusersSettings(model=str(model), **options), size_px)

    return make
