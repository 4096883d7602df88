"""Models side by side: honest paired differences, refusals, and what differs between the models."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_assets.cli import cli
from synclr_assets.provenance.comparison import ComparisonError, compare_models
from synclr_assets.provenance.outcomes import Outcomes, Rankings, outcomes_of, paired_differences
from synclr_assets.provenance.scores import record_scores, scores_of
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_train.evals.measures import mean_average_precision_11
from synclr_train.evals.outcomes import rankings, write_outcomes
from tests.synclr_assets.provenance.scored_models import FINGERPRINT, METRIC, add_model, add_scores

FIRST, SECOND, THIRD = "a" * 32, "b" * 32, "c" * 32


def accuracy(correct: np.ndarray) -> Outcomes:
    correct = np.atleast_2d(correct).astype(float)[:, :, None]
    return Outcomes(correct, np.ones((1, correct.shape[1], 1)))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_small_steady_lead_on_the_same_images_is_told_though_the_own_intervals_overlap() -> None:
    shared = np.arange(400) % 10 < 8
    better = shared.copy()
    better[np.flatnonzero(~shared)[:12]] = True
    (difference,) = paired_differences({"better": accuracy(better), "worse": accuracy(shared)})
    assert difference.value == pytest.approx(12 / 400)
    assert difference.ahead == "better"
    assert difference.ci_low > 0.01
    assert difference.ci_high < 0.05


def test_equal_numbers_of_wins_are_not_told_apart() -> None:
    one, other = np.arange(200) % 4 != 0, np.arange(200) % 4 != 1
    (difference,) = paired_differences({"one": accuracy(one), "other": accuracy(other)})
    assert difference.value == 0
    assert difference.ahead is None
    assert difference.ci_low < -0.05 < 0.05 < difference.ci_high


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 4))
def test_a_difference_lies_in_its_interval_and_turning_the_pair_turns_its_sign(
    seed: int, num_repeats: int, num_classes: int
) -> None:
    draws = np.random.default_rng(seed)
    totals = draws.integers(1, 9, (num_repeats, 30, num_classes)).astype(float)
    one, other = (Outcomes(np.floor(totals * draws.random(totals.shape)), totals) for _ in range(2))
    (forth,) = paired_differences({"one": one, "other": other})
    (back,) = paired_differences({"other": other, "one": one})
    assert forth.ci_low <= forth.value <= forth.ci_high
    assert (back.value, back.ci_low, back.ci_high) == pytest.approx(
        (-forth.value, -forth.ci_high, -forth.ci_low)
    )


def test_a_score_of_several_classes_is_the_mean_of_their_ratios() -> None:
    hits = np.array([[[4.0, 0.0], [0.0, 1.0]]])
    totals = np.array([[[4.0, 0.0], [4.0, 1.0]]])
    assert Outcomes(hits, totals).value == pytest.approx((0.5 + 1.0) / 2)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 2), st.integers(1, 4))
def test_resampled_average_precisions_are_those_of_the_drawn_images(
    seed: int, num_repeats: int, num_classes: int
) -> None:
    draws = np.random.default_rng(seed)
    decisions = draws.integers(0, 9, (num_repeats, 20, num_classes)).astype(float)
    labels = draws.choice([1, 0, -1], (20, num_classes))
    labels[0], labels[1] = 1, 0
    found = rankings(decisions, labels)
    counts = draws.integers(0, 3, (6, 20))
    counts[:, 0] += 1
    values = Rankings(found.ranks, found.present, found.counted).values(counts, np.ones((6, num_repeats)))
    for value, times in zip(values, counts, strict=True):
        drawn = np.arange(20).repeat(times)
        expected = [mean_average_precision_11(each[drawn], labels[drawn]) for each in decisions]
        assert value == pytest.approx(np.mean(expected))


def test_two_models_on_images_of_several_classes_have_a_paired_difference(store: Store) -> None:
    """The better model decides by the truth and a little noise; ranks are all that is kept of it."""
    draws = np.random.default_rng(5)
    labels = (draws.random((120, 3)) < 0.3).astype(np.int64)
    models = [add_model(store, FIRST), add_model(store, SECOND)]
    for model, noise in zip(models, (0.3, 1.0), strict=True):
        decisions = labels[None] + noise * draws.normal(size=(1, 120, 3))
        add_average_precision(store, model, decisions, labels)
    (metric,) = compare_models(store, models).metrics
    (difference,) = metric.differences
    assert metric.without_outcomes == ()
    assert difference.value == pytest.approx(metric.values[0].value - metric.values[1].value)
    assert difference.ahead == FIRST
    (score,) = scores_of(store, FIRST)
    with pytest.raises(StoreError, match="materialise linear_probe again"):
        outcomes_of(store, models[0], {**score, "value": score["value"] - 0.01})


def add_average_precision(store: Store, model: dict, decisions: np.ndarray, labels: np.ndarray) -> None:
    """The model's score on a data set such as VOC2007, with what the evaluation leaves beside it."""
    metric, value = "linear_probe_map_11_point", mean_average_precision_11(decisions[0], labels)
    score = {
        "subject": "model",
        "dataset": "voc2007",
        "metric": metric,
        "value": value,
        "ci_low": value,
        "ci_high": value,
        "num_test": len(labels),
        "split": "test",
        "protocol": "linear_probe",
        "protocol_fingerprint": FINGERPRINT,
        "per_class": {},
    }
    record_scores(store, model["model_id"], "linear_probe", [score])
    folder = store.location.local_path(f"{model['key']}/evals/linear_probe")
    folder.mkdir(parents=True)
    write_outcomes(folder, FINGERPRINT, {metric: rankings(decisions, labels)})


def test_scores_of_other_protocols_are_refused_with_what_differs(store: Store) -> None:
    one, other = add_model(store, FIRST), add_model(store, SECOND)
    add_scores(store, one, np.ones(20))
    add_scores(store, other, np.ones(20), fingerprint="0" * 16, num_l2_constants=9)
    with pytest.raises(ComparisonError, match="different protocols") as refusal:
        compare_models(store, [one, other])
    assert "num_l2_constants 45 / 9" in str(refusal.value)
    assert "feedfacefeedface" in str(refusal.value)
    assert "0000000000000000" in str(refusal.value)


def test_outcomes_that_do_not_give_the_recorded_score_are_refused(store: Store) -> None:
    one, other = add_model(store, FIRST), add_model(store, SECOND)
    add_scores(store, one, np.ones(20))
    add_scores(store, other, np.arange(20) % 2)
    name = "outcomes-feedfacefeedface.npz"
    folder = store.location.local_path("models")
    (folder / SECOND / "evals/linear_probe" / name).write_bytes(
        (folder / FIRST / "evals/linear_probe" / name).read_bytes()
    )
    with pytest.raises(StoreError, match="materialise linear_probe again"):
        compare_models(store, [one, other])


def test_a_model_without_outcomes_has_a_value_and_no_pair(store: Store) -> None:
    models = [add_model(store, model_id) for model_id in (FIRST, SECOND, THIRD)]
    for model in models:
        add_scores(store, model, np.arange(50) % 5 > 0, with_outcomes=model["model_id"] != SECOND)
    (metric,) = compare_models(store, models).metrics
    assert [value.model_id for value in metric.values] == [FIRST, SECOND, THIRD]
    assert [(each.first, each.second) for each in metric.differences] == [(FIRST, THIRD)]
    assert metric.without_outcomes == (SECOND,)


def test_only_what_differs_between_models_is_listed(store: Store) -> None:
    recipe = json.dumps({"name": "other", "batch": {"captions": 32}, "temperature": 0.1})
    one = add_model(store, FIRST)
    other = add_model(store, SECOND, recipe="other", recipe_json=recipe, steps=50)
    for model in (one, other):
        add_scores(store, model, np.ones(5))
    facts = {fact.name: fact.values for fact in compare_models(store, [one, other]).facts}
    assert facts == {
        "recipe": ("rehearsal", "other"),
        "steps": ("100", "50"),
        "recipe.batch.captions": ("64", "32"),
    }


@pytest.mark.parametrize("ids", [[FIRST], [FIRST, FIRST]])
def test_fewer_than_two_models_are_refused(store: Store, ids: list[str]) -> None:
    model = add_model(store, FIRST)
    with pytest.raises(ComparisonError, match="two or more different models"):
        compare_models(store, [model for _ in ids])


def test_models_without_a_common_score_are_refused(store: Store) -> None:
    one, other = add_model(store, FIRST), add_model(store, SECOND)
    add_scores(store, one, np.ones(5))
    with pytest.raises(ComparisonError, match=r"No score is shared .* none at all for bbbbbbbbbbbb"):
        compare_models(store, [one, other])


def test_the_command_prints_writes_csv_and_json_and_draws(store: Store, tmp_path: Path) -> None:
    one, other = add_model(store, FIRST), add_model(store, SECOND, seed=2)
    add_scores(store, one, np.arange(100) % 10 > 0)
    add_scores(store, other, np.arange(100) % 10 > 2)
    plot = tmp_path / "plot.svg"
    arguments = ["compare", "aa", "bb", "--store", str(store.location.folder)]

    printed = CliRunner().invoke(cli, [*arguments, "--plot", str(plot)])
    assert printed.exit_code == 0, printed.output
    assert "A is better" in printed.output
    assert "+20.0" in printed.output
    assert "nothing of other training seeds" in printed.output
    assert "paired difference" not in printed.output
    assert plot.read_text().count("<svg") == 1

    rows = list(csv.DictReader(io.StringIO(CliRunner().invoke(cli, [*arguments, "--csv"]).stdout)))
    assert [(row["kind"], row["model_id"], row["minus_model_id"]) for row in rows] == [
        ("score", FIRST, ""),
        ("score", SECOND, ""),
        ("difference", FIRST, SECOND),
    ]
    assert {row["metric"] for row in rows} == {METRIC}

    document = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)
    assert document["metrics"][0]["differences"][0]["ahead"] == FIRST
    assert document["facts"] == [{"name": "seed", "values": ["1", "2"]}]
