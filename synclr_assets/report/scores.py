"""Rows of the evals table set side by side: the model beside its baselines, and in words where it loses.

Compares only scores of one protocol; measures nothing and draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synclr_assets.provenance.scores import metric_order

MODEL = "model"
SUBJECT_ORDER = (MODEL, "random_weights", "raw_pixels")
SPELLED = {"knn": "kNN", "simclr": "SimCLR", "iou": "IoU", "miou": "mIoU", "map": "mAP"}


@dataclass(frozen=True)
class Scored:
    """One value in [0, 1] with its 95 % interval; per-class values by class name."""

    value: float
    ci_low: float
    ci_high: float
    per_class: dict[str, float]

    def overlaps(self, other: Scored) -> bool:
        """Whether the two intervals share a point."""
        return self.ci_low <= other.ci_high and other.ci_low <= self.ci_high


@dataclass(frozen=True)
class Comparison:
    """One metric on one data set under one protocol: every subject's score, the model first."""

    asset: str
    dataset: str
    split: str
    metric: str
    protocol_fingerprint: str
    num_test: int
    scores: dict[str, Scored]

    @property
    def what(self) -> str:
        return f"{spelled(self.metric)} on {self.dataset} ({self.split})"

    @property
    def best(self) -> str:
        """The subject with the highest value; of equal ones the first in column order."""
        return max(self.scores, key=lambda subject: self.scores[subject].value)

    @property
    def baselines(self) -> dict[str, Scored]:
        return {subject: scored for subject, scored in self.scores.items() if subject != MODEL}


def comparisons_of(rows: Iterable[Mapping[str, Any]]) -> list[Comparison]:
    """Rows of evals grouped by asset, data set, split, metric and protocol, the headline metrics first."""
    grouped: dict[tuple[str, str, str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = (row["asset"], row["dataset"], row["split"], row["metric"], row["protocol_fingerprint"])
        grouped.setdefault(key, []).append(row)
    comparisons = [
        Comparison(*key, members[0]["num_test"], _by_subject(members)) for key, members in grouped.items()
    ]
    return sorted(comparisons, key=_reading_order)


def by_dataset(comparisons: Sequence[Comparison]) -> list[tuple[str, list[Comparison]]]:
    """The comparisons of each data set, both in the order in which they come."""
    groups: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        groups.setdefault(comparison.dataset, []).append(comparison)
    return list(groups.items())


def subjects_of(comparisons: Sequence[Comparison]) -> list[str]:
    """Every subject that occurs: the model, the usual baselines, then others by name."""
    present = {subject for comparison in comparisons for subject in comparison.scores}
    return sorted(present, key=_subject_rank)


def headline_of(comparisons: Sequence[Comparison]) -> Comparison | None:
    """The score to quote in one line: the linear probe's on the test part, else the model's first."""
    measured = [comparison for comparison in comparisons if MODEL in comparison.scores]
    return min(measured, key=lambda c: (c.split != "test", metric_order(c.metric)[0]), default=None)


def verdicts(comparisons: Sequence[Comparison]) -> list[str]:
    """One sentence for every score in which a baseline is not beaten; else one that says what is beaten."""
    measured = [comparison for comparison in comparisons if MODEL in comparison.scores]
    if not measured:
        return ["The model has no score yet."]
    if not any(comparison.baselines for comparison in measured):
        return ["No baseline was measured beside the model, so nothing can be said about its worth."]
    behind = [sentence for comparison in measured if (sentence := _not_beaten(comparison))]
    return behind or [_beats_all(measured)]


def percent(value: float) -> str:
    """A fraction as a percentage with one decimal."""
    return f"{100 * value:.1f} %"


def interval(scored: Scored) -> str:
    """The 95 % interval in percent."""
    return f"{100 * scored.ci_low:.1f} to {100 * scored.ci_high:.1f}"


def spelled(name: str) -> str:
    """A metric, subject or asset name as words: `few_shot_5_accuracy` becomes `few shot 5 accuracy`."""
    return " ".join(SPELLED.get(word, word) for word in name.split("_"))


def _by_subject(rows: Sequence[Mapping[str, Any]]) -> dict[str, Scored]:
    return {
        row["subject"]: Scored(
            value=row["value"],
            ci_low=row["ci_low"],
            ci_high=row["ci_high"],
            per_class={entry["name"]: entry["value"] for entry in row["per_class"] or ()},
        )
        for row in sorted(rows, key=lambda row: _subject_rank(row["subject"]))
    }


def _subject_rank(subject: str) -> tuple[int, str]:
    known = subject in SUBJECT_ORDER
    return (SUBJECT_ORDER.index(subject) if known else len(SUBJECT_ORDER), subject)


def _reading_order(comparison: Comparison) -> tuple[str, str, str, tuple[int, str], str]:
    where = (comparison.asset, comparison.dataset, comparison.split)
    return (*where, metric_order(comparison.metric), comparison.protocol_fingerprint)


def _not_beaten(comparison: Comparison) -> str | None:
    """The baselines that are as good or better, in one sentence; None where the model beats all of them."""
    model = comparison.scores[MODEL]
    rivals = []
    for subject, baseline in comparison.baselines.items():
        if baseline.value >= model.value:
            verb = "only ties with" if baseline.value == model.value else "loses to"
            overlap = "intervals overlap" if model.overlaps(baseline) else "intervals do not overlap"
            rivals.append(f"{verb} {spelled(subject)} ({percent(baseline.value)}, {overlap})")
    if not rivals:
        return None
    return f"With {percent(model.value)} in {comparison.what} the model {' and '.join(rivals)}."


def _beats_all(comparisons: Sequence[Comparison]) -> str:
    unclear = sum(
        any(comparison.scores[MODEL].overlaps(baseline) for baseline in comparison.baselines.values())
        for comparison in comparisons
    )
    close = f"; in {unclear} of them a 95 % interval overlaps with the model's" if unclear else ""
    scores = "the one score" if len(comparisons) == 1 else f"all {len(comparisons)} scores"
    return f"The model is ahead of every baseline measured with it in {scores}{close}."
