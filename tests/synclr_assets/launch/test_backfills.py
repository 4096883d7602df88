"""Several buckets in a run: one model, finished buckets stay finished, later stages follow, a crash is continued."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.execution.backfill import BulkActionStatus
from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.cli import cli
from synclr_assets.defs import resources
from synclr_assets.defs.backfills import run_ranges
from synclr_assets.launch.liveness import PROCESS_TAG, is_alive, this_process
from synclr_assets.launch.runs import Launcher, RunFailedError
from synclr_assets.launch.stuck_runs import leaked_slots, stuck_runs
from synclr_assets.stages.concepts import write_concepts
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from tests.synclr_assets.conftest import platform_environment

BANK = {
    "letters.yaml": "captions: 9\nconcepts: [digit one, digit two, mug]\n",
    "weave.yaml": "captions: 8\nsource: textures\nconcepts: [striped texture, marbled texture]\n",
    "yard.yaml": "captions: 7\nconcepts: [apple, banana]\n",
    "slices.yaml": "slices: {ends: [letters, yard]}\n",
}
BUCKETS = ("letters", "weave", "yard")
CAPTIONS = dg.AssetKey("captions")


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    """A store where the concepts of every bucket are written, and an instance of its own."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("dataset: {captions_per_commit: 4, captions_per_shard: 4}\n")
    values = platform_environment(tmp_path, monkeypatch, BANK, SYNCLR_SETTINGS=str(settings))
    launcher = Launcher(values)
    for bucket in launcher.bank.buckets.values():
        write_concepts(Store(tmp_path / "store"), bucket)
    return launcher


def ignore(entry: dg.EventLogEntry) -> None:
    """No progress is shown."""


def made(launcher: Launcher, asset: dg.AssetKey = CAPTIONS) -> set[str]:
    return launcher.instance.get_materialized_partitions(asset)


def newest_tags(launcher: Launcher, bucket: str) -> dict[str, str]:
    wanted = dg.AssetRecordsFilter(CAPTIONS, asset_partitions=[bucket])
    (record,) = launcher.instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    return dict(record.asset_materialization.tags or {})


def test_buckets_of_a_run_share_one_model_and_each_is_told_with_its_own_facts(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    make = resources.make_captioner
    monkeypatch.setattr(resources, "make_captioner", lambda settings: loads.append(1) or make(settings))
    launcher.make_stage("captions", BUCKETS, ignore)
    assert len(loads) == 1
    assert made(launcher) == set(BUCKETS)
    together = {bucket: newest_tags(launcher, bucket) for bucket in BUCKETS}
    assert len({tags["dagster/data_version"] for tags in together.values()}) == len(BUCKETS)
    (run,) = launcher.instance.get_runs()
    assert run.status == dg.DagsterRunStatus.SUCCESS

    launcher.make_stage("captions", ("weave",), ignore)
    alone = newest_tags(launcher, "weave")
    assert alone["dagster/data_version"] == together["weave"]["dagster/data_version"]
    assert alone.keys() == together["weave"].keys()


def test_a_kill_in_the_middle_leaves_finished_buckets_finished(launcher: Launcher) -> None:
    program = [sys.executable, "-m", "tests.synclr_assets.launch.killed_backfill"]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    killed = subprocess.run(program, env=environment, capture_output=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert made(launcher) == {"letters"}
    tables = Store(os.environ["SYNCLR_STORE"]).tables
    half = tables.count("captions", partitions=Unit("weave", 0).partitions)
    assert half == 4
    before = tables.read("captions", partitions=Unit("letters", 0).partitions)
    (run,) = launcher.instance.get_runs()
    assert run.status == dg.DagsterRunStatus.STARTED
    assert is_alive(run.tags[PROCESS_TAG]) is False
    free_what_the_dead_run_held(launcher, run)

    launcher.make_stage("captions", BUCKETS, ignore)
    assert made(launcher) == set(BUCKETS)
    assert tables.count("captions", partitions=Unit("weave", 0).partitions) == 8
    assert tables.read("captions", partitions=Unit("letters", 0).partitions).equals(before)


def free_what_the_dead_run_held(launcher: Launcher, dead: dg.DagsterRun) -> None:
    """The doctor names the run and its slot, and gives both back; a run that is alive is left alone."""
    instance = launcher.instance
    instance.event_log_storage.set_concurrency_slots("gpu", 1)
    instance.event_log_storage.claim_concurrency_slot("gpu", dead.run_id, "captions")
    alive = instance.create_run_for_job(
        launcher.definitions.resolve_job_def("dataset_of_bucket"),
        status=dg.DagsterRunStatus.STARTED,
        tags={PROCESS_TAG: this_process()},
    )
    (stuck,) = stuck_runs(instance)
    assert (stuck.run.run_id, stuck.is_dead) == (dead.run_id, True)
    (slot,) = leaked_slots(instance, [stuck])
    assert (slot.pool, slot.step_key) == ("gpu", "captions")
    said = CliRunner().invoke(cli, ["doctor", "--free"]).output
    assert f"run {dead.run_id[:8]} of dataset_of_bucket is marked as canceled" in said
    assert f"1 slots of run {dead.run_id[:8]} are free" in said
    assert stuck_runs(instance) == []
    assert not instance.event_log_storage.get_concurrency_info("gpu").claimed_slots
    canceled = instance.get_run_by_id(dead.run_id)
    assert canceled is not None
    assert canceled.status == dg.DagsterRunStatus.CANCELED
    instance.report_run_canceled(alive)


def test_later_stages_follow_for_buckets_that_are_no_neighbours(launcher: Launcher) -> None:
    answer = CliRunner().invoke(
        cli, ["backfill", "--slice", "ends", "--from", "captions", "--to", "enriched_captions"]
    )
    assert answer.exit_code == 0, answer.exception
    for asset in ("captions", "enriched_captions"):
        assert made(launcher, dg.AssetKey(asset)) == {"letters", "yard"}
    tables = Store(os.environ["SYNCLR_STORE"]).tables
    assert tables.count("enriched_captions") == 9 + 7


def test_one_bad_bucket_does_not_stop_the_others_and_nothing_builds_on_it(launcher: Launcher) -> None:
    tables = Store(os.environ["SYNCLR_STORE"]).tables
    launcher.make_stage("captions", ("letters", "weave"), ignore)
    twin = tables.read("captions", partitions=Unit("weave", 0).partitions).slice(0, 1)
    tables.append_once("captions", "poison", twin)
    poisoned_at = launcher.instance.event_log_storage.get_maximum_record_id()
    with pytest.raises(RunFailedError):
        launcher.make_stage("captions", BUCKETS, ignore)
    assert "yard" in made(launcher)
    fresh = launcher.instance.fetch_materializations(
        dg.AssetRecordsFilter(CAPTIONS, after_storage_id=poisoned_at), limit=10
    )
    assert {record.partition_key for record in fresh.records} == {"letters", "yard"}


def test_a_run_of_several_buckets_and_stages_is_refused_instead_of_skipping_stages(
    launcher: Launcher,
) -> None:
    over = {"dagster/asset_partition_range_start": "letters", "dagster/asset_partition_range_end": "weave"}
    job = launcher.definitions.resolve_job_def("dataset_of_bucket")
    result = job.execute_in_process(
        instance=launcher.instance,
        tags=over,
        raise_on_error=False,
        asset_selection=[CAPTIONS, dg.AssetKey("enriched_captions")],
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert not result.success
    assert made(launcher) == set()


def test_a_queued_backfill_is_one_backfill_of_the_asked_partitions(launcher: Launcher) -> None:
    arguments = ["backfill", "--slice", "ends", "--from", "images", "--queue"]
    answer = CliRunner().invoke(cli, arguments)
    assert answer.exit_code == 0, answer.exception
    (backfill,) = launcher.instance.get_backfills()
    assert backfill.status == BulkActionStatus.REQUESTED
    target = backfill.asset_backfill_data.target_subset
    subset = target.partitions_subsets_by_asset_key
    assert set(subset[dg.AssetKey("images")].get_partition_keys()) == {"letters", "yard"}
    assert set(subset[dg.AssetKey("checkpoint")].get_partition_keys()) == {"ends"}
    assert CAPTIONS not in subset


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "stars"], "--from 'stars' is no stage: use one of concepts,"),
        (["--from", "images", "--to", "captions"], "stage images comes after captions"),
        (
            ["--slice", "ends", "--buckets", "weave"],
            "'weave' is no bucket of slice ends: it has letters, yard",
        ),
        (["--buckets", ","], "--buckets names no bucket"),
    ],
)
def test_a_users_mistake_is_one_sentence(launcher: Launcher, arguments: list[str], said: str) -> None:
    answer = CliRunner().invoke(cli, ["backfill", *arguments])
    assert isinstance(answer.exception, ValueError)
    assert said in str(answer.exception)


@given(st.integers(1, 40), st.integers(1, 7), st.data())
def test_runs_cover_exactly_the_chosen_buckets(count: int, limit: int, data: st.DataObject) -> None:
    everything = [f"b{i:02d}" for i in range(count)]
    chosen = data.draw(st.sets(st.sampled_from(everything), min_size=1))
    covered = []
    for first, last in run_ranges(everything, sorted(chosen), dg.BackfillPolicy.multi_run(limit)):
        covered.append(everything[everything.index(first) : everything.index(last) + 1])
    assert [bucket for run in covered for bucket in run] == sorted(chosen)
    assert all(len(run) <= limit for run in covered)
    fewest = sum(
        1 for b in chosen if everything.index(b) == 0 or everything[everything.index(b) - 1] not in chosen
    )
    assert len(covered) <= fewest + len(chosen) // limit
