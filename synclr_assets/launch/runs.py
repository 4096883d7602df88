"""Materialising partitions in this process, as ordinary runs of the shared Dagster instance."""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.definitions import build_definitions
from synclr_assets.defs.backfills import run_ranges
from synclr_assets.defs.jobs import DATASET_ASSETS, DATASET_JOB, MODEL_ASSETS, MODEL_JOB
from synclr_assets.environment import dagster_home
from synclr_assets.launch.instance import open_instance
from synclr_assets.launch.liveness import PROCESS_TAG, this_process
from synclr_assets.store.errors import StoreError

OnEvent = Callable[[dg.EventLogEntry], None]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RunFailedError(StoreError):
    """A run ended in a failure; the message is the step and its cause in one sentence."""


class Launcher:
    """Runs the platform's jobs in this process, under this environment."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.environment = dict(os.environ if environment is None else environment)
        self.bank = read_bank(concept_folder(self.environment))
        self.definitions = build_definitions(self.environment)
        self.instance = open_instance(dagster_home(self.environment))

    def make_dataset(
        self, bucket: str, generation: int | None, on_event: OnEvent
    ) -> dg.ExecuteInProcessResult:
        """All corpus and dataset assets of one bucket. Raises RunFailedError."""
        config = {} if generation is None else {"generation": generation}
        return self._run(
            DATASET_JOB,
            {PARTITION_NAME_TAG: bucket},
            dict.fromkeys(DATASET_ASSETS[:-1], config),
            DATASET_ASSETS,
            on_event,
        )

    def make_model(
        self,
        slice_name: str,
        on_event: OnEvent,
        *,
        checkpoint: Mapping[str, Any] | None = None,
        evaluation: Mapping[str, Any] | None = None,
        assets: Sequence[str] = MODEL_ASSETS,
        tags: Mapping[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Checkpoint and scores of one slice, or those of its `assets`. Raises RunFailedError."""
        configs = {
            "checkpoint": dict(checkpoint or {}),
            "linear_probe": dict(evaluation or {}),
            "segmentation": dict(evaluation or {}),
        }
        return self._run(MODEL_JOB, {PARTITION_NAME_TAG: slice_name}, configs, assets, on_event, tags)

    def make_stage(
        self,
        asset: str,
        buckets: Sequence[str],
        on_event: OnEvent,
        *,
        config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """One stage of some buckets, several of them in a run where its model is worth sharing.

        Raises RunFailedError after the last run, naming each run that failed; the others' buckets are made.
        """
        policy = self.definitions.resolve_asset_graph().get(dg.AssetKey(asset)).backfill_policy
        failures = []
        for first, last in run_ranges(list(self.bank.buckets), buckets, policy):
            over = {PARTITION_NAME_TAG: first} if first == last else _range_tags(first, last)
            try:
                self._run(DATASET_JOB, over, {asset: config or {}}, (asset,), on_event, tags)
            except RunFailedError as error:
                failures.append(str(error))
        if failures:
            raise RunFailedError(" ".join(failures))

    def _run(
        self,
        job: str,
        over: Mapping[str, str],
        configs: Mapping[str, Mapping[str, Any]],
        assets: Sequence[str],
        on_event: OnEvent,
        tags: Mapping[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """One run over the partitions that the tags `over` name."""
        ops = {name: {"config": dict(configs[name])} for name in assets if configs.get(name)}
        resolved = self.definitions.resolve_job_def(job)
        events = _Follower(self.instance, on_event)
        partition = over.get(PARTITION_NAME_TAG)
        own_tags = {"synclr/launched_by": "cli", PROCESS_TAG: this_process()}
        result = resolved.execute_in_process(
            instance=self.instance,
            partition_key=partition,
            run_config={**QUIET, "ops": ops},
            tags={**own_tags, **({} if partition else over), **(tags or {})},
            asset_selection=_part_of(job, assets),
            raise_on_error=False,
            run_id=events.run_id,
        )
        if not result.success:
            raise RunFailedError(_sentence(result, job, partition or "...".join(over.values())))
        return result


def _part_of(job: str, assets: Sequence[str]) -> list[dg.AssetKey] | None:
    """The assets to run, or None for all of the job's.

    A selection with `checkpoint` brings back the two checks of the whole store, which are nothing beside a training.
    """
    everything = {DATASET_JOB: DATASET_ASSETS, MODEL_JOB: MODEL_ASSETS}[job]
    return None if set(assets) == set(everything) else [dg.AssetKey(name) for name in assets]


def _range_tags(first: str, last: str) -> dict[str, str]:
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


class _Follower:
    """Passes every event of one run on while it is in progress."""

    def __init__(self, instance: dg.DagsterInstance, on_event: OnEvent) -> None:
        self.run_id = str(uuid.uuid4())
        instance.add_event_listener(self.run_id, on_event)


def _sentence(result: dg.ExecuteInProcessResult, job: str, partition: str) -> str:
    """The innermost cause of the first failed step, or the blocking check that stopped the run."""
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            cause = " ".join(error.message.split()) if error else "no cause was recorded"
            cause = (
                cause.partition(": ")[2]
                if error and error.cls_name and cause.startswith(error.cls_name)
                else cause
            )
            cause = cause.partition("Error: ")[2] or cause
            return f"{event.step_key} of {partition} failed: {cause}"
    return f"{job} of {partition} did not finish: look at its run in `synclr dev`."
