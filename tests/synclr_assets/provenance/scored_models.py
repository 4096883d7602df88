"""A store with models that have scores and, beside them, the outcomes of single images, without any training."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from synclr_assets.provenance.scores import record_scores
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of
from synclr_train.evals.outcomes import correctness, write_outcomes

METRIC = "linear_probe_accuracy"
FINGERPRINT = "feedfacefeedface"


def append(store: Store, table: str, records: list[dict[str, Any]]) -> None:
    """Rows into a table, by the store's own writer."""
    store.tables.append(store.tables.open_or_create(table), table, rows_of(table, records))


def add_model(store: Store, model_id: str, **changes: Any) -> dict[str, Any]:
    """A recorded model of slice `all`, trained on generation 0 of `digits` and `shapes`."""
    row = {
        "slice": "all",
        "model_id": model_id,
        "recipe": "rehearsal",
        "recipe_json": json.dumps({"name": "rehearsal", "batch": {"captions": 64}, "temperature": 0.1}),
        "recipe_fingerprint": "e" * 32,
        "seed": 1,
        "inputs": [
            {"bucket": bucket, "generation": 0, "num_captions": 6, "shard_sha256s": ["s"]}
            for bucket in ("digits", "shapes")
        ],
        "table_versions": [],
        "steps": 100,
        "code_version": "0.1.0",
        "weights_sha256": "ab" * 32,
        "key": f"models/{model_id}",
        "device": "cpu",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    } | changes
    append(store, "models", [row])
    return row


def add_scores(
    store: Store,
    model: dict[str, Any],
    correct: np.ndarray,
    *,
    per_class: dict[str, float] | None = None,
    fingerprint: str = FINGERPRINT,
    with_outcomes: bool = True,
    num_l2_constants: int = 45,
) -> None:
    """The model's accuracy over images of which `correct` says which it got right, as an evaluation leaves it."""
    value = float(np.mean(correct))
    score = {
        "subject": "model",
        "dataset": "sklearn_digits",
        "metric": METRIC,
        "value": value,
        "ci_low": value - 0.02,
        "ci_high": value + 0.02,
        "num_test": correct.shape[-1],
        "split": "test",
        "protocol": "linear_probe",
        "protocol_fingerprint": fingerprint,
        "per_class": per_class or {"0": value},
    }
    record_scores(store, model["model_id"], "linear_probe", [score])
    folder: Path = store.location.local_path(f"{model['key']}/evals/linear_probe")
    folder.mkdir(parents=True)
    protocol = {"name": "linear_probe", "num_l2_constants": num_l2_constants}
    (folder / "scores.json").write_text(json.dumps({"scores": [score], "protocol": protocol}))
    if with_outcomes:
        predictions = np.atleast_2d(np.asarray(correct, bool)).astype(int)
        labels = np.ones(predictions.shape[1], int)
        write_outcomes(folder, fingerprint, {METRIC: correctness(predictions, labels)})
