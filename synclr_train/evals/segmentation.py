"""Segmentation with a frozen encoder: a linear head on patch features, for a model and its baselines in one run.

Input size and head constants are chosen on scenes apart from those scored; the scored ones are predicted once.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from synclr_train.backbone import Encoder
from synclr_train.evals.confusion import by_name, intersections_over_unions, overall_accuracy, recalls
from synclr_train.evals.digits_on_photos import (
    BACKGROUND,
    CLASS_NAMES,
    DIGITS_ON_PHOTOS,
    SIDE,
    SceneRoles,
    Scenes,
    load_scenes,
)
from synclr_train.evals.features import patch_features, patch_pixels
from synclr_train.evals.pca import write_pca_sheet
from synclr_train.evals.protocol import SegmentationProtocol, Split
from synclr_train.evals.scores import (
    BOOTSTRAP_RESAMPLES,
    EvaluationError,
    Score,
    interval_around,
    write_arrays,
    write_scores,
)
from synclr_train.evals.segmentation_head import LinearHead, fit_heads, image_confusions, predict_masks
from synclr_train.evals.segmentation_sheet import write_overlay_sheet
from synclr_train.evals.subjects import BASELINES, OnEvent, Subject, load_subjects

NUM_CLASSES = len(CLASS_NAMES)
MEAN_IOU = "mean_iou"
METRICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    MEAN_IOU: lambda counts: np.nanmean(intersections_over_unions(counts), axis=-1),
    "pixel_accuracy": overall_accuracy,
    "mean_class_accuracy": lambda counts: np.nanmean(recalls(counts), axis=-1),
}
"""mIoU, aAcc and mAcc of the literature, each from confusion matrices; classes that are absent do not count."""


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


def run_segmentation(
    encoder_dir: Path,
    out_dir: Path,
    *,
    dataset: str = DIGITS_ON_PHOTOS,
    split: Split = "test",
    baselines: Sequence[str] = BASELINES,
    on_event: OnEvent | None = None,
) -> list[Score]:
    """Segments `dataset` with the encoder exported in `encoder_dir` and with its baselines; returns every score.

    Writes `scores.json` (scores, protocol, constants chosen, confusion matrices), `confusions.npz` (pixel counts of
    every scene), `segmentation.png` (truth and predictions side by side) and `pca.png` into `out_dir`. Of
    `random_weights` the mean over its seeds is scored, its constants chosen with the first of them. Raises
    ValueError, before anything is written, for a user's mistake.
    """
    if dataset != DIGITS_ON_PHOTOS:
        raise EvaluationError(f"dataset {dataset!r} has no masks: give {DIGITS_ON_PHOTOS}")
    scenes = load_scenes(split)
    protocol = SegmentationProtocol(dataset=dataset, dataset_digest=scenes.digest, split=split)
    model, subjects = load_subjects(
        encoder_dir, baselines, num_random_encoders=protocol.num_random_encoders, seed=protocol.seed
    )
    truths = scenes.score.masks.numpy()
    scores: list[Score] = []
    details: dict[str, Any] = {"chosen": {}, "confusion": {}, "seconds": {}}
    confusions: dict[str, np.ndarray] = {}
    first_masks: dict[str, np.ndarray] = {}
    for subject in subjects:
        started = time.perf_counter()
        segmented = segment_subject(subject, scenes, protocol, model.patch_size)
        counts = np.stack([image_confusions(truths, masks, NUM_CLASSES) for masks in segmented.masks])
        confusions[subject.name], first_masks[subject.name] = counts, segmented.masks[0]
        details["chosen"][subject.name] = asdict(segmented.choice)
        details["confusion"][subject.name] = counts.sum(1).mean(0).tolist()
        details["seconds"][subject.name] = round(time.perf_counter() - started, 3)
        for score in score_counts(subject.name, counts, protocol):
            scores.append(score)
            if on_event is not None:
                on_event(
                    {"event": "scored", "subject": subject.name, "metric": score.metric, "value": score.value}
                )
    out_dir.mkdir(parents=True, exist_ok=True)
    write_overlay_sheet(out_dir / "segmentation.png", scenes.score, first_masks)
    write_pca_sheet(out_dir / "pca.png", model, scenes.score)
    write_arrays(out_dir / "confusions.npz", confusions)
    write_scores(out_dir, scores, protocol=protocol.model_dump(mode="json"), classes=CLASS_NAMES, **details)
    return scores


def segment_subject(
    subject: Subject, scenes: SceneRoles, protocol: SegmentationProtocol, patch_size: int
) -> Segmented:
    """Chooses with the subject's first encoder, then fits and predicts with each; raw pixels use `patch_size`."""
    encoders: Sequence[Encoder | None] = subject.encoders or (None,)

    def extract(encoder: Encoder | None, part: Scenes, grid_side: int) -> Tensor:
        if encoder is None:
            return patch_pixels(part.images, grid_side=grid_side, patch_size=patch_size)
        return patch_features(
            encoder, part.images, grid_side=grid_side, num_last_blocks=protocol.num_last_blocks
        )

    choices, heads = [], {}
    for grid_side in protocol.grid_sides:
        fit_features = extract(encoders[0], scenes.fit, grid_side)
        choose_features = extract(encoders[0], scenes.choose, grid_side)
        choice, head = choose_head(fit_features, scenes.fit, choose_features, scenes.choose, protocol)
        choices.append(choice)
        heads[grid_side] = head
    best = max(choices, key=lambda choice: choice.mean_iou)
    masks = []
    for number, encoder in enumerate(encoders):
        head = (
            heads[best.grid_side]
            if number == 0
            else fit_choice(extract(encoder, scenes.fit, best.grid_side), scenes.fit, best, protocol)
        )
        masks.append(predict_masks(head, extract(encoder, scenes.score, best.grid_side), SIDE).cpu().numpy())
    return Segmented(masks, best)


def choose_head(
    fit_features: Float[Tensor, "n d g g"],
    fit: Scenes,
    choose_features: Float[Tensor, "m d g g"],
    choose: Scenes,
    protocol: SegmentationProtocol,
) -> tuple[Choice, LinearHead]:
    """The head with the best mIoU on the choose scenes, over ridge constants and background discounts.

    Among equals the strongest ridge and the smallest discount win.
    """
    constants = tuple(sorted(protocol.l2_constants, reverse=True))
    heads = fit_heads(
        fit_features,
        fit.masks.to(fit_features.device),
        num_classes=NUM_CLASSES,
        l2_constants=constants,
        max_iterations=protocol.max_iterations,
        relative_tolerance=protocol.relative_tolerance,
    )
    tried = []
    for (l2, head), discount in itertools.product(
        zip(constants, heads, strict=True), sorted(protocol.background_discounts)
    ):
        discounted = head.discounted(BACKGROUND, discount)
        masks = predict_masks(discounted, choose_features, SIDE).cpu().numpy()
        counts = image_confusions(choose.masks.numpy(), masks, NUM_CLASSES).sum(0)
        mean_iou = float(METRICS[MEAN_IOU](counts))
        tried.append((Choice(fit_features.shape[-1], l2, discount, mean_iou), discounted))
    return max(tried, key=lambda pair: pair[0].mean_iou)


def fit_choice(
    features: Float[Tensor, "n d g g"], fit: Scenes, choice: Choice, protocol: SegmentationProtocol
) -> LinearHead:
    """One head with constants already chosen."""
    heads = fit_heads(
        features,
        fit.masks.to(features.device),
        num_classes=NUM_CLASSES,
        l2_constants=(choice.l2,),
        max_iterations=protocol.max_iterations,
        relative_tolerance=protocol.relative_tolerance,
    )
    return heads[0].discounted(BACKGROUND, choice.background_discount)


def score_counts(
    subject: str, counts: Int[np.ndarray, "repeats n k k"], protocol: SegmentationProtocol
) -> list[Score]:
    """mIoU, pixel accuracy and mean class accuracy from the pixel counts of every scene; means over repeats."""
    num_scenes = counts.shape[1]
    draws = np.random.default_rng(protocol.seed)
    weights = draws.multinomial(num_scenes, np.full(num_scenes, 1 / num_scenes), size=BOOTSTRAP_RESAMPLES)
    resampled = np.stack([np.tensordot(weights, one, axes=1) for one in counts.astype(np.float64)])
    totals = counts.sum(1)
    scores = []
    for metric, measure in METRICS.items():
        value = float(measure(totals).mean())
        low, high = interval_around(value, measure(resampled).mean(0))
        per_class = intersections_over_unions(totals) if metric == MEAN_IOU else recalls(totals)
        scores.append(
            Score(
                subject=subject,
                dataset=protocol.dataset,
                metric=metric,
                value=value,
                ci_low=low,
                ci_high=high,
                num_test=num_scenes,
                split=protocol.split,
                protocol=protocol.name,
                protocol_fingerprint=protocol.fingerprint,
                per_class=by_name(per_class.mean(0), CLASS_NAMES),
            )
        )
    return scores
