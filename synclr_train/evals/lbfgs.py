"""L-BFGS over many independent smooth problems at once, each with its own history, step and stopping point.

Forty-five ridge constants, or a hundred few-shot episodes, share every matrix product instead of queueing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(parameters [a p], problem numbers [a]) -> (values [a], gradients [a p]), for any subset of problems."""

ARMIJO_SLOPE = 1e-4
ROUNDING = 100
"""Differences of this many units in the last place of a value are taken for noise."""
MAX_HALVINGS = 30


@dataclass(frozen=True)
class Minima:
    """Where each problem stopped; `converged` is False for one that ran out of iterations or of precision."""

    parameters: Float[Tensor, "b p"]
    values: Float[Tensor, " b"]
    num_iterations: Int[Tensor, " b"]
    converged: Bool[Tensor, " b"]


@dataclass
class _History:
    """The last `length` steps and gradient changes of the problems still running, oldest first."""

    length: int
    steps: list[Tensor]
    changes: list[Tensor]
    inverse_curvatures: list[Tensor]

    def push(self, step: Tensor, change: Tensor) -> None:
        curvature = (step * change).sum(1)
        usable = curvature > torch.finfo(step.dtype).eps * change.square().sum(1)
        self.steps.append(step)
        self.changes.append(change)
        self.inverse_curvatures.append(
            torch.where(usable, 1 / torch.where(usable, curvature, 1.0), torch.zeros_like(curvature))
        )
        if len(self.steps) > self.length:
            del self.steps[0], self.changes[0], self.inverse_curvatures[0]

    def keep(self, running: Tensor) -> None:
        self.steps = [step[running] for step in self.steps]
        self.changes = [change[running] for change in self.changes]
        self.inverse_curvatures = [inverse[running] for inverse in self.inverse_curvatures]

    def direction(self, gradient: Tensor) -> Tensor:
        """The two-loop recursion; a pair whose curvature was unusable contributes nothing."""
        if not self.steps:
            return -gradient / gradient.norm(dim=1, keepdim=True).clamp_min(1.0)
        pairs = list(zip(self.steps, self.changes, self.inverse_curvatures, strict=True))
        residual, coefficients = gradient, []
        for step, change, inverse in reversed(pairs):
            coefficient = inverse * (step * residual).sum(1)
            residual = residual - coefficient[:, None] * change
            coefficients.append(coefficient)
        _, change, inverse = pairs[-1]
        change_square = change.square().sum(1)
        scale = torch.where(inverse > 0, 1 / (inverse * change_square).clamp_min(1e-300), 1.0)
        residual = residual * scale[:, None]
        for (step, change, inverse), coefficient in zip(pairs, reversed(coefficients), strict=True):
            residual = residual + (coefficient - inverse * (change * residual).sum(1))[:, None] * step
        return -residual


def minimise(
    objective: Objective,
    start: Float[Tensor, "b p"],
    *,
    gradient_limits: Float[Tensor, " b"],
    max_iterations: int,
    history_length: int = 10,
) -> Minima:
    """Minimises `b` smooth convex problems; each stops once the norm of its gradient is at most its limit.

    A problem that has stopped leaves the batch, so that a hard one does not keep the easy ones paying.
    """
    num_problems = len(start)
    parameters = start.clone()
    values, gradients = objective(parameters, torch.arange(num_problems, device=start.device))
    values = values.clone()
    iterations = torch.zeros(num_problems, dtype=torch.long, device=start.device)
    converged = gradients.norm(dim=1) <= gradient_limits
    running = torch.nonzero(~converged).flatten()
    gradient = gradients[running]
    history = _History(history_length, [], [], [])
    for _ in range(max_iterations):
        if len(running) == 0:
            break
        direction = history.direction(gradient)
        moved, new_values, new_gradient, advanced = _search_line(
            objective, running, parameters[running], values[running], gradient, direction
        )
        history.push(moved - parameters[running], new_gradient - gradient)
        parameters[running], values[running] = moved, new_values
        iterations[running] += advanced.long()
        reached = new_gradient.norm(dim=1) <= gradient_limits[running]
        converged[running] = reached
        going_on = advanced & ~reached
        gradient = new_gradient[going_on]
        if not bool(going_on.all()):
            running = running[going_on]
            history.keep(going_on)
    return Minima(parameters, values, iterations, converged)


def _search_line(
    objective: Objective,
    problems: Tensor,
    origin: Tensor,
    value: Tensor,
    gradient: Tensor,
    direction: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Halves each problem's step until it descends enough; one that cannot descend stays where it is."""
    slope = (gradient * direction).sum(1)
    noise = ROUNDING * torch.finfo(value.dtype).eps * value.abs()
    point, new_value, new_gradient = origin.clone(), value.clone(), gradient.clone()
    advanced = torch.zeros(len(problems), dtype=torch.bool, device=origin.device)
    step = torch.ones_like(value)
    for _ in range(MAX_HALVINGS):
        left = torch.nonzero(~advanced & (slope < 0)).flatten()
        if len(left) == 0:
            break
        trial = origin[left] + step[left, None] * direction[left]
        trial_value, trial_gradient = objective(trial, problems[left])
        descended = trial_value <= value[left] + ARMIJO_SLOPE * step[left] * slope[left]
        # Near a minimum, differences of values drown in rounding and the slope decides (Hager, Zhang 2005).
        flattened = (trial_gradient * direction[left]).sum(1) <= (2 * ARMIJO_SLOPE - 1) * slope[left]
        enough = descended | (flattened & (trial_value <= value[left] + noise[left]))
        done = left[enough]
        point[done], new_value[done], new_gradient[done] = (
            trial[enough],
            trial_value[enough],
            trial_gradient[enough],
        )
        advanced[done] = True
        step[left[~enough]] *= 0.5
    return point, new_value, new_gradient, advanced
