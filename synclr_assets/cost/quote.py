"""A quote: what a slice will take, per stage and bucket, from its workload and the figures. Arithmetic only.

A figure that nobody knows makes the amounts that need it unknown (None) and is named; it is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from synclr_assets.cost.amounts import Line, Total, total
from synclr_assets.cost.rates import Figure, Figures
from synclr_assets.cost.stage_lines import (
    Asked,
    background_line,
    caption_line,
    evaluation_line,
    image_line,
    shard_line,
    training_line,
)
from synclr_assets.cost.workload import BucketWork
from synclr_assets.stages.ledger import SECONDS_PER_HOUR
from synclr_assets.stages.shards import ShardSettings

STAGES = ("captions", "backgrounds", "enriched_captions", "images", "shards", "checkpoint", "evaluations")
PER_CAPTION_STAGES = ("captions", "enriched_captions", "images")


@dataclass(frozen=True)
class Quote:
    """Everything a quote says."""

    work: tuple[BucketWork, ...]
    lines: tuple[Line, ...]
    figures: dict[str, Figure]
    unknown: tuple[str, ...]
    """Figures that were wanted and that nobody knows."""

    @property
    def num_captions(self) -> int:
        return sum(one.num_captions for one in self.work)

    def of_stage(self, stage: str) -> Total:
        """All buckets of one stage."""
        return total(line for line in self.lines if line.stage == stage)

    def of_bucket(self, bucket: str) -> Total:
        """All stages of one bucket; training and evaluation belong to the slice."""
        return total(line for line in self.lines if line.bucket == bucket)

    @property
    def whole(self) -> Total:
        return total(self.lines)

    @property
    def expected(self) -> dict[str, dict[str, float]]:
        """Costs of one cursor value per stage, for the `expected` of a budget file; known ones only."""
        counted = {
            **dict.fromkeys(PER_CAPTION_STAGES, float(self.num_captions)),
            "backgrounds": float(sum(one.num_background_lists for one in self.work)),
            "shards": self.num_captions / ShardSettings().captions_per_shard,
        }
        expected = {}
        for stage, count in counted.items():
            lines = [line for line in self.lines if line.stage == stage]
            amounts: dict[str, Callable[[Line], float | None]] = {
                "usd": lambda line: line.usd,
                "tokens": lambda line: line.prompt_tokens + line.completion_tokens,
                "gpu_seconds": lambda line: (
                    None if line.gpu_hours is None else line.gpu_hours * SECONDS_PER_HOUR
                ),
                "requests": lambda line: line.requests,
            }
            sums = {name: _sum(map(amount, lines)) for name, amount in amounts.items()}
            if count:
                expected[stage] = {name: value / count for name, value in sums.items() if value is not None}
        return expected


def quote(work: Sequence[BucketWork], figures: Figures) -> Quote:
    """The quote of a workload. Takes as long for a hundred million captions as for a hundred."""
    asked = Asked(figures)
    lines: list[Line] = []
    for one in work:
        lines += [
            caption_line(asked, "captions", one, ("c", "c_rel")),
            background_line(asked, one),
            caption_line(asked, "enriched_captions", one, ("c_bg",)),
            image_line(asked, one),
            shard_line(asked, one),
        ]
    lines += [training_line(asked), evaluation_line(asked)]
    return Quote(tuple(work), tuple(lines), dict(figures), tuple(sorted(asked.unknown)))


def _sum(amounts: Iterable[float | None]) -> float | None:
    values = list(amounts)
    return None if None in values else sum(value for value in values if value is not None)
