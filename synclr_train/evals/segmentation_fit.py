"""Choosing and fitting the segmentation head of one subject, on scenes apart from those that are scored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from synclr_train.backbone import Encoder
from synclr_train.evals.confusion import class_counts, mean_iou
from synclr_train.evals.digits_on_photos import BACKGROUND, CLASS_NAMES, SIDE, SceneRoles, Scenes
from synclr_train.evals.features import patch_features, patch_pixels
from synclr_train.evals.protocol import SegmentationProtocol
from synclr_train.evals.segmentation_head import LinearHead, fit_heads, image_confusions
from synclr_train.evals.subjects import Subject

NUM_CLASSES = len(CLASS_NAMES)


@dataclass(frozen=True)
class Choice:
    """What was chosen before the scored scenes were looked at, and the mIoU that decided it."""

    grid_side: int
    l2: float
    background_discount: float
    mean_iou: float


@dataclass(frozen=True)
class Segmented:
    """Predicted masks of every scored scene, one set per encoder of the subject."""

    masks: list[Int[np.ndarray, "n s s"]]
    choice: Choice


def segment_subject(
    subject: Subject, scenes: SceneRoles, protocol: SegmentationProtocol, patch_size: int
) -> Segmented:
    """Chooses with the subject's first encoder, then fits and predicts with each.

    Raw pixels, which have no encoder, are cut into patches of `patch_size` px.
    """
    encoders: Sequence[Encoder | None] = subject.encoders or (None,)

    def extract(encoder: Encoder | None, part: Scenes, grid_side: int) -> Tensor:
        if encoder is None:
            return patch_pixels(part.images, grid_side=grid_side, patch_size=patch_size)
        return patch_features(
            encoder, part.images, grid_side=grid_side, num_last_blocks=protocol.num_last_blocks
        )

    tried = []
    for grid_side in protocol.grid_sides:
        heads = fit(extract(encoders[0], scenes.fit, grid_side), scenes.fit, protocol.l2_constants, protocol)
        tried.append(choose(heads, extract(encoders[0], scenes.choose, grid_side), scenes.choose, protocol))
    choice, head = max(tried, key=lambda pair: pair[0].mean_iou)
    masks = []
    for number, encoder in enumerate(encoders):
        if number > 0:
            [head] = fit(
                extract(encoder, scenes.fit, choice.grid_side), scenes.fit, (choice.l2,), protocol
            ).values()
        contest = head.contest(extract(encoder, scenes.score, choice.grid_side), SIDE, BACKGROUND)
        masks.append(contest.masks(choice.background_discount).cpu().numpy())
    return Segmented(masks, choice)


def fit(
    features: Float[Tensor, "n d g g"],
    scenes: Scenes,
    l2_constants: Sequence[float],
    protocol: SegmentationProtocol,
) -> dict[float, LinearHead]:
    """A head for each ridge constant, strongest ridge first."""
    constants = sorted(l2_constants, reverse=True)
    heads = fit_heads(
        features,
        scenes.masks.to(features.device),
        num_classes=NUM_CLASSES,
        l2_constants=constants,
        max_iterations=protocol.max_iterations,
        relative_tolerance=protocol.relative_tolerance,
    )
    return dict(zip(constants, heads, strict=True))


def choose(
    heads: dict[float, LinearHead],
    features: Float[Tensor, "n d g g"],
    scenes: Scenes,
    protocol: SegmentationProtocol,
) -> tuple[Choice, LinearHead]:
    """The head and background discount with the best mIoU; of equals the first head, least discount."""
    truths = scenes.masks.numpy()
    tried = []
    for l2, head in heads.items():
        contest = head.contest(features, SIDE, BACKGROUND)
        for discount in sorted(protocol.background_discounts):
            masks = contest.masks(discount).cpu().numpy()
            value = mean_iou(class_counts(image_confusions(truths, masks, NUM_CLASSES).sum(0)))
            tried.append((Choice(features.shape[-1], l2, discount, float(value)), head))
    return max(tried, key=lambda pair: pair[0].mean_iou)
