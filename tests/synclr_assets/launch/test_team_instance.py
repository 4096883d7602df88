"""A team's instance as deploy/compose ships it: Dagster's storage in a real Postgres, logs of steps and data on S3."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synclr_assets.defs.jobs import DATASET_ASSETS, DATASET_JOB
from synclr_assets.launch.runs import Launcher
from synclr_assets.store.schemas import TABLES, WALL_CLOCK_COLUMNS
from synclr_assets.store.store import Store
from tests.synclr_assets.conftest import write_bank
from tests.synclr_assets.postgres_server import postgres_binaries, postgres_server

INSTANCE = Path(__file__).parents[3] / "deploy" / "compose" / "dagster.yaml"
BANK = {"weave.yaml": "captions: 8\nsource: textures\nconcepts: [striped texture]\n"}


@pytest.fixture
def postgres_url() -> Iterator[str]:
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no Postgres server below /usr/lib/postgresql: apt-get install postgresql")
    with postgres_server(binaries) as url:
        yield url


@pytest.fixture
def environment(
    tmp_path: Path, postgres_url: str, s3_environment: dict[str, str], new_s3_bucket: Callable[[], str]
) -> dict[str, str]:
    write_bank(tmp_path / "concepts", BANK)
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(INSTANCE.read_text())
    return {
        **os.environ,
        **s3_environment,
        "DAGSTER_HOME": str(home),
        "DAGSTER_POSTGRES_URL": postgres_url,
        "SYNCLR_LOG_BUCKET": new_s3_bucket(),
        "SYNCLR_CONCEPTS": str(tmp_path / "concepts"),
        "SYNCLR_STORE": f"s3://{new_s3_bucket()}/synclr",
    }


def shard_facts(store: Store) -> list[dict[str, Any]]:
    columns = [name for name in TABLES["shards"].schema.names if name not in WALL_CLOCK_COLUMNS]
    return store.tables.read("shards", columns=columns).sort_by("shard_index").to_pylist()


def test_a_run_over_postgres_and_s3_is_the_run_of_one_machine(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = json.dumps({"dagster/partition": "weave"})
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "synclr_assets.definitions"]
    run = subprocess.run(
        [*command, "-j", DATASET_JOB, "--tags", tags],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        (recorded,) = instance.get_runs()
        assert recorded.status is dg.DagsterRunStatus.SUCCESS
        for asset in DATASET_ASSETS:
            event = instance.get_latest_materialization_event(dg.AssetKey(asset))
            assert event is not None, asset
            assert event.run_id == recorded.run_id
        assert "PostgresEventLogStorage" in type(instance.event_log_storage).__name__

    import boto3

    logs = boto3.client("s3").list_objects_v2(Bucket=environment["SYNCLR_LOG_BUCKET"])["Contents"]
    kept = [entry["Key"] for entry in logs]
    assert all(key.startswith(f"compute-logs/storage/{recorded.run_id}/compute_logs/") for key in kept)
    assert any(key.endswith(".err") for key in kept)

    remote = shard_facts(Store(environment["SYNCLR_STORE"]))
    home = {"SYNCLR_STORE": str(tmp_path / "store"), "DAGSTER_HOME": str(tmp_path / "own")}
    Launcher({**environment, **home}).make_dataset("weave", None, lambda entry: None)
    assert remote == shard_facts(Store(home["SYNCLR_STORE"]))
