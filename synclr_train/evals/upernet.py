"""Segmentation heads in plain torch: a pyramid of scales from a ViT, UperNet, an FCN head, a linear head.

UperNet is Xiao et al., "Unified Perceptual Parsing for Scene Understanding" (arXiv 1807.10221): a pyramid
pooling module (arXiv 1612.01105) on the coarsest scale of a feature pyramid (arXiv 1612.03144), all scales
fused at the finest one. A ViT has one scale; four of its blocks are brought to four (SynCLR appendix B).
"""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Maps: TypeAlias = list[Tensor]
"""Feature maps (batch, channels, height, width), finest first."""


class ScalePyramid(nn.Module):
    """Four maps of one size to x4, x2, x1 and x0.5 of it (BEiT's way: transposed convolutions, max pooling)."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.fourfold = nn.Sequential(
            nn.ConvTranspose2d(embed_dim, embed_dim, 2, stride=2),
            nn.BatchNorm2d(embed_dim),
            nn.GELU(),
            nn.ConvTranspose2d(embed_dim, embed_dim, 2, stride=2),
        )
        self.twofold = nn.ConvTranspose2d(embed_dim, embed_dim, 2, stride=2)

    def forward(self, maps: Maps) -> Maps:
        """Maps in the order of their blocks; an odd side loses its last cell when it is halved."""
        first, second, third, fourth = maps
        return [self.fourfold(first), self.twofold(second), third, functional.max_pool2d(fourth, 2)]


class PyramidPooling(nn.Module):
    """Averages over grids of a few sizes, each projected, enlarged and joined with the map itself."""

    def __init__(self, in_channels: int, channels: int, pool_sizes: Sequence[int]) -> None:
        super().__init__()
        self.pool_sizes = tuple(pool_sizes)
        self.projections = nn.ModuleList(convolution(in_channels, channels, 1) for _ in self.pool_sizes)
        self.join = convolution(in_channels + len(self.pool_sizes) * channels, channels, 3)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Every cell beside what surrounds it at each of the pooled scales."""
        pooled = [
            resize(project(functional.adaptive_avg_pool2d(features, size)), features.shape[-2:])
            for size, project in zip(self.pool_sizes, self.projections, strict=True)
        ]
        return self.join(torch.cat([features, *pooled], dim=1))


class UperNet(nn.Module):
    """From four scales to class logits at the finest of them (arXiv 1807.10221, section 3)."""

    def __init__(
        self, in_channels: int, channels: int, num_classes: int, pool_sizes: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        self.pooling = PyramidPooling(in_channels, channels, pool_sizes)
        self.laterals = nn.ModuleList(convolution(in_channels, channels, 1) for _ in range(3))
        self.smoothing = nn.ModuleList(convolution(channels, channels, 3) for _ in range(3))
        self.fuse = convolution(4 * channels, channels, 3)
        self.classify = classifier(channels, num_classes, dropout)

    def forward(self, maps: Maps) -> Float[Tensor, "b classes h w"]:
        """`maps` finest first; each scale takes up the coarser one before it is smoothed and fused."""
        merged = [lateral(each) for lateral, each in zip(self.laterals, maps[:-1], strict=True)]
        merged.append(self.pooling(maps[-1]))
        for finer in reversed(range(3)):
            merged[finer] = merged[finer] + resize(merged[finer + 1], merged[finer].shape[-2:])
        smoothed = [smooth(each) for smooth, each in zip(self.smoothing, merged[:-1], strict=True)]
        size = merged[0].shape[-2:]
        fused = self.fuse(torch.cat([resize(each, size) for each in (*smoothed, merged[-1])], dim=1))
        return self.classify(fused)


class AuxiliaryHead(nn.Module):
    """One convolution and a classifier on one scale: a shorter way for the gradient, unused at test time."""

    def __init__(self, in_channels: int, channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(in_channels, channels, 3), classifier(channels, num_classes, dropout)
        )

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes h w"]:
        """Class logits of one scale."""
        return self.layers(features)


class LinearMapHead(nn.Module):
    """BatchNorm and a 1x1 convolution on the concatenated maps of all blocks."""

    def __init__(self, in_channels: int, num_blocks: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels * num_blocks)
        self.classify = classifier(in_channels * num_blocks, num_classes, dropout)

    def forward(self, maps: Maps) -> Float[Tensor, "b classes h w"]:
        """Class logits at the patches' own resolution."""
        return self.classify(self.norm(torch.cat(maps, dim=1)))


def convolution(in_channels: int, channels: int, kernel_size: int) -> nn.Sequential:
    """Convolution that keeps the size, BatchNorm, ReLU."""
    layer = nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def classifier(in_channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Dropout of whole channels, then a 1x1 convolution with small weights."""
    layer = nn.Conv2d(in_channels, num_classes, 1)
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return nn.Sequential(nn.Dropout2d(dropout), layer)


def resize(maps: Float[Tensor, "b c h w"], size: Sequence[int]) -> Float[Tensor, "b c _ _"]:
    """Bilinear, corners of pixels aligned rather than their centres' extremes."""
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)
