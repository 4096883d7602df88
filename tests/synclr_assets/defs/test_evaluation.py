"""The verdict of an evaluation: against random weights where they were measured, else the most frequent class."""

from typing import Any

import pytest

from synclr_assets.defs.model.evaluation import score_result
from synclr_assets.store.store import Store

MODEL = {"model_id": "ab" * 16, "key": f"models/{'ab' * 16}", "inputs": []}


def scores(**values: float) -> list[dict[str, Any]]:
    return [
        {
            "asset": "segmentation",
            "subject": subject,
            "is_baseline": subject != "model",
            "dataset": "d",
            "split": "test",
            "metric": "mean_iou",
            "value": value,
            "ci_low": value,
            "ci_high": value,
            "num_test": 3,
            "protocol": "p",
            "protocol_fingerprint": "feedfacefeedface",
            "per_class": [],
        }
        for subject, value in values.items()
    ]


@pytest.mark.parametrize(
    ("values", "passed", "judge"),
    [
        ({"model": 0.5, "random_weights": 0.4, "raw_pixels": 0.9}, True, "random weights"),
        ({"model": 0.5, "random_weights": 0.6, "most_frequent_class": 0.1}, False, "random weights"),
        ({"model": 0.5, "most_frequent_class": 0.1}, True, "most frequent class"),
        ({"model": 0.1, "most_frequent_class": 0.1}, False, "most frequent class"),
    ],
)
def test_the_model_is_judged_by_the_hardest_baseline_measured(
    store: Store, values: dict[str, float], passed: bool, judge: str
) -> None:
    result = score_result(store, MODEL, scores(**values), "beats", "mean_iou")
    assert result.check_results is not None
    [check] = result.check_results
    assert check.passed is passed
    assert set(check.metadata) == {"model", judge}
    assert result.metadata is not None
    assert result.metadata["mean_iou"] == values["model"]
