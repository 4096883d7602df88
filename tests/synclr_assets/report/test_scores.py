"""Scores side by side: one protocol per comparison, the model first, and honest sentences."""

from __future__ import annotations

from synclr_assets.report.scores import comparisons_of, headline_of, subjects_of, verdicts
from tests.synclr_assets.report.trained_store import score, scores


def test_scores_of_different_protocols_are_never_in_one_comparison() -> None:
    rows = [
        score("model", "knn_accuracy", 0.9),
        score("raw_pixels", "knn_accuracy", 0.8, protocol_fingerprint="other"),
    ]
    assert [list(comparison.scores) for comparison in comparisons_of(rows)] == [["model"], ["raw_pixels"]]


def test_the_model_comes_first_and_the_headline_is_the_linear_probe() -> None:
    comparisons = comparisons_of(reversed(scores()))
    assert subjects_of(comparisons) == ["model", "random_weights", "raw_pixels"]
    headline = headline_of(comparisons)
    assert headline is not None
    assert headline.metric == "linear_probe_accuracy"


def test_few_shot_metrics_are_ordered_by_their_number() -> None:
    rows = [score("model", f"few_shot_{shots}_accuracy", 0.5) for shots in (10, 1, 5)]
    assert [comparison.metric.split("_")[2] for comparison in comparisons_of(rows)] == ["1", "5", "10"]


def test_a_model_that_wins_everywhere_is_said_to() -> None:
    rows = [score("model", "knn_accuracy", 0.9), score("raw_pixels", "knn_accuracy", 0.5)]
    assert verdicts(comparisons_of(rows)) == [
        "The model is ahead of every baseline measured with it in the one score."
    ]


def test_a_narrow_win_says_that_intervals_overlap() -> None:
    rows = [score("model", "knn_accuracy", 0.9), score("raw_pixels", "knn_accuracy", 0.895)]
    assert "a 95 % interval overlaps" in verdicts(comparisons_of(rows))[0]


def test_a_tie_is_no_win() -> None:
    rows = [score("model", "knn_accuracy", 0.9), score("raw_pixels", "knn_accuracy", 0.9)]
    assert (
        "the model only ties with raw pixels (90.0 %, intervals overlap)" in verdicts(comparisons_of(rows))[0]
    )


def test_every_score_has_one_sentence_for_all_baselines_it_does_not_beat() -> None:
    values = {"model": 0.5, "random_weights": 0.6, "raw_pixels": 0.505, "simclr": 0.4}
    sentences = verdicts(
        comparisons_of([score(subject, "knn_accuracy", value) for subject, value in values.items()])
    )
    assert sentences == [
        "With 50.0 % in kNN accuracy on sklearn_digits (test) the model loses to random weights "
        "(60.0 %, intervals do not overlap) and loses to raw pixels (50.5 %, intervals overlap)."
    ]


def test_a_score_without_baselines_proves_nothing() -> None:
    assert "No baseline was measured" in verdicts(comparisons_of([score("model", "knn_accuracy", 0.9)]))[0]
    assert verdicts([]) == ["The model has no score yet."]
