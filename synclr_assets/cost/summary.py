"""What the ledger says was spent, added up by asset, bucket, generator or run. Reads it as a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from synclr_assets.store.store import Store
from synclr_assets.store.sums import only_files, sums_by, sums_of
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
        return Spent(**{name: mine + getattr(other, name) for name, mine in vars(self).items()})


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


def spent_by(
    tables: Tables,
    *by: str,
    unit: Unit | None = None,
    since: datetime | None = None,
    where: pc.Expression | None = None,
) -> Totals:
    """Spending per value of `by` (names of COLUMN_OF), in the order of the values; one sum for no name.

    Only of one unit, of rows recorded `since`, and of rows that match `where`, if these are given. Without the first
    and the last, files of one row are read from the table's log. Raises ValueError for an unknown name.
    """
    for name in by:
        if name not in COLUMN_OF:
            raise ValueError(f"spending cannot be added up by {name!r}: use one of {', '.join(COLUMN_OF)}.")
    columns = [COLUMN_OF[name] for name in by]
    totals: Totals = {}
    unread: set[str] | None = None
    if where is None and unit is None:
        totals, unread = logged_totals(tables, columns, since)
    if unread is None or unread:
        dataset = tables.snapshot("ledger", None if unit is None else unit.partitions)
        if dataset is not None and unread is not None:
            dataset = only_files(dataset, unread)
        if since is not None:
            recent = pc.field("at") >= since
            where = recent if where is None else where & recent
        for key, spent in totals_of(dataset, columns, where).items():
            totals[key] = totals.get(key, Spent()) + spent
    return dict(sorted(totals.items(), key=lambda item: tuple(str(value) for value in item[0])))


def logged_totals(
    tables: Tables, columns: Sequence[str], since: datetime | None = None
) -> tuple[Totals, set[str]]:
    """Spending of the files whose one row stands whole in the log, and the paths of the others with rows.

    A ledger has a file for each commit of each stage; to open hundreds of thousands takes minutes and gigabytes.
    """
    files = tables.files("ledger")
    if not files.num_rows:
        return {}, set()
    if since is not None:
        files = files.filter(pc.greater_equal(files["max.at"], pa.scalar(since, files["max.at"].type)))
    whole = pc.equal(files["num_records"], 1)
    place = {}
    for column in columns:
        place[column] = f"partition.{column}"
        if place[column] not in files.column_names:
            place[column] = f"min.{column}"
            whole = pc.and_(whole, _is_whole(files, column))
    summed = {name: f"min.{name}" for name in SUMS if f"min.{name}" in files.column_names}
    rows = files.filter(whole)
    unread = set(
        files.filter(pc.and_(pc.invert(whole), pc.greater(files["num_records"], 0)))["path"].to_pylist()
    )
    if not rows.num_rows:
        return {}, unread
    kept = pa.table({name: rows[origin] for name, origin in (place | summed).items()})
    totals = {
        key: Spent(batches, **dict(zip(summed, sums, strict=True)))
        for key, (batches, *sums) in sums_of(kept, columns, list(summed)).items()
    }
    return totals, unread


def _is_whole(files: pa.Table, column: str) -> pa.ChunkedArray:
    """Whether least and greatest value are one: the log cuts long words short, each its own way."""
    if f"min.{column}" not in files.column_names:  # a column that no file had yet
        return pa.chunked_array([pa.repeat(False, files.num_rows)])
    least, greatest = files[f"min.{column}"], files[f"max.{column}"]
    none = pc.and_(pc.is_null(least), pc.is_null(greatest))
    return pc.if_else(none, True, pc.fill_null(pc.equal(least, greatest), False))


def totals_of(dataset: ds.Dataset | None, columns: list[str], where: pc.Expression | None = None) -> Totals:
    """Spending per distinct value of the ledger's columns in a dataset of ledger rows."""
    return {key: Spent(*sums) for key, sums in sums_by(dataset, columns, SUMS, where).items()}


def ledger_metadata(store: Store, unit: Unit, stage: str) -> dict[str, int | float]:
    """What one stage of one bucket generation has cost so far, as plain numbers for a UI."""
    totals = spent_by(store.tables, unit=unit, where=pc.field("stage") == stage)
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
