"""Segmentation by a head that is trained by gradient descent, UperNet or linear (SynCLR appendix B).

Images stream by; every score is computed at the masks' own resolution.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from PIL import Image
from torch import nn

from synclr_train.backbone import Encoder, load_encoder, random_encoder_like
from synclr_train.evals.confusion import HITS, PREDICTED, TRUE
from synclr_train.evals.outcomes import write_outcomes
from synclr_train.evals.protocol import Protocol, Split
from synclr_train.evals.scores import EvaluationError, Score, write_arrays, write_scores
from synclr_train.evals.segmentation_datasets import Example, SegmentationSet, load_segmentation_set
from synclr_train.evals.segmentation_recipes import SegmentationRecipe
from synclr_train.evals.segmentation_sheet import NUM_SCENES, Scene, write_overlay_sheet
from synclr_train.evals.segmentation_tally import Tally, outcomes_of_counts, scores_of_counts
from synclr_train.evals.segmentation_training import (
    CHECKPOINT_EVERY_STEPS,
    Fitting,
    digest_of_weights,
    make_segmenter,
)
from synclr_train.evals.segmenter import Segmenter, check_fit, scaled_size, slide
from synclr_train.evals.subjects import MODEL, RANDOM_WEIGHTS, OnEvent
from synclr_train.evals.upernet import resize
from synclr_train.training import computes_bfloat16

MOST_FREQUENT_CLASS = "most_frequent_class"
"""The best that a single class everywhere could score: costs nothing, so it is always there."""
LARGEST_UPSAMPLED = 64 * 2**20
"""Logits upsampled at once, in numbers; larger images go class by class."""


class FineTunedSegmentationProtocol(Protocol):
    """Every setting behind the scores of a trained head."""

    recipe: SegmentationRecipe
    """The head, its training and its test."""
    resolution: str = "of the masks"
    """Where pixels are counted."""


@dataclass
class Predictions:
    """What streamed by: counts of all images, and the first ones to look at."""

    tally: Tally
    shown: list[Scene] = field(default_factory=list)


def run_fine_tuned_segmentation(
    encoder_dir: Path,
    out_dir: Path,
    *,
    dataset: str,
    recipe: SegmentationRecipe,
    split: Split = "test",
    baselines: Sequence[str] = (),
    on_event: OnEvent | None = None,
) -> list[Score]:
    """Trains the recipe's head on the encoder exported in `encoder_dir`, and scores it on `dataset`.

    `baselines` may name `random_weights`: the same training from a random encoder. Writes `scores.json`,
    `counts.npz` (pixels of every image), the model's outcomes, `segmentation.png` and, under `training/`, resume
    points and losses; a killed run continues there. Raises ValueError for a user's mistake before it writes anything.
    """
    if unknown := [name for name in baselines if name != RANDOM_WEIGHTS]:
        raise EvaluationError(
            f"baseline {unknown[0]!r} does not exist for a trained head: choose {RANDOM_WEIGHTS} or none"
        )
    encoders = {MODEL: load_encoder(encoder_dir)}
    if RANDOM_WEIGHTS in baselines:
        encoders[RANDOM_WEIGHTS] = random_encoder_like(encoder_dir, recipe.seed)
    check_fit(encoders[MODEL], recipe)
    data = load_segmentation_set(dataset, split)
    protocol = FineTunedSegmentationProtocol(
        name=recipe.name, dataset=data.name, dataset_digest=data.digest, split=split, recipe=recipe
    )
    scores: list[Score] = []
    details: dict[str, Any] = {"confusion": {}, "seconds": {}}
    counts: dict[str, np.ndarray] = {}
    shown: dict[str, list[Scene]] = {}
    for subject, encoder in encoders.items():
        started = time.perf_counter()
        segmenter = _trained(encoder, data, protocol, out_dir / "training" / subject, on_event)
        found = predict(segmenter, data, recipe)
        counts[subject], shown[subject] = np.stack(found.tally.images), found.shown
        details["confusion"][subject] = found.tally.confusion.tolist()
        details["seconds"][subject] = round(time.perf_counter() - started, 3)
        scores += scores_of_counts(subject, counts[subject][None], protocol, data.class_names)
    constant = constant_counts(counts[MODEL])
    scores += scores_of_counts(MOST_FREQUENT_CLASS, constant[None], protocol, data.class_names)
    for score in scores:
        if on_event is not None:
            on_event(
                {"event": "scored", "subject": score.subject, "metric": score.metric, "value": score.value}
            )
    out_dir.mkdir(parents=True, exist_ok=True)
    write_overlay_sheet(out_dir / "segmentation.png", shown, data.class_names)
    write_arrays(out_dir / "counts.npz", counts)
    write_outcomes(out_dir, protocol.fingerprint, outcomes_of_counts(counts[MODEL][None]))
    write_scores(
        out_dir, scores, protocol=protocol.model_dump(mode="json"), classes=data.class_names, **details
    )
    return scores


def predict(segmenter: Segmenter, data: SegmentationSet, recipe: SegmentationRecipe) -> Predictions:
    """Masks of every scored image, counted as they come."""
    predictions = Predictions(Tally(len(data.class_names)))
    for number in range(data.num_score):
        example = data.read_score(number)
        mask = predict_mask(segmenter, example, recipe, segmenter.mean.device)
        predictions.tally.add(example.mask, mask)
        if number < NUM_SCENES:
            predictions.shown.append(Scene(example.image, example.mask, mask))
    return predictions


def predict_mask(
    network: nn.Module, example: Example, recipe: SegmentationRecipe, device: torch.device
) -> Int[np.ndarray, "mh mw"]:
    """Classes at the mask's own resolution: scaled image, sliding window, logits upsampled, best class."""
    height, width = scaled_size(example.image.shape[0], example.image.shape[1], recipe)
    scaled = np.asarray(Image.fromarray(example.image).resize((width, height), Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(scaled.copy()).permute(2, 0, 1)[None].float().to(device) / 255
    bfloat16 = computes_bfloat16(recipe.precision, device)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        logits = slide(network, pixels, recipe.crop_size, recipe.stride)
    return upsampled_classes(logits, example.mask.shape).cpu().numpy()


def upsampled_classes(logits: torch.Tensor, size: tuple[int, ...]) -> Int[torch.Tensor, "mh mw"]:
    """Best class of every pixel at `size`; class by class where all logits together would be too large."""
    if logits.shape[1] * size[0] * size[1] <= LARGEST_UPSAMPLED:
        return resize(logits, size).argmax(1)[0]
    best = torch.full(size, -torch.inf, device=logits.device)
    classes = torch.zeros(size, dtype=torch.int64, device=logits.device)
    for label in range(logits.shape[1]):
        values = resize(logits[:, label : label + 1], size)[0, 0]
        higher = values > best
        best, classes = torch.where(higher, values, best), torch.where(higher, label, classes)
    return classes


def constant_counts(images: Int[np.ndarray, "n 3 k"]) -> Int[np.ndarray, "n 3 k"]:
    """The counts of naming the most frequent class of the scored images everywhere."""
    label = int(images[:, TRUE].sum(0).argmax())
    constant = np.zeros_like(images)
    constant[:, TRUE] = images[:, TRUE]
    constant[:, HITS, label] = images[:, TRUE, label]
    constant[:, PREDICTED, label] = images[:, TRUE].sum(1)
    return constant


def _trained(
    encoder: Encoder,
    data: SegmentationSet,
    protocol: FineTunedSegmentationProtocol,
    folder: Path,
    on_event: OnEvent | None,
) -> Segmenter:
    recipe = protocol.recipe
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    segmenter = make_segmenter(lambda: Segmenter(encoder, recipe, len(data.class_names)), recipe.seed)
    fitting = Fitting(
        segmenter.to(device),
        recipe,
        data,
        folder,
        identity=f"{protocol.fingerprint} {digest_of_weights(encoder)}",
        uses_bfloat16=computes_bfloat16(recipe.precision, device),
        checkpoint_every_steps=CHECKPOINT_EVERY_STEPS,
    )
    with torch.random.fork_rng():
        fitting.run(on_event)
    return segmenter
