"""Episodes hold n shots of every class, repeat exactly, and their classifier is scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from synclr_train.evals import few_shot
from synclr_train.evals.features import RoleFeatures
from synclr_train.evals.few_shot import choose_and_predict, draw_supports, predict_episodes
from synclr_train.evals.scores import EvaluationError


@pytest.mark.parametrize("num_shots", [1, 4])
def test_supports_hold_every_class_equally_and_never_twice(num_shots):
    labels = np.arange(50) % 5
    supports = draw_supports(labels, num_shots=num_shots, num_episodes=7, seed=3)
    for support in supports:
        assert len(set(support.tolist())) == 5 * num_shots
        assert np.bincount(labels[support]).tolist() == [num_shots] * 5
    again = draw_supports(labels, num_shots=num_shots, num_episodes=3, seed=3)
    assert np.array_equal(supports[:3], again)
    assert len({tuple(support) for support in supports.tolist()}) > 1


def test_too_small_a_class_is_told():
    with pytest.raises(EvaluationError, match="5-shot episodes need 5 images of every class, one has 2"):
        draw_supports(np.array([0, 0, 0, 0, 0, 1, 1]), num_shots=5, num_episodes=1, seed=0)


def test_episodes_predict_what_scikit_learn_predicts(monkeypatch):
    monkeypatch.setattr(few_shot, "RELATIVE_TOLERANCE", 1e-9)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    centres = torch.randn(3, 8, dtype=torch.float64, generator=generator)
    features = centres[labels] + torch.randn(60, 8, dtype=torch.float64, generator=generator)
    queries = torch.randn(100, 8, dtype=torch.float64, generator=generator)
    supports = draw_supports(labels.numpy(), num_shots=5, num_episodes=4, seed=0)
    found = predict_episodes(features, labels, queries, supports, num_classes=3, l2_constant=0.1)
    units = torch.nn.functional.normalize(features, dim=1).numpy()
    asked = torch.nn.functional.normalize(queries, dim=1).numpy()
    for episode, support in enumerate(supports):
        theirs = LogisticRegression(C=10, tol=1e-10, max_iter=10_000).fit(
            units[support], labels.numpy()[support]
        )
        assert (found[episode].numpy() == theirs.predict(asked)).mean() >= 0.99


def test_scored_labels_have_no_say():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(90, 5, dtype=torch.float64, generator=generator)
    labels = torch.arange(90) % 3
    shuffled = labels.clone()
    shuffled[60:] = (shuffled[60:] + 1) % 3
    results = [
        choose_and_predict(
            RoleFeatures(features, given, 40, 20, 3),
            num_shots=2,
            l2_constants=(1.0, 0.01),
            num_choice_episodes=3,
            num_episodes=5,
            seed=0,
        )
        for given in (labels, shuffled)
    ]
    assert results[0].l2_constant == results[1].l2_constant
    assert np.array_equal(results[0].predictions, results[1].predictions)
    assert results[0].predictions.shape == (5, 30)
