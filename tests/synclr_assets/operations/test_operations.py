"""States, regeneration plans and retention over a small store: what is stale, what is made, what may go."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from synclr_assets.concept_bank.bank import ConceptBank, read_bank
from synclr_assets.cost.budget import Limits
from synclr_assets.cost.rates import Rates
from synclr_assets.cost.settings_files import SettingsFileError
from synclr_assets.cost.summary import spent_by
from synclr_assets.operations.contribution import contribution_of
from synclr_assets.operations.plan_cost import planned_cost
from synclr_assets.operations.plan_file import (
    Plan,
    PlanRefusedError,
    planned_generations,
    read_plan_file,
    record_begun,
    record_finished,
    write_plan,
)
from synclr_assets.operations.regeneration import Evidence, check_plan, make_plan, stalest
from synclr_assets.operations.retention import RetentionRule, apply_retention, plan_retention
from synclr_assets.operations.schedules_file import Regeneration, over_budget, read_schedules
from synclr_assets.operations.staleness import bucket_states, slice_states
from synclr_assets.operations.unit_states import STAGES, spent_by_unit
from synclr_assets.provenance.inputs import training_inputs
from synclr_assets.provenance.lineage import captions_of_model, model_lineage
from synclr_assets.provenance.models import TrainedModel, record_model
from synclr_assets.report.overview import bucket_rows, summary_lines
from synclr_assets.stages.concepts import resolve_unit
from synclr_assets.stages.stored_images import stored_views
from synclr_assets.store.blobs import sha256_of
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_train.recipes import get_recipe
from tests.synclr_assets.conftest import TINY_BANK, Stages, write_bank

NOW = datetime.now(UTC)
NO_EVIDENCE = Evidence(NOW, {}, {})
SETTINGS = "profile"


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    """Bucket patterns is packed in generation 0, fruit has captions only."""
    made = Stages(write_bank(tmp_path / "concepts", TINY_BANK), Store(tmp_path / "store"))
    made.run_all(Unit("patterns", 0))
    made.run("concepts", Unit("fruit", 0))
    made.run("captions", Unit("fruit", 0))
    return made


def record(store: Store, slice_name: str, bucket: str, model_id: str) -> None:
    """A model of one bucket that read everything, without training it."""
    inputs = training_inputs(store, slice_name, [bucket])
    recipe = get_recipe("rehearsal")
    record_model(
        store,
        inputs,
        TrainedModel(
            model_id=model_id,
            recipe=recipe.name,
            recipe_json=recipe.model_dump_json(),
            recipe_fingerprint=recipe.fingerprint,
            seed=0,
            steps=1,
            final_loss=1.0,
            effective_rank=5.0,
            code_version="0",
            weights_sha256="0" * 64,
            seconds=1.0,
            device="cpu",
            captions_read={shard.key: shard.num_captions for shard in inputs.shards},
            images_read={shard.key: 4 * shard.num_captions for shard in inputs.shards},
        ),
    )


def plan_for(stages: Stages, bucket: str) -> Plan:
    states = bucket_states(stages.store, stages.bank)
    recipe = get_recipe("rehearsal")
    cost = planned_cost(stages.store, stages.bank, [bucket], Rates(), recipe, trains=False)
    chosen = [(states[bucket], ("asked for",))]
    return make_plan(stages.store, stages.bank, "everything", chosen, cost, SETTINGS, trains=False)


def is_begun(stages: Stages, plan: Plan, settings: str = SETTINGS) -> bool:
    return check_plan(stages.store, stages.bank, plan, bucket_states(stages.store, stages.bank), settings)


def changed_bank(bank: ConceptBank) -> ConceptBank:
    (bank.folder / "patterns.yaml").write_text("captions: 12\nconcepts: [striped texture]\n")
    return read_bank(bank.folder)


def test_states_say_what_the_tables_hold_and_why_a_bucket_is_stale(stages: Stages) -> None:
    states = bucket_states(stages.store, stages.bank)
    assert states["patterns"].reasons == ()
    assert states["patterns"].packed is not None
    assert states["fruit"].reasons[0].startswith("enriched_captions stand at 0 of ")
    newest = states["patterns"].newest
    assert newest is not None
    for table in ("captions", "images", "shard_members"):
        assert newest.rows[table] == stages.store.tables.count(table, partitions=newest.unit.partitions)
    assert newest.allocated == 11
    assert all(newest.is_complete(stage) for stage in STAGES)
    changed = bucket_states(stages.store, changed_bank(stages.bank))["patterns"]
    assert changed.reasons == ("its file changed since generation 0",)
    assert changed.newest is not None
    assert changed.newest.allocated == 11, "allocated counts the old file's captions"


def test_what_units_cost_is_the_ledgers_sum(stages: Stages) -> None:
    from_log = spent_by_unit(stages.store.tables)
    for (bucket, generation), spent in spent_by(stages.store.tables, "bucket", "generation").items():
        found = from_log[Unit(str(bucket), int(str(generation)))]
        assert (found.batches, found.units, found.requests) == (spent.batches, spent.units, spent.requests)
        assert found.wall_seconds == pytest.approx(spent.wall_seconds)


def test_status_shows_every_stage_and_adds_many_buckets_up(stages: Stages) -> None:
    states = list(bucket_states(stages.store, stages.bank).values())
    fruit, patterns = bucket_rows(states, {}, {"fruit": ["images"]}, NOW)
    assert fruit[-1] == "running images"
    assert fruit[3].startswith("23")
    assert "0/" in fruit[4]
    assert patterns[2:7] == ("11", "11", "11", "11", "11")
    text = "\n".join(summary_lines(states, {}, {}, NOW))
    assert "2 buckets, 2 begun" in text
    assert "1 unfinished at enriched_captions" in text


def test_broken_comes_before_failed_checks_before_low_scores_before_age(stages: Stages) -> None:
    states = list(bucket_states(stages.store, stages.bank).values())
    fruit, patterns = states
    twin = dataclasses.replace(patterns, bucket="twin")
    old = dataclasses.replace(patterns, bucket="old")
    evidence = Evidence(NOW + timedelta(days=9), {"twin": ["few_captions"]}, {"patterns": -0.1, "old": 0.2})
    ranked = stalest([old, patterns, twin, fruit], evidence, 4, timedelta(days=7))
    assert [state.bucket for state, _ in ranked] == ["fruit", "twin", "patterns", "old"]
    assert "check few_captions failed" in ranked[1][1]
    assert ranked[3][1] == ("9 days old",) or ranked[3][1] == ("8 days old",)
    young = stalest([old, patterns], NO_EVIDENCE, 4, timedelta(days=7))
    assert young == []


def test_a_bucket_contributes_what_models_score_better_with_it() -> None:
    def model(name: str, *buckets: str) -> dict[str, object]:
        return {"model_id": name, "recipe_fingerprint": "r", "inputs": [{"bucket": b} for b in buckets]}

    def score(name: str, value: float, protocol: str = "p") -> dict[str, object]:
        about = {"dataset": "d", "split": "test", "protocol_fingerprint": protocol}
        return {
            "model_id": name,
            "subject": "model",
            "metric": "linear_probe_accuracy",
            "value": value,
            **about,
        }

    trained = [model("x", "a", "b"), model("y", "a"), model("z", "b")]
    scores = [score("x", 0.8), score("y", 0.5), score("z", 0.6), score("z", 0.1, "other")]
    found = contribution_of(trained, scores)
    assert found == pytest.approx({"a": (0.8 + 0.5) / 2 - 0.6, "b": (0.8 + 0.6) / 2 - 0.5})


def test_a_plan_is_applied_only_in_the_world_it_was_made_for(stages: Stages, tmp_path: Path) -> None:
    plan = plan_for(stages, "patterns")
    assert plan.generations == {"patterns": 1}
    assert plan.outdated_shards == {"patterns": 2}
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan_file(tmp_path / "plan.json") == plan
    assert is_begun(stages, plan) is False
    with pytest.raises(PlanRefusedError, match="the settings of the profile was"):
        is_begun(stages, plan, "other settings")
    with pytest.raises(PlanRefusedError, match="is no plan of this version"):
        read_plan_file(tmp_path / "concepts" / "fruit.yaml")
    changed = changed_bank(stages.bank)
    with pytest.raises(PlanRefusedError, match="the file of patterns was"):
        check_plan(stages.store, changed, plan, bucket_states(stages.store, changed), SETTINGS)


def test_a_plan_meets_another_run_of_its_bucket(stages: Stages) -> None:
    plan = plan_for(stages, "patterns")
    stages.run("concepts", Unit("patterns", 1))
    with pytest.raises(PlanRefusedError, match="newest generation of patterns was '0', now it is '1'"):
        is_begun(stages, plan)


def test_a_begun_plan_is_continued_until_it_is_finished(stages: Stages) -> None:
    plan = plan_for(stages, "patterns")
    with pytest.raises(PlanRefusedError, match="was never begun"):
        planned_generations(stages.store, plan.plan_id)
    record_begun(stages.store, plan)
    assert planned_generations(stages.store, plan.plan_id) == {"patterns": 1}
    stages.run("concepts", Unit("patterns", 1))
    assert is_begun(stages, plan) is True
    stages.run("concepts", Unit("patterns", 2))
    with pytest.raises(PlanRefusedError, match="patterns has generation 2, the plan makes 1"):
        is_begun(stages, plan)
    record_finished(stages.store, plan)
    with pytest.raises(PlanRefusedError, match="was applied before"):
        is_begun(stages, plan)


def test_an_unfinished_bucket_is_completed_not_begun_again(stages: Stages) -> None:
    assert plan_for(stages, "fruit").generations == {"fruit": 0}


def test_a_budget_stops_a_schedule(stages: Stages) -> None:
    cost = plan_for(stages, "patterns").cost
    ask = Regeneration(budget=Limits(captions=11 + 23 + 11))
    assert over_budget(stages.store, stages.bank, "everything", ask, cost, NOW + timedelta(minutes=5)) is None
    less = Regeneration(budget=Limits(captions=11 + 23 + 10))
    said = over_budget(stages.store, stages.bank, "everything", less, cost, NOW + timedelta(minutes=5))
    assert said is not None
    assert "has spent 34 of 44 captions in 30 days and this would cost about 11" in said
    later = NOW + timedelta(days=40)
    assert over_budget(stages.store, stages.bank, "everything", less, cost, later) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schedules: {nowhere: {cron: '0 3 * * 0'}}", "there is no slice 'nowhere'"),
        ("schedules: {all: {stalest: 2}}", "schedules.all.cron"),
        ("schedules: {all: {cron: '0 3 * * 0', timezone: Moon}}", "schedules.all.timezone"),
    ],
)
def test_a_bad_schedules_file_is_one_sentence_and_no_bucket(tmp_path: Path, text: str, said: str) -> None:
    bank = write_bank(tmp_path, {**TINY_BANK, "schedules.yaml": text})
    assert set(bank.buckets) == {"fruit", "patterns"}
    assert not bank.problems
    with pytest.raises(SettingsFileError, match=said.replace(".", r"\.")) as refused:
        read_schedules(bank)
    assert "\n" not in str(refused.value)


def test_retention_keeps_what_a_kept_model_needs_and_lineage_still_works(stages: Stages) -> None:
    store, bank = stages.store, stages.bank
    for generation in (1, 2, 3):
        if generation == 2:
            record(store, "everything", "patterns", "a" * 32)
        stages.run_all(Unit("patterns", generation))
    rule = RetentionRule(keep_generations=1, horizon_hours=0)
    plan = plan_retention(store, bank.buckets, rule)
    assert [one.unit for one in plan.generations] == [Unit("patterns", 0), Unit("patterns", 2)]
    assert {one.unit for one in plan.packed_bytes} == {Unit("patterns", 1), Unit("patterns", 3)}
    before = store.tables.read("images", partitions=Unit("patterns", 1).partitions).num_rows
    done = list(apply_retention(store, bank.buckets, plan))
    assert "patterns generation 0 with its shards" in done

    for gone in (0, 2):
        assert store.tables.count("images", partitions=Unit("patterns", gone).partitions) == 0
        assert not store.blobs.keys(f"shards/patterns/g{gone:04d}")
        with pytest.raises(StoreError, match="was dropped by a retention rule"):
            resolve_unit(store.tables, "patterns", gone)
    assert store.tables.count("image_bytes", partitions={"bucket": "patterns"}) == 0
    assert not list(store.location.local_path("tables/image_bytes").rglob("*.parquet"))

    lineage = model_lineage(store, "a" * 32)
    captions = [row for batch in captions_of_model(store, lineage.model) for row in batch.to_pylist()]
    assert len(captions) * 4 == before
    shards = store.tables.read("shards", partitions=Unit("patterns", 1).partitions).to_pylist()
    assert [sha256_of(store.location.local_path(row["key"])) for row in shards] == [
        row["sha256"] for row in shards
    ]
    views = stored_views(store, Unit("patterns", 1), [captions[0]["caption_id"]])
    assert [view["view"] for view in views] == [0, 1, 2, 3]
    assert training_inputs(store, "everything", ["patterns"]).units == (Unit("patterns", 3),)
    assert plan_retention(store, bank.buckets, rule).is_empty


def test_retention_refuses_a_plan_that_a_new_model_made_wrong(stages: Stages) -> None:
    store, bank = stages.store, stages.bank
    plan = plan_retention(store, bank.buckets, RetentionRule(keep_generations=1, horizon_hours=0))
    assert not plan.generations
    stages.run_all(Unit("patterns", 1))
    plan = plan_retention(store, bank.buckets, RetentionRule(keep_generations=1, horizon_hours=0))
    assert [one.unit for one in plan.generations] == [Unit("patterns", 0)]
    inputs = training_inputs(store, "everything", ["patterns"], {"patterns": 0})
    assert inputs.units == (Unit("patterns", 0),)
    record_pinned(store, plan)
    with pytest.raises(PlanRefusedError, match="patterns generation 0 is needed now"):
        list(apply_retention(store, bank.buckets, plan))
    assert store.tables.count("images", partitions=Unit("patterns", 0).partitions) == 44


def record_pinned(store: Store, plan: object) -> None:
    """A model trained on generation 0 although 1 is packed."""
    inputs = training_inputs(store, "everything", ["patterns"], {"patterns": 0})
    recipe = get_recipe("rehearsal")
    trained = TrainedModel(
        "b" * 32, recipe.name, recipe.model_dump_json(), recipe.fingerprint, 0, 1, 1.0, 5.0, "0", "0" * 64, 1.0,
        "cpu", {shard.key: 1 for shard in inputs.shards}, {shard.key: 4 for shard in inputs.shards},
    )  # fmt: skip
    record_model(store, inputs, trained)


def test_a_slice_is_stale_once_a_newer_generation_is_packed(stages: Stages) -> None:
    record(stages.store, "patterns", "patterns", "c" * 32)
    states = bucket_states(stages.store, stages.bank)
    assert slice_states(stages.store, stages.bank, states)["patterns"].reasons == ()
    assert slice_states(stages.store, stages.bank, states)["everything"].reasons == ("no model yet",)
    stages.run_all(Unit("patterns", 1))
    states = bucket_states(stages.store, stages.bank)
    (reason,) = slice_states(stages.store, stages.bank, states)["patterns"].reasons
    assert reason == "patterns has generation 1, it was trained on 0"
