"""Sums by columns: the same as adding up all rows at once, whatever pieces the table comes in."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.store import sums
from synclr_assets.store.sums import sums_by

SCHEMA = pa.schema([("stage", pa.string()), ("units", pa.int64()), ("usd", pa.float64())])
ROW = st.fixed_dictionaries(
    {
        "stage": st.sampled_from(["captions", "images", None]),
        "units": st.integers(0, 1000) | st.none(),
        "usd": st.integers(0, 64).map(lambda eighths: eighths / 8),
    }
)


def dataset_of(files: list[list[dict[str, Any]]], folder: Path) -> ds.Dataset:
    for number, rows in enumerate(files):
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / f"{number}.parquet")
    return ds.dataset(folder, schema=SCHEMA, format="parquet")


@given(files=st.lists(st.lists(ROW, max_size=5), min_size=1, max_size=4), rows_per_sum=st.integers(1, 6))
def test_sums_do_not_depend_on_the_pieces(files: list[list[dict[str, Any]]], rows_per_sum: int) -> None:
    rows = [row for file in files for row in file if row["usd"] > 0]
    count = Counter(row["stage"] for row in rows)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as scratch:
        patch.setattr(sums, "ROWS_PER_SUM", rows_per_sum)
        patch.setattr(sums, "FILES_PER_SCAN", 2)
        found = sums_by(
            dataset_of(files, Path(scratch)), ["stage"], ["units", "usd"], where=pc.field("usd") > 0
        )
    assert found == {
        (stage,): (
            number,
            sum(row["units"] or 0 for row in rows if row["stage"] == stage),
            sum(row["usd"] for row in rows if row["stage"] == stage),
        )
        for stage, number in count.items()
    }


def test_no_column_gives_one_sum_and_no_table_none(tmp_path: Path) -> None:
    rows = [{"stage": "images", "units": 4, "usd": 0.5}, {"stage": "captions", "units": 1, "usd": 0.25}]
    assert sums_by(dataset_of([rows], tmp_path), [], ["units", "usd"]) == {(): (2, 5, 0.75)}
    assert sums_by(None, ["stage"]) == {}
