"""A linear head from patch features to classes, and the counts behind its scores at the masks' own resolution."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from synclr_train.evals.confusion import confusion_matrix
from synclr_train.evals.logistic_regression import fit_logistic

CHUNK_IMAGES = 64


@dataclass(frozen=True)
class LinearHead:
    """One weight per feature and class, one bias per class; applied to every patch alike."""

    weights: Float[Tensor, "d k"]
    biases: Float[Tensor, " k"]

    def logits(self, features: Float[Tensor, "n d g g"], mask_side: int) -> Float[Tensor, "n k s s"]:
        """Logits of every mask pixel: those of the patches, upsampled bilinearly."""
        logits = torch.einsum("ndhw,dk->nkhw", features, self.weights) + self.biases[:, None, None]
        size = (mask_side, mask_side)
        return torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False)

    def discounted(self, label: int, amount: float) -> "LinearHead":
        """The same head with `amount` taken off one class's logit."""
        biases = self.biases.clone()
        biases[label] -= amount
        return LinearHead(self.weights, biases)


def fit_heads(
    features: Float[Tensor, "n d g g"],
    masks: Int[Tensor, "n s s"],
    *,
    num_classes: int,
    l2_constants: tuple[float, ...],
    max_iterations: int,
    relative_tolerance: float,
) -> list[LinearHead]:
    """One head per ridge constant, at the optimum of the cross-entropy between a patch's prediction and the shares
    of the classes among its pixels; convex, so it depends on no seed and no learning rate."""
    shares = class_shares(masks, features.shape[-1], num_classes)
    heads = fit_logistic(
        features.permute(0, 2, 3, 1).flatten(0, 2),
        shares.permute(0, 2, 3, 1).flatten(0, 2),
        features.new_tensor(l2_constants),
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


def predict_masks(
    head: LinearHead, features: Float[Tensor, "n d g g"], mask_side: int
) -> Int[Tensor, "n s s"]:
    """The head's masks, image chunk by image chunk."""
    return torch.cat([head.logits(chunk, mask_side).argmax(1) for chunk in features.split(CHUNK_IMAGES)])


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
