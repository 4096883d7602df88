"""Which buckets a score rests on: per-class values joined to concepts and to the captions read of them.

An account, not a cause: a class also gains from captions of other concepts. Prints nothing, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from synclr_assets.concept_bank.allocation import allocate
from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.concept_bank.bucket import Bucket
from synclr_assets.provenance.class_concepts import (
    ClassConcepts,
    ClassMap,
    match_classes,
    shipped_class_map,
)
from synclr_assets.provenance.concept_reading import ConceptRead, concepts_read
from synclr_assets.provenance.proposed_weights import MAX_STEP, shrunk_errors, step_weights
from synclr_assets.provenance.scores import metric_order, scores_of
from synclr_assets.store.store import Store

ConceptKey = tuple[str, str]


class AttributionError(ValueError):
    """A score that cannot be attributed, told in one sentence."""


@dataclass(frozen=True)
class ClassPart:
    """One class: its value in [0, 1], its concepts as `bucket/concept`, and the captions read of them."""

    name: str
    value: float
    concepts: tuple[str, ...]
    captions_read: float


@dataclass(frozen=True)
class BucketPart:
    """What of the score rests on one bucket generation, and its caption budget before and after."""

    bucket: str
    generation: int
    num_classes: float
    """Classes that rest on it; one that rests on several buckets counts by its captions read of each."""
    share: float
    """Of all classes of the score."""
    value: float | None
    """Mean of the classes that rest on it; None where none does."""
    captions_read: float
    """Of all its concepts."""
    num_captions: int
    proposed_captions: int


@dataclass(frozen=True)
class ConceptPart:
    """One matched concept: the mean value of its classes, and its weight before and after."""

    bucket: str
    concept: str
    value: float
    captions_read: float
    weight: float
    proposed_weight: float


@dataclass(frozen=True)
class Attribution:
    """One score of a model, taken apart."""

    score: dict[str, Any]
    class_mean: float
    """Mean of the per-class values: the sum over buckets of share times value, and the unmatched classes' part."""
    classes: tuple[ClassPart, ...]
    unmatched: tuple[tuple[str, float, str], ...]
    """Class, value, and why it has no concept."""
    buckets: tuple[BucketPart, ...]
    concepts: tuple[ConceptPart, ...]
    max_step: float

    @property
    def unmatched_share(self) -> float:
        return len(self.unmatched) / (len(self.unmatched) + len(self.classes))


def attribute(
    store: Store,
    model: Mapping[str, Any],
    *,
    class_map: ClassMap | None = None,
    dataset: str | None = None,
    metric: str | None = None,
    max_step: float = MAX_STEP,
) -> Attribution:
    """The asked score of the model, else its headline, over the concepts of its buckets.

    `class_map` goes before the mapping that comes with a known data set. Raises AttributionError where no such
    score with per-class values is recorded.
    """
    score = _chosen_score(store, model, dataset, metric)
    values = {entry["name"]: entry["value"] for entry in score["per_class"]}
    concepts = concepts_read(store, model)
    merged = {**shipped_class_map(score["dataset"]), **(class_map or {})}
    matched = match_classes(values, concepts, merged)
    mapped = [each for each in matched if each.concepts]
    errors = _errors_of(mapped, values, score["num_test"] / len(values))
    return Attribution(
        score=score,
        class_mean=sum(values.values()) / len(values),
        classes=tuple(
            ClassPart(
                each.name,
                values[each.name],
                tuple(f"{one.bucket}/{one.concept}" for one in each.concepts),
                sum(one.captions_read for one in each.concepts),
            )
            for each in mapped
        ),
        unmatched=tuple(
            (each.name, values[each.name], each.reason) for each in matched if each.reason is not None
        ),
        buckets=_bucket_parts(concepts, mapped, values, errors, max_step),
        concepts=_concept_parts(mapped, values, errors, max_step),
        max_step=max_step,
    )


def proposed_buckets(attribution: Attribution, bank: ConceptBank) -> tuple[Bucket, ...]:
    """The bank's bucket files of all buckets that the score rests on, with the proposed weights and budgets.

    Raises AttributionError where the bank lacks such a bucket or one of its concepts.
    """
    buckets = []
    for part in attribution.buckets:
        weights = {
            each.concept: each.proposed_weight for each in attribution.concepts if each.bucket == part.bucket
        }
        if not weights:
            continue
        bucket = bank.buckets.get(part.bucket)
        known = {concept.name for concept in bucket.concepts} if bucket else set()
        if bucket is None or (lost := sorted(set(weights) - known)):
            what = f"concept {lost[0]!r}" if bucket else "file"
            raise AttributionError(
                f"{bank.folder} has no {what} of bucket {part.bucket}, which the model was trained on: "
                "name the concept bank it came from."
            )
        concepts = tuple(
            replace(concept, weight=float(f"{weights.get(concept.name, concept.weight):.4g}"))
            for concept in bucket.concepts
        )
        buckets.append(replace(bucket, concepts=concepts, num_captions=max(part.proposed_captions, 1)))
    return tuple(buckets)


def _chosen_score(
    store: Store, model: Mapping[str, Any], dataset: str | None, metric: str | None
) -> dict[str, Any]:
    rows = [row for row in scores_of(store, model["model_id"]) if not row["is_baseline"] and row["per_class"]]
    asked = [
        row
        for row in rows
        if (dataset is None or row["dataset"] == dataset) and (metric is None or row["metric"] == metric)
    ]
    if asked:
        return min(
            asked, key=lambda row: (row["split"] != "test", metric_order(row["metric"]), row["dataset"])
        )
    known = ", ".join(f"{row['metric']} on {row['dataset']}" for row in rows)
    raise AttributionError(
        f"Model {model['model_id'][:12]} has no such score by class; "
        + (f"it has {known}." if known else "materialise linear_probe or segmentation of its slice first.")
    )


def _errors_of(
    mapped: Sequence[ClassConcepts], values: Mapping[str, float], images_per_class: float
) -> dict[str, float]:
    if not mapped:
        return {}
    names = [each.name for each in mapped]
    shrunk = shrunk_errors([values[name] for name in names], images_per_class)
    return dict(zip(names, shrunk, strict=True))


def _shares(each: ClassConcepts) -> dict[str, float]:
    """The part of a class that rests on each bucket: by captions read, or evenly where none was read."""
    read = {one.bucket: 0.0 for one in each.concepts}
    for one in each.concepts:
        read[one.bucket] += one.captions_read
    total = sum(read.values())
    if total == 0:
        return dict.fromkeys(read, 1 / len(read))
    return {bucket: part / total for bucket, part in read.items()}


def _bucket_parts(
    concepts: Sequence[ConceptRead],
    mapped: Sequence[ClassConcepts],
    values: Mapping[str, float],
    errors: Mapping[str, float],
    max_step: float,
) -> tuple[BucketPart, ...]:
    resting: dict[str, list[tuple[str, float]]] = {}
    for each in mapped:
        for bucket, share in _shares(each).items():
            resting.setdefault(bucket, []).append((each.name, share))
    parts = []
    for bucket, generation in dict.fromkeys((each.bucket, each.generation) for each in concepts):
        own = [each for each in concepts if each.bucket == bucket]
        num_classes = sum(share for _, share in resting.get(bucket, ()))
        weighted = sum(share * values[name] for name, share in resting.get(bucket, ()))
        budget = sum(each.num_captions for each in own)
        parts.append(
            BucketPart(
                bucket=bucket,
                generation=generation,
                num_classes=num_classes,
                share=num_classes / len(values),
                value=weighted / num_classes if num_classes else None,
                captions_read=sum(each.captions_read for each in own),
                num_captions=budget,
                proposed_captions=budget,
            )
        )
    measured = [part for part in parts if part.num_classes and part.num_captions]
    if not measured:
        return tuple(parts)
    stepped = step_weights(
        [float(part.num_captions) for part in measured],
        [sum(share * errors[name] for name, share in resting[part.bucket]) for part in measured],
        [part.captions_read for part in measured],
        max_step,
    )
    budgets = allocate(sum(part.num_captions for part in measured), stepped)
    proposed = {part.bucket: captions for part, captions in zip(measured, budgets, strict=True)}
    return tuple(
        replace(part, proposed_captions=proposed.get(part.bucket, part.proposed_captions)) for part in parts
    )


def _concept_parts(
    mapped: Sequence[ClassConcepts],
    values: Mapping[str, float],
    errors: Mapping[str, float],
    max_step: float,
) -> tuple[ConceptPart, ...]:
    """Weights are relative within a bucket, so each bucket is stepped by itself."""
    classes: dict[ConceptKey, list[ClassConcepts]] = {}
    concept_of: dict[ConceptKey, ConceptRead] = {}
    for each in mapped:
        for one in each.concepts:
            classes.setdefault((one.bucket, one.concept), []).append(each)
            concept_of[one.bucket, one.concept] = one
    parts: list[ConceptPart] = []
    for bucket in dict.fromkeys(bucket for bucket, _ in classes):
        keys = [key for key in classes if key[0] == bucket]
        stepped = step_weights(
            [concept_of[key].weight for key in keys],
            [_mean([errors[each.name] for each in classes[key]]) for key in keys],
            [_mean([_captions_read(each) for each in classes[key]]) for key in keys],
            max_step,
        )
        parts += [
            ConceptPart(
                bucket=bucket,
                concept=key[1],
                value=_mean([values[each.name] for each in classes[key]]),
                captions_read=concept_of[key].captions_read,
                weight=concept_of[key].weight,
                proposed_weight=weight,
            )
            for key, weight in zip(keys, stepped, strict=True)
        ]
    return tuple(parts)


def _captions_read(each: ClassConcepts) -> float:
    """Of all concepts that the class is: a class in two buckets learns from both."""
    return sum(one.captions_read for one in each.concepts)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
