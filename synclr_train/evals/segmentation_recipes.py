"""Named, complete settings of segmentation heads that are trained by gradient descent (SynCLR appendix B).

Holds numbers alone and imports no torch. Where the paper is silent, the values are those of the authors'
published mmsegmentation configs and of the UperNet configs for BEiT and MAE that these inherit from.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, model_validator

from synclr_train.config import Config, NonNegativeFloat, PositiveFloat, PositiveInt, Probability


class HeadConfig(Config):
    """What turns the encoder's blocks into classes."""

    kind: Literal["upernet", "linear"]
    """`upernet`: pyramid pooling and feature pyramid (arXiv 1807.10221). `linear`: BatchNorm and one 1x1
    convolution on the concatenated blocks."""
    blocks: tuple[Annotated[int, Field(ge=0)], ...]
    """Blocks of the encoder that are read, counted from 0; UperNet reads four, finest scale first."""
    channels: PositiveInt
    """Width of UperNet's convolutions, in numbers."""
    pool_sizes: tuple[PositiveInt, ...] = (1, 2, 3, 6)
    """Sides of the pooled grids of the pyramid pooling module, in cells."""
    auxiliary_weight: NonNegativeFloat = 0.4
    """Weight of the auxiliary FCN head's loss; 0 leaves the head out. No part of UperNet's paper: BEiT's and
    MAE's protocols add it on the third scale."""
    auxiliary_channels: PositiveInt = 256
    """Width of the auxiliary head's convolution, in numbers."""
    dropout: Probability = 0.1
    """Chance that a channel is dropped before the classifying convolution."""

    @model_validator(mode="after")
    def _check(self) -> "HeadConfig":
        if self.kind == "upernet" and len(self.blocks) != 4:
            raise ValueError(f"an upernet head reads four blocks, not {len(self.blocks)}")
        if not self.blocks:
            raise ValueError("a linear head needs at least one block to read")
        return self


class SceneAugmentConfig(Config):
    """Random scale, crop, flip and colours of training scenes, in this order."""

    scale_range: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)
    """Factor on the scale that is tested, drawn uniformly."""
    largest_class_share: Probability = 0.75
    """A crop in which one class covers more is drawn again, up to ten times."""
    flip_probability: Probability = 0.5
    """Chance of a horizontal flip."""
    brightness: NonNegativeFloat = 32 / 255
    """Half-width of the shift of all channels, on a 0 to 1 scale."""
    contrast: tuple[PositiveFloat, PositiveFloat] = (0.5, 1.5)
    """Range of the contrast factor."""
    saturation: tuple[PositiveFloat, PositiveFloat] = (0.5, 1.5)
    """Range of the saturation factor."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Half-width of the hue shift, in turns (18 degrees)."""
    photometric_probability: Probability = 0.5
    """Chance of each of the four, drawn apart."""


class SegmentationRecipe(Config):
    """Everything the training and the test of a segmentation head need apart from encoder and data."""

    name: str
    """Name under which the recipe is found."""
    head: HeadConfig
    """The head."""
    train_encoder: bool
    """Whether the whole network is fine-tuned; False keeps the encoder frozen and in evaluation mode."""
    crop_size: PositiveInt
    """Side of a training crop and of a test window, in pixels; a multiple of the encoder's patch size."""
    longest_side: PositiveInt
    """Images are scaled so that their shorter side is `crop_size`, their longer one at most this, in pixels."""
    stride: PositiveInt
    """Distance of two test windows, in pixels."""
    augment: SceneAugmentConfig = SceneAugmentConfig()
    """Augmentation."""
    learning_rate: PositiveFloat
    """AdamW's peak learning rate, of the head and what follows the last block."""
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    """Factor on the learning rate for every block further from the head."""
    weight_decay: NonNegativeFloat
    """Weight decay; biases, norms, cls token and position embeddings have none."""
    betas: tuple[Probability, Probability] = (0.9, 0.999)
    """Decay of AdamW's two running averages."""
    drop_path_rate: Probability
    """Stochastic depth of the last block; earlier blocks less, linearly."""
    steps: PositiveInt
    """Optimiser steps."""
    batch_size: PositiveInt
    """Crops per step."""
    warmup_steps: Annotated[int, Field(ge=0)]
    """Length of the linear warm-up, in steps; then a polynomial decay to 0."""
    decay_power: PositiveFloat = 1.0
    """Power of the polynomial decay; 1 is a straight line."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network; `auto` takes bfloat16 where the device computes in it."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the head's weights, order of images, augmentation, dropout and stochastic depth."""

    @model_validator(mode="after")
    def _check(self) -> "SegmentationRecipe":
        if self.stride > self.crop_size:
            raise ValueError(f"stride {self.stride} leaves gaps between windows of {self.crop_size} px")
        if self.longest_side < self.crop_size:
            raise ValueError(f"longest_side {self.longest_side} is below crop_size {self.crop_size}")
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps must be below steps {self.steps}")
        return self

    def with_steps(self, steps: int) -> "SegmentationRecipe":
        """This recipe over another number of steps; the warm-up keeps its share."""
        return self.varied(steps=steps, warmup_steps=min(self.warmup_steps * steps // self.steps, steps - 1))

    def varied(self, **changes: object) -> "SegmentationRecipe":
        """This recipe with top-level fields replaced, checked again as a whole."""
        return SegmentationRecipe.model_validate({**self.model_dump(), **changes})


def upernet_vit_b16() -> SegmentationRecipe:
    """ViT-B/16 of 12 blocks, fine-tuned as a whole with UperNet at 512 px (SynCLR appendix B)."""
    return SegmentationRecipe(
        name="upernet_vit_b16",
        head=HeadConfig(kind="upernet", blocks=(3, 5, 7, 11), channels=768),
        train_encoder=True,
        crop_size=512,
        longest_side=2048,
        stride=341,
        learning_rate=8e-5,
        layer_decay=0.6,
        weight_decay=0.05,
        drop_path_rate=0.1,
        steps=60_000,
        batch_size=32,
        warmup_steps=1500,
    )


def upernet_vit_l14() -> SegmentationRecipe:
    """ViT-L/14 of 24 blocks at 518 px; windows 345 px apart, as in the authors' published config."""
    base = upernet_vit_b16()
    return base.varied(
        name="upernet_vit_l14",
        head=base.head.model_copy(update={"blocks": (7, 11, 15, 23), "channels": 1024}),
        crop_size=518,
        longest_side=2072,
        stride=345,
        layer_decay=0.8,
        drop_path_rate=0.2,
        steps=160_000,
        batch_size=16,
    )


def linear_vit_b16() -> SegmentationRecipe:
    """Frozen ViT-B/16 under a linear head, trained as DINOv2's linear protocol (arXiv 2304.07193): AdamW 1e-3,
    40 000 steps of 16 crops. No row of SynCLR's paper."""
    return upernet_vit_b16().varied(
        name="linear_vit_b16",
        head=HeadConfig(kind="linear", blocks=(8, 9, 10, 11), channels=1, auxiliary_weight=0, dropout=0),
        train_encoder=False,
        learning_rate=1e-3,
        layer_decay=1.0,
        weight_decay=1e-4,
        drop_path_rate=0.0,
        steps=40_000,
        batch_size=16,
    )


def linear_vit_l14() -> SegmentationRecipe:
    """The same for ViT-L/14 at 518 px."""
    base, large = linear_vit_b16(), upernet_vit_l14()
    return base.varied(
        name="linear_vit_l14",
        head=base.head.model_copy(update={"blocks": (20, 21, 22, 23)}),
        crop_size=large.crop_size,
        longest_side=large.longest_side,
        stride=large.stride,
    )


def upernet_tiny() -> SegmentationRecipe:
    """UperNet in miniature for the rehearsal's encoder of two blocks: 64 px, two CPU cores, a few minutes."""
    return upernet_vit_b16().varied(
        name="upernet_tiny",
        head=HeadConfig(kind="upernet", blocks=(0, 0, 1, 1), channels=32, auxiliary_channels=16),
        crop_size=64,
        longest_side=256,
        stride=42,
        augment=SceneAugmentConfig(flip_probability=0.0),
        learning_rate=2e-3,
        layer_decay=0.8,
        drop_path_rate=0.0,
        steps=600,
        batch_size=8,
        warmup_steps=60,
    )


SEGMENTATION_RECIPES: MappingProxyType[str, Callable[[], SegmentationRecipe]] = MappingProxyType(
    {
        make.__name__: make
        for make in (upernet_vit_b16, upernet_vit_l14, linear_vit_b16, linear_vit_l14, upernet_tiny)
    }
)


def get_segmentation_recipe(name: str) -> SegmentationRecipe:
    """The recipe called `name`. Raises ValueError that lists the known ones."""
    if name not in SEGMENTATION_RECIPES:
        raise ValueError(
            f"segmentation head {name!r} does not exist: choose linear or {', '.join(SEGMENTATION_RECIPES)}"
        )
    return SEGMENTATION_RECIPES[name]()
