"""Multinomial logistic regression with a ridge, solved for many ridge constants at once; no feature scaling.

The optimum is scikit-learn's; only the road differs: a rotation and rescaling that leave the objective alone.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from synclr_train.evals.lbfgs import Minima, minimise

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
    centre = features.mean(0)
    rotated, basis, spread = principal_coordinates(features - centre)
    padded = torch.cat([rotated, rotated.new_ones(len(rotated), 1)], dim=1)
    problem = _Problem(padded, targets.to(features.dtype), spread, l2_constants.to(features))
    rough = None
    if features.dtype == torch.float64:
        # Most iterations need no more than half the digits; the rest, and the verdict, are made in float64.
        rough = problem.to(torch.float32).solve(max_iterations, relative_tolerance)
    solved = problem.solve(max_iterations, relative_tolerance, rough)
    weights = torch.einsum("dr,lrk->ldk", basis, solved.parameters[:, :-1])
    biases = solved.parameters[:, -1] - torch.einsum("d,ldk->lk", centre, weights)
    return LinearClassifiers(weights, biases, solved.num_iterations, solved.converged)


@dataclass(frozen=True)
class _Solved:
    """Weights and, last, bias in principal coordinates, for every constant."""

    parameters: Float[Tensor, "l r_and_bias k"]
    num_iterations: Int[Tensor, " l"]
    converged: Bool[Tensor, " l"]


@dataclass(frozen=True)
class _Problem:
    """Rows in principal coordinates with a 1 at the end, and what they are fitted to, all of one dtype."""

    padded: Float[Tensor, "n r_and_bias"]
    targets: Float[Tensor, "n k"]
    spread: Float[Tensor, " r"]
    l2_constants: Float[Tensor, " l"]

    def to(self, dtype: torch.dtype) -> "_Problem":
        """The same in another dtype."""
        return _Problem(*(each.to(dtype) for each in vars(self).values()))

    def solve(self, max_iterations: int, relative_tolerance: float, rough: _Solved | None = None) -> _Solved:
        """Every constant's optimum: from its own `rough` one on, or along the path from the strongest ridge."""
        (num_rows, num_params), num_classes = self.padded.shape, self.targets.shape[1]
        num_constants = len(self.l2_constants)
        parameters = self.padded.new_zeros(num_constants, num_params, num_classes)
        num_iterations = torch.zeros(num_constants, dtype=torch.long, device=self.padded.device)
        converged = torch.zeros(num_constants, dtype=torch.bool, device=self.padded.device)
        if rough is not None:
            parameters, num_iterations = rough.parameters.to(parameters), rough.num_iterations.clone()
        path = self.l2_constants.argsort(descending=True)
        start = parameters[:1] * 0
        for group in path.split(group_size(num_rows * num_classes, self.padded.device)):
            first = parameters[group] if rough is not None else start.expand(len(group), -1, -1)
            minima, scales = self._solve_group(group, first, max_iterations, relative_tolerance)
            parameters[group] = minima.parameters.view(len(group), num_params, num_classes) * scales
            num_iterations[group] += minima.num_iterations
            converged[group] = minima.converged
            start = parameters[group[-1:]]
        return _Solved(parameters, num_iterations, converged)

    def _solve_group(
        self, group: Tensor, start: Tensor, max_iterations: int, relative_tolerance: float
    ) -> tuple[Minima, Tensor]:
        """Minima of some constants in their own units, and these units."""
        (num_rows, num_params), num_classes = self.padded.shape, self.targets.shape[1]
        ridge = self.l2_constants[group] / num_rows
        scales = rounding_scales(self.spread, ridge, num_classes)[:, :, None]
        ridges = ridge[:, None, None] * torch.ones_like(scales)
        ridges[:, -1] = 0

        def objective(parameters: Tensor, problems: Tensor) -> tuple[Tensor, Tensor]:
            own_scales, own_ridges = scales[problems], ridges[problems]
            weights = parameters.view(len(problems), num_params, num_classes) * own_scales
            flat = weights.permute(1, 0, 2).reshape(num_params, -1)
            log_odds = (self.padded @ flat).view(num_rows, len(problems), num_classes)
            log_odds = torch.log_softmax(log_odds, dim=-1)
            fit = -torch.linalg.vecdot(log_odds, self.targets[:, None, :]).sum(0)
            residual = log_odds.exp_().sub_(self.targets[:, None, :])
            pull = (self.padded.T @ residual.view(num_rows, -1)).view(num_params, len(problems), num_classes)
            penalty = 0.5 * (own_ridges * weights.square()).sum((1, 2))
            gradient = (pull.permute(1, 0, 2) / num_rows + own_ridges * weights) * own_scales
            return fit / num_rows + penalty, gradient.reshape(len(problems), -1)

        zeros = start.new_zeros(len(group), num_params * num_classes)
        _, first_gradients = objective(zeros, torch.arange(len(group), device=start.device))
        minima = minimise(
            objective,
            (start / scales).flatten(1),
            gradient_limits=gradient_limits(first_gradients, relative_tolerance),
            max_iterations=max_iterations,
        )
        return minima, scales


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
