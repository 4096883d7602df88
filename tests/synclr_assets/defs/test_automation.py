"""Sensors and schedules: new files, failed checks, the webhook that is never named, slices with a cron."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from synclr_assets.concept_bank.bank import read_bank
from synclr_assets.definitions import build_definitions
from synclr_assets.defs import automation
from synclr_assets.defs.alerts import AlertError, send_alert
from synclr_assets.stages.concepts import write_concepts
from synclr_assets.store.store import Store
from tests.synclr_assets.conftest import TINY_BANK, write_bank


class _Hook(BaseHTTPRequestHandler):
    bodies: ClassVar[list[dict[str, str]]] = []
    status = 200

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        _Hook.bodies.append(json.loads(self.rfile.read(length)))
        self.send_response(_Hook.status)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """No noise."""


@pytest.fixture
def hook() -> Iterator[str]:
    """The address of a webhook, with a secret in it."""
    _Hook.bodies, _Hook.status = [], 200
    server = HTTPServer(("127.0.0.1", 0), _Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/services/s3cret"
    server.shutdown()
    server.server_close()


def tick(tmp_path: Path, name: str, loaded: dg.Definitions) -> list[str] | str:
    """Partitions that the sensor asks for, or why it asks for none."""
    sensor = loaded.get_sensor_def(name)
    context = dg.build_sensor_context(
        definitions=loaded, resources={key: loaded.resources[key] for key in ("store", "concept_bank")}
    )
    data = sensor.evaluate_tick(context)
    if data.skip_message is not None:
        return data.skip_message
    assert data.run_requests is not None
    return [str(request.partition_key) for request in data.run_requests]


def test_a_dropped_file_reloads_the_location_and_only_its_bucket_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "concepts"
    bank = write_bank(folder, TINY_BANK)
    environment = {"SYNCLR_CONCEPTS": str(folder), "SYNCLR_STORE": str(tmp_path / "store")}
    store = Store(tmp_path / "store")
    loaded = build_definitions(environment)
    assert tick(tmp_path, "concept_files", loaded) == ["fruit", "patterns"]
    for bucket in bank.buckets.values():
        write_concepts(store, bucket)
    assert tick(tmp_path, "concept_files", loaded) == "all 2 buckets have a generation of their file"

    write_bank(folder, {"birds.yaml": "captions: 5\nconcepts: [owl]\n"})
    monkeypatch.delenv("SYNCLR_DAGSTER_URL", raising=False)
    assert "set SYNCLR_DAGSTER_URL" in tick(tmp_path, "concept_files", loaded)
    monkeypatch.setattr(automation, "reload_location", lambda: "reloaded")
    assert tick(tmp_path, "concept_files", loaded) == "reloaded"
    assert tick(tmp_path, "concept_files", build_definitions(environment)) == ["birds"]

    write_concepts(store, read_bank(folder).buckets["birds"])
    write_bank(folder, {"fruit.yaml": "captions: 9\nconcepts: [apple]\n"})
    assert tick(tmp_path, "concept_files", build_definitions(environment)) == ["fruit"]


def test_the_folder_signature_sees_what_comes_goes_and_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "concepts"
    seen = [automation.folder_signature(folder)]
    folder.mkdir()

    def look() -> None:
        seen.append(automation.folder_signature(folder))

    look()
    (folder / "birds.YAML").write_text("captions: 5\n")
    look()
    (folder / "birds.YAML").write_text("captions: 55\n")
    look()
    (folder / "lost.yaml").symlink_to(tmp_path / "nowhere")
    look()
    (folder / "notes.txt").write_text("not a bucket")
    assert automation.folder_signature(folder) == seen[-1]
    assert len(set(seen)) == len(seen)


def test_an_alert_reaches_the_webhook_and_a_refusal_does_not_name_it(hook: str) -> None:
    send_alert(hook, "run failed")
    assert _Hook.bodies == [{"text": "run failed"}]
    _Hook.status = 500
    for url in (hook, "http://127.0.0.1:1/services/s3cret", "s3cret"):
        with pytest.raises(AlertError) as refused:
            send_alert(url, "again")
        assert "SYNCLR_ALERT_WEBHOOK" in str(refused.value)
        assert "s3cret" not in str(refused.value)
        assert refused.value.__cause__ is None


def test_a_failed_check_is_alerted_once(tmp_path: Path, hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bank(tmp_path, TINY_BANK)
    loaded = build_definitions({"SYNCLR_CONCEPTS": str(tmp_path)})
    sensor = loaded.get_sensor_def("alert_on_failed_check")
    instance = dg.DagsterInstance.ephemeral()

    def look(cursor: str | None) -> str | None:
        context = dg.build_sensor_context(instance=instance, definitions=loaded, cursor=cursor)
        return sensor.evaluate_tick(context).cursor

    monkeypatch.delenv("SYNCLR_ALERT_WEBHOOK", raising=False)
    look(None)
    monkeypatch.setenv("SYNCLR_ALERT_WEBHOOK", hook)
    cursor = look(None)
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("captions"),
            check_name="captions_are_unique",
            passed=False,
            metadata={"bucket": "fruit", "generation": 2},
        )
    )
    cursor = look(cursor)
    look(cursor)
    assert _Hook.bodies == [
        {"text": "synclr: checks failed\ncaptions / captions_are_unique: fruit generation 2"}
    ]


def test_a_failed_run_is_alerted_once_whoever_started_it(
    tmp_path: Path, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bank(tmp_path, TINY_BANK)
    loaded = build_definitions({"SYNCLR_CONCEPTS": str(tmp_path), "SYNCLR_STORE": str(tmp_path / "store")})
    sensor = loaded.get_sensor_def("alert_on_failed_run")
    monkeypatch.setenv("SYNCLR_ALERT_WEBHOOK", hook)

    def origin_of(location: str) -> RemoteJobOrigin:
        code = RegisteredCodeLocationOrigin(location)
        return RemoteJobOrigin(RemoteRepositoryOrigin(code, "__repository__"), "dataset_of_bucket")

    with dg.instance_for_test() as instance:

        def look(cursor: str | None) -> str:
            context = dg.SensorEvaluationContext(
                instance_ref=instance.get_ref(),
                last_tick_completion_time=None,
                last_run_key=None,
                cursor=cursor,
                repository_name="__repository__",
                repository_def=loaded.get_repository_def(),
                instance=instance,
                code_location_origin=RegisteredCodeLocationOrigin("synclr"),
            )
            with context:
                data = sensor.evaluate_tick(context)
            assert data.cursor is not None
            return data.cursor

        def fail(run: dg.DagsterRun) -> None:
            instance.add_run(run)
            instance.report_run_failed(run, "out of memory")

        cursor = look(None)
        job = loaded.resolve_job_def("dataset_of_bucket")
        wrong = {"ops": {"concepts": {"config": {"generation": 7}}}}
        started_here = job.execute_in_process(
            instance=instance, partition_key="fruit", run_config=wrong, raise_on_error=False
        )
        assert not started_here.success
        cursor = look(cursor)
        (told,) = _Hook.bodies
        about = f"synclr: run {started_here.run_id[:8]} of dataset_of_bucket (fruit) failed: "
        assert told["text"].startswith(about)
        assert "Steps failed: ['concepts']" in told["text"]

        of_ui = dg.DagsterRun(
            job_name="dataset_of_bucket",
            tags={"dagster/partition": "patterns"},
            remote_job_origin=origin_of("synclr"),
        )
        fail(of_ui)
        fail(dg.DagsterRun(job_name="dataset_of_bucket", remote_job_origin=origin_of("others")))
        for _ in range(4):  # a tick takes one run
            cursor = look(cursor)
        assert [body["text"] for body in _Hook.bodies[1:]] == [
            f"synclr: run {of_ui.run_id[:8]} of dataset_of_bucket (patterns) failed: out of memory"
        ]


def test_each_slice_of_the_schedules_file_has_its_cron(tmp_path: Path) -> None:
    text = "schedules: {everything: {cron: '0 3 * * 0', stalest: 2, budget: {usd: 5}}}"
    write_bank(tmp_path, {**TINY_BANK, "schedules.yaml": text})
    loaded = build_definitions({"SYNCLR_CONCEPTS": str(tmp_path)})
    schedule = loaded.get_schedule_def("regenerate_everything")
    assert schedule.cron_schedule == "0 3 * * 0"
    request = schedule.evaluate_tick(dg.build_schedule_context()).run_requests[0]
    config = request.run_config["ops"]["plan_and_queue"]["config"]
    assert (config["slice_name"], config["stalest"], config["budget"]) == ("everything", 2, {"usd": 5.0})


@pytest.mark.parametrize("cron", ["whenever", "61 * * * *"])
def test_a_bad_schedule_takes_nothing_down_and_is_visible(tmp_path: Path, cron: str) -> None:
    text = f"schedules: {{everything: {{cron: '{cron}'}}}}"
    write_bank(tmp_path, {**TINY_BANK, "schedules.yaml": text})
    loaded = build_definitions({"SYNCLR_CONCEPTS": str(tmp_path)})
    assert loaded.metadata is not None
    assert f"{cron!r} is no cron" in str(loaded.metadata["problem of schedules"].value)


def test_a_scheduled_regeneration_queues_one_backfill_of_a_plan(tmp_path: Path) -> None:
    bank = write_bank(tmp_path / "concepts", TINY_BANK)
    store = Store(tmp_path / "store")
    write_concepts(store, bank.buckets["patterns"])
    environment = {"SYNCLR_CONCEPTS": str(tmp_path / "concepts"), "SYNCLR_STORE": str(tmp_path / "store")}
    job = build_definitions(environment).resolve_job_def("regenerate_stalest")

    def regenerate(instance: dg.DagsterInstance, **config: object) -> bool:
        wanted = {"slice_name": "everything", "train": False, **config}
        result = job.execute_in_process(
            instance=instance,
            run_config={"ops": {"plan_and_queue": {"config": wanted}}},
            raise_on_error=False,
        )
        return result.success

    with dg.instance_for_test() as instance:
        assert not regenerate(instance, budget={"captions": 3.0})
        assert instance.get_backfills() == []
        assert regenerate(instance, stalest=2)
        (backfill,) = instance.get_backfills()
        assert "synclr/plan" in backfill.tags
        assert regenerate(instance, stalest=2) is False
        assert len(instance.get_backfills()) == 1
