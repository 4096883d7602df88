"""One step over the buckets of its run: each is made, checked and told to Dagster before the next begins.

So several buckets share one loaded model, and a crash leaves the finished ones finished, in Dagster's eyes too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import dagster as dg

from synclr_assets.defs.lost_attempts import end_if_lost
from synclr_assets.defs.openlineage import told
from synclr_assets.store.errors import FencedError
from synclr_assets.store.store import Store

MakeBucket = Callable[[str], dg.MaterializeResult]
"""Makes one bucket and says what came of it."""
Told = dg.MaterializeResult | dg.AssetCheckResult
FAILED_BUCKETS = "failed buckets"
"""Metadata of a check over several buckets: failed bucket -> its generation."""

# Two stages of different policies never share a run. A run of several buckets says so bucket by bucket and
# gives Dagster no output at its end, for which a later stage in the same run would wait in vain.
ONE_BUCKET = dg.BackfillPolicy.multi_run(1)
"""For stages that load no model: a run of their own for each bucket costs nothing more."""
MANY_BUCKETS = dg.BackfillPolicy.multi_run(64)
"""For stages whose model takes long to load; several runs then keep several GPUs busy."""
MANY_BUCKETS_AFTER_MANY = dg.BackfillPolicy.multi_run(32)
"""For such a stage directly after another one."""


def each_bucket(context: dg.AssetExecutionContext, store: Store, make: MakeBucket) -> Iterator[Told]:
    """Make every bucket of the run. A user's mistake with one of several buckets does not stop the others.

    Raises dg.Failure at the end where a bucket could not be made, naming each with its cause. One that another run took
    over is not tried again: the retry would take it back, and so on.
    """
    buckets = list(context.partition_keys)
    if len(buckets) == 1:
        try:
            result = _made(context, store, buckets[0], make)
        except FencedError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        yield result._replace(check_results=_named(result, buckets[0]))
        return
    _require_one_asset(context)
    verdicts: dict[str, list[dg.AssetCheckResult]] = {}
    faults: dict[str, ValueError] = {}
    for bucket in buckets:
        try:
            result = _made(context, store, bucket, make)
        except ValueError as error:
            faults[bucket] = error
            context.log.error(f"{bucket}: {error}")
            continue
        verdicts[bucket] = _named(result, bucket)
        _tell(context, bucket, result, verdicts[bucket])
    if faults:
        raise dg.Failure(
            f"{len(faults)} of {len(buckets)} buckets were not made. " + " ".join(map(str, faults.values())),
            allow_retries=not any(isinstance(error, FencedError) for error in faults.values()),
        )
    yield from _summaries(context, verdicts)


def _made(
    context: dg.AssetExecutionContext, store: Store, bucket: str, make: MakeBucket
) -> dg.MaterializeResult:
    """Make the bucket and tell OpenLineage of it. Does not return where a later attempt of the run has it."""
    try:
        return told(context, store, bucket, partial(make, bucket))
    except FencedError as error:
        end_if_lost(context, error)
        raise


def _tell(
    context: dg.AssetExecutionContext,
    bucket: str,
    result: dg.MaterializeResult,
    verdicts: list[dg.AssetCheckResult],
) -> None:
    """Log the bucket's checks, and its materialisation unless a blocking check failed: nothing may build on it."""
    blocking = {spec.name for spec in context.assets_def.check_specs if spec.blocking}
    for verdict in verdicts:
        assert verdict.check_name is not None
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=context.asset_key,
                check_name=verdict.check_name,
                passed=verdict.passed,
                metadata=verdict.metadata,
                severity=verdict.severity,
                blocking=verdict.check_name in blocking,
            )
        )
    if any(not verdict.passed and verdict.check_name in blocking for verdict in verdicts):
        context.log.error(f"{bucket}: a blocking check failed, so the bucket counts as not made")
        return
    assert result.data_version is not None
    context.log_event(
        dg.AssetMaterialization(
            asset_key=context.asset_key,
            partition=bucket,
            metadata=result.metadata,
            tags=_version_tags(context, bucket, result.data_version),
        )
    )


def _version_tags(
    context: dg.AssetExecutionContext, bucket: str, data_version: dg.DataVersion
) -> dict[str, str]:
    """The tags that Dagster itself puts on an output's materialisation; its staleness is computed from them."""
    spec = context.assets_def.get_asset_spec(context.asset_key)
    tags = {"dagster/data_version": data_version.value, "dagster/data_version_is_user_provided": "true"}
    if spec.code_version is not None:
        tags["dagster/code_version"] = spec.code_version
    if "dagster/backfill" in context.run.tags:
        tags["dagster/backfill"] = context.run.tags["dagster/backfill"]
    for dep in spec.deps:
        of_bucket = dg.AssetRecordsFilter(dep.asset_key, asset_partitions=[bucket])
        newest = context.instance.fetch_materializations(of_bucket, limit=1).records
        name = dep.asset_key.to_user_string()
        made = newest[0].asset_materialization if newest else None
        version = made.tags.get("dagster/data_version") if made is not None and made.tags else None
        tags[f"dagster/input_data_version/{name}"] = version or "INITIAL"
        tags[f"dagster/input_event_pointer/{name}"] = str(newest[0].storage_id) if newest else "NULL"
    return tags


def _summaries(
    context: dg.AssetExecutionContext, verdicts: Mapping[str, list[dg.AssetCheckResult]]
) -> Iterator[dg.AssetCheckResult]:
    """One verdict per check over all buckets of the run; a failed blocking one fails the step."""
    for spec in context.assets_def.check_specs:
        of_check = {
            bucket: verdict
            for bucket, results in verdicts.items()
            for verdict in results
            if verdict.check_name == spec.name
        }
        if not of_check:  # about more than buckets: the stage gives that verdict itself
            continue
        failed = {b: verdict.metadata["generation"] for b, verdict in of_check.items() if not verdict.passed}
        severities = [verdict.severity for verdict in of_check.values()]
        yield dg.AssetCheckResult(
            check_name=spec.name,
            passed=not failed,
            severity=max(severities, key=lambda one: one == dg.AssetCheckSeverity.ERROR),
            metadata={"buckets": len(of_check), "failed": len(failed), FAILED_BUCKETS: failed},
        )


def _named(result: dg.MaterializeResult, bucket: str) -> list[dg.AssetCheckResult]:
    """The verdicts, each saying which bucket and generation it is about."""
    assert result.metadata is not None
    about: dict[str, Any] = {"bucket": bucket, "generation": result.metadata["generation"]}
    return [
        verdict._replace(metadata={**(verdict.metadata or {}), **about})
        for verdict in result.check_results or ()
    ]


def _require_one_asset(context: dg.AssetExecutionContext) -> None:
    """Refuse a run of several buckets that also has later stages: Dagster would skip those without a word."""
    selected = list(context.run.asset_selection or context.job_def.asset_layer.executable_asset_keys)
    if len(selected) > 1:
        raise dg.Failure(
            f"A run of several buckets makes one asset, this one was asked for {len(selected)}: launch a "
            "backfill (in the UI, or `synclr backfill`), which makes a run for each stage."
        )
