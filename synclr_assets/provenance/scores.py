"""Recording scores and reading them back: the one place that reports, metadata and the CLI take them from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of, sql_literal

HEADLINE_METRICS = (
    "linear_probe_accuracy",
    "linear_probe_mean_per_class",
    "linear_probe_map_11_point",
    "sgd_linear_probe_accuracy",
    "sgd_linear_probe_mean_per_class",
    "finetune_accuracy",
    "finetune_mean_per_class",
    "mean_iou",
)
"""What is told of a model first, the foremost first."""


def record_scores(store: Store, model_id: str, asset: str, scores: Iterable[Mapping[str, Any]]) -> int:
    """Put the scores of one evaluation of a model in the place of earlier ones. Returns how many.

    Each score has the fields of `synclr_train.evals.scores.Score`.
    """
    records = []
    for score in scores:
        per_class = [{"name": name, "value": value} for name, value in sorted(score["per_class"].items())]
        records.append(
            {
                **score,
                "model_id": model_id,
                "asset": asset,
                "is_baseline": score["subject"] != "model",
                "per_class": per_class,
                "evaluated_at": datetime.now(UTC),
            }
        )
    predicate = f"model_id = {sql_literal(model_id)} AND asset = {sql_literal(asset)}"
    store.tables.replace("evals", predicate, rows_of("evals", records))
    return len(records)


def scores_of(store: Store, model_id: str, asset: str | None = None) -> list[dict[str, Any]]:
    """Recorded scores of a model and its baselines, in a fixed order."""
    where = pc.field("model_id") == model_id
    if asset is not None:
        where &= pc.field("asset") == asset
    return ordered_scores(store.tables.read("evals", where=where))


def ordered_scores(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows of evals in a fixed order."""
    order = [(column, "ascending") for column in ("asset", "dataset", "metric", "is_baseline", "subject")]
    return rows.sort_by(order).to_pylist()


def headline(scores: Sequence[Mapping[str, Any]], metric: str) -> dict[str, float]:
    """Value by subject for one metric."""
    return {score["subject"]: score["value"] for score in scores if score["metric"] == metric}


def metric_order(metric: str) -> tuple[int, str]:
    """Where a metric stands among others: the headline metrics first, the rest by name, numbers by size."""
    rank = HEADLINE_METRICS.index(metric) if metric in HEADLINE_METRICS else len(HEADLINE_METRICS)
    return rank, re.sub(r"\d+", lambda number: number.group().zfill(6), metric)
