"""Tiny SynCaps shards and tiny recipes: a caption is a bright shape of its own colour, a view moves it."""

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synclr_train.config import IbotConfig, Recipe
from synclr_train.recipes import rehearsal

CONCEPTS = ("box", "disc", "line", "blob")


def caption_id(number: int) -> str:
    """A 32-character id."""
    return f"{number:032x}"


def draw_view(number: int, view: int, side: int) -> np.ndarray:
    """uint8 (side, side, 3): a rectangle whose colour and shape belong to the caption."""
    caption, generator = np.random.default_rng(number), np.random.default_rng([number, view])
    colour, (height, width) = caption.integers(80, 256, 3), caption.integers(side // 4, side // 2, 2)
    image = generator.integers(0, 40, (side, side, 3))
    top, left = generator.integers(0, side - height), generator.integers(0, side - width)
    image[top : top + height, left : left + width] = colour
    return image.astype(np.uint8)


def write_shard(
    path: Path,
    numbers: range,
    *,
    num_views: int = 4,
    side: int = 24,
    broken: Mapping[str, bytes | None] | None = None,
) -> Path:
    """A shard of captions `numbers`; `broken` replaces a member's bytes by name, or drops it (None)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number in numbers:
            key, members = caption_id(number), {}
            for view in range(num_views):
                buffer = io.BytesIO()
                Image.fromarray(draw_view(number, view, side)).save(buffer, "JPEG", quality=95)
                members[f"{key}.{view}.jpg"] = buffer.getvalue()
            members[f"{key}.txt"] = f"shape {number}".encode()
            members[f"{key}.json"] = json.dumps({"caption_id": key, "concept": CONCEPTS[number % 4]}).encode()
            for name in members:
                content = (broken or {}).get(name, members[name])
                if content is not None:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return path


def tiny(**changes: Any) -> Recipe:
    """The rehearsal with everything smaller: 8 captions of 2 views at 16 px for 8 steps."""
    base = rehearsal()
    small: dict[str, Any] = {
        "backbone": base.backbone.model_copy(
            update={"image_size": 16, "embed_dim": 16, "depth": 2, "num_heads": 2}
        ),
        "crops": base.crops.model_copy(update={"local_size": 8}),
        "heads": base.heads.model_copy(update={"hidden_dim": 16, "output_dim": 8}),
        "optimiser": base.optimiser.model_copy(update={"warmup_steps": 2, "reference_captions_per_batch": 8}),
        "batch": base.batch.model_copy(update={"captions": 8, "views_per_caption": 2}),
        "steps": 8,
        "log_every_steps": 2,
        "checkpoint_every_steps": 4,
        "precision": "float32",
        "max_quarantined_share": 0.5,
    }
    return base.varied(**(small | changes))


def tiny_ibot() -> IbotConfig:
    """Masked patch prediction with few prototypes."""
    return IbotConfig(
        num_prototypes=32,
        hidden_dim=16,
        bottleneck_dim=8,
        masked_image_share=0.5,
        masked_patch_share=0.5,
        student_temperature=0.1,
        teacher_temperature_start=0.04,
        teacher_temperature_end=0.07,
        teacher_temperature_steps=4,
        sinkhorn_iterations=3,
    )


def everything(**changes: Any) -> Recipe:
    """The tiny recipe with every part of the paper's objective switched on, plain ViT and LayerNorm heads."""
    base = tiny()
    whole: dict[str, Any] = {
        "backbone": base.backbone.model_copy(
            update={"stem": "patch", "pooling": "token", "drop_path_rate": 0.2}
        ),
        "crops": base.crops.model_copy(update={"num_local": 2}),
        "heads": base.heads.model_copy(update={"norm": "layer", "projector_layers": 3}),
        "ibot": tiny_ibot(),
    }
    return tiny(**(whole | changes))


@pytest.fixture
def make_shard() -> Callable[..., Path]:
    """`write_shard`, for tests."""
    return write_shard


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Two shards of 16 captions with two views each."""
    return [
        write_shard(
            tmp_path / "shards" / f"shapes-0-{number:06d}.tar",
            range(number * 16, number * 16 + 16),
            num_views=2,
        )
        for number in range(2)
    ]


@pytest.fixture
def tiny_recipe() -> Callable[..., Recipe]:
    """`tiny`, for tests."""
    return tiny


@pytest.fixture
def whole_recipe() -> Callable[..., Recipe]:
    """`everything`, for tests."""
    return everything
