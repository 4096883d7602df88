"""Every event of an evaluation is one line for a person."""

import pytest

from synclr_train.evals.events import said

SCORED = {"event": "scored", "subject": "random_weights", "metric": "mean_iou", "value": 0.1245776}


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (SCORED, "random weights: mean iou 12.5%"),
        ({**SCORED, "dataset": "sklearn_digits"}, "random weights on sklearn_digits: mean iou 12.5%"),
        ({"event": "epoch", "epoch": 3, "lowest_loss": 0.25}, "epoch 3: loss 0.250"),
        ({"event": "trained", "step": 5, "steps": 20, "loss": 1.5}, "step 5 of 20, loss 1.500"),
        ({"event": "feature_cache_damaged", "file": "a.npz"}, "a.npz is damaged and is made again"),
    ],
)
def test_a_line_says_what_happened(event: dict[str, object], line: str) -> None:
    assert said(event) == line
