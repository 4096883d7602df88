"""The whole segmentation network: a ViT at a new input size, a head on its blocks, and who learns how fast."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from jaxtyping import Float
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from synclr_train.backbone import Encoder, rebuild_vit
from synclr_train.evals.scores import EvaluationError
from synclr_train.evals.segmentation_recipes import SegmentationRecipe
from synclr_train.evals.upernet import AuxiliaryHead, LinearMapHead, ScalePyramid, UperNet, resize

AUXILIARY_SCALE = 2
"""The auxiliary head reads the third scale, x1."""


class Segmenter(nn.Module):
    """An encoder and a head. Maps come straight from the blocks, without the encoder's final norm, as in the
    UperNet protocols of BEiT and MAE."""

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: Encoder, recipe: SegmentationRecipe, num_classes: int) -> None:
        """Raises EvaluationError where the recipe does not fit the encoder."""
        super().__init__()
        check_fit(encoder, recipe)
        head, width = recipe.head, encoder.embed_dim
        self.blocks, self.depth, self.trains_encoder = head.blocks, encoder.depth, recipe.train_encoder
        self.vit = rebuild_vit(encoder, image_size=recipe.crop_size, drop_path_rate=recipe.drop_path_rate)
        assert encoder.vit.pos_embed is not None
        positions = resample_abs_pos_embed(
            encoder.vit.pos_embed.detach(),
            new_size=list(self.vit.patch_embed.grid_size),
            num_prefix_tokens=self.vit.num_prefix_tokens,
        )
        self.vit.load_state_dict({**encoder.vit.state_dict(), "pos_embed": positions})
        self.vit.norm.requires_grad_(False)  # not on the way to the head
        if not self.trains_encoder:
            self.vit.requires_grad_(False)
        self.pyramid = ScalePyramid(width) if head.kind == "upernet" else None
        self.head: nn.Module = (
            UperNet(width, head.channels, num_classes, head.pool_sizes, head.dropout)
            if head.kind == "upernet"
            else LinearMapHead(width, len(head.blocks), num_classes, head.dropout)
        )
        self.auxiliary = (
            AuxiliaryHead(width, head.auxiliary_channels, num_classes, head.dropout)
            if head.kind == "upernet" and head.auxiliary_weight > 0
            else None
        )
        for name, values in (("mean", encoder.mean), ("std", encoder.std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "Segmenter":
        """A frozen encoder stays in evaluation mode."""
        super().train(mode)
        if not self.trains_encoder:
            self.vit.eval()
        return self

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b classes h w"]:
        """Class logits, at the images' resolution, of images in [0, 1]."""
        return resize(self.head(self.scales(images)), images.shape[-2:])

    def training_logits(self, images: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b classes h w"]]:
        """Logits of the head and, where there is one, of the auxiliary head, at the images' resolution."""
        scales = self.scales(images)
        coarse = [self.head(scales)]
        if self.auxiliary is not None:
            coarse.append(self.auxiliary(scales[AUXILIARY_SCALE]))
        return [resize(each, images.shape[-2:]) for each in coarse]

    def scales(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """What the head reads: the blocks' maps, brought to four scales for UperNet."""
        wanted = sorted(set(self.blocks))
        maps = self.vit.forward_intermediates(
            (images - self.mean) / self.std, indices=wanted, norm=False, intermediates_only=True
        )
        by_block: dict[int, Tensor] = dict(zip(wanted, cast(list[Tensor], maps), strict=True))
        ordered = [by_block[block] for block in self.blocks]
        return ordered if self.pyramid is None else list(self.pyramid(ordered))


def check_fit(encoder: Encoder, recipe: SegmentationRecipe) -> None:
    """Raises EvaluationError for blocks the encoder lacks and for crops that are no whole number of patches."""
    if max(recipe.head.blocks) >= encoder.depth:
        raise EvaluationError(
            f"segmentation head {recipe.name} reads block {max(recipe.head.blocks)}, but the encoder has only "
            f"{encoder.depth} blocks, counted from 0: choose the head of its size"
        )
    if recipe.crop_size % encoder.patch_size:
        raise EvaluationError(
            f"segmentation head {recipe.name} cuts {recipe.crop_size} px, which is no multiple of the "
            f"encoder's {encoder.patch_size} px patch: choose the head of its patch size"
        )


def parameter_groups(segmenter: Segmenter, recipe: SegmentationRecipe) -> list[dict[str, Any]]:
    """AdamW groups with `scale` on the learning rate: `layer_decay` to the power of the distance from the head.

    Embeddings are layer 0, block i is layer i + 1, all that follows is layer depth + 1. Vectors, cls token and
    position embeddings have no weight decay.
    """
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in segmenter.named_parameters():
        if not parameter.requires_grad:
            continue
        layer = layer_of(name, segmenter.depth)
        decays = parameter.ndim > 1 and not name.endswith(("pos_embed", "cls_token"))
        group = groups.setdefault(
            (layer, decays),
            {
                "params": [],
                "scale": recipe.layer_decay ** (segmenter.depth + 1 - layer),
                "weight_decay": recipe.weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def layer_of(name: str, depth: int) -> int:
    """Distance of a parameter from the pixels, in layers."""
    if name.startswith("vit.blocks."):
        return int(name.split(".")[2]) + 1
    return 0 if name.startswith(("vit.patch_embed", "vit.pos_embed", "vit.cls_token")) else depth + 1


def windows(length: int, window: int, stride: int) -> Iterator[int]:
    """First pixels of the windows along one side; the last one ends with the side."""
    count = max(length - window + stride - 1, 0) // stride + 1
    return (min(number * stride, max(length - window, 0)) for number in range(count))


def slide(
    predict: Callable[[Tensor], Tensor], image: Float[Tensor, "1 3 h w"], window: int, stride: int
) -> Float[Tensor, "1 classes h w"]:
    """Logits of an image of any size, averaged over overlapping square windows.

    A side shorter than a window is filled up with mid-grey at its end, which is cut off again.
    """
    height, width = image.shape[-2:]
    missing = (0, max(window - width, 0), 0, max(window - height, 0))
    padded = nn.functional.pad(image, missing, value=0.5)
    total: Tensor | None = None
    counts = padded.new_zeros(1, 1, *padded.shape[-2:])
    for top in windows(padded.shape[-2], window, stride):
        for left in windows(padded.shape[-1], window, stride):
            here = (..., slice(top, top + window), slice(left, left + window))
            logits = predict(padded[here]).float()
            if total is None:
                total = logits.new_zeros(1, logits.shape[1], *padded.shape[-2:])
            total[here] += logits
            counts[here] += 1
    assert total is not None
    return (total / counts)[..., :height, :width]


def scaled_size(height: int, width: int, recipe: SegmentationRecipe) -> tuple[int, int]:
    """Height and width at which an image is tested: shorter side `crop_size`, longer side within its limit."""
    scale = min(recipe.crop_size / min(height, width), recipe.longest_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
