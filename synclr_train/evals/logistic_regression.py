"""Multinomial logistic regression with a ridge, solved for many ridge constants at once; no feature scaling.

The optimum is scikit-learn's; only the road differs: a rotation and rescaling that leave the objective alone.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from synclr_train.evals.lbfgs import minimise

GROUP_NUMBERS = {"cpu": 300_000, "cuda": 100_000_000}
"""Logits computed together at most: what fits a processor's cache, and a small part of a GPU's memory."""


@dataclass(frozen=True)
class LinearClassifiers:
    """One linear classifier per ridge constant, in the coordinates of the features as they were given."""

    weights: Float[Tensor, "l d k"]
    biases: Float[Tensor, "l k"]
    num_iterations: Int[Tensor, " l"]
    converged: Bool[Tensor, " l"]

    def logits(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "l n k"]:
        """Scores of every class for every row, by every classifier."""
        num_constants, num_dims, num_classes = self.weights.shape
        flat = self.weights.permute(1, 0, 2).reshape(num_dims, num_constants * num_classes)
        scores = (features.to(flat.dtype) @ flat).view(len(features), num_constants, num_classes)
        return scores.permute(1, 0, 2) + self.biases[:, None, :]

    def predict(self, features: Float[Tensor, "n d"]) -> Int[Tensor, "l n"]:
        """The winning class of every row, by every classifier."""
        return self.logits(features).argmax(-1)


def one_hot(labels: Int[Tensor, " n"], num_classes: int) -> Float[Tensor, "n k"]:
    """Labels as target distributions, float64."""
    return torch.nn.functional.one_hot(labels.long(), num_classes).double()


def fit_logistic(
    features: Float[Tensor, "n d"],
    targets: Float[Tensor, "n k"],
    l2_constants: Float[Tensor, " l"],
    *,
    max_iterations: int = 1000,
    relative_tolerance: float = 1e-4,
) -> LinearClassifiers:
    """Minimises `sum of cross-entropies + l2 / 2 * |weights|^2` for each constant; the bias bears no ridge.

    An l2 constant here is 1 / C of scikit-learn (SynCLR appendix B sweeps 45 of them). `targets` are
    distributions, so that a soft label counts like several hard ones. A constant's problem has converged once
    its gradient is `relative_tolerance` times the one at zero weights. Constants are solved from the strongest
    on, each group starting where the one before ended. Computes in the dtype of `features`.
    """
    num_rows, num_classes = targets.shape
    targets = targets.to(features.dtype)
    l2_constants = l2_constants.to(features)
    centre = features.mean(0)
    rotated, basis, spread = principal_coordinates(features - centre)
    num_dims = rotated.shape[1]
    scales = rounding_scales(spread, l2_constants / num_rows, num_classes)[:, :, None]
    padded = torch.cat([rotated, rotated.new_ones(len(rotated), 1)], dim=1)
    ridges = (l2_constants / num_rows)[:, None, None] * torch.ones_like(scales)
    ridges[:, -1] = 0

    def solve(group: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        own_scales, own_ridges = scales[group], ridges[group]

        def objective(parameters: Tensor, problems: Tensor) -> tuple[Tensor, Tensor]:
            num_problems = len(problems)
            weights = parameters.view(num_problems, num_dims + 1, num_classes) * own_scales[problems]
            flat = weights.permute(1, 0, 2).reshape(num_dims + 1, num_problems * num_classes)
            logits = (padded @ flat).view(num_rows, num_problems, num_classes)
            right = torch.einsum("npk,nk->p", logits, targets)
            normaliser = logits.logsumexp(-1, keepdim=True)
            fit = normaliser.squeeze(-1).sum(0) - right
            residual = logits.sub_(normaliser).exp_().sub_(targets[:, None, :])
            pull = (padded.T @ residual.view(num_rows, -1)).view(num_dims + 1, num_problems, num_classes)
            penalty = 0.5 * (own_ridges[problems] * weights.square()).sum((1, 2))
            gradient = (pull.permute(1, 0, 2) / num_rows + own_ridges[problems] * weights) * own_scales[
                problems
            ]
            return fit / num_rows + penalty, gradient.reshape(num_problems, -1)

        zeros = features.new_zeros(len(group), (num_dims + 1) * num_classes)
        _, first_gradients = objective(zeros, torch.arange(len(group), device=features.device))
        minima = minimise(
            objective,
            (start / own_scales).flatten(1),
            gradient_limits=gradient_limits(first_gradients, relative_tolerance),
            max_iterations=max_iterations,
        )
        solved = minima.parameters.view(len(group), num_dims + 1, num_classes) * own_scales
        return solved, minima.num_iterations, minima.converged

    solution = features.new_zeros(len(l2_constants), num_dims + 1, num_classes)
    num_iterations = torch.zeros(len(l2_constants), dtype=torch.long, device=features.device)
    converged = torch.zeros(len(l2_constants), dtype=torch.bool, device=features.device)
    path = l2_constants.argsort(descending=True)
    start = solution[:1]
    for group in path.split(group_size(num_rows * num_classes, features.device)):
        solution[group], num_iterations[group], converged[group] = solve(
            group, start.expand(len(group), -1, -1)
        )
        start = solution[group[-1:]]
    weights = torch.einsum("dr,lrk->ldk", basis, solution[:, :-1])
    biases = solution[:, -1] - torch.einsum("d,ldk->lk", centre, weights)
    return LinearClassifiers(weights, biases, num_iterations, converged)


def group_size(num_logits: int, device: torch.device) -> int:
    """How many ridge constants to solve together, given the logits of one."""
    return max(1, GROUP_NUMBERS["cuda" if device.type == "cuda" else "cpu"] // num_logits)


def gradient_limits(first_gradients: Float[Tensor, "l p"], relative_tolerance: float) -> Float[Tensor, " l"]:
    """Norms below which fits have converged; no less than what rounding leaves of a gradient of size one."""
    rounding = 10 * torch.finfo(first_gradients.dtype).eps
    return (relative_tolerance * first_gradients.norm(dim=1)).clamp_min(rounding)


def rounding_scales(
    spread: Float[Tensor, " r"], ridges: Float[Tensor, " l"], num_classes: int
) -> Float[Tensor, "l r_and_bias"]:
    """Units in which to measure the weights along each principal axis, and last the bias.

    The Hessian at zero weights is about `confusion * spread + ridge` along each axis; in units of its inverse
    square root the first problem that L-BFGS sees is nearly round.
    """
    confusion = (1 - 1 / num_classes) / num_classes
    scales = (confusion * spread + ridges[:, None]).rsqrt()
    return torch.cat([scales, scales.new_full((len(ridges), 1), confusion**-0.5)], dim=1)


def principal_coordinates(
    centred: Float[Tensor, "n d"],
) -> tuple[Float[Tensor, "n r"], Float[Tensor, "d r"], Float[Tensor, " r"]]:
    """Rows in the basis of their own principal axes, that basis, and the variance along each axis.

    Axes along which no row extends are dropped: under a ridge their weights are zero at the optimum.
    """
    num_rows = len(centred)
    if num_rows >= centred.shape[1]:
        eigenvalues, basis = torch.linalg.eigh((centred.T @ centred).double())
        variances = (eigenvalues / num_rows).to(centred.dtype)
    else:
        _, singular, right = torch.linalg.svd(centred, full_matrices=False)
        variances, basis = singular.square() / num_rows, right.T
    alive = variances > torch.finfo(centred.dtype).eps * variances.max()
    basis = basis[:, alive].to(centred.dtype)
    return centred @ basis, basis, variances[alive]
