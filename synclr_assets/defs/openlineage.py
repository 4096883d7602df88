"""Telling OpenLineage of every run of a stage over a partition, where its standard configuration asks for that."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from synclr_assets.provenance.models import find_model
from synclr_assets.provenance.openlineage_client import emitter, is_configured
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

    from synclr_assets.provenance.openlineage_datasets import Datasets
    from synclr_assets.provenance.openlineage_events import StageRun, Verdict

BUCKET_FILE = "bucket file"
"""Metadata of `concepts`: the file that the bucket was read from."""


def told(
    context: dg.AssetExecutionContext, store: Store, partition: str, make: Callable[[], dg.MaterializeResult]
) -> dg.MaterializeResult:
    """What `make` returns or raises, and an event of its beginning and its end. Loads nothing where none is wanted.

    A killed process sends no end; the run of its retry does.
    """
    if not is_configured(os.environ):
        return make()
    emit = partial(emitter().emit, warn=context.log.warning)
    emit(lambda: _started(context, partition))
    try:
        result = make()
    except BaseException as error:
        cause = error
        emit(lambda: _failed(context, partition, cause))
        raise
    emit(lambda: _completed(context, store, partition, result))
    return result


def _started(context: dg.AssetExecutionContext, partition: str) -> RunEvent:
    from synclr_assets.provenance.openlineage_events import started

    return started(_run(context, partition))


def _failed(context: dg.AssetExecutionContext, partition: str, error: BaseException) -> RunEvent:
    from synclr_assets.provenance.openlineage_events import failed

    return failed(_run(context, partition), error)


def _completed(
    context: dg.AssetExecutionContext, store: Store, partition: str, result: dg.MaterializeResult
) -> RunEvent:
    from synclr_assets.provenance.openlineage_events import completed

    run = _run(context, partition)
    verdicts = _verdicts(context, result.check_results or ())
    return completed(run, _datasets(store, run, result), verdicts)


def _run(context: dg.AssetExecutionContext, partition: str) -> StageRun:
    from synclr_assets.provenance.openlineage_events import StageRun

    spec = context.assets_def.get_asset_spec(context.asset_key)
    run_id = context.run.run_id
    return StageRun(
        stage=context.asset_key.to_user_string(),
        partition=partition,
        once=f"{run_id}/{context.retry_number}",
        description=spec.description or "",
        owners=tuple(spec.owners),
        parent=(run_id, context.job_name),
    )


def _datasets(store: Store, run: StageRun, result: dg.MaterializeResult) -> Datasets:
    from synclr_assets.provenance.openlineage_datasets import of_bucket, of_evaluation, of_training

    about = result.metadata or {}
    if "generation" in about:
        unit = Unit(run.partition, int(str(about["generation"])))
        return of_bucket(store, run.stage, unit, run.owners, str(about.get(BUCKET_FILE) or ""))
    model = find_model(store, str(about["model"]))
    if run.stage == "checkpoint":
        return of_training(store, model, run.owners)
    return of_evaluation(store, model, run.stage, str(about["protocol"]), run.owners)


def _verdicts(context: dg.AssetExecutionContext, results: Iterable[dg.AssetCheckResult]) -> list[Verdict]:
    from synclr_assets.provenance.openlineage_events import Verdict

    about = {spec.name: spec.description or "" for spec in context.assets_def.check_specs}
    return [
        Verdict(
            name=str(one.check_name),
            passed=one.passed,
            is_error=one.severity == dg.AssetCheckSeverity.ERROR,
            description=about.get(str(one.check_name), ""),
        )
        for one in results
    ]
