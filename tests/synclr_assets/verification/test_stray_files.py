"""What a killed run leaves is listed, by `synclr doctor` too; what a store names is not."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from synclr_assets.cli import cli
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import StageWriter, Unit
from synclr_assets.verification.stray_files import stray_files
from tests.synclr_assets.conftest import Stages

FRUIT = Unit("fruit", 0)


def plant(store: Store, name: str) -> Path:
    path = store.location.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    return path


@pytest.fixture
def made(stages: Stages) -> Store:
    """All data of a bucket; rows of a batch that was not committed were removed once."""
    stages.run_all(FRUIT)
    members = stages.store.tables.read("shard_members").slice(0, 1)
    beyond = members.set_column(2, members.schema.field(2), [[99]])
    assert members.schema.names[2] == "shard_index"
    stages.store.tables.append_once("shard_members", "beyond", beyond)
    StageWriter.open(stages.store.tables, "shards", FRUIT, sides=("shard_members",))
    assert stages.store.tables.count("shard_members") == 23
    return stages.store


def test_a_store_that_is_whole_has_none(made: Store) -> None:
    assert stray_files(made) == []
    assert stray_files(Store(made.location.folder / "nothing here")) == []


def test_every_kind_is_listed_and_nothing_else(made: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    table = "tables/images/bucket=fruit/generation=0"
    planted = [
        plant(made, "tmp/synclr-abc/fruit.tar").parent,
        plant(made, ".probe-1"),
        plant(made, "shards/fruit/g0000/.partial-x"),
        plant(made, "models/aa/.config.json.12.tmp"),
        plant(made, f"{table}/part-00000-of-no-commit.parquet"),
        plant(made, "tables/images/_delta_log/00000000000000000099.json#1"),
    ]
    assert stray_files(made) == sorted(planted)
    monkeypatch.setenv("SYNCLR_STORE", str(made.location.folder))
    monkeypatch.setenv("DAGSTER_HOME", str(made.location.folder / "no instance"))
    listed = CliRunner().invoke(cli, ["doctor", "--leftovers"], catch_exceptions=False)
    assert listed.output.splitlines() == [str(path) for path in sorted(planted)]
    told = CliRunner().invoke(cli, ["doctor"], catch_exceptions=False, env={"COLUMNS": "300"})
    assert f"{len(planted)} in {made.location.folder}" in told.output
