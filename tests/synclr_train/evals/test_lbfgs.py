"""L-BFGS finds each problem's minimum, whatever shares its batch."""

import pytest
import torch

from synclr_train.evals.lbfgs import minimise


def quadratics(num_problems: int, num_dims: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    roots = torch.randn(num_problems, num_dims, num_dims, dtype=torch.float64, generator=generator)
    curvatures = roots @ roots.mT + 0.1 * torch.eye(num_dims, dtype=torch.float64)
    minima = torch.randn(num_problems, num_dims, dtype=torch.float64, generator=generator)

    def objective(points, problems):
        offsets = points - minima[problems]
        gradients = torch.einsum("bij,bj->bi", curvatures[problems], offsets)
        return 0.5 * (offsets * gradients).sum(1), gradients

    return objective, minima


def test_every_problem_reaches_its_own_minimum():
    objective, expected = quadratics(7, 5, seed=0)
    found = minimise(
        objective,
        torch.zeros(7, 5, dtype=torch.float64),
        gradient_limits=torch.full((7,), 1e-9, dtype=torch.float64),
        max_iterations=500,
    )
    assert found.converged.all()
    torch.testing.assert_close(found.parameters, expected, atol=1e-6, rtol=0)


def test_a_problem_does_not_feel_its_neighbours():
    objective, _ = quadratics(4, 6, seed=1)
    start = torch.zeros(4, 6, dtype=torch.float64)
    limits = torch.full((4,), 1e-6, dtype=torch.float64)
    together = minimise(objective, start, gradient_limits=limits, max_iterations=100)
    alone = minimise(
        lambda points, problems: objective(points, problems + 2),
        start[:1],
        gradient_limits=limits[:1],
        max_iterations=100,
    )
    torch.testing.assert_close(together.parameters[2], alone.parameters[0])
    assert together.num_iterations[2] == alone.num_iterations[0]


def test_running_out_of_iterations_is_reported():
    objective, _ = quadratics(3, 8, seed=2)
    start = torch.zeros(3, 8, dtype=torch.float64)
    limits = torch.full((3,), 1e-9, dtype=torch.float64)
    found = minimise(objective, start, gradient_limits=limits, max_iterations=2)
    assert not found.converged.any()
    assert found.num_iterations.tolist() == [2, 2, 2]


@pytest.mark.parametrize("limit", [1e6])
def test_a_problem_that_starts_at_its_goal_stays(limit):
    objective, _ = quadratics(2, 3, seed=3)
    start = torch.ones(2, 3, dtype=torch.float64)
    limits = torch.full((2,), limit, dtype=torch.float64)
    found = minimise(objective, start, gradient_limits=limits, max_iterations=10)
    assert torch.equal(found.parameters, start)
    assert found.num_iterations.sum() == 0
