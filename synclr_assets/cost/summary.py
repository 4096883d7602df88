"""What the ledger says was spent, added up by asset, bucket, generator or run. Reads it as a stream."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import pyarrow.compute as pc
import pyarrow.dataset as ds

from synclr_assets.store.store import Store
from synclr_assets.store.sums import sums_by
from synclr_assets.store.tables import Tables
from synclr_assets.store.transactions import Unit

COLUMN_OF = {
    "asset": "stage",
    "bucket": "bucket",
    "generation": "generation",
    "generator": "generator",
    "run": "run_id",
}
"""What spending can be added up by, and the ledger's column for it."""
UNITS_PER_CAPTION = {"captions": 1, "enriched_captions": 1, "images": 4}
"""Ledger units one caption makes, at the stages that work caption by caption (four views: SynCLR 3.2)."""


@dataclass(frozen=True)
class Spent:
    """A sum over rows of the ledger."""

    batches: int = 0
    """Rows, each a committed batch."""
    units: int = 0
    """Captions, backgrounds, images or shards made."""
    requests: int = 0
    """Calls of a generator."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    wall_seconds: float = 0.0
    gpu_seconds: float = 0.0
    size_bytes: int = 0
    usd: float = 0.0
    requests_in_doubt: int = 0
    """Tries without a whole answer: a server may have charged for them beyond usd."""

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


SUMS = (
    "units",
    "requests",
    "prompt_tokens",
    "completion_tokens",
    "wall_seconds",
    "gpu_seconds",
    "size_bytes",
    "usd",
    "requests_in_doubt",
)
Totals = dict[tuple[str | int | None, ...], Spent]


def spent_by(tables: Tables, *by: str, where: pc.Expression | None = None) -> Totals:
    """Spending per value of `by` (names of COLUMN_OF), in the order of the values; one sum for no name.

    Memory holds some rows and the result, however long the ledger is. Raises ValueError for an
    unknown name.
    """
    for name in by:
        if name not in COLUMN_OF:
            raise ValueError(f"spending cannot be added up by {name!r}: use one of {', '.join(COLUMN_OF)}.")
    dataset = tables.snapshot("ledger")
    totals = {} if dataset is None else totals_of(dataset, [COLUMN_OF[name] for name in by], where)
    return dict(sorted(totals.items(), key=lambda item: tuple(str(value) for value in item[0])))


def totals_of(dataset: ds.Dataset, columns: list[str], where: pc.Expression | None = None) -> Totals:
    """Spending per distinct value of the ledger's columns in a dataset of ledger rows."""
    return {key: Spent(*sums) for key, sums in sums_by(dataset, columns, SUMS, where).items()}


def ledger_metadata(store: Store, unit: Unit, stage: str) -> dict[str, int | float]:
    """What one stage of one bucket generation has cost so far, as plain numbers for a UI."""
    totals = spent_by(store.tables, where=unit.where & (pc.field("stage") == stage))
    spent = totals.get((), Spent())
    return {
        "cost (USD)": round(spent.usd, 6),
        "tokens read": spent.prompt_tokens,
        "tokens written": spent.completion_tokens,
        "requests": spent.requests,
        "requests in doubt": spent.requests_in_doubt,
        "wall time (s)": round(spent.wall_seconds, 3),
        "GPU time (s)": round(spent.gpu_seconds, 3),
    }


def captions_of(stage: str, units: int) -> float:
    """Captions that so many ledger units of the stage stand for; 0 at stages that do not count captions."""
    per_caption = UNITS_PER_CAPTION.get(stage)
    return 0.0 if per_caption is None else units / per_caption
