"""What a model is given, and who it therefore is."""

import pytest

from synclr_assets.provenance.inputs import model_id_of, training_inputs
from synclr_assets.provenance.models import TrainedModel, find_model, record_model, recorded_model
from synclr_assets.store.errors import NotReadyError, StoreError, UnknownIdError
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from tests.synclr_assets.conftest import DATASET_STAGES, Stages


def trained(model_id: str, captions_read: dict[str, int]) -> TrainedModel:
    return TrainedModel(
        model_id=model_id,
        recipe="rehearsal",
        recipe_json="{}",
        recipe_fingerprint="r",
        seed=0,
        steps=5,
        final_loss=1.0,
        effective_rank=9.0,
        code_version="0",
        weights_sha256="w",
        seconds=1.0,
        device="cpu",
        captions_read=captions_read,
        images_read={key: 4 * count for key, count in captions_read.items()},
    )


def test_the_newest_packed_generation_is_taken(stages: Stages) -> None:
    stages.run_all(Unit("fruit", 0))
    first = training_inputs(stages.store, "fruit", ["fruit"])
    for stage in DATASET_STAGES[:-1]:
        stages.run(stage, Unit("fruit", 1))
    assert training_inputs(stages.store, "fruit", ["fruit"]).units == first.units == (Unit("fruit", 0),)
    stages.run("shards", Unit("fruit", 1))
    assert training_inputs(stages.store, "fruit", ["fruit"]).units == (Unit("fruit", 1),)
    assert training_inputs(stages.store, "fruit", ["fruit"], {"fruit": 0}).shards == first.shards


def test_what_is_not_packed_is_refused_in_one_sentence(stages: Stages) -> None:
    with pytest.raises(StoreError, match="materialise concepts of fruit first"):
        training_inputs(stages.store, "fruit", ["fruit"])
    stages.run("concepts", Unit("fruit", 0))
    with pytest.raises(NotReadyError, match="materialise syncaps_shards of fruit first"):
        training_inputs(stages.store, "fruit", ["fruit"])


def test_a_model_is_its_slice_recipe_seed_and_shards(stages: Stages) -> None:
    stages.run_all(Unit("fruit", 0))
    stages.run_all(Unit("patterns", 0))
    inputs = training_inputs(stages.store, "everything", ["patterns", "fruit"])
    known = model_id_of(inputs, "recipe", 0)
    assert known == model_id_of(
        training_inputs(stages.store, "everything", ["fruit", "patterns"]), "recipe", 0
    )
    others = {
        model_id_of(inputs, "recipe", 1),
        model_id_of(inputs, "other", 0),
        model_id_of(training_inputs(stages.store, "fruit", ["fruit"]), "recipe", 0),
    }
    assert len(others | {known}) == 4


def test_a_model_pins_what_it_read_and_is_recorded_once(stages: Stages) -> None:
    stages.run_all(Unit("fruit", 0))
    inputs = training_inputs(stages.store, "fruit", ["fruit"])
    half_read = {inputs.shards[0].key: 3}
    record_model(stages.store, inputs, trained("ab" * 16, half_read))
    before = recorded_model(stages.store, "ab" * 16)
    record_model(stages.store, inputs, trained("ab" * 16, half_read))
    assert recorded_model(stages.store, "ab" * 16) == before
    rows = stages.store.tables.read("consumption").sort_by("shard_index").to_pylist()
    assert [row["captions_read"] for row in rows] == [3] + [0] * (len(inputs.shards) - 1)
    assert rows[0]["epochs"] == 3 / inputs.shards[0].num_captions


def test_a_prefix_finds_one_model_or_says_why_not(stages: Stages, store: Store) -> None:
    stages.run_all(Unit("fruit", 0))
    inputs = training_inputs(store, "fruit", ["fruit"])
    for model_id in ("ab" * 16, "ac" * 16):
        record_model(store, inputs, trained(model_id, {}))
    assert find_model(store, "AB")["model_id"] == "ab" * 16
    with pytest.raises(UnknownIdError, match="'a' fits 2 models: give more of the id"):
        find_model(store, "a")
    with pytest.raises(UnknownIdError, match="No model 'ff'"):
        find_model(store, "ff")
