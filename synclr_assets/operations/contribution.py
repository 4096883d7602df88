"""What a bucket seems to add to scores: models that read it against models that did not. A correlation, not a cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from synclr_assets.provenance.models import models
from synclr_assets.store.store import Store

METRIC = "linear_probe_accuracy"


def contributions(store: Store) -> dict[str, float]:
    """Bucket -> mean score with it less mean score without it; only buckets where both kinds of model exist."""
    columns = ["model_id", "subject", "metric", "value", "dataset", "split", "protocol_fingerprint"]
    scores = store.tables.read("evals", columns=columns).to_pylist()
    return contribution_of(models(store), scores)


def contribution_of(
    trained: Iterable[Mapping[str, Any]], scores: Iterable[Mapping[str, Any]]
) -> dict[str, float]:
    """The same from rows of `models` and `evals`. Only models of one recipe and scores of one protocol are
    compared with each other; several such groups are averaged."""
    score_of: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for row in scores:
        if row["subject"] == "model" and row["metric"] == METRIC:
            protocol: tuple[str, ...] = (row["dataset"], row["split"], row["protocol_fingerprint"])
            score_of[row["model_id"]][protocol] = row["value"]
    groups: dict[tuple[str, ...], list[tuple[set[str], float]]] = defaultdict(list)
    for model in trained:
        buckets = {entry["bucket"] for entry in model["inputs"]}
        for measured, value in score_of[model["model_id"]].items():
            groups[(model["recipe_fingerprint"], *measured)].append((buckets, value))
    differences: dict[str, list[float]] = defaultdict(list)
    for members in groups.values():
        for bucket in set().union(*(buckets for buckets, _ in members)):
            given = [value for buckets, value in members if bucket in buckets]
            without = [value for buckets, value in members if bucket not in buckets]
            if without:
                differences[bucket].append(fmean(given) - fmean(without))
    return {bucket: fmean(values) for bucket, values in differences.items()}
