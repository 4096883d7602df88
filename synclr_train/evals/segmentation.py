"""Segmentation of a model and its baselines in one run: a linear head on frozen features, or a trained head.

Input size and constants are chosen on scenes apart from those scored; the scored ones are predicted once.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from synclr_train.evals.confusion import class_counts
from synclr_train.evals.digits_on_photos import CLASS_NAMES, DIGITS_ON_PHOTOS, Scenes, load_scenes
from synclr_train.evals.outcomes import write_outcomes
from synclr_train.evals.pca import write_pca_sheet
from synclr_train.evals.protocol import SegmentationProtocol, Split
from synclr_train.evals.scores import EvaluationError, Score, write_arrays, write_scores
from synclr_train.evals.segmentation_datasets import load_segmentation_set
from synclr_train.evals.segmentation_fit import NUM_CLASSES, segment_subject
from synclr_train.evals.segmentation_head import image_confusions
from synclr_train.evals.segmentation_recipes import get_segmentation_recipe
from synclr_train.evals.segmentation_sheet import NUM_SCENES, Scene, write_overlay_sheet
from synclr_train.evals.segmentation_tally import outcomes_of_counts, scores_of_counts
from synclr_train.evals.subjects import BASELINES, MODEL, OnEvent, load_subjects

LINEAR = "linear"


def run_segmentation(
    encoder_dir: Path,
    out_dir: Path,
    *,
    dataset: str = DIGITS_ON_PHOTOS,
    head: str = LINEAR,
    steps: int | None = None,
    split: Split = "test",
    baselines: Sequence[str] | None = None,
    on_event: OnEvent | None = None,
) -> list[Score]:
    """Segments `dataset` with the encoder exported in `encoder_dir` and its baselines; returns every score.

    `head` is `linear`, fitted to its optimum on frozen features, or the name of a recipe that is trained (see
    `synclr_train.evals.fine_tuned_segmentation`). `baselines` left out are all for `linear`, none for a trained
    head. `steps` replaces a trained head's number of steps. Raises ValueError for a user's mistake.
    """
    if head != LINEAR:
        recipe = get_segmentation_recipe(head)
        from synclr_train.evals.fine_tuned_segmentation import run_fine_tuned_segmentation

        return run_fine_tuned_segmentation(
            encoder_dir,
            out_dir,
            dataset=dataset,
            recipe=recipe if steps is None else recipe.with_steps(steps),
            split=split,
            baselines=baselines or (),
            on_event=on_event,
        )
    if steps is not None:
        raise EvaluationError(f"head {LINEAR} is fitted to its optimum and has no steps: leave --steps out")
    if dataset != DIGITS_ON_PHOTOS:
        load_segmentation_set(dataset, split)
        raise EvaluationError(
            f"head {LINEAR} holds all features in memory and so takes {DIGITS_ON_PHOTOS} alone: for {dataset} "
            "choose a trained head, such as linear_vit_b16"
        )
    return run_linear_segmentation(
        encoder_dir,
        out_dir,
        split=split,
        baselines=BASELINES if baselines is None else baselines,
        on_event=on_event,
    )


def run_linear_segmentation(
    encoder_dir: Path,
    out_dir: Path,
    *,
    split: Split,
    baselines: Sequence[str],
    on_event: OnEvent | None,
) -> list[Score]:
    """The linear head on the digits on photographs.

    Writes `scores.json` (scores, protocol, constants chosen, confusion matrices), `confusions.npz` (pixel
    counts of every scene), the model's outcomes, `segmentation.png` (truth and predictions) and `pca.png` into
    `out_dir`. Of `random_weights` the mean over its seeds is scored, its constants chosen with the first of
    them. Raises ValueError for a user's mistake, before it writes anything.
    """
    scenes = load_scenes(split)
    protocol = SegmentationProtocol(dataset=DIGITS_ON_PHOTOS, dataset_digest=scenes.digest, split=split)
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
        for score in scores_of_counts(subject.name, class_counts(counts), protocol, CLASS_NAMES):
            scores.append(score)
            if on_event is not None:
                on_event(
                    {"event": "scored", "subject": subject.name, "metric": score.metric, "value": score.value}
                )
    out_dir.mkdir(parents=True, exist_ok=True)
    write_overlay_sheet(out_dir / "segmentation.png", shown_scenes(scenes.score, first_masks), CLASS_NAMES)
    write_pca_sheet(out_dir / "pca.png", model, scenes.score)
    write_arrays(out_dir / "confusions.npz", confusions)
    write_outcomes(out_dir, protocol.fingerprint, outcomes_of_counts(class_counts(confusions[MODEL])))
    write_scores(out_dir, scores, protocol=protocol.model_dump(mode="json"), classes=CLASS_NAMES, **details)
    return scores


def shown_scenes(scenes: Scenes, predictions: Mapping[str, np.ndarray]) -> dict[str, list[Scene]]:
    """The first scenes with each subject's masks, for the picture."""
    images = (scenes.images[:NUM_SCENES] * 255).round().byte().permute(0, 2, 3, 1).numpy()
    truths = scenes.masks[:NUM_SCENES].numpy()
    return {
        name: [Scene(*each) for each in zip(images, truths, masks[:NUM_SCENES], strict=True)]
        for name, masks in predictions.items()
    }
