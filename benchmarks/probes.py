"""The L-BFGS sweep of 45 ridge constants against scikit-learn's LogisticRegression on the same features.

Both solve the same problems with the same limit of iterations; the table says who came nearer to each optimum.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from synclr_train.evals.logistic_regression import fit_logistic, one_hot
from synclr_train.evals.probes import l2_grid
from synclr_train.evals.protocol import ProbeProtocol

MAX_ITERATIONS = 1000
Fitted = tuple[list[np.ndarray], list[np.ndarray], list[int]]
"""Weights [d k] and biases [k] of every constant, and iterations spent on it."""


@dataclass(frozen=True)
class Problem:
    """Synthetic features of overlapping classes, with a spectrum that falls like that of real features."""

    features: np.ndarray
    labels: np.ndarray
    held_out: np.ndarray
    held_out_labels: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """One solver's sweep."""

    name: str
    seconds: float
    num_iterations: list[int]
    objectives: np.ndarray
    accuracies: np.ndarray


def make_problem(num_rows: int, num_dims: int, num_classes: int, seed: int = 0) -> Problem:
    """Standardised features whose variance falls as a power of the principal axis' number."""
    draws = np.random.default_rng(seed)
    spectrum = np.arange(1, num_dims + 1) ** -0.7
    basis = np.linalg.qr(draws.standard_normal((num_dims, num_dims)))[0]
    centres = draws.standard_normal((num_classes, num_dims)) * spectrum * 0.6
    labels = draws.integers(0, num_classes, num_rows + num_rows // 4)
    features = (centres[labels] + draws.standard_normal((len(labels), num_dims)) * spectrum) @ basis
    features = (features - features[:num_rows].mean(0)) / features[:num_rows].std(0)
    return Problem(features[:num_rows], labels[:num_rows], features[num_rows:], labels[num_rows:])


def with_scikit_learn(problem: Problem, constants: list[float], *, warm_start: bool) -> Fitted:
    """One constant after the other, as in the authors' script; warm: each from where the last one ended."""
    solver = LogisticRegression(max_iter=MAX_ITERATIONS, warm_start=warm_start)
    weights, biases, iterations = [], [], []
    for constant in constants:
        solver.set_params(C=1 / constant)
        solver.fit(problem.features, problem.labels)
        weights.append(solver.coef_.T.copy())
        biases.append(solver.intercept_.copy())
        iterations.append(int(solver.n_iter_[0]))
    return weights, biases, iterations


def with_ours(problem: Problem, constants: list[float], dtype: torch.dtype, device: str) -> Fitted:
    """The whole path at once."""
    features = torch.from_numpy(problem.features).to(device, dtype)
    labels = torch.from_numpy(problem.labels).to(device)
    fitted = fit_logistic(
        features,
        one_hot(labels, int(problem.labels.max()) + 1),
        torch.tensor(constants),
        max_iterations=MAX_ITERATIONS,
        relative_tolerance=ProbeProtocol.model_fields["relative_tolerance"].default,
    )
    weights, biases = fitted.weights.double().cpu().numpy(), fitted.biases.double().cpu().numpy()
    return list(weights), list(biases), fitted.num_iterations.tolist()


def measure(name: str, problem: Problem, constants: list[float], solve: Callable[[], Fitted]) -> Outcome:
    """Times one sweep, then judges every solution in float64."""
    started = time.perf_counter()
    weights, biases, iterations = solve()
    seconds = time.perf_counter() - started
    objectives, accuracies = [], []
    for weight, bias, constant in zip(weights, biases, constants, strict=True):
        logits = problem.features @ weight + bias
        logits -= logits.max(1, keepdims=True)
        losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), problem.labels]
        objectives.append(losses.mean() + constant / 2 * (weight**2).sum() / len(losses))
        predicted = (problem.held_out @ weight + bias).argmax(1)
        accuracies.append((predicted == problem.held_out_labels).mean())
    return Outcome(name, seconds, iterations, np.array(objectives), np.array(accuracies))


def table_of(outcomes: list[Outcome], title: str) -> Table:
    """Seconds, ratio to the first row, iterations, distance to the best objective known, best accuracy."""
    best = np.min([outcome.objectives for outcome in outcomes], axis=0)
    table = Table(title=title, title_justify="left")
    for heading in ("solver", "seconds", "faster", "iterations", "worst gap", "median gap", "best accuracy"):
        table.add_column(heading, justify="left" if heading == "solver" else "right")
    for outcome in outcomes:
        gaps = outcome.objectives - best
        table.add_row(
            outcome.name,
            f"{outcome.seconds:.1f}",
            f"x{outcomes[0].seconds / outcome.seconds:.1f}",
            str(sum(outcome.num_iterations)),
            f"{gaps.max():.1e}",
            f"{np.median(gaps):.1e}",
            f"{100 * outcome.accuracies.max():.2f} %",
        )
    return table


def main() -> None:
    """Measures both and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--dims", type=int, default=384)
    parser.add_argument("--classes", type=int, default=50)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    problem = make_problem(asked.rows, asked.dims, asked.classes)
    constants = l2_grid(ProbeProtocol(dataset="synthetic", dataset_digest="0", split="test"))
    outcomes = [
        measure(
            "scikit-learn",
            problem,
            constants,
            lambda: with_scikit_learn(problem, constants, warm_start=False),
        ),
        measure(
            "scikit-learn, warm start",
            problem,
            constants,
            lambda: with_scikit_learn(problem, constants, warm_start=True),
        ),
    ]
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for dtype in (torch.float64, torch.float32):
            name = f"synclr_train, {device}, {str(dtype).removeprefix('torch.')}"
            outcomes.append(
                measure(
                    name,
                    problem,
                    constants,
                    lambda dtype=dtype, device=device: with_ours(problem, constants, dtype, device),
                )
            )
    size = f"{asked.rows} x {asked.dims} features, {asked.classes} classes, {len(constants)} constants"
    Console(width=110).print(
        table_of(outcomes, f"{size} (gap: mean loss above the lowest that any solver reached)")
    )


if __name__ == "__main__":
    main()
