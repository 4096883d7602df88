"""Amounts of a quote: one line per stage and bucket, and sums of lines. Computes no rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Line:
    """What one stage takes for one bucket, or for the slice where `bucket` is None. None is unknown."""

    stage: str
    bucket: str | None
    units: float
    """Captions drawn, lists of backgrounds, images kept, captions packed, steps, evaluations."""
    requests: float
    prompt_tokens: float
    completion_tokens: float
    gpu_hours: float | None
    cpu_hours: float | None
    size_bytes: float
    usd: float | None
    days: float | None
    """Wall time with the stage's workers."""


@dataclass(frozen=True)
class Total:
    """Lines added up. An amount that some line does not know is the sum of the others: a lower bound."""

    requests: float
    prompt_tokens: float
    completion_tokens: float
    gpu_hours: float
    cpu_hours: float
    size_bytes: float
    usd: float
    days: float
    lower_bounds: tuple[str, ...]
    """Names of the amounts that are."""


AMOUNTS = tuple(field.name for field in fields(Total) if field.name != "lower_bounds")


def total(lines: Iterable[Line]) -> Total:
    """The sum of the lines."""
    chosen = list(lines)
    known = {name: [v for line in chosen if (v := getattr(line, name)) is not None] for name in AMOUNTS}
    sums = {name: float(sum(values)) for name, values in known.items()}
    return Total(**sums, lower_bounds=tuple(n for n, values in known.items() if len(values) < len(chosen)))
