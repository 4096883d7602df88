"""Writing tables that come in parts to one CSV or Parquet file, which appears whole or not at all."""

from collections.abc import Iterable
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

EXPORT_OPTION = click.option(
    "--export", type=click.Path(path_type=Path), help="Write all rows to a .csv or .parquet file."
)


def export_tables(parts: Iterable[pa.Table | pa.RecordBatch], path: Path) -> int:
    """Write the parts, which share a schema, one after the other. Returns the rows; no file for no part."""
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise click.UsageError(f"--export {path}: end the name in .csv or .parquet.")
    partial = path.with_name(path.name + ".partial")
    num_rows = 0
    writer: pa.csv.CSVWriter | pq.ParquetWriter | None = None
    try:
        for part in parts:
            if writer is None:
                make = pa.csv.CSVWriter if suffix == ".csv" else pq.ParquetWriter
                writer = make(partial, part.schema)
            writer.write(part)
            num_rows += part.num_rows
    finally:
        if writer is not None:
            writer.close()
    if writer is not None:
        partial.replace(path)
    return num_rows
