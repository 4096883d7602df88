"""Runs that nobody works on any more, pool slots that nobody uses, and giving both back.

A run is called dead only where that is certain: its process was on this machine and is gone, or Dagster's own
launcher says so. A run that is merely silent is shown, and freed only when its id is given.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.launcher.base import WorkerStatus
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from synclr_assets.defs.jobs import DATASET_ASSETS, MODEL_ASSETS, MODEL_JOB
from synclr_assets.launch.liveness import PROCESS_TAG, is_alive, is_dagster_process
from synclr_assets.store.errors import StoreError

_STARTED = re.compile(r"Started process for run \(pid: (\d+)\)")
AT_WORK = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
SILENT_SECONDS = 3600.0


@dataclass(frozen=True)
class StuckRun:
    """A run at work on which nobody seems to work."""

    run: dg.DagsterRun
    because: str
    is_dead: bool
    """Whether that is certain."""


@dataclass(frozen=True)
class LeakedSlot:
    """A place in a pool held by a step of a run that is not at work."""

    pool: str
    run_id: str
    step_key: str
    because: str


def stuck_runs(instance: dg.DagsterInstance) -> list[StuckRun]:
    """Runs at work whose process is gone, or that have been silent for an hour."""
    found = []
    for run in _at_work(instance):
        stuck = _examine(instance, run)
        if stuck is not None:
            found.append(stuck)
    return found


def leaked_slots(instance: dg.DagsterInstance, dead: Sequence[StuckRun]) -> list[LeakedSlot]:
    """Slots of runs that ended, are unknown, or are certainly dead."""
    dead_ids = {stuck.run.run_id for stuck in dead if stuck.is_dead}
    storage = instance.event_log_storage
    slots = []
    for pool in sorted(storage.get_concurrency_keys()):
        for slot in storage.get_concurrency_info(pool).claimed_slots:
            run = instance.get_run_by_id(slot.run_id)
            if run is None:
                because = "its run was deleted"
            elif run.is_finished:
                because = f"its run ended as {run.status.value}"
            elif slot.run_id in dead_ids:
                because = "its run is dead"
            else:
                continue
            slots.append(LeakedSlot(pool, slot.run_id, slot.step_key, because))
    return slots


def free(
    instance: dg.DagsterInstance,
    stuck: Sequence[StuckRun],
    slots: Sequence[LeakedSlot],
    run_ids: Sequence[str],
) -> Iterator[str]:
    """End every certainly dead run and those silent ones whose ids (or their beginnings) are given, and give their
    slots and all leaked ones back. Says what was done. Raises StoreError for an id that is not of a stuck run."""
    for prefix in run_ids:
        if not any(one.run.run_id.startswith(prefix) for one in stuck):
            raise StoreError(f"{prefix!r} is no stuck run: `synclr doctor` lists them.")
    chosen = [s for s in stuck if s.is_dead or any(s.run.run_id.startswith(p) for p in run_ids)]
    for one in chosen:
        instance.report_run_canceled(one.run, message=f"Ended by `synclr doctor --free`: {one.because}.")
        yield f"run {one.run.run_id[:8]} of {one.run.job_name} is marked as canceled"
    for run_id in sorted({one.run.run_id for one in chosen} | {slot.run_id for slot in slots}):
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        held = sum(slot.run_id == run_id for slot in slots)
        if held:
            yield f"{held} slots of run {run_id[:8]} are free"


def stages_at_work(instance: dg.DagsterInstance, buckets: Sequence[str]) -> dict[str, list[str]]:
    """Bucket -> stages that runs at work were asked for."""
    stages: dict[str, set[str]] = {}
    for run in _at_work(instance):
        asked = {key.to_user_string() for key in run.asset_selection or ()} or set(DATASET_ASSETS)
        for bucket in _buckets_of(run, buckets):
            stages.setdefault(bucket, set()).update(asked.intersection(DATASET_ASSETS))
    return {bucket: sorted(names, key=DATASET_ASSETS.index) for bucket, names in stages.items() if names}


def training_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs at work that train or score a model."""
    models = {dg.AssetKey(name) for name in MODEL_ASSETS}
    return [
        run
        for run in _at_work(instance)
        if run.job_name == MODEL_JOB or models & set(run.asset_selection or ())
    ]


def _at_work(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    return instance.get_runs(filters=dg.RunsFilter(statuses=list(AT_WORK)))


def _buckets_of(run: dg.DagsterRun, buckets: Sequence[str]) -> Sequence[str]:
    if PARTITION_NAME_TAG in run.tags:
        return [run.tags[PARTITION_NAME_TAG]]
    first, last = run.tags.get(ASSET_PARTITION_RANGE_START_TAG), run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if first not in buckets or last not in buckets:
        return []
    return buckets[buckets.index(first) : buckets.index(last) + 1]


def _examine(instance: dg.DagsterInstance, run: dg.DagsterRun) -> StuckRun | None:
    process = run.tags.get(PROCESS_TAG)
    if process is not None:
        alive = is_alive(process)
        if alive is False:
            return StuckRun(run, f"its process {process.rsplit(':', 1)[0]} is gone", True)
        if alive:
            return None
    elif instance.run_launcher.supports_check_run_worker_health:
        health = instance.run_launcher.check_run_worker_health(run)
        if health.status in (WorkerStatus.NOT_FOUND, WorkerStatus.FAILED):
            return StuckRun(run, f"the launcher finds its worker {health.status.value.lower()}", True)
        if health.status == WorkerStatus.RUNNING:
            return None
    elif (process_id := _launched_process(instance, run)) is not None:
        if is_dagster_process(process_id):
            return None
        is_here = isinstance(instance.run_storage, SqliteRunStorage)
        return StuckRun(run, f"process {process_id} that ran it is not on this machine", is_here)
    silent = time.time() - _last_sign(instance, run)
    if silent < SILENT_SECONDS:
        return None
    return StuckRun(run, f"no sign of life for {silent / 3600:.1f} hours", False)


def _launched_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int | None:
    """Id of the process that Dagster's launcher started, as it announced itself; None before it did."""
    events = instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT, limit=50
    ).records
    for record in events:
        said = _STARTED.search(record.event_log_entry.message)
        if said is not None:
            return int(said[1])
    return None


def _last_sign(instance: dg.DagsterInstance, run: dg.DagsterRun) -> float:
    """When the run last wrote an event."""
    newest = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return newest[0].timestamp if newest else 0.0
