"""The vision transformer: built from timm alone, so that plain timm can load what is trained here.

Holds the frozen `Encoder` that evaluations use and the `MaskedBackbone` that training uses. Refuses any
layer that timm's own constructor arguments, written as JSON, cannot rebuild.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from jaxtyping import Bool, Float
from safetensors.torch import load_file
from timm.layers.hybrid_embed import HybridEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from synclr_train.config import BackboneConfig

WEIGHTS_FILE = "encoder.safetensors"
CONFIG_FILE = "config.json"
CONV_STEM_STRIDE = 4
"""Pixels per cell of timm's hybrid stem: a 7x7 convolution and a pooling, each halving the side."""

TIMM_NAMES = {
    (384, 16): "vit_small_patch16_224",
    (768, 16): "vit_base_patch16_224",
    (1024, 14): "vit_large_patch14_224",
}
"""timm's name for a plain ViT by (embed_dim, patch_size); any other is the base ViT with other arguments."""


def timm_arguments(config: BackboneConfig, *, drop_path_rate: float = 0.0) -> tuple[str, dict[str, Any]]:
    """Architecture name and JSON-able arguments with which `timm.create_model` rebuilds the backbone."""
    arguments: dict[str, Any] = {
        "img_size": config.image_size,
        "patch_size": config.patch_size,
        "embed_dim": config.embed_dim,
        "depth": config.depth,
        "num_heads": config.num_heads,
        "num_classes": 0,
        "class_token": config.pooling == "token",
        "global_pool": config.pooling,
        "fc_norm": False,
        "dynamic_img_size": True,
        "drop_path_rate": drop_path_rate,
    }
    if config.stem == "conv":
        return "vit_tiny_r_s16_p8_224", arguments | {"patch_size": config.patch_size // CONV_STEM_STRIDE}
    named_after = TIMM_NAMES.get((config.embed_dim, config.patch_size), "vit_base_patch16_224")
    return named_after, arguments


def build_vit(config: BackboneConfig, *, drop_path_rate: float = 0.0) -> VisionTransformer:
    """A timm ViT with fresh weights; `drop_path_rate` is the student's stochastic depth."""
    architecture, arguments = timm_arguments(config, drop_path_rate=drop_path_rate)
    return _create(architecture, arguments)


class MaskedBackbone(nn.Module):
    """A ViT whose patch embeddings can be replaced by a learnt mask token (SynCLR 3.3, iBOT)."""

    def __init__(
        self, config: BackboneConfig, *, drop_path_rate: float, masked: bool, recomputes: bool = False
    ) -> None:
        """`masked` creates the mask token; a backbone without one refuses masks. `recomputes` keeps no
        activation of a block and computes it again in the backward pass."""
        super().__init__()
        self.vit = build_vit(config, drop_path_rate=drop_path_rate)
        self.recomputes = recomputes
        self.mask_token = nn.Parameter(torch.zeros(config.embed_dim)) if masked else None

    def compile_blocks(self) -> None:
        """Let torch.compile translate the blocks, which share one translation; names of weights stay.

        Nothing is translated before the first pass.
        """
        for block in self.vit.blocks:
            block.compile()

    def forward(
        self, images: Float[Tensor, "b 3 h w"], masks: Bool[Tensor, "b patches"] | None = None
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b patches d"]]:
        """Representation and patch tokens, both after the last norm; True in `masks` hides a patch."""
        tokens = self._embed(images)
        if masks is not None:
            assert self.mask_token is not None, "a backbone without a mask token got masks"
            grid = masks.view(tokens.shape[:3]).unsqueeze(-1)
            tokens = torch.where(grid, self.mask_token.to(tokens.dtype), tokens)
        tokens = self.vit.norm_pre(self.vit._pos_embed(tokens))
        if self.recomputes and torch.is_grad_enabled():
            for block in self.vit.blocks:
                tokens = checkpoint(block, tokens, use_reentrant=False)
        else:
            tokens = self.vit.blocks(tokens)
        tokens = self.vit.norm(tokens)
        return self.vit.pool(tokens), tokens[:, self.vit.num_prefix_tokens :]

    def _embed(self, images: Tensor) -> Tensor:
        """Patch embeddings (b, gh, gw, d). A hybrid stem stays in float32 with channels last: its bfloat16
        pooling and normalisation are several times slower on a CPU."""
        if isinstance(self.vit.patch_embed, HybridEmbed):
            with torch.autocast(images.device.type, enabled=False):
                embedded: Tensor = self.vit.patch_embed(images.contiguous(memory_format=torch.channels_last))
                return embedded
        return self.vit.patch_embed(images)


class Encoder(nn.Module):
    """A trained (or random) backbone, frozen and in evaluation mode: what evaluations measure.

    Attributes: `image_size` and `patch_size` in pixels, `embed_dim` in numbers, `depth` in blocks, `mean` and
    `std` per channel on a 0 to 1 scale.
    """

    def __init__(self, vit: VisionTransformer, config: dict[str, Any]) -> None:
        """`config` is an exported config.json, with the architecture and a `synclr` part."""
        super().__init__()
        self.vit = vit
        self.architecture: str = config["architecture"]
        self.model_args: dict[str, Any] = config["model_args"]
        description = config["synclr"]
        self.image_size: int = description["image_size"]
        self.patch_size: int = description["patch_size"]
        self.embed_dim: int = description["embed_dim"]
        self.depth: int = description["depth"]
        self.mean: tuple[float, float, float] = tuple(description["mean"])
        self.std: tuple[float, float, float] = tuple(description["std"])
        self.eval().requires_grad_(False)

    def represent(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """The representation of normalised images: cls token, or mean of the patch tokens (SynCLR App. B)."""
        return self.vit(images)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """The same as `represent`."""
        return self.represent(images)

    def patch_features(
        self, images: Float[Tensor, "b 3 h w"], blocks: Sequence[int]
    ) -> list[Float[Tensor, "b d gh gw"]]:
        """Patch tokens after the given blocks (0 is the first, negatives count from the last), each passed
        through the final LayerNorm, as maps of one cell per patch.

        Raises ValueError for a block the encoder does not have.
        """
        unknown = [block for block in blocks if not -self.depth <= block < self.depth]
        if unknown:
            raise ValueError(f"blocks {unknown} do not exist: this encoder has {self.depth} blocks, from 0")
        wanted = [block % self.depth for block in blocks]
        ordered = sorted(set(wanted))
        maps = self.vit.forward_intermediates(images, indices=ordered, norm=True, intermediates_only=True)
        assert isinstance(maps, list)
        by_block = dict(zip(ordered, maps, strict=True))
        return [by_block[block] for block in wanted]


def load_encoder(folder: Path) -> Encoder:
    """The encoder that `fit` or `export_encoder` wrote into `folder`.

    Raises ValueError when the folder holds no export. The global random state is left as it was.
    """
    config = read_config(folder)
    with torch.random.fork_rng(devices=[]):
        vit = _create(config["architecture"], config["model_args"])
    vit.load_state_dict(load_file(folder / WEIGHTS_FILE))
    return Encoder(vit, config)


def rebuild_vit(encoder: Encoder, *, image_size: int, drop_path_rate: float) -> VisionTransformer:
    """A ViT of the encoder's architecture with fresh weights, for another input size in pixels.

    Its position embeddings have the new size's grid; those of the encoder must be resampled to fit.
    """
    arguments = encoder.model_args | {"img_size": image_size, "drop_path_rate": drop_path_rate}
    return _create(encoder.architecture, arguments)


def random_encoder_like(folder: Path, seed: int) -> Encoder:
    """An encoder of the same architecture as the export in `folder`, with random weights drawn from `seed`.

    Raises ValueError when the folder holds no export. The global random state is left as it was.
    """
    config = read_config(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vit = _create(config["architecture"], config["model_args"])
    return Encoder(vit, config)


def _create(architecture: str, arguments: dict[str, Any]) -> VisionTransformer:
    vit = timm.create_model(architecture, **arguments)
    assert isinstance(vit, VisionTransformer)
    return vit


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of an exported encoder. Raises ValueError when the folder holds none."""
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise ValueError(
                f"{folder} holds no exported encoder ({name} is missing): name a folder written by `fit`"
            )
    config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    if "synclr" not in config:
        raise ValueError(f"{folder / CONFIG_FILE} has no 'synclr' section: name a folder written by `fit`")
    return config
