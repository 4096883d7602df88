"""A linear head from patch features to classes, and its predictions at the masks' own resolution."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from synclr_train.evals.confusion import confusion_matrix
from synclr_train.evals.logistic_regression import fit_logistic

CHUNK_IMAGES = 64


@dataclass(frozen=True)
class Contest:
    """For every pixel the best class that is not background, and background's lead over its logit."""

    labels: Int[Tensor, "n s s"]
    leads: Float[Tensor, "n s s"]
    background: int

    def masks(self, background_discount: float) -> Int[Tensor, "n s s"]:
        """The winners once `background_discount` is taken off the background's logit."""
        return self.labels.masked_fill(self.leads > background_discount, self.background)


@dataclass(frozen=True)
class LinearHead:
    """One weight per feature and class, one bias per class; applied to every patch alike."""

    weights: Float[Tensor, "d k"]
    biases: Float[Tensor, " k"]

    def contest(self, features: Float[Tensor, "n d g g"], mask_side: int, background: int) -> Contest:
        """Patch logits, upsampled bilinearly to the mask's pixels, and who leads there."""
        labels, leads = [], []
        for chunk in features.split(CHUNK_IMAGES):
            coarse = torch.einsum("ndhw,dk->nkhw", chunk, self.weights) + self.biases[:, None, None]
            logits = torch.nn.functional.interpolate(
                coarse, (mask_side, mask_side), mode="bilinear", align_corners=False
            )
            opponent = logits[:, background].clone()
            logits[:, background] = -torch.inf
            best, label = logits.max(1)
            labels.append(label)
            leads.append(opponent - best)
        return Contest(torch.cat(labels), torch.cat(leads), background)


def fit_heads(
    features: Float[Tensor, "n d g g"],
    masks: Int[Tensor, "n s s"],
    *,
    num_classes: int,
    l2_constants: Sequence[float],
    max_iterations: int,
    relative_tolerance: float,
) -> list[LinearHead]:
    """One head per ridge constant, at the least cross-entropy between a patch's prediction and its pixels.

    The target of a patch is the share of each class among its pixels. The problem is convex: the head
    depends on no seed and no learning rate.
    """
    shares = class_shares(masks, features.shape[-1], num_classes)
    heads = fit_logistic(
        features.permute(0, 2, 3, 1).flatten(0, 2),
        shares.permute(0, 2, 3, 1).flatten(0, 2),
        features.new_tensor(list(l2_constants)),
        max_iterations=max_iterations,
        relative_tolerance=relative_tolerance,
    )
    return [LinearHead(weights, biases) for weights, biases in zip(heads.weights, heads.biases, strict=True)]


def class_shares(masks: Int[Tensor, "n s s"], grid_side: int, num_classes: int) -> Float[Tensor, "n k g g"]:
    """Share of each class among the pixels of each patch; sums to one over the classes."""
    shares = []
    for start in range(0, len(masks), CHUNK_IMAGES):
        chunk = torch.nn.functional.one_hot(masks[start : start + CHUNK_IMAGES], num_classes)
        shares.append(torch.nn.functional.adaptive_avg_pool2d(chunk.permute(0, 3, 1, 2).float(), grid_side))
    return torch.cat(shares)


def image_confusions(
    truths: Int[np.ndarray, "n s s"], predictions: Int[np.ndarray, "n s s"], num_classes: int
) -> Int[np.ndarray, "n k k"]:
    """Pixel counts of true and predicted class, image by image, so that images can be resampled."""
    return np.stack(
        [
            confusion_matrix(truth.ravel(), prediction.ravel(), num_classes)
            for truth, prediction in zip(truths, predictions, strict=True)
        ]
    )
