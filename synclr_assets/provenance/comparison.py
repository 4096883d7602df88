"""Several models on the same scores: values, paired differences, and what differs between the models.

Compares only scores of one protocol and refuses the rest. Prints and draws nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from synclr_assets.provenance.models import recipe_of
from synclr_assets.provenance.outcomes import Difference, outcomes_of, paired_differences
from synclr_assets.provenance.scores import metric_order, scores_of
from synclr_assets.store.store import Store

SHORT_ID_CHARS = 12
NOT_SETTINGS = ("name", "departures")
"""Parts of a recipe that say what it is called and why, not what it does."""

Group = tuple[str, str, str, str]
Row = Mapping[str, Any]


class ComparisonError(ValueError):
    """Models or scores that cannot be compared, told in one sentence."""


@dataclass(frozen=True)
class Value:
    """One model's score in [0, 1] with its own 95 % interval."""

    model_id: str
    value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class MetricComparison:
    """One metric on one data set under one protocol, for every model that has it."""

    asset: str
    dataset: str
    split: str
    metric: str
    protocol: str
    protocol_fingerprint: str
    num_test: int
    values: tuple[Value, ...]
    differences: tuple[Difference, ...]
    """Every pair of models whose outcomes are stored, the model named first minus the other."""
    without_outcomes: tuple[str, ...]
    """Models whose evaluation left no outcomes, so that they are in no pair."""


@dataclass(frozen=True)
class Fact:
    """Something in which the models differ, one value for each model in their order."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class ModelComparison:
    """The models in the order they were named, what differs between them, and their scores side by side."""

    models: tuple[dict[str, Any], ...]
    facts: tuple[Fact, ...]
    metrics: tuple[MetricComparison, ...]


def compare_models(
    store: Store,
    models: Sequence[dict[str, Any]],
    *,
    dataset: str | None = None,
    metric: str | None = None,
) -> ModelComparison:
    """Rows of models side by side, on every score that two or more of them have, or on those asked for.

    Raises ComparisonError for fewer than two models, for no common score, and for scores of several protocols.
    """
    ids = [model["model_id"] for model in models]
    if len(set(ids)) < 2 or len(set(ids)) < len(ids):
        raise ComparisonError("Name two or more different models: `synclr lineage model` lists them.")
    rows = {model_id: _asked(scores_of(store, model_id), dataset, metric) for model_id in ids}
    groups: dict[Group, dict[str, list[Row]]] = defaultdict(dict)
    for model_id, scores in rows.items():
        for row in scores:
            key = (row["dataset"], row["asset"], row["protocol"], row["metric"])
            groups[key].setdefault(model_id, []).append(row)
    shared = {group: by_model for group, by_model in groups.items() if len(by_model) > 1}
    if not shared:
        raise ComparisonError(_nothing_shared(rows, dataset, metric))
    by_id = {model["model_id"]: model for model in models}
    compared = [
        _metric_comparison(store, by_id, one)
        for group in sorted(shared, key=lambda group: (*group[:3], metric_order(group[3])))
        for one in _by_protocol(store, by_id, group, shared[group])
    ]
    return ModelComparison(tuple(models), differing_facts(store, models), tuple(compared))


def differing_facts(store: Store, models: Sequence[Mapping[str, Any]]) -> tuple[Fact, ...]:
    """Data, run and recipe settings that are not the same for all models."""
    columns = [_facts_of(store, model) for model in models]
    names = list(dict.fromkeys(name for column in columns for name in column))
    facts = [Fact(name, tuple(column.get(name, "-") for column in columns)) for name in names]
    return tuple(fact for fact in facts if len(set(fact.values)) > 1)


def _facts_of(store: Store, model: Mapping[str, Any]) -> dict[str, str]:
    read = store.tables.read(
        "consumption", partitions={"model_id": model["model_id"]}, columns=["captions_read"]
    )
    facts = {
        "slice": model["slice"],
        "inputs": ", ".join(f"{each['bucket']}@{each['generation']}" for each in model["inputs"]),
        "captions read": str(pc.sum(read["captions_read"]).as_py() or 0),
        "recipe": model["recipe"],
        **{name: str(model[name]) for name in ("steps", "seed", "code_version", "device")},
    }
    settings = {name: value for name, value in recipe_of(model).items() if name not in NOT_SETTINGS}
    return facts | {f"recipe.{path}": value for path, value in _leaves(settings).items()}


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every setting by its dotted path; a list is one value."""
    leaves: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= _leaves(value, f"{prefix}{name}.")
        else:
            leaves[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return leaves


def _asked(rows: Sequence[Row], dataset: str | None, metric: str | None) -> list[Row]:
    return [
        row
        for row in rows
        if not row["is_baseline"]
        and (dataset is None or row["dataset"] == dataset)
        and (metric is None or row["metric"] == metric)
    ]


def _by_protocol(
    store: Store, models: Mapping[str, Mapping[str, Any]], group: Group, by_model: Mapping[str, Sequence[Row]]
) -> list[dict[str, Row]]:
    """One row per model for each protocol that all of them share. Raises ComparisonError where none is."""
    found = [{row["protocol_fingerprint"]: row for row in rows} for rows in by_model.values()]
    common = sorted(set.intersection(*(set(each) for each in found)))
    if not common:
        raise ComparisonError(_protocols_differ(store, models, group, by_model))
    return [
        {model_id: each[fingerprint] for model_id, each in zip(by_model, found, strict=True)}
        for fingerprint in common
    ]


def _metric_comparison(
    store: Store, models: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Row]
) -> MetricComparison:
    first = next(iter(rows.values()))
    outcomes = {model_id: outcomes_of(store, models[model_id], row) for model_id, row in rows.items()}
    kept = {model_id: each for model_id, each in outcomes.items() if each is not None}
    names = ("asset", "dataset", "split", "metric", "protocol", "protocol_fingerprint", "num_test")
    return MetricComparison(
        **{name: first[name] for name in names},
        values=tuple(
            Value(model_id, row["value"], row["ci_low"], row["ci_high"]) for model_id, row in rows.items()
        ),
        differences=tuple(paired_differences(kept)),
        without_outcomes=tuple(model_id for model_id in rows if model_id not in kept),
    )


def _nothing_shared(rows: Mapping[str, Sequence[Row]], dataset: str | None, metric: str | None) -> str:
    asked = " ".join(
        part for part in (metric and f"of {metric}", dataset and f"on {dataset}") if part is not None
    )
    without = [model_id[:SHORT_ID_CHARS] for model_id, scores in rows.items() if not scores]
    lacking = f"; none at all for {', '.join(without)}" if without else ""
    return (
        f"No score {asked}{' ' if asked else ''}is shared by two of these models{lacking}: "
        "`synclr lineage model MODEL` shows what was measured, materialising linear_probe or segmentation measures."
    )


def _protocols_differ(
    store: Store, models: Mapping[str, Mapping[str, Any]], group: Group, by_model: Mapping[str, Sequence[Row]]
) -> str:
    dataset, asset, _, metric = group
    held = ", ".join(
        f"{model_id[:SHORT_ID_CHARS]} under {' and '.join(sorted({r['protocol_fingerprint'] for r in rows}))}"
        for model_id, rows in by_model.items()
    )
    settings = [_protocol_settings(store, models[model_id], asset) for model_id in by_model]
    names = sorted({name for each in settings for name in each})
    unlike = [
        f"{name} {' / '.join(each.get(name, '-') for each in settings)}"
        for name in names
        if all(settings) and len({each.get(name) for each in settings}) > 1
    ]
    where = f", which differ in {'; '.join(unlike)}" if unlike else ""
    return (
        f"{metric} on {dataset} was measured under different protocols, {held}{where}: "
        f"materialise {asset} again for all of them, or compare other scores by --dataset and --metric."
    )


def _protocol_settings(store: Store, model: Mapping[str, Any], asset: str) -> dict[str, str]:
    """The protocol that the model's last evaluation of this kind wrote down; nothing where the file is gone."""
    key = f"{model['key']}/evals/{asset}/scores.json"
    if not store.blobs.exists(key):
        return {}
    return _leaves(json.loads(store.blobs.read(key)).get("protocol", {}))
