"""The whole dataset chain on an S3 server: the same rows and the same shards as on a local disk."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.launch.training import fetch_encoder, keep_files, work_folder
from synclr_assets.provenance.inputs import training_inputs
from synclr_assets.provenance.lineage import caption_lineage
from synclr_assets.store.schemas import TABLES, WALL_CLOCK_COLUMNS
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from tests.synclr_assets.conftest import Stages

FEW_COMMITS = {"captions": 12, "images": 12, "shard": 12}


def rows_of_all_tables(store: Store) -> dict[str, list[dict[str, Any]]]:
    """In key order, without clocks and without costs, which are per batch."""
    found = {}
    for name, spec in TABLES.items():
        if name != "ledger":
            columns = [column for column in spec.schema.names if column not in WALL_CLOCK_COLUMNS]
            rows = store.tables.read(name, columns=columns)
            found[name] = rows.sort_by([(key, "ascending") for key in spec.key]).to_pylist()
    return found


def test_two_writers_at_once_make_the_same_tables_shards_and_lineage_as_on_a_disk(
    bank: ConceptBank, store: Store, new_s3_bucket: Callable[[], str], tmp_path: Path
) -> None:
    units = [Unit("fruit", 0), Unit("patterns", 0)]
    uri = f"s3://{new_s3_bucket()}/a/prefix"
    with ThreadPoolExecutor(2) as writers:
        list(writers.map(lambda unit: Stages(bank, Store(uri), FEW_COMMITS).run_all(unit), units))
    for unit in units:
        Stages(bank, store, FEW_COMMITS).run_all(unit)

    remote = Store(uri)
    expected = rows_of_all_tables(store)
    assert rows_of_all_tables(remote) == expected
    assert len(expected["shards"]) == 3
    for shard in expected["shards"]:
        assert hashlib.sha256(remote.blobs.read(shard["key"])).hexdigest() == shard["sha256"]
    versions = {name: remote.tables.version(name) for name in TABLES}
    Stages(bank, Store(uri), FEW_COMMITS).run_all(units[0])
    assert {name: remote.tables.version(name) for name in TABLES} == versions, (
        "a finished bucket is left alone"
    )
    assert remote.blobs.keys("shards") == sorted(shard["key"] for shard in expected["shards"])

    local_inputs, inputs = (training_inputs(s, "everything", ["fruit", "patterns"]) for s in (store, remote))
    assert inputs.shards == local_inputs.shards
    identity = expected["enriched_captions"][0]["caption_id"]
    lineages = [caption_lineage(s, identity) for s in (remote, store)]
    assert lineages[0].images == lineages[1].images
    assert len(lineages[0].images) == 4
    fetched = remote.blobs.fetch(inputs.shards[0].key, tmp_path / "fetched")
    assert hashlib.sha256(fetched.read_bytes()).hexdigest() == inputs.shards[0].sha256


def test_a_models_files_go_there_and_come_back(
    new_s3_bucket: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = Store(f"s3://{new_s3_bucket()}")
    names = ("encoder.safetensors", "config.json", "metrics.csv", "recipe.json", "result.json")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "trained"))
    folder = work_folder(remote, "models/m")
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(f"content of {name}")
    keep_files(remote, "models/m", folder, names)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    fetched = fetch_encoder(remote, {"key": "models/m"})
    assert {name: (fetched / name).read_text() for name in names} == {
        name: f"content of {name}" for name in names
    }
