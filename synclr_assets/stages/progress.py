"""How a stage tells its caller where it is, and what it says at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow.compute as pc

from synclr_assets.store.errors import NotReadyError
from synclr_assets.store.tables import Tables
from synclr_assets.store.transactions import Unit, stage_cursor

OnProgress = Callable[[int, int], None]
"""Called with (units done, units in all) after every commit."""


BeforeBatch = Callable[[int], None]
"""Called with the cursor values of the next batch before anything of it is made; raising stops the stage there."""


def unlimited(num_units: int) -> None:
    """The BeforeBatch that lets everything through."""


def silent(done: int, total: int) -> None:
    """The OnProgress that says nothing."""


@dataclass(frozen=True)
class StageCounts:
    """What a stage holds for one bucket generation. allocated = written + quarantined once it is complete."""

    unit: Unit
    allocated: int
    written: int
    quarantined: dict[str, int] = field(default_factory=dict)

    @property
    def num_quarantined(self) -> int:
        return sum(self.quarantined.values())


def quarantined_by_reason(tables: Tables, stage: str, unit: Unit) -> dict[str, int]:
    """Captions given up at the stage, counted by reason."""
    rows = tables.read(
        "quarantine", partitions=unit.partitions, columns=["reason"], where=pc.field("stage") == stage
    )
    counts = rows["reason"].value_counts().to_pylist()
    return {item["values"]: item["counts"] for item in sorted(counts, key=lambda item: item["values"])}


def planned_captions(tables: Tables, unit: Unit) -> int:
    """The caption budget of the unit. Raises NotReadyError where its concepts were never written."""
    rows = tables.read("concepts", partitions=unit.partitions, columns=["num_captions"])
    if rows.num_rows == 0:
        raise NotReadyError(f"concepts of {unit} do not exist: materialise concepts of {unit.bucket} first.")
    return int(pc.sum(rows["num_captions"]).as_py())


def require_complete(tables: Tables, stage: str, unit: Unit, total: int) -> None:
    """Raise NotReadyError unless the stage has finished all `total` cursor values of the unit."""
    done = stage_cursor(tables, stage, unit)
    if done < total:
        raise NotReadyError(
            f"{stage} of {unit} stand at {done} of {total}: materialise {stage} of {unit.bucket} first."
        )
