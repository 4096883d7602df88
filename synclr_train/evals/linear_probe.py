"""Linear probe, kNN and few-shot of a model beside its baselines on one or several data sets, with its files.

What a probe does stands in `probes`; here data sets and subjects meet it, and scores are written.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from synclr_train.evals.confusion import by_name, confusion_matrix, recalls
from synclr_train.evals.datasets import DIGITS, load_dataset
from synclr_train.evals.feature_cache import cached_features
from synclr_train.evals.features import RoleFeatures, raw_pixels, represent, represent_batches
from synclr_train.evals.labelled_images import LabelledImages
from synclr_train.evals.measures import average_precisions_11, bootstrap, mean_average_precision_11, score_of
from synclr_train.evals.outcomes import Outcomes, Rankings, outcomes_of, write_outcomes
from synclr_train.evals.probes import KNN, LINEAR, Measured, few_shot_probe, probe_rows
from synclr_train.evals.protocol import ProbeProtocol, Split
from synclr_train.evals.scores import (
    BOOTSTRAP_RESAMPLES,
    EvaluationError,
    Score,
    write_arrays,
    write_scores,
)
from synclr_train.evals.subjects import BASELINES, MODEL, OnEvent, Subject, load_subjects

MAP_RESAMPLES = 500
"""Bootstrap resamples of a mean average precision, which costs a hundred times an accuracy."""


def run_linear_probe(
    encoder_dir: Path,
    out_dir: Path,
    *,
    datasets: Sequence[str] = (DIGITS,),
    split: Split = "test",
    baselines: Sequence[str] = BASELINES,
    cache_dir: Path | None = None,
    on_event: OnEvent | None = None,
) -> list[Score]:
    """Probes the encoder exported in `encoder_dir` and its baselines on every data set; returns every score.

    Writes `scores.json` into `out_dir`: all scores, and of the first data set the protocol, constants chosen,
    confusion matrices, and what was left out and why; of each further one `details_<name>.json` the same. And
    `predictions.npz` (`predictions_<name>.npz`), labels and answers of every scored image, and the model's
    outcomes, one file per protocol. Of `random_weights` the mean over its seeds is scored. `cache_dir` keeps
    features for the next run. Raises ValueError for a user's mistake, before it measures or writes anything.
    """
    found = [load_dataset(name) for name in datasets]
    names = [images.name for images in found]
    if len(set(names)) < len(names):
        raise EvaluationError(f"every data set must be named once, but the list is {', '.join(names)}")
    protocols = [protocol_of(images, split) for images in found]
    for images in found:
        images.roles(split)
    _, subjects = load_subjects(
        encoder_dir, baselines, num_random_encoders=protocols[0].num_random_encoders, seed=protocols[0].seed
    )
    measured = [
        probe_dataset(images, protocol, subjects, cache_dir=cache_dir, on_event=on_event)
        for images, protocol in zip(found, protocols, strict=True)
    ]
    out_dir.mkdir(parents=True, exist_ok=True)
    every_score = [score for scores, _, _ in measured for score in scores]
    for number, (images, (scores, details, arrays)) in enumerate(zip(found, measured, strict=True)):
        suffix = "_" + re.sub(r"[^a-z0-9]+", "_", images.name.lower()).strip("_") if number else ""
        write_arrays(out_dir / f"predictions{suffix}.npz", arrays)
        write_outcomes(out_dir, scores[0].protocol_fingerprint, model_outcomes(images, arrays))
        if number:
            write_scores(out_dir, scores, file_name=f"details{suffix}.json", **details)
    write_scores(out_dir, every_score, datasets=names, **measured[0][1])
    return every_score


def protocol_of(images: LabelledImages, split: Split) -> ProbeProtocol:
    """The protocol under which `images` is probed."""
    return ProbeProtocol(
        dataset=images.name,
        dataset_digest=images.digest,
        split=split,
        measure=images.measure,
        standardise=images.standardise,
    )


def probe_dataset(
    images: LabelledImages,
    protocol: ProbeProtocol,
    subjects: Sequence[Subject],
    *,
    cache_dir: Path | None = None,
    on_event: OnEvent | None = None,
) -> tuple[list[Score], dict[str, Any], dict[str, np.ndarray]]:
    """Scores of every subject on one data set, the details behind them, and the answers themselves."""
    labels = images.labels[images.roles(protocol.split).score]
    scores: list[Score] = []
    shots, omitted = feasible_probes(images, protocol)
    details: dict[str, Any] = {
        "protocol": protocol.model_dump(mode="json"),
        "classes": images.class_names,
        "omitted": omitted,
        "chosen": {},
        "confusion": {},
        "seconds": {},
    }
    arrays: dict[str, np.ndarray] = {"labels": labels}
    for subject in subjects:
        started = time.perf_counter()
        measured = probe_subject(subject, images, protocol, shots, cache_dir=cache_dir, on_event=on_event)
        details["chosen"][subject.name] = {probe: result.chosen for probe, result in measured.items()}
        if not images.is_multi_label:
            counts = mean_confusion(labels, measured[LINEAR].answers, images)
            details["confusion"][subject.name] = counts.tolist()
        for probe, result in measured.items():
            score = score_answers(subject.name, probe, result.answers, labels, images, protocol)
            scores.append(score)
            kind = np.float64 if images.is_multi_label else np.int32
            arrays[f"{subject.name}.{score.metric}"] = result.answers.astype(kind)
            if on_event is not None:
                on_event(
                    {
                        "event": "scored",
                        "subject": subject.name,
                        "dataset": images.name,
                        "metric": score.metric,
                        "value": score.value,
                    }
                )
        details["seconds"][subject.name] = round(time.perf_counter() - started, 3)
    return scores, details, arrays


def model_outcomes(
    images: LabelledImages, arrays: Mapping[str, np.ndarray]
) -> dict[str, Outcomes | Rankings]:
    """What stands behind each of the model's metrics."""
    return {
        name.partition(".")[2]: outcomes_of(
            images.measure,
            answers if images.is_multi_label else answers.astype(np.int64),
            arrays["labels"],
            len(images.class_names),
        )
        for name, answers in arrays.items()
        if name.startswith(f"{MODEL}.")
    }


def feasible_probes(images: LabelledImages, protocol: ProbeProtocol) -> tuple[list[int], dict[str, str]]:
    """The numbers of shots every class has enough images for, and why each other probe is left out."""
    if images.is_multi_label:
        reason = "an image shows several classes"
        left_out = [KNN, *(few_shot_probe(shots) for shots in protocol.shots)]
        return [], {f"{probe}_{images.measure}": reason for probe in left_out}
    smallest = int(np.unique(images.labels[images.roles(protocol.split).fit], return_counts=True)[1].min())
    reason = f"the smallest class has only {smallest} images to draw from"
    return (
        [shots for shots in protocol.shots if shots <= smallest],
        {f"{few_shot_probe(shots)}_{images.measure}": reason for shots in protocol.shots if shots > smallest},
    )


def probe_subject(
    subject: Subject,
    images: LabelledImages,
    protocol: ProbeProtocol,
    shots: Sequence[int],
    *,
    cache_dir: Path | None = None,
    on_event: OnEvent | None = None,
) -> dict[str, Measured]:
    """Every probe of every encoder of one subject, probe by probe."""
    runs = [
        probe_rows(rows, protocol, shots, images.measure)
        for rows in subject_rows(subject, images, protocol, cache_dir=cache_dir, on_event=on_event)
    ]
    return {
        probe: Measured(
            np.concatenate([run[probe].answers for run in runs]),
            [constant for run in runs for constant in run[probe].chosen],
        )
        for probe in runs[0]
    }


def subject_rows(
    subject: Subject,
    images: LabelledImages,
    protocol: ProbeProtocol,
    *,
    cache_dir: Path | None = None,
    on_event: OnEvent | None = None,
) -> Iterator[RoleFeatures]:
    """The features of one subject, one encoder after the other; the rows that have no role are never read."""
    roles = images.roles(protocol.split)
    rows = np.concatenate([roles.fit, roles.choose, roles.score])

    def role_features(matrix: torch.Tensor) -> RoleFeatures:
        labels = torch.as_tensor(images.labels[rows], device=matrix.device)
        return RoleFeatures(matrix, labels, len(roles.fit), len(roles.choose), len(images.class_names))

    if not subject.encoders:
        yield role_features(raw_pixels(images, rows, largest_side=protocol.raw_pixel_side))
    for encoder in subject.encoders:
        if cache_dir is None:
            yield role_features(represent(encoder, images, rows))
        else:
            batches = represent_batches(encoder, images, rows)
            kept = cached_features(cache_dir, encoder, images, rows, batches, on_event=on_event)
            device = next(encoder.parameters()).device
            yield role_features(torch.tensor(kept, dtype=torch.float64, device=device))


def mean_confusion(
    labels: Int[np.ndarray, " n"], predictions: Int[np.ndarray, "repeats n"], images: LabelledImages
) -> Float[np.ndarray, "k k"]:
    """Confusion counts, averaged over the repeats."""
    num_classes = len(images.class_names)
    return np.mean([confusion_matrix(labels, one, num_classes) for one in predictions], axis=0)


def score_answers(
    subject: str,
    probe: str,
    answers: np.ndarray,
    labels: np.ndarray,
    images: LabelledImages,
    protocol: ProbeProtocol,
) -> Score:
    """The data set's measure over all repeats; few-shot intervals cover the draw of episodes besides images."""
    if images.measure == "map_11_point":

        def score(image_counts: np.ndarray, repeat_counts: np.ndarray) -> float:
            each = [mean_average_precision_11(one, labels, image_counts) for one in answers]
            return float(np.average(each, weights=repeat_counts))

        per_class = np.mean([average_precisions_11(one, labels) for one in answers], axis=0)
    else:
        outcomes = (answers == labels).astype(np.float64)

        def score(image_counts: np.ndarray, repeat_counts: np.ndarray) -> float:
            return score_of(images.measure, outcomes, labels, image_counts, repeat_counts)

        per_class = recalls(mean_confusion(labels, answers, images))
    low, high = bootstrap(
        len(labels),
        len(answers),
        score,
        seed=protocol.seed,
        resample_repeats=probe.startswith("few_shot"),
        num_resamples=MAP_RESAMPLES if images.is_multi_label else BOOTSTRAP_RESAMPLES,
    )
    return Score(
        subject=subject,
        dataset=protocol.dataset,
        metric=f"{probe}_{images.measure}",
        value=score(np.ones(len(labels)), np.ones(len(answers))),
        ci_low=low,
        ci_high=high,
        num_test=len(labels),
        split=protocol.split,
        protocol=protocol.name,
        protocol_fingerprint=protocol.fingerprint,
        per_class=by_name(per_class, images.class_names),
    )
