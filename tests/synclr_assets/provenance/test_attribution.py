"""From classes back to concepts and buckets, and the weights proposed: nothing dropped, every step bounded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_assets.cli import cli
from synclr_assets.concept_bank.bank import read_bank
from synclr_assets.provenance.attribution import Attribution, AttributionError, attribute
from synclr_assets.provenance.class_concepts import ClassMapError, normalised, read_class_map
from synclr_assets.provenance.proposed_weights import shrunk_errors, step_weights
from synclr_assets.store.store import Store
from tests.synclr_assets.provenance.scored_models import add_model, add_scores, append

MODEL = "a" * 32
CONCEPTS = {
    "digits": [("digit zero", "digit zero"), ("digit one", "digit one")],
    "shapes": [("crane_n02012849", "crane (bird)"), ("digit one", "digit one")],
}
EPOCHS = {"digits": 4.0, "shapes": 2.0}
PER_CLASS = {"0": 0.9, "1": 0.6, "Crane, Bird": 0.8, "fog": 0.5}


@pytest.fixture
def scored(tmp_path: Path) -> tuple[Store, dict[str, Any]]:
    """Three captions of each concept in one shard of each bucket; the shards were read for 4 and 2 epochs."""
    store = Store(tmp_path / "store")
    model = add_model(store, MODEL)
    for bucket, concepts in CONCEPTS.items():
        key = {"bucket": bucket, "generation": 0}
        rows = [
            {"concept": name, "concept_index": i, "display_text": text, "weight": 1.0, "num_captions": 3}
            for i, (name, text) in enumerate(concepts)
        ]
        append(store, "concepts", [key | row for row in rows])
        ids = [(f"{bucket}-{name}-{number}", name) for name, _ in concepts for number in range(3)]
        captions = [{"caption_id": identity, "concept": name} for identity, name in ids]
        append(store, "enriched_captions", [key | row for row in captions])
        append(store, "shard_members", [key | {"caption_id": one, "shard_index": 0} for one, _ in ids])
        append(store, "consumption", [key | {"model_id": MODEL, "shard_index": 0, "epochs": EPOCHS[bucket]}])
    add_scores(store, model, np.arange(100) % 10 < 7, per_class=PER_CLASS)
    return store, model


@pytest.fixture
def attribution(scored: tuple[Store, dict[str, Any]]) -> Attribution:
    return attribute(*scored)


def test_classes_match_by_shipped_mapping_by_text_and_the_rest_is_listed(attribution: Attribution) -> None:
    assert {each.name: each.concepts for each in attribution.classes} == {
        "0": ("digits/digit zero",),
        "1": ("digits/digit one", "shapes/digit one"),
        "Crane, Bird": ("shapes/crane_n02012849",),
    }
    assert attribution.unmatched == (("fog", 0.5, "its name is no concept of the model's buckets"),)


def test_a_class_in_two_buckets_rests_on_them_by_captions_read(attribution: Attribution) -> None:
    digits, shapes = attribution.buckets
    assert (digits.captions_read, shapes.captions_read) == (24, 12)
    assert (digits.num_classes, shapes.num_classes) == pytest.approx((1 + 12 / 18, 1 + 6 / 18))


def test_the_parts_add_up_to_the_mean_of_all_classes(attribution: Attribution) -> None:
    rested = sum(part.share * part.value for part in attribution.buckets if part.value is not None)
    unmatched = sum(value for _, value, _ in attribution.unmatched) / len(PER_CLASS)
    assert rested + unmatched == pytest.approx(attribution.class_mean) == pytest.approx(0.7)


def test_the_worse_concept_is_proposed_more_and_budgets_keep_their_sum(attribution: Attribution) -> None:
    weights = {(each.bucket, each.concept): each.proposed_weight for each in attribution.concepts}
    assert weights["digits", "digit one"] > 1 > weights["digits", "digit zero"]
    assert sum(part.proposed_captions for part in attribution.buckets) == 12


def test_a_mapping_goes_first_and_can_say_none(scored: tuple[Store, dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text('0: [shapes/digit one]\n"Crane, Bird": []\nfog: steam\n', encoding="utf-8")
    attribution = attribute(*scored, class_map=read_class_map(file))
    assert {each.name: each.concepts for each in attribution.classes}["0"] == ("shapes/digit one",)
    assert {name: reason for name, _, reason in attribution.unmatched} == {
        "Crane, Bird": "the mapping says that it is no concept",
        "fog": "the mapping's 'steam' is no concept of the model's buckets",
    }


@pytest.mark.parametrize(
    "content", ["- a\n", "fog:\n", "fog: {a: b}\n", "fog: !!python/object:os.system x\n"]
)
def test_a_bad_mapping_file_is_one_sentence(tmp_path: Path, content: str) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ClassMapError, match=r"map\.yaml.*; .*\.$"):
        read_class_map(file)


def test_a_score_that_is_not_there_names_those_that_are(scored: tuple[Store, dict[str, Any]]) -> None:
    with pytest.raises(AttributionError, match="it has linear_probe_accuracy on sklearn_digits"):
        attribute(*scored, metric="mean_iou")


def test_the_command_writes_bucket_files_that_the_bank_reads(
    scored: tuple[Store, dict[str, Any]], tmp_path: Path
) -> None:
    bank, proposed = tmp_path / "bank", tmp_path / "proposed"
    bank.mkdir()
    (bank / "digits.yaml").write_text("captions: 6\nconcepts: [digit zero, digit one]\n")
    (bank / "shapes.yaml").write_text(
        "captions: 6\ntemplates: [c, c_bg]\nconcepts:\n"
        '  - {name: crane_n02012849, text: "crane (bird)", templates: [c]}\n  - digit one\n'
    )
    store = str(scored[0].location.folder)
    arguments = ["attribution", MODEL, "--store", store, "--concepts", str(bank), "--write-weights"]
    result = CliRunner().invoke(cli, [*arguments, str(proposed)])
    assert result.exit_code == 0, result.output
    assert "fog (50.0 %): its name is no concept" in result.output
    assert "a proposal that nothing acts upon" in result.output
    before, after = read_bank(bank), read_bank(proposed)
    assert not after.problems
    assert sum(bucket.num_captions for bucket in after.buckets.values()) == 12
    assert after.buckets["digits"].concepts[1].weight > 1
    for name, bucket in before.buckets.items():
        for old, new in zip(bucket.concepts, after.buckets[name].concepts, strict=True):
            assert (old.name, old.text, old.templates) == (new.name, new.text, new.templates)
    again = CliRunner().invoke(cli, [*arguments, str(proposed)])
    assert "not empty" in str(again.exception)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Digit  Zero", "digit_zero"), ("crane (bird)", "Crane, Bird"), ("ﬁsh", "FISH"), ("Šárka", "ŠÁRKA")],
)
def test_spellings_of_one_name_are_the_same(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 1), st.floats(0, 1e6)), min_size=1, max_size=20),
    st.floats(1, 10),
)
def test_a_step_is_bounded_and_keeps_the_sum_of_weights(
    rows: list[tuple[float, float, float]], max_step: float
) -> None:
    weights, errors, read = ([row[column] for row in rows] for column in range(3))
    stepped = step_weights(weights, errors, read, max_step)
    assert math.fsum(stepped) == pytest.approx(math.fsum(weights), rel=1e-6)
    for old, new in zip(weights, stepped, strict=True):
        assert old / max_step * (1 - 1e-9) <= new <= old * max_step * (1 + 1e-9)


def test_more_error_or_fewer_captions_read_never_lowers_a_weight() -> None:
    assert step_weights([1, 1], [0.2, 0.1], [100, 100])[0] > 1
    assert step_weights([1, 1], [0.1, 0.1], [100, 400])[0] == pytest.approx(4 / 3)


def test_few_images_move_an_error_less_than_many() -> None:
    few, many = (shrunk_errors([1.0, 0.8], images)[0] for images in (5, 500))
    assert 0 < many < few < 0.1
