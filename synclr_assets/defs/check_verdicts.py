"""Which buckets have a check that stands failed, from Dagster's history of check evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from synclr_assets.defs.buckets import FAILED_BUCKETS

MAX_FAILURES = 1000
"""Newest failures looked at per check."""


def failed_checks(
    instance: dg.DagsterInstance,
    checks: Iterable[dg.AssetCheckKey],
    newest_generation: Mapping[str, int],
) -> dict[str, list[str]]:
    """Bucket -> names of checks that failed on its newest generation and were not followed by a materialisation."""
    failed: dict[str, set[str]] = {}
    for check in checks:
        for record in failures_of(instance, check):
            for bucket, generation in buckets_of_failure(record):
                if newest_generation.get(bucket) == generation and not _made_since(instance, record, bucket):
                    failed.setdefault(bucket, set()).add(check.name)
    return {bucket: sorted(names) for bucket, names in failed.items()}


def failures_of(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, limit: int = MAX_FAILURES
) -> list[AssetCheckExecutionRecord]:
    """Failed evaluations of a check, newest first."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        check, limit=limit, status={AssetCheckExecutionRecordStatus.FAILED}
    )
    return list(records)


def buckets_of_failure(record: AssetCheckExecutionRecord) -> Iterator[tuple[str, int]]:
    """(bucket, generation) that a failed evaluation is about; none for a check of something else."""
    evaluation = record.event.asset_check_evaluation if record.event is not None else None
    if evaluation is None:
        return
    about = evaluation.metadata
    if FAILED_BUCKETS in about:
        found = about[FAILED_BUCKETS].value
        assert isinstance(found, dict)
        for bucket, generation in found.items():
            yield str(bucket), int(generation)
    elif "bucket" in about:
        yield str(about["bucket"].value), int(str(about["generation"].value))


def _made_since(instance: dg.DagsterInstance, record: AssetCheckExecutionRecord, bucket: str) -> bool:
    """Whether another run materialised the bucket after the failure, which then speaks for itself."""
    of_bucket = dg.AssetRecordsFilter(record.key.asset_key, asset_partitions=[bucket])
    newest = instance.fetch_materializations(of_bucket, limit=1).records
    return (
        bool(newest) and newest[0].run_id != record.run_id and newest[0].timestamp > record.create_timestamp
    )
