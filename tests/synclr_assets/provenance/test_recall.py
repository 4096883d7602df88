"""A recall from a bad concept to a retrained model that did not read it."""

import json
from pathlib import Path

import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from synclr_assets.cli import cli
from synclr_assets.provenance.inputs import excluded_digest, training_inputs
from synclr_assets.provenance.lineage import caption_lineage, captions_of_model
from synclr_assets.provenance.lineage_nodes import LineageError
from synclr_assets.provenance.models import EXCLUDED_FILE, excluded_captions
from synclr_assets.provenance.recall import apply_recall, find_affected
from synclr_assets.store.errors import StoreError, UnknownIdError
from synclr_assets.store.store import Store
from tests.synclr_assets.provenance.trained_slice import BUCKETS, score_of, train_slice


def captions_about(store: Store, concept: str) -> set[str]:
    rows = store.tables.read("enriched_captions", where=pc.field("concept") == concept)
    return set(rows["caption_id"].to_pylist())


def test_from_a_bad_concept_to_a_model_that_did_not_read_it(made: Store) -> None:
    store = made
    first = train_slice(store)
    score_of(store, first)
    other = train_slice(store, "patterns", ["patterns"])
    bad = captions_about(store, "quince")
    shards_before = {key: store.blobs.read(key) for key in store.blobs.keys("shards")}

    recall = find_affected(store, "concept", "fruit/quince")
    assert set(recall.caption_ids) == bad
    assert recall.images.num_rows == 4 * len(bad)
    assert pc.sum(recall.shards["captions"]).as_py() == len(bad)
    assert recall.models["model_id"].to_pylist() == [first["model_id"]]
    assert recall.models["captions"].to_pylist() == [len(bad)]
    assert recall.scores["score"].to_pylist() == [f"{first['model_id']}/sklearn_digits/linear_probe_accuracy"]
    assert recall.trainings_to_repeat == [("everything", first["recipe"])]
    assert store.tables.open("recalls") is None, "finding out changes nothing"

    assert apply_recall(store, recall, "quinces look like pears")
    assert not apply_recall(store, recall, "quinces look like pears"), "the same finding is recorded once"
    marks = store.tables.read("recalls")
    assert {row["reason"] for row in marks.to_pylist()} == {"quinces look like pears"}
    assert {kind["values"]: kind["counts"] for kind in marks["object"].value_counts().to_pylist()} == {
        "caption": len(bad),
        "shard": recall.shards.num_rows,
        "model": 1,
        "score": 1,
    }

    again = train_slice(store)
    assert again["model_id"] != first["model_id"]
    assert again["weights_sha256"] != first["weights_sha256"]
    assert excluded_captions(store, again) == bad
    read = {row["caption_id"] for batch in captions_of_model(store, again) for row in batch.to_pylist()}
    everything = {row["caption_id"] for batch in captions_of_model(store, first) for row in batch.to_pylist()}
    assert bad < everything
    assert read == everything - bad
    one = sorted(bad)[0]
    assert [model["model_id"] for model in caption_lineage(store, one).models] == [first["model_id"]]
    after = find_affected(store, "concept", "fruit/quince")
    assert after.models["model_id"].to_pylist() == [first["model_id"]], "the new model needs no retraining"
    assert train_slice(store, "patterns", ["patterns"]) == other, "what is not affected stays the same model"
    assert {key: store.blobs.read(key) for key in store.blobs.keys("shards")} == shards_before


def test_a_caption_and_a_generator_can_be_recalled(made: Store) -> None:
    store = made
    one = sorted(captions_about(store, "apple"))[0]
    recall = find_affected(store, "caption", one)
    assert (recall.num_captions, recall.images.num_rows, recall.shards.num_rows) == (1, 4, 1)
    sampler = store.tables.read("images", columns=["model", "revision"]).slice(0, 1).to_pylist()[0]
    name = f"{sampler['model']}@{sampler['revision']}"
    assert find_affected(store, "generator", name).num_captions == store.tables.count("enriched_captions")
    fruit = find_affected(store, "generator", sampler["model"], bucket="fruit")
    assert {part.unit.bucket for part in fruit.captions} == {"fruit"}
    apply_recall(store, recall, "a brand name")
    assert training_inputs(store, "everything", BUCKETS).excluded == (one,)


def test_what_cannot_be_recalled_is_one_sentence(made: Store) -> None:
    store = made
    with pytest.raises(UnknownIdError, match="has no caption of concept 'pear'"):
        find_affected(store, "concept", "pear")
    with pytest.raises(LineageError, match="'shard' cannot be recalled"):
        find_affected(store, "shard", "ab")
    recall = find_affected(store, "concept", "apple")
    with pytest.raises(LineageError, match="needs its reason"):
        apply_recall(store, recall, " ")


def test_a_model_whose_exclusions_changed_is_not_believed(made: Store) -> None:
    store = made
    apply_recall(store, find_affected(store, "concept", "apple"), "test")
    model = train_slice(store)
    path = store.location.local_path(f"{model['key']}/{EXCLUDED_FILE}")
    path.write_text("\n".join(path.read_text().split()[1:]))
    with pytest.raises(StoreError, match="is not the list"):
        excluded_captions(store, model)
    assert excluded_digest([]) is None


def test_the_command_lists_marks_and_says_what_to_retrain(made: Store, tmp_path: Path) -> None:
    store = made
    model = train_slice(store)
    runner, place = CliRunner(), ["--store", str(tmp_path / "store")]
    listed = runner.invoke(cli, ["recall", "--concept", "quince", *place], catch_exceptions=False).output
    assert f"{model['model_id']} of slice everything" in listed
    assert "Nothing was changed" in listed
    arguments = ["recall", "--concept", "quince", "--apply", "--reason", "bad", "--json", *place]
    told = json.loads(runner.invoke(cli, arguments, catch_exceptions=False).output)
    assert told["applied"]
    assert set(told["affected"]["captions"]) == captions_about(store, "quince")
    assert told["retrain"][0]["slice"] == "everything"
    said = runner.invoke(cli, [*arguments[:3], "--apply", "--reason", "bad", *place]).output
    assert "Already recorded" in said
    assert "synclr materialize everything --only model" in said
    assert "needs --reason" in runner.invoke(cli, ["recall", "--concept", "quince", "--apply", *place]).output
    assert "Name one thing" in runner.invoke(cli, ["recall", *place]).output
