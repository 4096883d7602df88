"""What an overtaken step says: to its own run's later attempt nothing, to anyone else why it stops."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from synclr_assets.defs.buckets import each_bucket
from synclr_assets.defs.lost_attempts import LOST_ATTEMPT
from synclr_assets.store.errors import FencedError
from synclr_assets.store.store import Store

BUCKETS = dg.StaticPartitionsDefinition(["a", "b"])
SENTENCE = "Another run took over images of a generation 0; this one stops, its committed work stays."


def overtaken_asset(store: Store, by_run: str | None, calls: list[str]) -> dg.AssetsDefinition:
    """A stage of which bucket a is always overtaken: by `by_run`, or by its own run where that is None."""

    @dg.asset(
        partitions_def=BUCKETS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=dg.RetryPolicy(max_retries=2),
        output_required=False,
    )
    def images(context: dg.AssetExecutionContext) -> Iterator[Any]:
        def make(bucket: str) -> dg.MaterializeResult:
            calls.append(bucket)
            if bucket == "a":
                raise FencedError(SENTENCE, by_run or context.run.run_id)
            return dg.MaterializeResult(metadata={"generation": 0}, data_version=dg.DataVersion("1"))

        yield from each_bucket(context, store, make)

    return images


def in_one_run(asset: dg.AssetsDefinition, instance: dg.DagsterInstance, tags: dict[str, str]) -> Any:
    job = dg.Definitions([asset], executor=dg.in_process_executor).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def main(root: str, home: str) -> None:
    """In a process of its own: a step that a later attempt of its run overtakes."""
    asset = overtaken_asset(Store(Path(root)), None, [])
    in_one_run(asset, dg.DagsterInstance.local_temp(home), {"dagster/partition": "a"})


def test_an_attempt_that_its_run_gave_up_ends_without_a_word_to_dagster(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    ended = subprocess.run(
        [sys.executable, "-m", __name__, str(tmp_path / "store"), str(tmp_path / "home")],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == LOST_ATTEMPT, ended.stderr
    assert f"{SENTENCE} A later attempt of this step has it" in ended.stderr
    instance = dg.DagsterInstance.local_temp(str(tmp_path / "home"))
    (run,) = instance.get_runs()
    told = [entry.dagster_event_type for entry in instance.all_logs(run.run_id)]
    assert dg.DagsterEventType.STEP_START in told
    assert not {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_UP_FOR_RETRY} & set(told)


@pytest.mark.parametrize(
    ("tags", "made"),
    [
        ({"dagster/partition": "a"}, ["a"]),
        ({"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}, ["a", "b"]),
    ],
)
def test_a_bucket_that_another_run_took_over_is_not_tried_again(
    store: Store, tags: dict[str, str], made: list[str]
) -> None:
    calls: list[str] = []
    result = in_one_run(overtaken_asset(store, "another run", calls), dg.DagsterInstance.ephemeral(), tags)
    assert calls == made
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert SENTENCE in failure.step_failure_data.error.to_string()


if __name__ == "__main__":
    main(*sys.argv[1:])
