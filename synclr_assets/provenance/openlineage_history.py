"""What a store holds as OpenLineage events: for lineage servers that came later, or were down.

Loads `openlineage`, so only what sends or writes events imports this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from openlineage.client.event_v2 import RunEvent

from synclr_assets.provenance.models import models
from synclr_assets.provenance.openlineage_datasets import (
    BUCKET_WRITES,
    Datasets,
    LoggedFiles,
    of_bucket,
    of_evaluation,
    of_training,
)
from synclr_assets.provenance.openlineage_events import StageRun, completed, started
from synclr_assets.provenance.packing import Packing
from synclr_assets.provenance.scores import scores_of
from synclr_assets.stages.progress import planned_captions
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit, stage_cursor


def history(store: Store) -> Iterator[RunEvent]:
    """A START and a COMPLETE of every finished stage of every bucket generation, of every model and evaluation.

    Each is one run, whose id is the same at every call; its time is that of the newest file or record.
    """
    logged = LoggedFiles(store)
    packing = Packing(store.tables, {unit.bucket for unit in logged.units("concepts")})
    for stage, (table, *_) in BUCKET_WRITES.items():
        for unit in logged.units(table):
            if _is_finished(store, packing, stage, unit):
                at = datetime.fromtimestamp(logged.part(table, unit).written_ms / 1000, UTC)
                once = f"{store.location.uri}/{unit.generation}"
                datasets = of_bucket(store, stage, unit, logged=logged)
                yield from _both(StageRun(stage, unit.bucket, once), datasets, at)
    for model in reversed(models(store)):
        yield from _of_model(store, model)


def _of_model(store: Store, model: dict[str, Any]) -> Iterator[RunEvent]:
    once = f"{store.location.uri}/{model['model_id']}"
    training = StageRun("checkpoint", model["slice"], once)
    yield from _both(training, of_training(store, model), model["created_at"])
    newest: dict[tuple[str, str], datetime] = {}
    for score in scores_of(store, model["model_id"]):
        scored = (score["asset"], score["protocol_fingerprint"])
        newest[scored] = max(newest.get(scored, score["evaluated_at"]), score["evaluated_at"])
    for (asset, protocol), at in sorted(newest.items()):
        run = StageRun(asset, model["slice"], f"{once}/{protocol}")
        yield from _both(run, of_evaluation(store, model, asset, protocol), at)


def _both(run: StageRun, datasets: Datasets, at: datetime) -> Iterator[RunEvent]:
    yield started(run, at)
    yield completed(run, datasets, at=at)


def _is_finished(store: Store, packing: Packing, stage: str, unit: Unit) -> bool:
    if stage == "concepts":
        return True
    if stage == "syncaps_shards":
        return packing.is_packed(unit)
    return stage_cursor(store.tables, stage, unit) >= planned_captions(store.tables, unit)
