"""Rows of the ledger: what a committed batch cost. Knows no prices beyond what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from synclr_assets.store.tables import rows_of
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.protocols import Completion


def ledger_row(
    stage: str,
    unit: Unit,
    position: int,
    *,
    units: int,
    generator: str,
    completions: Sequence[Completion] = (),
    requests: int | None = None,
    wall_seconds: float,
    gpu_seconds: float = 0.0,
    size_bytes: int = 0,
    usd: float = 0.0,
) -> pa.Table:
    """One row for one committed batch; it is committed with the batch or not at all."""
    return rows_of(
        "ledger",
        [
            {
                **unit.partitions,
                "stage": stage,
                "position": position,
                "units": units,
                "model_id": None,
                "generator": generator,
                "requests": len(completions) if requests is None else requests,
                "prompt_tokens": sum(one.prompt_tokens for one in completions),
                "completion_tokens": sum(one.completion_tokens for one in completions),
                "wall_seconds": wall_seconds,
                "gpu_seconds": gpu_seconds,
                "size_bytes": size_bytes,
                "usd": usd,
                "at": datetime.now(UTC),
            }
        ],
    )
