"""Whole runs through Dagster: data, model, scores, lineage, report; and poison that is stopped on its way."""

import json
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from click.testing import CliRunner

from synclr_assets.cli import cli
from synclr_assets.launch.runs import Launcher, RunFailedError
from synclr_assets.provenance.lineage import caption_lineage, captions_of_model, model_lineage
from synclr_assets.provenance.models import models
from synclr_assets.store.store import Store
from tests.synclr_assets.conftest import platform_environment

BANK = {
    "letters.yaml": "captions: 40\nconcepts: [digit one, digit two, digit three, mug]\n",
    "weave.yaml": "captions: 8\nsource: textures\nconcepts: [striped texture]\n",
    "slices.yaml": "slices: {both: [letters, weave]}\n",
}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    return platform_environment(tmp_path, monkeypatch, BANK)


def ignore(entry: dg.EventLogEntry) -> None:
    """No progress is shown."""


def test_from_concepts_to_a_scored_traceable_model(environment: dict[str, str], tmp_path: Path) -> None:
    launcher = Launcher(environment)
    for bucket in ("letters", "weave"):
        result = launcher.make_dataset(bucket, None, ignore)
        assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())
    launcher.make_model("both", ignore, checkpoint={"steps": 3}, evaluation={"split": "validation"})
    store = Store(environment["SYNCLR_STORE"])
    (model,) = models(store)
    assert (model["slice"], model["recipe"], model["steps"]) == ("both", "rehearsal", 3)
    assert [(entry["bucket"], entry["generation"], entry["num_captions"]) for entry in model["inputs"]] == [
        ("letters", 0, 40),
        ("weave", 0, 8),
    ]

    lineage = model_lineage(store, model["model_id"][:10])
    assert sum(unit.captions_read for unit in lineage.units) == 3 * 32
    assert {score["subject"] for score in lineage.scores} == {"model", "random_weights", "raw_pixels"}
    assert {score["asset"] for score in lineage.scores} == {"linear_probe", "segmentation"}
    captions = [row for batch in captions_of_model(store, model) for row in batch.to_pylist()]
    assert len({row["caption_id"] for row in captions}) == 48

    traced = caption_lineage(store, captions[0]["caption_id"])
    assert len(traced.images) == 4
    assert [found["model_id"] for found in traced.models] == [model["model_id"]]

    again = launcher.make_model("both", ignore, checkpoint={"steps": 3}, evaluation={"split": "validation"})
    assert again.success
    assert len(models(store)) == 1

    runner = CliRunner()
    for arguments in (
        ["lineage", "model", model["model_id"][:8], "--captions", "3", "--export", "captions.parquet"],
        ["lineage", "model"],
        ["lineage", "caption", captions[0]["caption_id"]],
        ["report", model["model_id"][:8], "--out", "page.html"],
        ["doctor"],
    ):
        answer = runner.invoke(cli, arguments, catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
    assert pa.parquet.read_table(tmp_path / "captions.parquet").num_rows == 48
    assert model["model_id"] in (tmp_path / "page.html").read_text()
    result_file = store.location.local_path(f"{model['key']}/result.json")
    assert json.loads(result_file.read_text())["weights_sha256"] == model["weights_sha256"]


def test_each_asset_shows_what_its_bucket_cost(environment: dict[str, str]) -> None:
    result = Launcher(environment).make_dataset("letters", None, ignore)
    ledger = Store(environment["SYNCLR_STORE"]).tables.read("ledger").to_pylist()

    def shown(asset: str, what: str) -> object:
        (event,) = result.asset_materializations_for_node(asset)
        return event.metadata[what].value

    def spent(stage: str, column: str) -> int:
        return sum(row[column] for row in ledger if row["stage"] == stage)

    for asset, stage in (("captions", "captions"), ("enriched_captions", "enriched_captions")):
        assert shown(asset, "tokens written") == spent(stage, "completion_tokens") > 0
    assert shown("enriched_captions", "backgrounds: requests") == spent("backgrounds", "requests")
    assert shown("images", "requests") == spent("images", "requests") >= 160
    assert shown("images", "requests in doubt") == 0
    assert shown("syncaps_shards", "cost (USD)") == 0.0


def test_a_blocking_check_stops_the_poison_before_the_next_stage(environment: dict[str, str]) -> None:
    launcher = Launcher(environment)
    launcher.make_dataset("weave", None, ignore)
    store = Store(environment["SYNCLR_STORE"])
    twin = store.tables.read("captions", partitions={"bucket": "weave", "generation": 0}).slice(0, 1)
    store.tables.append_once("captions", "poison", twin)
    version = store.tables.version("images")
    with pytest.raises(RunFailedError, match="captions_are_unique"):
        launcher.make_dataset("weave", None, ignore)
    assert store.tables.version("images") == version


def test_a_users_mistake_in_a_run_is_one_sentence(environment: dict[str, str]) -> None:
    launcher = Launcher(environment)
    with pytest.raises(
        RunFailedError, match="checkpoint of both failed: Bucket letters has no generation yet"
    ):
        launcher.make_model("both", ignore)
    with pytest.raises(RunFailedError, match="generation 7 cannot be opened, the next one is 0"):
        launcher.make_dataset("letters", 7, ignore)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["materialize", "nowhere"], "'nowhere' is no slice of"),
        (["lineage", "model", "ffff"], "No model 'ffff'"),
        (["lineage", "caption", "ffff"], "No caption 'ffff'"),
        (["report", "ffff"], "No model 'ffff'"),
    ],
)
def test_unknown_names_are_one_sentence(environment: dict[str, str], arguments: list[str], said: str) -> None:
    answer = CliRunner().invoke(cli, arguments)
    assert answer.exit_code != 0
    assert isinstance(answer.exception, ValueError), answer.output
    assert said in str(answer.exception)
    assert "\n" not in str(answer.exception)
