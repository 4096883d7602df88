"""OpenLineage events of a store's history, what they are called on S3, and what they never tell."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from openlineage.client.serde import Serde

from synclr_assets.cli import cli
from synclr_assets.provenance.inputs import training_inputs
from synclr_assets.provenance.models import record_model, recorded_model
from synclr_assets.provenance.openlineage_client import is_configured, without_secrets
from synclr_assets.provenance.openlineage_datasets import of_bucket
from synclr_assets.provenance.openlineage_events import StageRun, failed
from synclr_assets.provenance.openlineage_history import history
from synclr_assets.store.schemas import TABLES
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from tests.synclr_assets.conftest import Stages
from tests.synclr_assets.provenance.openlineage_server import check_event, lineage_server
from tests.synclr_assets.provenance.test_inputs import trained
from tests.synclr_assets.provenance.trained_slice import BUCKETS, UNITS, score_of

MODEL_ID = "ab" * 16
DATA_STAGES = ("concepts", "captions", "enriched_captions", "images", "syncaps_shards")


@pytest.fixture
def scored(made: Store) -> Store:
    """All data of both buckets, a model that read it, a score."""
    inputs = training_inputs(made, "everything", BUCKETS)
    record_model(made, inputs, trained(MODEL_ID, {shard.key: shard.num_captions for shard in inputs.shards}))
    model = recorded_model(made, MODEL_ID)
    assert model is not None
    score_of(made, model)
    return made


def told(store: Store) -> list[dict[str, Any]]:
    return [json.loads(Serde.to_json(event)) for event in history(store)]


def test_the_history_of_a_store_is_every_stage_model_and_evaluation(scored: Store) -> None:
    events = told(scored)
    for event in events:
        check_event(event)
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * (len(events) // 2)
    ends = events[1::2]
    assert [event["job"]["name"] for event in ends] == [
        *[f"{stage}.{unit.bucket}" for stage in DATA_STAGES for unit in UNITS],
        "checkpoint.everything",
        "linear_probe.everything",
    ]
    made_of = {dataset["name"] for event in ends for dataset in event["outputs"]}
    read = {dataset["name"] for event in ends for dataset in event["inputs"]}
    assert read < made_of, "whatever is read was made by an earlier run"
    again = told(scored)
    assert [event["run"]["runId"] for event in again] == [event["run"]["runId"] for event in events]


def test_rows_and_bytes_are_those_of_the_bucket_generation(scored: Store) -> None:
    unit = UNITS[0]
    _, (images, encoded) = of_bucket(scored, "images", unit)
    rows = scored.tables.read("images", partitions=unit.partitions).num_rows
    for dataset in (images, encoded):
        assert dataset.outputFacets is not None
        assert dataset.outputFacets["outputStatistics"].rowCount == rows  # type: ignore[attr-defined]
    stored = sum(path.stat().st_size for path in Path(images.name).rglob("*.parquet"))
    assert images.outputFacets["outputStatistics"].size == stored  # type: ignore[index, attr-defined]


def test_a_stage_that_is_not_done_is_not_told(stages: Stages) -> None:
    for stage in ("concepts", "captions"):
        stages.run(stage, UNITS[0])
    rows = stages.store.tables.read("enriched_captions")
    assert rows.num_rows == 0
    assert {event["job"]["name"] for event in told(stages.store)} == {"concepts.fruit", "captions.fruit"}


def test_a_dataset_on_s3_has_the_bucket_as_its_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store("s3://some-bucket/a/prefix")
    monkeypatch.setattr(store.tables, "files", lambda name: TABLES[name].schema.empty_table())
    _, (captions,) = of_bucket(store, "captions", Unit("fruit", 3))
    assert (captions.namespace, captions.name) == (
        "s3://some-bucket",
        "a/prefix/tables/captions/bucket=fruit",
    )
    assert captions.facets is not None
    assert captions.facets["version"].datasetVersion == "3"  # type: ignore[attr-defined]


def test_a_column_of_every_table_has_a_description() -> None:
    for spec in TABLES.values():
        assert spec.description
        assert all(about for _, _, about in spec.columns), spec.name


def test_no_secret_of_the_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789")
    event = failed(StageRun("captions", "fruit", "run"), ValueError("401 for key sk-0123456789\nat x"))
    text = Serde.to_json(event)
    assert "sk-0123456789" not in text
    assert "ValueError: 401 for key <SOME_API_KEY> at x" in text
    assert without_secrets("short", {"KEY": "short"}) == "short", "a short value may be an ordinary word"


def test_an_interruption_is_an_abort() -> None:
    assert (
        Serde.to_dict(failed(StageRun("images", "fruit", "run"), KeyboardInterrupt()))["eventType"] == "ABORT"
    )


def test_events_are_asked_for_by_the_standard_configuration_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not is_configured({})
    assert is_configured({"OPENLINEAGE_URL": "http://127.0.0.1:5000"})
    assert is_configured({"OPENLINEAGE__TRANSPORT__TYPE": "file"})
    assert not is_configured({"OPENLINEAGE_URL": "http://127.0.0.1:5000", "OPENLINEAGE_DISABLED": "true"})
    (tmp_path / "openlineage.yml").write_text("transport: {type: console}\n")
    assert is_configured({})


def test_the_command_writes_a_file_or_sends(
    scored: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SYNCLR_STORE", str(scored.location.folder))
    run = CliRunner().invoke
    refused = run(cli, ["lineage", "openlineage"])
    assert refused.exit_code == 2
    assert "Say where to: --out FILE, OPENLINEAGE_URL, or an openlineage.yml." in refused.output
    written = run(cli, ["lineage", "openlineage", "--out", "events.jsonl"], catch_exceptions=False)
    assert written.output == "24 events written to events.jsonl\n"
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    with lineage_server() as server:
        config = f"transport: {{type: http, url: '{server.url}', retry: {{total: 0}}}}\n"
        (tmp_path / "openlineage.yml").write_text(config)
        assert run(cli, ["lineage", "openlineage"], catch_exceptions=False).output == "24 events sent\n"
        sent = [event["run"]["runId"] for event in server.events]
        assert sent == [json.loads(line)["run"]["runId"] for line in lines]
        server.status = 500
        refused = run(cli, ["lineage", "openlineage"])
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: 0 events sent, then the server failed: ")
