"""A probe run scores the model beside its baselines, scored rows choose nothing, and runs repeat exactly."""

import json

import numpy as np
import pytest
import torch

from synclr_train.evals.datasets import load_digits
from synclr_train.evals.features import RoleFeatures
from synclr_train.evals.labelled_images import UNDECIDED
from synclr_train.evals.linear_probe import feasible_probes, probe_subject, run_linear_probe, score_answers
from synclr_train.evals.measures import mean_average_precision_11
from synclr_train.evals.outcomes import outcomes_file
from synclr_train.evals.probes import l2_grid, probe_linearly, standardise_by
from synclr_train.evals.protocol import ProbeProtocol
from synclr_train.evals.scores import EvaluationError, read_scores, require_comparable
from synclr_train.evals.subjects import RAW_PIXELS, Subject
from tests.synclr_train.evals import miniatures

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
    assert np.array_equal(results[0].answers, results[1].answers)
    assert results[0].num_unconverged == 0
    assert (results[0].answers == labels[90:].numpy()).mean() > 0.6


def test_raw_pixels_of_digits_are_far_above_chance():
    digits = load_digits()
    measured = probe_subject(Subject(RAW_PIXELS, ()), digits, PROTOCOL, shots=[5])
    labels = digits.labels[digits.roles("validation").score]
    accuracy = {probe: float((one.answers == labels).mean()) for probe, one in measured.items()}
    assert accuracy["linear_probe"] > 0.9
    assert accuracy["knn"] > 0.9
    assert 0.7 < accuracy["few_shot_5"] < accuracy["linear_probe"]


def test_a_run_scores_every_subject_and_repeats_exactly(encoder_dir, image_folder, tmp_path):
    heard = []
    scores = run_linear_probe(
        encoder_dir, tmp_path / "one", datasets=[f"folder:{image_folder}"], on_event=heard.append
    )
    again = run_linear_probe(encoder_dir, tmp_path / "two", datasets=[f"folder:{image_folder}"])
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
    assert len(details["chosen"]["random_weights"]["linear_probe"]) == 3


def test_several_sets_in_one_run_keep_their_own_protocols_and_details(encoder_dir, image_folder, tmp_path):
    (image_folder.parent / "other").symlink_to(image_folder)
    names = [f"folder:{image_folder}", f"folder:{image_folder.parent}/other"]
    scores = run_linear_probe(encoder_dir, tmp_path, datasets=names, baselines=["raw_pixels"])
    assert scores == read_scores(tmp_path)
    assert {score.dataset for score in scores} == {"folder:colours", "folder:other"}
    assert len({score.protocol_fingerprint for score in scores}) == 2
    details = json.loads((tmp_path / "details_folder_other.json").read_text())
    assert details["protocol"]["dataset"] == "folder:other"
    with pytest.raises(EvaluationError, match="cannot be compared"):
        require_comparable([score for score in scores if score.metric == "linear_probe_accuracy"])
    with pytest.raises(EvaluationError, match="must be named once"):
        run_linear_probe(encoder_dir, tmp_path, datasets=names[:1] * 2)


def test_a_missing_set_stops_a_run_before_anything_is_measured(encoder_dir, image_folder, tmp_path):
    with pytest.raises(EvaluationError, match="dataset dtd is not complete below"):
        run_linear_probe(
            encoder_dir, tmp_path / "out", datasets=[f"folder:{image_folder}", f"dtd:{tmp_path}"]
        )
    assert not (tmp_path / "out").exists()


def test_voc_is_probed_class_by_class_and_scored_by_eleven_point_map(encoder_dir, tmp_path):
    draws = np.random.default_rng(0)
    objects = {
        part: [[(name, 0)] for name in draws.choice(["dog", "cat", "bus"], count)]
        for part, count in (("train", 18), ("val", 9), ("test", 12))
    }
    objects["test"][0] = [("dog", 1), ("cat", 0)]
    miniatures.voc2007(tmp_path, objects)
    scores = run_linear_probe(
        encoder_dir, tmp_path / "out", datasets=[f"voc2007:{tmp_path}"], baselines=["raw_pixels"]
    )
    assert [(score.subject, score.metric) for score in scores] == [
        ("model", "linear_probe_map_11_point"),
        ("raw_pixels", "linear_probe_map_11_point"),
    ]
    for score in scores:
        assert set(score.per_class) == {"dog", "cat", "bus"}
        assert score.value == pytest.approx(np.mean(list(score.per_class.values())))
        assert score.ci_low <= score.value <= score.ci_high
    outcomes = tmp_path / "out" / outcomes_file(scores[0].protocol_fingerprint)
    with np.load(outcomes, allow_pickle=False) as arrays:
        parts = [arrays[f"{scores[0].metric}.{part}"] for part in ("ranks", "present", "counted")]
    ranks, present, counted = (part.astype(np.int64) for part in parts)
    labels = np.where(counted, present, UNDECIDED)
    assert (counted == 0).sum() == 1
    assert mean_average_precision_11(ranks[0].astype(float), labels) == pytest.approx(
        scores[0].value, abs=1e-12
    )
    omitted = json.loads((tmp_path / "out" / "scores.json").read_text())["omitted"]
    assert omitted["knn_map_11_point"] == "an image shows several classes"


def test_features_that_are_kept_give_the_same_scores(encoder_dir, image_folder, tmp_path):
    names = [f"folder:{image_folder}"]
    fresh = run_linear_probe(encoder_dir, tmp_path / "one", datasets=names, baselines=[])
    kept = [
        run_linear_probe(
            encoder_dir, tmp_path / run, datasets=names, baselines=[], cache_dir=tmp_path / "features"
        )
        for run in ("two", "three")
    ]
    assert fresh == kept[0] == kept[1]
    assert len(list((tmp_path / "features").glob("*.npy"))) == 1


def test_standardised_features_follow_the_fitted_rows_alone():
    features = torch.randn(30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 5 + 2
    features[:, 2] = 7.0
    scaled = standardise_by(features, slice(0, 20))
    torch.testing.assert_close(scaled[:20].mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(scaled[:20, :2].std(0, correction=0), torch.ones(2, dtype=torch.float64))
    assert float(scaled[:, 2].abs().max()) == 0


def test_predictions_on_disk_give_the_scores_again(encoder_dir, image_folder, tmp_path):
    scores = run_linear_probe(
        encoder_dir, tmp_path, datasets=[f"folder:{image_folder}"], baselines=["raw_pixels"]
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
        datasets=[f"folder:{image_folder}"],
        split="validation",
        baselines=["raw_pixels"],
    )
    assert {(score.split, score.num_test) for score in scores} == {("validation", 12)}
    with pytest.raises(EvaluationError, match="cannot be decoded"):
        run_linear_probe(encoder_dir, tmp_path / "broken", datasets=[f"folder:{image_folder}"])
    assert not (tmp_path / "broken").exists()


def test_shots_beyond_the_smallest_class_are_left_out_with_the_reason():
    shots, omitted = feasible_probes(load_digits(), PROTOCOL)
    assert shots == [1, 5, 10]
    assert omitted == {}


def test_few_shot_intervals_cover_the_draw_of_episodes():
    digits = load_digits()
    labels = np.zeros(300, dtype=np.int64)
    predictions = np.repeat(np.arange(8)[:, None] % 2, 300, axis=1)
    widths = {}
    for probe in ("knn", "few_shot_1"):
        score = score_answers("model", probe, predictions, labels, digits, PROTOCOL)
        widths[probe] = score.ci_high - score.ci_low
    assert widths["knn"] == pytest.approx(0)
    assert widths["few_shot_1"] > 0.4


def test_unknown_baseline_is_named(encoder_dir, tmp_path):
    with pytest.raises(EvaluationError, match="baseline 'imagenet' is unknown: choose among random_weights"):
        run_linear_probe(encoder_dir, tmp_path / "out", baselines=["imagenet"])
    assert not (tmp_path / "out").exists()
