"""The classifiers are scikit-learn's optimum, for every ridge constant and shape of the features."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from synclr_train.evals.logistic_regression import fit_logistic, one_hot


def random_problem(num_rows: int, num_dims: int, num_classes: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(num_classes, num_dims, dtype=torch.float64, generator=generator)
    labels = torch.arange(num_rows) % num_classes
    noise = torch.randn(num_rows, num_dims, dtype=torch.float64, generator=generator)
    stretch = torch.logspace(1, -1.5, num_dims, dtype=torch.float64)
    return (centres[labels] + 1.5 * noise) * stretch + 3.0, labels


def objective(weights: np.ndarray, biases: np.ndarray, features, labels, l2: float) -> float:
    logits = features.numpy() @ weights + biases
    shifted = logits - logits.max(1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return float(
        -log_probabilities[np.arange(len(labels)), labels.numpy()].sum() + l2 / 2 * (weights**2).sum()
    )


@pytest.mark.parametrize(("num_rows", "num_dims"), [(150, 12), (40, 60)])
def test_optimum_is_scikit_learns(num_rows, num_dims):
    features, labels = random_problem(num_rows, num_dims, 4, seed=num_dims)
    constants = torch.tensor([100.0, 1.0, 0.03], dtype=torch.float64)
    ours = fit_logistic(features, one_hot(labels, 4), constants, max_iterations=5000, relative_tolerance=1e-8)
    assert ours.converged.all()
    for number, l2 in enumerate(constants.tolist()):
        theirs = LogisticRegression(C=1 / l2, tol=1e-9, max_iter=20_000).fit(features.numpy(), labels.numpy())
        weights, biases = ours.weights[number].numpy(), ours.biases[number].numpy()
        assert objective(weights, biases, features, labels, l2) == pytest.approx(
            objective(theirs.coef_.T, theirs.intercept_, features, labels, l2), rel=1e-6
        )
        np.testing.assert_allclose(weights, theirs.coef_.T, atol=2e-3 * np.abs(theirs.coef_).max())
        shift = biases.mean() - theirs.intercept_.mean()
        np.testing.assert_allclose(biases - shift, theirs.intercept_, atol=2e-2)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), log_l2=st.floats(-4, 4), num_classes=st.integers(2, 5))
def test_no_nearby_classifier_is_better(seed, log_l2, num_classes):
    features, labels = random_problem(30, 6, num_classes, seed)
    l2 = 10.0**log_l2
    fitted = fit_logistic(
        features,
        one_hot(labels, num_classes),
        torch.tensor([l2], dtype=torch.float64),
        max_iterations=5000,
        relative_tolerance=1e-7,
    )
    weights, biases = fitted.weights[0].numpy(), fitted.biases[0].numpy()
    best = objective(weights, biases, features, labels, l2)
    draws = np.random.default_rng(seed)
    for size in (1e-1, 1e-3):
        moved_weights = weights + size * draws.standard_normal(weights.shape)
        moved_biases = biases + size * draws.standard_normal(biases.shape)
        assert objective(moved_weights, moved_biases, features, labels, l2) >= best * (1 - 1e-9)


def test_a_soft_label_counts_like_several_hard_ones():
    features, labels = random_problem(40, 5, 2, seed=9)
    four_times = features.repeat(4, 1)
    hard = one_hot(torch.cat([labels, labels, labels, 1 - labels]), 2)
    soft = 0.75 * one_hot(labels, 2) + 0.25 * one_hot(1 - labels, 2)
    ridge = torch.tensor([1.0], dtype=torch.float64)
    from_hard = fit_logistic(four_times, hard, ridge * 4, relative_tolerance=1e-8)
    from_soft = fit_logistic(features, soft, ridge, relative_tolerance=1e-8)
    torch.testing.assert_close(from_hard.weights, from_soft.weights, atol=1e-6, rtol=0)
    torch.testing.assert_close(from_hard.biases, from_soft.biases, atol=1e-6, rtol=0)


def test_labels_that_features_cannot_explain_end_at_once():
    features, _ = random_problem(20, 4, 2, seed=1)
    undecided = torch.full((20, 2), 0.5, dtype=torch.float64)
    fitted = fit_logistic(features, undecided, torch.tensor([1.0], dtype=torch.float64))
    assert fitted.converged.all()
    assert float(fitted.weights.abs().max()) < 1e-12


def test_features_that_never_vary_leave_the_bias_alone_to_learn():
    labels = torch.tensor([0, 0, 0, 1])
    fitted = fit_logistic(
        torch.full((4, 3), 2.0, dtype=torch.float64),
        one_hot(labels, 2),
        torch.tensor([1.0], dtype=torch.float64),
        relative_tolerance=1e-8,
    )
    assert float(fitted.weights.abs().max()) == 0
    shares = fitted.logits(torch.full((1, 3), 2.0, dtype=torch.float64)).softmax(-1)
    torch.testing.assert_close(shares[0, 0], torch.tensor([0.75, 0.25], dtype=torch.float64))


def test_warm_starts_end_where_cold_ones_do(monkeypatch):
    features, labels = random_problem(60, 5, 3, seed=2)
    constants = torch.logspace(-2, 3, 7, dtype=torch.float64)[torch.tensor([3, 0, 6, 1, 5, 2, 4])]
    found, steps = [], []
    for numbers in (10**6, 1):
        monkeypatch.setattr(
            "synclr_train.evals.logistic_regression.GROUP_NUMBERS", {"cpu": numbers, "cuda": numbers}
        )
        found.append(fit_logistic(features, one_hot(labels, 3), constants, relative_tolerance=1e-9))
        rough = fit_logistic(features.float(), one_hot(labels, 3), constants, relative_tolerance=1e-4)
        steps.append(int(rough.num_iterations.sum()))
    assert found[0].converged.all()
    assert found[1].converged.all()
    torch.testing.assert_close(found[0].weights, found[1].weights, atol=1e-6, rtol=1e-6)
    assert steps[1] < steps[0], "a path of warm starts is the shorter one"


def test_predictions_are_the_largest_logits():
    features, labels = random_problem(60, 5, 3, seed=4)
    constants = torch.tensor([10.0, 0.1], dtype=torch.float64)
    fitted = fit_logistic(features, one_hot(labels, 3), constants)
    for number in range(2):
        expected = (features @ fitted.weights[number] + fitted.biases[number]).argmax(1)
        assert torch.equal(fitted.predict(features)[number], expected)
