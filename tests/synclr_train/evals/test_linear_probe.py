"""A probe run scores the model beside its baselines, scored rows choose nothing, and runs repeat exactly."""

import json

import numpy as np
import pytest
import torch

from synclr_train.evals.datasets import load_digits
from synclr_train.evals.features import RoleFeatures
from synclr_train.evals.linear_probe import (
    feasible_shots,
    l2_grid,
    probe_linearly,
    probe_subject,
    run_linear_probe,
    score_predictions,
)
from synclr_train.evals.protocol import ProbeProtocol
from synclr_train.evals.scores import EvaluationError, read_scores
from synclr_train.evals.subjects import RAW_PIXELS, Subject

PROTOCOL = ProbeProtocol(dataset="d", dataset_digest="0", split="validation")


def test_the_sweep_is_the_papers():
    grid = l2_grid(PROTOCOL)
    assert len(grid) == 45
    assert grid[0] == pytest.approx(1e5)
    assert grid[-1] == pytest.approx(1e-6)
    ratios = np.array(grid[:-1]) / np.array(grid[1:])
    np.testing.assert_allclose(ratios, ratios[0])


def test_scored_labels_have_no_say():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(120) % 3
    centres = torch.randn(3, 10, dtype=torch.float64, generator=generator)
    features = centres[labels] + torch.randn(120, 10, dtype=torch.float64, generator=generator)
    shuffled = labels.clone()
    shuffled[90:] = (shuffled[90:] + 1) % 3
    results = [
        probe_linearly(RoleFeatures(features, given, 60, 30, 3), PROTOCOL) for given in (labels, shuffled)
    ]
    assert results[0].l2_constant == results[1].l2_constant
    assert np.array_equal(results[0].predictions, results[1].predictions)
    assert results[0].num_unconverged == 0
    assert (results[0].predictions == labels[90:].numpy()).mean() > 0.6


def test_raw_pixels_of_digits_are_far_above_chance():
    digits = load_digits()
    measured = probe_subject(Subject(RAW_PIXELS, ()), digits, PROTOCOL, shots=[5])
    labels = digits.labels[digits.roles("validation").score]
    accuracy = {metric: float((one.predictions == labels).mean()) for metric, one in measured.items()}
    assert accuracy["linear_probe_accuracy"] > 0.9
    assert accuracy["knn_accuracy"] > 0.9
    assert 0.7 < accuracy["few_shot_5_accuracy"] < accuracy["linear_probe_accuracy"]


def test_a_run_scores_every_subject_and_repeats_exactly(encoder_dir, image_folder, tmp_path):
    heard = []
    scores = run_linear_probe(
        encoder_dir, tmp_path / "one", dataset=f"folder:{image_folder}", on_event=heard.append
    )
    again = run_linear_probe(encoder_dir, tmp_path / "two", dataset=f"folder:{image_folder}")
    assert scores == again == read_scores(tmp_path / "one")
    metrics = ["linear_probe_accuracy", "knn_accuracy", "few_shot_1_accuracy", "few_shot_5_accuracy"]
    assert [(score.subject, score.metric) for score in scores] == [
        (subject, metric) for subject in ("model", "random_weights", "raw_pixels") for metric in metrics
    ]
    assert [(event["subject"], event["metric"]) for event in heard] == [
        (score.subject, score.metric) for score in scores
    ]
    assert len({score.protocol_fingerprint for score in scores}) == 1
    for score in scores:
        assert score.ci_low <= score.value <= score.ci_high
        assert score.num_test == 15
        assert score.value == pytest.approx(np.mean(list(score.per_class.values())))
    by_metric = {score.metric: score.value for score in scores if score.subject == "raw_pixels"}
    assert by_metric["linear_probe_accuracy"] == 1.0
    details = json.loads((tmp_path / "one" / "scores.json").read_text())
    assert details["omitted"] == {"few_shot_10_accuracy": "the smallest class has only 8 images to draw from"}
    assert details["protocol"]["split"] == "test"
    assert np.sum(details["confusion"]["random_weights"]) == pytest.approx(15)
    assert len(details["chosen"]["random_weights"]["linear_probe_accuracy"]) == 3


def test_predictions_on_disk_give_the_scores_again(encoder_dir, image_folder, tmp_path):
    scores = run_linear_probe(
        encoder_dir, tmp_path, dataset=f"folder:{image_folder}", baselines=["raw_pixels"]
    )
    with np.load(tmp_path / "predictions.npz", allow_pickle=False) as arrays:
        for score in scores:
            outcomes = arrays[f"{score.subject}.{score.metric}"] == arrays["labels"]
            assert float(outcomes.mean()) == score.value


def test_validation_never_reads_the_test_images(encoder_dir, image_folder, tmp_path):
    for path in (image_folder / "test").glob("*/*.png"):
        path.write_bytes(b"unreadable")
    scores = run_linear_probe(
        encoder_dir,
        tmp_path / "out",
        dataset=f"folder:{image_folder}",
        split="validation",
        baselines=["raw_pixels"],
    )
    assert {(score.split, score.num_test) for score in scores} == {("validation", 12)}
    with pytest.raises(EvaluationError, match="cannot be decoded"):
        run_linear_probe(encoder_dir, tmp_path / "broken", dataset=f"folder:{image_folder}")
    assert not (tmp_path / "broken").exists()


def test_shots_beyond_the_smallest_class_are_left_out_with_the_reason():
    shots, omitted = feasible_shots(load_digits(), PROTOCOL)
    assert shots == [1, 5, 10]
    assert omitted == {}


def test_few_shot_intervals_cover_the_draw_of_episodes():
    digits = load_digits()
    labels = np.zeros(300, dtype=np.int64)
    predictions = np.repeat(np.arange(8)[:, None] % 2, 300, axis=1)
    widths = {}
    for metric in ("knn_accuracy", "few_shot_1_accuracy"):
        score = score_predictions("model", metric, predictions, labels, digits, PROTOCOL)
        widths[metric] = score.ci_high - score.ci_low
    assert widths["knn_accuracy"] == pytest.approx(0)
    assert widths["few_shot_1_accuracy"] > 0.4


def test_unknown_baseline_is_named(encoder_dir, tmp_path):
    with pytest.raises(EvaluationError, match="baseline 'imagenet' is unknown: choose among random_weights"):
        run_linear_probe(encoder_dir, tmp_path / "out", baselines=["imagenet"])
    assert not (tmp_path / "out").exists()
