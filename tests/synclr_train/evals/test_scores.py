"""Intervals hold their value and shrink with more images; scores survive the disk; protocols do not mix."""

import dataclasses

import numpy as np
import pytest

from synclr_train.evals.protocol import ProbeProtocol
from synclr_train.evals.scores import (
    EvaluationError,
    Score,
    interval_around,
    read_scores,
    require_comparable,
    write_scores,
)

SCORE = Score(
    subject="model",
    dataset="d",
    metric="knn_accuracy",
    value=0.5,
    ci_low=0.4,
    ci_high=0.6,
    num_test=10,
    split="test",
    protocol="linear_probe",
    protocol_fingerprint="0" * 16,
    per_class={"a": 0.5},
)


def test_an_interval_that_misses_its_value_is_widened():
    assert interval_around(0.9, np.linspace(0.2, 0.4, 101))[1] == 0.9
    assert interval_around(0.1, np.linspace(0.2, 0.4, 101))[0] == 0.1


def test_scores_survive_the_disk(tmp_path):
    other = dataclasses.replace(SCORE, subject="raw_pixels", value=1.0, ci_high=1.0)
    write_scores(tmp_path, [SCORE, other], protocol={"name": "linear_probe"})
    assert read_scores(tmp_path) == [SCORE, other]
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


def test_missing_scores_are_named(tmp_path):
    with pytest.raises(EvaluationError, match=r"scores\.json does not exist"):
        read_scores(tmp_path)


@pytest.mark.parametrize("change", [{"protocol_fingerprint": "1" * 16}, {"metric": "mean_iou"}])
def test_scores_of_different_protocols_refuse_comparison(change):
    require_comparable([SCORE, dataclasses.replace(SCORE, subject="random_weights")])
    with pytest.raises(EvaluationError, match="cannot be compared"):
        require_comparable([SCORE, dataclasses.replace(SCORE, **change)])


@pytest.mark.parametrize(
    "change", [{"split": "validation"}, {"dataset_digest": "b"}, {"num_l2_constants": 44}, {"seed": 1}]
)
def test_every_setting_moves_the_fingerprint(change):
    protocol = ProbeProtocol(dataset="d", dataset_digest="a", split="test")
    same = ProbeProtocol(dataset="d", dataset_digest="a", split="test")
    assert protocol.fingerprint == same.fingerprint
    assert protocol.model_copy(update=change).fingerprint != protocol.fingerprint


def test_protocols_refuse_unknown_settings():
    with pytest.raises(ValueError, match="temperature"):
        ProbeProtocol(dataset="d", dataset_digest="a", split="test", temperature=1)
