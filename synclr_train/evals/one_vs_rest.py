"""One two-class logistic regression per class, for images that show several classes (VOC2007).

Every (ridge constant, class) pair is a problem of its own in one batch; undecided labels take no part.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from synclr_train.evals.labelled_images import PRESENT, UNDECIDED
from synclr_train.evals.lbfgs import minimise
from synclr_train.evals.logistic_regression import (
    LinearClassifiers,
    gradient_limits,
    group_size,
    principal_coordinates,
    rounding_scales,
)


def fit_one_vs_rest(
    features: Float[Tensor, "n d"],
    labels: Int[Tensor, "n k"],
    l2_constants: Float[Tensor, " l"],
    *,
    max_iterations: int = 1000,
    relative_tolerance: float = 1e-4,
) -> LinearClassifiers:
    """Minimises `sum of log(1 + exp(-y f)) + l2 / 2 * |weights|^2` for each constant and class.

    An l2 constant is 1 / C of scikit-learn's two-class LogisticRegression; the bias bears no ridge. Labels are
    PRESENT, ABSENT or UNDECIDED. `num_iterations` and `converged` are those of the slowest class.
    """
    num_classes, num_constants = labels.shape[1], len(l2_constants)
    l2_constants = l2_constants.to(features)
    centre = features.mean(0)
    rotated, basis, spread = principal_coordinates(features - centre)
    padded = torch.cat([rotated, rotated.new_ones(len(rotated), 1)], dim=1)
    counted = (labels != UNDECIDED).to(features)
    present = (labels == PRESENT).to(features)
    num_counted = counted.sum(0)

    def solve(group: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`group` numbers constants; problems run over (constant of the group, class)."""
        own = torch.arange(num_classes, device=features.device).repeat(len(group))
        strength = l2_constants[group].repeat_interleave(num_classes) / num_counted[own]
        scales = rounding_scales(spread, strength, 2)
        ridges = strength[:, None] * torch.ones_like(scales)
        ridges[:, -1] = 0

        def objective(parameters: Tensor, problems: Tensor) -> tuple[Tensor, Tensor]:
            weights = parameters * scales[problems]
            classes = own[problems]
            weight = counted[:, classes] / num_counted[classes]
            logits = padded @ weights.T
            losses = torch.nn.functional.softplus(logits) - present[:, classes] * logits
            residual = (logits.sigmoid() - present[:, classes]) * weight
            penalty = 0.5 * (ridges[problems] * weights.square()).sum(1)
            gradient = (residual.T @ padded + ridges[problems] * weights) * scales[problems]
            return (losses * weight).sum(0) + penalty, gradient

        zeros = torch.zeros_like(scales)
        _, first_gradients = objective(zeros, torch.arange(len(own), device=features.device))
        minima = minimise(
            objective,
            start / scales,
            gradient_limits=gradient_limits(first_gradients, relative_tolerance),
            max_iterations=max_iterations,
        )
        return minima.parameters * scales, minima.num_iterations, minima.converged

    solution = features.new_zeros(num_constants, num_classes, padded.shape[1])
    num_iterations = torch.zeros(num_constants, dtype=torch.long, device=features.device)
    converged = torch.zeros(num_constants, dtype=torch.bool, device=features.device)
    start = solution[:1]
    path = l2_constants.argsort(descending=True)
    for group in path.split(group_size(len(features) * num_classes, features.device)):
        solved, steps, reached = solve(group, start.expand(len(group), -1, -1).flatten(0, 1))
        solution[group] = solved.view(len(group), num_classes, -1)
        num_iterations[group] = steps.view(len(group), num_classes).amax(1)
        converged[group] = reached.view(len(group), num_classes).all(1)
        start = solution[group[-1:]]
    weights = torch.einsum("dr,lkr->ldk", basis, solution[..., :-1])
    biases = solution[..., -1] - torch.einsum("d,ldk->lk", centre, weights)
    return LinearClassifiers(weights, biases, num_iterations, converged)
