"""Few-shot episodes: ridge logistic regressions on n labelled images per class, over many draws of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from synclr_train.evals.features import RoleFeatures
from synclr_train.evals.knn import unit_length
from synclr_train.evals.lbfgs import minimise
from synclr_train.evals.logistic_regression import gradient_limits, principal_coordinates, rounding_scales
from synclr_train.evals.scores import EvaluationError

MAX_ITERATIONS = 200
RELATIVE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class FewShot:
    """Predictions of every episode on every query, and the ridge constant chosen before."""

    predictions: Int[np.ndarray, "episodes n"]
    l2_constant: float


def draw_supports(
    labels: Int[np.ndarray, " n"], *, num_shots: int, num_episodes: int, seed: int
) -> Int[np.ndarray, "episodes s"]:
    """Positions of `num_shots` labels of each class without repetition, episode by episode.

    An episode depends on the seed and its own number alone. Raises EvaluationError when a class is too small.
    """
    pools = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if (fewest := min(map(len, pools))) < num_shots:
        raise EvaluationError(
            f"{num_shots}-shot episodes need {num_shots} images of every class, one has {fewest}"
        )
    episodes = []
    for episode in range(num_episodes):
        draws = np.random.default_rng((seed, num_shots, episode))
        episodes.append(np.concatenate([draws.permutation(pool)[:num_shots] for pool in pools]))
    return np.stack(episodes)


def fit_episodes(
    supports: Float[Tensor, "e s d"],
    labels: Int[Tensor, "e s"],
    *,
    num_classes: int,
    l2_constant: float,
    spread: Float[Tensor, " d"],
) -> Float[Tensor, "e d_and_bias k"]:
    """One classifier per episode, the bias as last row: sum of cross-entropies + l2 / 2 * |weights|^2.

    `spread` is the expected variance of each column; it speeds the fit up and does not move its optimum.
    """
    num_episodes, num_rows, num_dims = supports.shape
    padded = torch.cat([supports, torch.ones_like(supports[..., :1])], dim=-1)
    targets = torch.nn.functional.one_hot(labels.long(), num_classes).to(supports)
    ridges = supports.new_full((num_dims + 1, 1), l2_constant / num_rows)
    scales = rounding_scales(spread, ridges[:1, 0], num_classes)[0, :, None]
    ridges[-1] = 0

    def objective(parameters: Tensor, problems: Tensor) -> tuple[Tensor, Tensor]:
        rows, wanted = padded[problems], targets[problems]
        weights = parameters.view(len(problems), num_dims + 1, num_classes) * scales
        log_probabilities = (rows @ weights).log_softmax(-1)
        cross_entropy = -(wanted * log_probabilities).sum((1, 2)) / num_rows
        gradient = (rows.mT @ (log_probabilities.exp() - wanted) / num_rows + ridges * weights) * scales
        return cross_entropy + 0.5 * (ridges * weights.square()).sum((1, 2)), gradient.flatten(1)

    start = supports.new_zeros(num_episodes, (num_dims + 1) * num_classes)
    _, gradients = objective(start, torch.arange(num_episodes, device=start.device))
    limits = gradient_limits(gradients, RELATIVE_TOLERANCE)
    minima = minimise(objective, start, gradient_limits=limits, max_iterations=MAX_ITERATIONS)
    return minima.parameters.view(num_episodes, num_dims + 1, num_classes) * scales


def predict_episodes(
    features: Float[Tensor, "m d"],
    labels: Int[Tensor, " m"],
    queries: Float[Tensor, "n d"],
    supports: Int[np.ndarray, "e s"],
    *,
    num_classes: int,
    l2_constant: float,
) -> Int[Tensor, "e n"]:
    """Fits on each episode's support rows of unit-length features and predicts every query."""
    units = unit_length(features)
    centre = units.mean(0)
    rotated, basis, spread = principal_coordinates(units - centre)
    chosen = torch.as_tensor(supports, device=features.device)
    weights = fit_episodes(
        rotated[chosen], labels[chosen], num_classes=num_classes, l2_constant=l2_constant, spread=spread
    )
    asked = (unit_length(queries) - centre) @ basis
    return torch.stack([(asked @ one[:-1] + one[-1]).argmax(1) for one in weights])


def choose_and_predict(
    rows: RoleFeatures,
    *,
    num_shots: int,
    l2_constants: Sequence[float],
    num_choice_episodes: int,
    num_episodes: int,
    seed: int,
) -> FewShot:
    """Chooses the ridge by episodes drawn from the fit rows, then predicts every score row.

    The choosing episodes are scored on the choose rows; the reported ones draw shots from fit and choose
    together. Among equally good constants the strongest ridge wins.
    """

    def predict(pool: slice, queries: slice, num_draws: int, draw_seed: int, constant: float) -> Tensor:
        labels = rows.labels[pool]
        supports = draw_supports(
            labels.cpu().numpy(), num_shots=num_shots, num_episodes=num_draws, seed=draw_seed
        )
        return predict_episodes(
            rows.features[pool],
            labels,
            rows.features[queries],
            supports,
            num_classes=rows.num_classes,
            l2_constant=constant,
        )

    best_accuracy, best_constant = -1.0, 0.0
    for constant in sorted(l2_constants, reverse=True):
        trial = predict(rows.fit, rows.choose, num_choice_episodes, seed, constant)
        accuracy = float((trial == rows.labels[rows.choose]).double().mean())
        if accuracy > best_accuracy:
            best_accuracy, best_constant = accuracy, constant
    predictions = predict(rows.known, rows.score, num_episodes, seed + 1, best_constant)
    return FewShot(predictions.cpu().numpy(), best_constant)
