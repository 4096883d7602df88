"""Each class's classifier is scikit-learn's two-class optimum; undecided rows take no part."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from synclr_train.evals.labelled_images import UNDECIDED
from synclr_train.evals.one_vs_rest import fit_one_vs_rest


def problem(num_rows: int, num_dims: int, num_classes: int):
    draws = np.random.default_rng(3)
    features = draws.standard_normal((num_rows, num_dims)) * np.logspace(0.5, -1, num_dims) + 2
    directions = draws.standard_normal((num_dims, num_classes))
    noise = draws.standard_normal((num_rows, num_classes))
    labels = ((features - 2) @ directions + noise > 0.5).astype(np.int64)
    return features, labels


@pytest.mark.parametrize("group", [10_000, 1])
def test_optimum_is_scikit_learns_for_every_constant_and_class(monkeypatch, group):
    monkeypatch.setattr("synclr_train.evals.logistic_regression.GROUP_NUMBERS", {"cpu": group, "cuda": group})
    features, labels = problem(80, 6, 3)
    labels[::7, 1] = UNDECIDED
    constants = torch.tensor([0.1, 10.0], dtype=torch.float64)
    ours = fit_one_vs_rest(
        torch.from_numpy(features), torch.from_numpy(labels), constants, relative_tolerance=1e-9
    )
    for number, l2 in enumerate(constants.tolist()):
        for name in range(3):
            kept = labels[:, name] != UNDECIDED
            theirs = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000)
            theirs.fit(features[kept], labels[kept, name])
            np.testing.assert_allclose(ours.weights[number, :, name], theirs.coef_[0], atol=1e-4)
            np.testing.assert_allclose(ours.biases[number, name], theirs.intercept_[0], atol=1e-3)
