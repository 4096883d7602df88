"""A segmentation run scores every subject on the same scenes, leaves pictures, and repeats exactly."""

import json

import numpy as np
import pytest
from PIL import Image

from synclr_train.evals import digits_on_photos
from synclr_train.evals.confusion import class_counts, mean_iou
from synclr_train.evals.digits_on_photos import CLASS_NAMES, SOURCES, Source
from synclr_train.evals.scores import EvaluationError, read_scores
from synclr_train.evals.segmentation import run_segmentation


@pytest.fixture
def few_scenes(monkeypatch):
    few = {
        name: Source(source.first_digit, source.last_digit, source.diagonal, 16)
        for name, source in SOURCES.items()
    }
    monkeypatch.setattr(digits_on_photos, "SOURCES", few)


@pytest.mark.usefixtures("few_scenes")
def test_a_run_scores_every_subject_and_repeats_exactly(encoder_dir, tmp_path):
    scores = run_segmentation(encoder_dir, tmp_path / "one", split="validation")
    again = run_segmentation(encoder_dir, tmp_path / "two", split="validation")
    assert scores == again == read_scores(tmp_path / "one")
    assert [score.subject for score in scores[::3]] == ["model", "random_weights", "raw_pixels"]
    assert {score.num_test for score in scores} == {16}
    for score in scores:
        assert 0 <= score.ci_low <= score.value <= score.ci_high <= 1
        assert set(score.per_class) <= set(CLASS_NAMES)
    iou = {score.subject: score for score in scores if score.metric == "mean_iou"}
    assert np.mean(list(iou["model"].per_class.values())) == pytest.approx(iou["model"].value)
    details = json.loads((tmp_path / "one" / "scores.json").read_text())
    assert set(details["chosen"]) == set(iou)
    assert [np.sum(counts) for counts in details["confusion"].values()] == pytest.approx([16 * 96 * 96] * 3)
    with np.load(tmp_path / "one" / "confusions.npz", allow_pickle=False) as counts:
        assert counts["random_weights"].shape == (3, 16, 11, 11)
        assert counts["model"].sum() == 16 * 96 * 96
        assert float(mean_iou(class_counts(counts["model"].sum((0, 1))))) == pytest.approx(iou["model"].value)
    for name in ("segmentation.png", "pca.png"):
        with Image.open(tmp_path / "one" / name) as picture:
            assert np.asarray(picture).std() > 20


def test_unknown_dataset_is_named(encoder_dir, tmp_path):
    with pytest.raises(EvaluationError, match="dataset 'ade20k' has no masks: give digits_on_photos"):
        run_segmentation(encoder_dir, tmp_path / "out", dataset="ade20k")
    assert not (tmp_path / "out").exists()
