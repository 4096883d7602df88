"""The probes of a frozen representation (linear, kNN, few-shot), for a model and its baselines in one run.

The linear probe is the paper's for fine-grained sets (SynCLR appendix B). Scored rows choose nothing.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from synclr_train.evals import few_shot, knn
from synclr_train.evals.confusion import by_name, confusion_matrix, recalls
from synclr_train.evals.datasets import DIGITS, LabelledImages, load_dataset
from synclr_train.evals.features import RoleFeatures, raw_pixels, represent
from synclr_train.evals.logistic_regression import LinearClassifiers, fit_logistic, one_hot
from synclr_train.evals.outcomes import Outcomes, correctness, write_outcomes
from synclr_train.evals.protocol import ProbeProtocol, Split
from synclr_train.evals.scores import Score, bootstrap_interval, write_arrays, write_scores
from synclr_train.evals.subjects import BASELINES, MODEL, OnEvent, Subject, load_subjects

LINEAR = "linear_probe_accuracy"
KNN = "knn_accuracy"


def few_shot_metric(num_shots: int) -> str:
    """Name of the few-shot score, `few_shot_5_accuracy`."""
    return f"few_shot_{num_shots}_accuracy"


@dataclass(frozen=True)
class LinearProbe:
    """Predicted class of every score row, the constant behind it, and the accuracy of each constant tried."""

    predictions: Int[np.ndarray, " n"]
    l2_constant: float
    sweep: list[tuple[float, float]]
    num_unconverged: int


@dataclass(frozen=True)
class Measured:
    """One metric of one subject: predictions of every repeat (seed or episode), and the constants chosen."""

    predictions: Int[np.ndarray, "repeats n"]
    chosen: list[Any]


def l2_grid(protocol: ProbeProtocol) -> list[float]:
    """The ridge constants swept, strongest first."""
    grid = np.logspace(np.log10(protocol.l2_highest), np.log10(protocol.l2_lowest), protocol.num_l2_constants)
    return [float(constant) for constant in grid]


def probe_linearly(rows: RoleFeatures, protocol: ProbeProtocol) -> LinearProbe:
    """Sweeps the ridge on the choose rows, refits on fit and choose together, predicts the score rows.

    Among equally good constants the strongest ridge wins.
    """

    def fit(part: slice, constants: Sequence[float]) -> LinearClassifiers:
        return fit_logistic(
            rows.features[part],
            one_hot(rows.labels[part], rows.num_classes),
            torch.tensor(constants, dtype=torch.float64, device=rows.features.device),
            max_iterations=protocol.max_iterations,
            relative_tolerance=protocol.relative_tolerance,
        )

    constants = l2_grid(protocol)
    tried = fit(rows.fit, constants)
    correct = (
        (tried.predict(rows.features[rows.choose]) == rows.labels[rows.choose]).double().mean(1).tolist()
    )
    best = constants[correct.index(max(correct))]
    predictions = fit(rows.known, [best]).predict(rows.features[rows.score])[0].cpu().numpy()
    sweep = list(zip(constants, correct, strict=True))
    return LinearProbe(predictions, best, sweep, int((~tried.converged).sum()))


def run_linear_probe(
    encoder_dir: Path,
    out_dir: Path,
    *,
    dataset: str = DIGITS,
    split: Split = "test",
    baselines: Sequence[str] = BASELINES,
    on_event: OnEvent | None = None,
) -> list[Score]:
    """Probes the encoder exported in `encoder_dir` and its baselines on `dataset`; returns every score.

    Writes `scores.json` (scores, protocol, constants chosen, confusion matrices, what was left out and why),
    `predictions.npz` (labels and predicted classes of every scored image) and the model's outcomes into
    `out_dir`. Of `random_weights` the mean over its seeds is scored. Raises ValueError for a user's mistake, before it
    writes anything.
    """
    images = load_dataset(dataset)
    protocol = ProbeProtocol(dataset=images.name, dataset_digest=images.digest, split=split)
    _, subjects = load_subjects(
        encoder_dir, baselines, num_random_encoders=protocol.num_random_encoders, seed=protocol.seed
    )
    labels = images.labels[images.roles(split).score]
    scores: list[Score] = []
    shots, omitted = feasible_shots(images, protocol)
    details: dict[str, Any] = {"chosen": {}, "confusion": {}, "seconds": {}, "omitted": omitted}
    arrays: dict[str, np.ndarray] = {"labels": labels}
    outcomes: dict[str, Outcomes] = {}
    for subject in subjects:
        started = time.perf_counter()
        measured = probe_subject(subject, images, protocol, shots)
        details["chosen"][subject.name] = {metric: result.chosen for metric, result in measured.items()}
        details["confusion"][subject.name] = mean_confusion(
            labels, measured[LINEAR].predictions, images
        ).tolist()
        for metric, result in measured.items():
            score = score_predictions(subject.name, metric, result.predictions, labels, images, protocol)
            scores.append(score)
            arrays[f"{subject.name}.{metric}"] = result.predictions.astype(np.int32)
            if subject.name == MODEL:
                outcomes[metric] = correctness(result.predictions, labels)
            if on_event is not None:
                on_event({"event": "scored", "subject": subject.name, "metric": metric, "value": score.value})
        details["seconds"][subject.name] = round(time.perf_counter() - started, 3)
    out_dir.mkdir(parents=True, exist_ok=True)
    write_arrays(out_dir / "predictions.npz", arrays)
    write_outcomes(out_dir, protocol.fingerprint, outcomes)
    write_scores(
        out_dir, scores, protocol=protocol.model_dump(mode="json"), classes=images.class_names, **details
    )
    return scores


def feasible_shots(images: LabelledImages, protocol: ProbeProtocol) -> tuple[list[int], dict[str, str]]:
    """The numbers of shots every class has enough images for, and why each other one is left out."""
    smallest = int(np.unique(images.labels[images.roles(protocol.split).fit], return_counts=True)[1].min())
    reason = f"the smallest class has only {smallest} images to draw from"
    return (
        [shots for shots in protocol.shots if shots <= smallest],
        {few_shot_metric(shots): reason for shots in protocol.shots if shots > smallest},
    )


def probe_subject(
    subject: Subject, images: LabelledImages, protocol: ProbeProtocol, shots: Sequence[int]
) -> dict[str, Measured]:
    """Every probe of every encoder of one subject, metric by metric."""
    runs = [probe_rows(rows, protocol, shots) for rows in subject_rows(subject, images, protocol)]
    return {
        metric: Measured(
            np.concatenate([run[metric].predictions for run in runs]),
            [constant for run in runs for constant in run[metric].chosen],
        )
        for metric in runs[0]
    }


def subject_rows(subject: Subject, images: LabelledImages, protocol: ProbeProtocol) -> Iterator[RoleFeatures]:
    """The features of one subject, one encoder after the other; the rows that have no role are never read."""
    roles = images.roles(protocol.split)
    rows = np.concatenate([roles.fit, roles.choose, roles.score])
    features = (
        (represent(encoder, images, rows) for encoder in subject.encoders)
        if subject.encoders
        else iter([raw_pixels(images, rows, largest_side=protocol.raw_pixel_side)])
    )
    for matrix in features:
        labels = torch.as_tensor(images.labels[rows], device=matrix.device)
        yield RoleFeatures(matrix, labels, len(roles.fit), len(roles.choose), len(images.class_names))


def probe_rows(rows: RoleFeatures, protocol: ProbeProtocol, shots: Sequence[int]) -> dict[str, Measured]:
    """All probes of one feature matrix."""
    linear = probe_linearly(rows, protocol)
    nearest = knn.choose_and_predict(
        rows, neighbours=protocol.knn_neighbours, temperature=protocol.knn_temperature
    )
    measured = {
        LINEAR: Measured(
            linear.predictions[None],
            [{"l2": linear.l2_constant, "unconverged": linear.num_unconverged, "sweep": linear.sweep}],
        ),
        KNN: Measured(nearest.predictions[None], [{"neighbours": nearest.num_neighbours}]),
    }
    for num_shots in shots:
        episodes = few_shot.choose_and_predict(
            rows,
            num_shots=num_shots,
            l2_constants=protocol.few_shot_l2_constants,
            num_choice_episodes=protocol.num_choice_episodes,
            num_episodes=protocol.num_episodes,
            seed=protocol.seed,
        )
        measured[few_shot_metric(num_shots)] = Measured(episodes.predictions, [{"l2": episodes.l2_constant}])
    return measured


def mean_confusion(
    labels: Int[np.ndarray, " n"], predictions: Int[np.ndarray, "repeats n"], images: LabelledImages
) -> Float[np.ndarray, "k k"]:
    """Confusion counts, averaged over the repeats."""
    num_classes = len(images.class_names)
    return np.mean([confusion_matrix(labels, one, num_classes) for one in predictions], axis=0)


def score_predictions(
    subject: str,
    metric: str,
    predictions: Int[np.ndarray, "repeats n"],
    labels: Int[np.ndarray, " n"],
    images: LabelledImages,
    protocol: ProbeProtocol,
) -> Score:
    """Accuracy over all repeats; few-shot intervals cover the draw of episodes besides that of images."""
    outcomes = (predictions == labels).astype(np.float64)
    low, high = bootstrap_interval(
        outcomes, seed=protocol.seed, resample_repeats=metric.startswith("few_shot")
    )
    return Score(
        subject=subject,
        dataset=protocol.dataset,
        metric=metric,
        value=float(outcomes.mean()),
        ci_low=low,
        ci_high=high,
        num_test=len(labels),
        split=protocol.split,
        protocol=protocol.name,
        protocol_fingerprint=protocol.fingerprint,
        per_class=by_name(recalls(mean_confusion(labels, predictions, images)), images.class_names),
    )
