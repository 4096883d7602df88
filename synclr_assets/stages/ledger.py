"""Rows of the ledger: what a committed batch cost. Knows no prices beyond what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from synclr_assets.store.tables import rows_of
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.protocols import Completion

SECONDS_PER_HOUR = 3600.0
TOKENS_PER_PRICE = 1e6


class Prices(BaseModel):
    """What a generator charges; everything is free unless said otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    usd_per_million_prompt_tokens: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """US dollars for a million tokens read."""
    usd_per_million_completion_tokens: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """US dollars for a million tokens written."""
    usd_per_gpu_hour: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """US dollars for an hour of one GPU."""

    def usd(self, prompt_tokens: float, completion_tokens: float, gpu_seconds: float) -> float:
        """US dollars for this much work."""
        return (
            prompt_tokens * self.usd_per_million_prompt_tokens / TOKENS_PER_PRICE
            + completion_tokens * self.usd_per_million_completion_tokens / TOKENS_PER_PRICE
            + gpu_seconds * self.usd_per_gpu_hour / SECONDS_PER_HOUR
        )


FREE = Prices()


def ledger_row(
    stage: str,
    unit: Unit,
    position: int,
    *,
    units: int,
    generator: str,
    completions: Sequence[Completion] = (),
    requests: int | None = None,
    requests_in_doubt: int = 0,
    wall_seconds: float,
    gpu_seconds: float = 0.0,
    size_bytes: int = 0,
    usd: float = 0.0,
    prices: Prices = FREE,
    run_id: str = "",
    model_id: str | None = None,
) -> pa.Table:
    """One row for one committed batch; it is committed with the batch or not at all.

    The money is what `prices` make of the tokens and GPU seconds, plus `usd` for what they do not cover.
    """
    prompt_tokens = sum(one.prompt_tokens for one in completions)
    completion_tokens = sum(one.completion_tokens for one in completions)
    return rows_of(
        "ledger",
        [
            {
                **unit.partitions,
                "stage": stage,
                "position": position,
                "units": units,
                "model_id": model_id,
                "generator": generator,
                "requests": len(completions) if requests is None else requests,
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "wall_seconds": wall_seconds,
                "gpu_seconds": gpu_seconds,
                "size_bytes": size_bytes,
                "usd": usd + prices.usd(prompt_tokens, completion_tokens, gpu_seconds),
                "run_id": run_id or None,
                "requests_in_doubt": requests_in_doubt,
                "at": datetime.now(UTC),
            }
        ],
    )
