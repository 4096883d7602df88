"""Materialising partitions in this process, as ordinary runs of the shared Dagster instance."""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from synclr_assets.definitions import build_definitions
from synclr_assets.defs.jobs import DATASET_ASSETS, DATASET_JOB, MODEL_ASSETS, MODEL_JOB
from synclr_assets.environment import dagster_home
from synclr_assets.launch.instance import open_instance
from synclr_assets.store.errors import StoreError

OnEvent = Callable[[dg.EventLogEntry], None]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RunFailedError(StoreError):
    """A run ended in a failure; the message is the step and its cause in one sentence."""


class Launcher:
    """Runs the platform's jobs in this process, under this environment."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.environment = dict(os.environ if environment is None else environment)
        self.definitions = build_definitions(self.environment)
        self.instance = open_instance(dagster_home(self.environment))

    def make_dataset(
        self, bucket: str, generation: int | None, on_event: OnEvent
    ) -> dg.ExecuteInProcessResult:
        """All corpus and dataset assets of one bucket. Raises RunFailedError."""
        config = {} if generation is None else {"generation": generation}
        return self._run(
            DATASET_JOB, bucket, dict.fromkeys(DATASET_ASSETS[:-1], config), DATASET_ASSETS, on_event
        )

    def make_model(
        self,
        slice_name: str,
        on_event: OnEvent,
        *,
        checkpoint: Mapping[str, Any] | None = None,
        evaluation: Mapping[str, Any] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Checkpoint and scores of one slice. Raises RunFailedError."""
        configs = {
            "checkpoint": dict(checkpoint or {}),
            "linear_probe": dict(evaluation or {}),
            "segmentation": dict(evaluation or {}),
        }
        return self._run(MODEL_JOB, slice_name, configs, MODEL_ASSETS, on_event)

    def _run(
        self,
        job: str,
        partition: str,
        configs: Mapping[str, Mapping[str, Any]],
        assets: Sequence[str],
        on_event: OnEvent,
    ) -> dg.ExecuteInProcessResult:
        ops = {name: {"config": dict(configs[name])} for name in assets if configs.get(name)}
        resolved = self.definitions.resolve_job_def(job)
        events = _Follower(self.instance, on_event)
        result = resolved.execute_in_process(
            instance=self.instance,
            partition_key=partition,
            run_config={**QUIET, "ops": ops},
            tags={"synclr/launched_by": "cli"},
            raise_on_error=False,
            run_id=events.run_id,
        )
        if not result.success:
            raise RunFailedError(_sentence(result, job, partition))
        return result


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
