"""Rows of a table counted and summed by some of its columns, as a stream. Knows no table by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

ROWS_PER_SUM = 1 << 16
"""Rows held in memory at once."""
FILES_PER_SCAN = 32

Sums = dict[tuple[Any, ...], tuple[Any, ...]]
"""(number of rows, sum of each summed column) per distinct values of the grouping columns."""


def sums_by(
    dataset: ds.Dataset | None,
    by: Sequence[str],
    sums: Sequence[str] = (),
    where: pc.Expression | None = None,
) -> Sums:
    """Rows that match, counted by the `by` columns, with the sums of the `sums` columns; nulls add nothing.

    Holds ROWS_PER_SUM rows and the result in memory, however long the table is. No dataset: no rows.
    """
    totals: Sums = {}
    if dataset is None:
        return totals
    for rows in _chunks(batches_of(dataset, [*by, *sums], where)):
        for key, added in sums_of(rows, by, sums).items():
            before = totals.get(key, (0,) * len(added))
            totals[key] = tuple(old + new for old, new in zip(before, added, strict=True))
    return totals


def sums_of(rows: pa.Table, by: Sequence[str], sums: Sequence[str] = ()) -> Sums:
    """The same of rows in memory."""
    wanted = [([], "count_all"), *((column, "sum") for column in sums)]
    grouped = rows.group_by(list(by), use_threads=False).aggregate(wanted)
    return {
        tuple(row[column] for column in by): (
            row["count_all"],
            *(row[f"{column}_sum"] or 0 for column in sums),
        )
        for row in grouped.to_pylist()
    }


def batches_of(
    dataset: ds.Dataset, columns: list[str], where: pc.Expression | None
) -> Iterator[pa.RecordBatch]:
    """The rows, some files at a time: a scan of all files at once reads further ahead than it is asked to."""
    fragments = dataset.get_fragments(filter=where)
    while files := list(islice(fragments, FILES_PER_SCAN)):
        part = ds.FileSystemDataset(files, dataset.schema, dataset.format, dataset.filesystem)
        yield from part.scanner(
            columns=columns, filter=where, batch_size=ROWS_PER_SUM, batch_readahead=2, fragment_readahead=2
        ).to_reader()


def only_files(dataset: ds.Dataset, paths: Collection[str]) -> ds.Dataset:
    """The files of these paths, as the table's log names them."""
    files = [fragment for fragment in dataset.get_fragments() if fragment.path in paths]
    assert len(files) == len(paths), "every file of the log is in the dataset"
    return ds.FileSystemDataset(files, dataset.schema, dataset.format, dataset.filesystem)


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The batches joined into tables of about ROWS_PER_SUM rows: a table may be many files of one row."""
    held: list[pa.RecordBatch] = []
    num_rows = 0
    for batch in batches:
        held.append(batch)
        num_rows += len(batch)
        if num_rows >= ROWS_PER_SUM:
            yield pa.Table.from_batches(held)
            held, num_rows = [], 0
    if held:
        yield pa.Table.from_batches(held)
