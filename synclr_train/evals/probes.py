"""Every probe of one feature matrix: the linear probe by L-BFGS, kNN, and few-shot. Reads and writes nothing.

The linear probe is the paper's for fine-grained sets (SynCLR appendix B). Scored rows choose nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from synclr_train.evals import few_shot, knn
from synclr_train.evals.features import RoleFeatures
from synclr_train.evals.labelled_images import Measure
from synclr_train.evals.logistic_regression import LinearClassifiers, fit_logistic, one_hot
from synclr_train.evals.measures import mean_average_precision_11, score_of
from synclr_train.evals.one_vs_rest import fit_one_vs_rest
from synclr_train.evals.protocol import ProbeProtocol

LINEAR = "linear_probe"
KNN = "knn"


def few_shot_probe(num_shots: int) -> str:
    """Name of the few-shot probe, `few_shot_5`."""
    return f"few_shot_{num_shots}"


@dataclass(frozen=True)
class LinearProbe:
    """What it says of every score row, the constant behind it, and the score of each constant tried."""

    answers: np.ndarray
    """[n] predicted classes, or [n k] decision values where images show several classes."""
    l2_constant: float
    sweep: list[tuple[float, float]]
    num_unconverged: int


@dataclass(frozen=True)
class Measured:
    """One probe of one subject: answers of every repeat (seed or episode), and the constants chosen."""

    answers: np.ndarray
    """[repeats n] predicted classes, or [repeats n k] decision values."""
    chosen: list[Any]


def l2_grid(protocol: ProbeProtocol) -> list[float]:
    """The ridge constants swept, strongest first."""
    grid = np.logspace(np.log10(protocol.l2_highest), np.log10(protocol.l2_lowest), protocol.num_l2_constants)
    return [float(constant) for constant in grid]


def probe_linearly(rows: RoleFeatures, protocol: ProbeProtocol, measure: Measure = "accuracy") -> LinearProbe:
    """Sweeps the ridge on the choose rows, refits on fit and choose together, answers for the score rows.

    Among equally good constants the strongest ridge wins.
    """
    constants = l2_grid(protocol)
    tried, seen = _fit(rows, rows.fit, rows.choose, constants, protocol)
    labels = rows.labels[rows.choose].cpu().numpy()
    sweep = [_choice_score(measure, answers, labels) for answers in _answers(tried, seen, measure)]
    best = constants[sweep.index(max(sweep))]
    final, seen = _fit(rows, rows.known, rows.score, [best], protocol)
    answers = next(iter(_answers(final, seen, measure)))
    return LinearProbe(answers, best, list(zip(constants, sweep, strict=True)), int((~tried.converged).sum()))


def probe_rows(
    rows: RoleFeatures, protocol: ProbeProtocol, shots: Sequence[int], measure: Measure = "accuracy"
) -> dict[str, Measured]:
    """All probes of one feature matrix; where images show several classes, the linear one alone."""
    linear = probe_linearly(rows, protocol, measure)
    measured = {
        LINEAR: Measured(
            linear.answers[None],
            [{"l2": linear.l2_constant, "unconverged": linear.num_unconverged, "sweep": linear.sweep}],
        )
    }
    if measure == "map_11_point":
        return measured
    nearest = knn.choose_and_predict(
        rows, neighbours=protocol.knn_neighbours, temperature=protocol.knn_temperature
    )
    measured[KNN] = Measured(nearest.predictions[None], [{"neighbours": nearest.num_neighbours}])
    for num_shots in shots:
        episodes = few_shot.choose_and_predict(
            rows,
            num_shots=num_shots,
            l2_constants=protocol.few_shot_l2_constants,
            num_choice_episodes=protocol.num_choice_episodes,
            num_episodes=protocol.num_episodes,
            seed=protocol.seed,
        )
        measured[few_shot_probe(num_shots)] = Measured(episodes.predictions, [{"l2": episodes.l2_constant}])
    return measured


def standardise_by(features: Float[Tensor, "n d"], part: slice) -> Float[Tensor, "n d"]:
    """All rows, shifted and scaled so that those of `part` have mean 0 and deviation 1 in every column.

    A column that is constant over `part` is only shifted.
    """
    mean, deviation = features[part].mean(0), features[part].std(0, correction=0)
    still = deviation <= torch.finfo(features.dtype).eps * features[part].abs().amax(0)
    return (features - mean) / torch.where(still, torch.ones_like(deviation), deviation)


def _fit(
    rows: RoleFeatures, part: slice, asked: slice, constants: Sequence[float], protocol: ProbeProtocol
) -> tuple[LinearClassifiers, Tensor]:
    """Classifiers fitted on `part`, and the features of `asked` in the same scale."""
    features = standardise_by(rows.features, part) if protocol.standardise else rows.features
    ridges = torch.tensor(constants, dtype=features.dtype, device=features.device)
    if rows.labels.ndim == 2:
        fitted = fit_one_vs_rest(
            features[part],
            rows.labels[part],
            ridges,
            max_iterations=protocol.max_iterations,
            relative_tolerance=protocol.relative_tolerance,
        )
    else:
        fitted = fit_logistic(
            features[part],
            one_hot(rows.labels[part], rows.num_classes),
            ridges,
            max_iterations=protocol.max_iterations,
            relative_tolerance=protocol.relative_tolerance,
        )
    return fitted, features[asked]


def _answers(fitted: LinearClassifiers, features: Tensor, measure: Measure) -> list[np.ndarray]:
    """Of each classifier: decision values where classes are ranked image by image, else predicted classes."""
    logits = (features @ one + bias for one, bias in zip(fitted.weights, fitted.biases, strict=True))
    return [(values if measure == "map_11_point" else values.argmax(-1)).cpu().numpy() for values in logits]


def _choice_score(measure: Measure, answers: np.ndarray, labels: np.ndarray) -> float:
    if measure == "map_11_point":
        return mean_average_precision_11(answers, labels)
    return score_of(measure, (answers == labels)[None].astype(np.float64), labels)
