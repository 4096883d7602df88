"""A bucket made under another profile is stale and says why; what only changes speed is no reason."""

from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from synclr_assets.cli import cli
from synclr_assets.launch.runs import Launcher
from synclr_assets.operations.recorded_settings import TodaysSettings, record_settings
from synclr_assets.operations.regeneration import next_generation
from synclr_assets.operations.staleness import bucket_states
from synclr_assets.profiles import DatasetSection, Profile, chosen_profile, stage_settings
from synclr_assets.store.store import Store
from tests.synclr_assets.conftest import write_bank

WARM = {"model": "llama", "temperature": 0.8, "batch_size": 64}


def objections(store: Store, **changed: object) -> list[str]:
    return TodaysSettings(store, {"captions": WARM | changed}).objections({"captions": "f0", "images": "f9"})


def test_settings_that_gave_the_rows_are_no_reason(store: Store) -> None:
    record_settings(store, "captions", "f0", WARM)
    assert objections(store) == []


def test_another_model_is_a_reason_that_names_both(store: Store) -> None:
    record_settings(store, "captions", "f0", WARM)
    assert objections(store, model="mistral") == [
        "captions were made with other settings: model was llama, now mistral"
    ]
    record_settings(store, "captions", "f1", WARM | {"model": "mistral"})
    assert objections(store, model="mistral") == [
        "captions were made with other settings: model was llama, now mistral"
    ]


def test_a_new_version_of_the_software_is_a_reason_once_it_has_run(store: Store) -> None:
    record_settings(store, "captions", "f0", WARM)
    record_settings(store, "captions", "f1", WARM)
    assert objections(store) == ["captions were made with other settings"]


def test_speed_is_no_reason_nor_is_what_nobody_recorded(store: Store) -> None:
    assert objections(store) == []
    record_settings(store, "captions", "f0", WARM)
    assert objections(store, batch_size=1) == []
    record_settings(store, "captions", "f7", {"model": "other"})
    assert TodaysSettings(store, {"captions": WARM}).objections({"captions": "unknown"}) == [
        "captions were made with other settings"
    ]


def test_a_section_that_is_not_chosen_is_not_looked_at() -> None:
    plain = stage_settings(Profile())
    unused = Profile().captioner.transformers.model_copy(update={"temperature": 0.1})
    captioner = Profile().captioner.model_copy(update={"transformers": unused})
    assert stage_settings(Profile(captioner=captioner)) == plain
    chosen = captioner.model_copy(update={"kind": "transformers"})
    found = stage_settings(Profile(captioner=chosen))["captions"]["captioner"]
    assert (found["kind"], found["transformers"]["temperature"]) == ("transformers", 0.1)
    webp = Profile(dataset=DatasetSection(image_format="webp"))
    assert [s for s, given in stage_settings(webp).items() if given != plain[s]] == ["images"]


def test_after_a_change_of_the_profile_status_plan_and_check_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = write_bank(tmp_path / "concepts", {"weave.yaml": "captions: 8\nconcepts: [striped texture]\n"})
    settings = tmp_path / "settings.yaml"
    values = {
        "SYNCLR_CONCEPTS": str(tmp_path / "concepts"),
        "SYNCLR_STORE": str(tmp_path / "store"),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "SYNCLR_SETTINGS": str(settings),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings.write_text("image_sampler: {size_px: 32}\n")
    Launcher().make_dataset("weave", None, lambda entry: None)
    runner = CliRunner()
    assert "weave: up to date" in runner.invoke(cli, ["status", "--bucket", "weave"]).output

    settings.write_text("image_sampler: {size_px: 40}\ndataset: {captions_per_commit: 5}\n")
    because = "images were made with other settings: image_sampler.size_px was 32, now 40"
    assert f"weave: {because}\n" in runner.invoke(cli, ["status", "--bucket", "weave"]).output
    planned = runner.invoke(cli, ["plan", "regenerate"]).output
    assert "0 -> 1" in planned
    assert because in planned
    checked = Launcher()
    result = checked.definitions.resolve_job_def("look_at_freshness").execute_in_process(
        instance=dg.DagsterInstance.ephemeral()
    )
    (verdict,) = (
        found
        for found in result.get_asset_check_evaluations()
        if found.check_name == "buckets_are_up_to_date"
    )
    assert not verdict.passed
    assert because in str(verdict.metadata["list"].value).replace("\\", "")

    store = Store(tmp_path / "store")
    today = stage_settings(chosen_profile(values))
    state = bucket_states(store, bank, today)["weave"]
    assert state.has_other_settings
    assert next_generation(state, bank.buckets["weave"].fingerprint) == 1
    assert bucket_states(store, bank)["weave"].reasons == ()
