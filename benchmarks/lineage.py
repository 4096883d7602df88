"""Lineage over synthetic tables of any size: `python -m benchmarks.lineage [--captions 10000000]`.

The tables are written straight as Delta, one file per bucket and table as after compaction. Beyond IMAGES_UP_TO
captions only the buckets that are asked for have all rows of `images`, the others FEW_IMAGES of them, in as many
files: counting reads the files' statistics, not the rows. Each size is a store of its own, removed afterwards.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
from deltalake import CommitProperties, write_deltalake

from synclr_assets.provenance.lineage import caption_lineage, model_lineage, sample_captions
from synclr_assets.provenance.lineage_index import index_captions
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of

CAPTIONS_PER_SHARD = 1000
NUM_CONCEPTS = 100
NUM_MODELS = 5
NUM_SAMPLED = 20
ROUNDS = 5
IMAGES_UP_TO = 1_000_000
FEW_IMAGES = 1000
PAPER_CAPTIONS = 150_000_000


@dataclass(frozen=True)
class Timing:
    """One size; seconds are the median of ROUNDS calls."""

    num_captions: int
    num_buckets: int
    written_s: float
    stored_mb: float
    indexed_s: float
    counted_s: float
    sampled_s: float
    caption_s: float
    caption_cpu_s: float
    """Of this process: what a caption's lookup costs whatever else the machine does."""
    command_s: float
    """`synclr lineage caption` in a process of its own, its start included."""


PARTS = [field.name for field in fields(Timing)[4:]]


def write_store(root: Path, num_captions: int, num_buckets: int) -> Store:
    """A store with `num_captions` in equal buckets, all packed, and models that read all or half of them."""
    store = Store(root)
    per_bucket = num_captions // num_buckets
    shards_of: dict[str, pa.Table] = {}
    for table in ("captions", "enriched_captions", "images", "shards", "shard_members"):
        parts = (_part(table, f"bucket{number:04d}", number, per_bucket) for number in range(num_buckets))
        for number, part in enumerate(parts):
            if table == "images" and num_captions > IMAGES_UP_TO and number >= ROUNDS:
                part = part.slice(0, FEW_IMAGES)
            if table == "shards":
                shards_of[part["bucket"][0].as_py()] = part
            _append(store, table, part)
    for number in range(NUM_MODELS):
        used = list(shards_of.values())[: num_buckets // (1 + number % 2)]
        _write_model(store, f"{number:032x}", used)
    return store


def _append(store: Store, table: str, rows: pa.Table) -> None:
    handle = store.tables.open_or_create(table)
    write_deltalake(handle, rows, mode="append", commit_properties=CommitProperties())


def _ids(number: int, count: int) -> np.ndarray:
    draws = np.random.default_rng(number).integers(0, 256, (count, 16), dtype=np.uint8)
    return np.frombuffer(draws.tobytes().hex().encode(), dtype="S32").astype("U32")


def _part(table: str, bucket: str, number: int, count: int) -> pa.Table:
    """The rows of one bucket, generation 0, in the store's own schema."""
    schema = Store("unused").tables.spec(table).schema
    ids = pa.array(_ids(number, count))
    position = np.arange(count)
    shard = position // CAPTIONS_PER_SHARD
    concept = pa.array([f"concept {n}" for n in range(NUM_CONCEPTS)])
    values: dict[str, Any] = {
        "bucket": bucket,
        "generation": 0,
        "model": "meta-llama/Llama-2-7b",
        "revision": "f" * 40,
        "licence": "llama2",
        "fingerprint": "c" * 32,
        "template": "c",
        "attempts": 1,
    }
    if table in ("captions", "enriched_captions"):
        texts = concept.take(pa.array(position % NUM_CONCEPTS))
        values |= {"position": position, "caption_id": ids, "concept": texts, "ordinal": position}
        values |= {"text": pa.compute.binary_join_element_wise("a photo of", texts, ids, " ")}
    elif table == "images":
        repeated = pa.array(np.repeat(position, 4))
        values |= {"caption_id": ids.take(repeated), "view": np.tile(np.arange(4), count)}
        values |= {"position": repeated, "model": "stable-diffusion-v1-5", "sha256": ids.take(repeated)}
    elif table == "shard_members":
        values |= {"caption_id": ids, "shard_index": shard, "offset_bytes": position}
    else:
        indexes, counts = np.unique(shard, return_counts=True)
        names = [f"{bucket}-{index:06d}" for index in indexes]
        digests = [f"{number:032x}{index:032x}" for index in indexes]
        values |= {"shard_index": indexes, "num_captions": counts, "num_images": 4 * counts}
        values |= {"key": names, "sha256": digests}
    length = max((len(v) for v in values.values() if not isinstance(v, str | int)), default=0)
    columns = []
    for field in schema:
        value = values.get(field.name)
        if value is None or isinstance(value, str | int):
            columns.append(pa.repeat(pa.scalar(value, field.type), length))
        else:
            columns.append(pa.array(value).cast(field.type))
    return pa.table(columns, schema=schema)


def _write_model(store: Store, model_id: str, shards: list[pa.Table]) -> None:
    inputs = [
        {
            "bucket": part["bucket"][0].as_py(),
            "generation": 0,
            "num_captions": int(np.sum(part["num_captions"].to_numpy())),
            "shard_sha256s": part["sha256"].to_pylist(),
        }
        for part in shards
    ]
    row: dict[str, Any] = {
        "slice": "all",
        "model_id": model_id,
        "recipe": "vit_b16",
        "inputs": inputs,
        "key": model_id,
    }
    row |= {"table_versions": [], "steps": 500_000, "created_at": datetime.now(UTC)}
    _append(store, "models", rows_of("models", [row]))
    read = pa.concat_tables(shards)
    consumed = {
        "model_id": pa.repeat(pa.scalar(model_id), read.num_rows),
        "bucket": read["bucket"],
        "generation": read["generation"],
        "shard_index": read["shard_index"],
        "shard_sha256": read["sha256"],
        "captions_read": pa.compute.cast(read["num_captions"], pa.int64()),
        "images_read": pa.compute.cast(read["num_images"], pa.int64()),
        "epochs": pa.repeat(pa.scalar(1.0), read.num_rows),
    }
    _append(store, "consumption", pa.table(consumed, schema=store.tables.spec("consumption").schema))


def median_seconds(call: Callable[[int], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Of ROUNDS calls, each with its number."""
    times = []
    for number in range(ROUNDS):
        started = clock()
        call(number)
        times.append(clock() - started)
    return sorted(times)[ROUNDS // 2]


def measure(num_captions: int, num_buckets: int) -> Timing:
    """Write a store of this size, ask it, remove it. Wrong answers fail."""
    root = Path(tempfile.mkdtemp(prefix="synclr-lineage-"))
    try:
        started = time.perf_counter()
        store = write_store(root, num_captions, num_buckets)
        written = time.perf_counter() - started
        stored = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) / 1e6
        started = time.perf_counter()
        index_captions(store)
        indexed = time.perf_counter() - started
        model_id = f"{0:032x}"

        def count(_: int) -> None:
            lineage = model_lineage(store, model_id)
            assert sum(unit.num_captions for unit in lineage.units) == num_captions
            assert sum(unit.captioners[0]["rows"] for unit in lineage.units) == num_captions

        def sample(_: int) -> None:
            assert (
                len(sample_captions(store, {"model_id": model_id, "num_excluded": 0}, NUM_SAMPLED))
                == NUM_SAMPLED
            )

        def find(number: int) -> None:
            identity = str(_ids(number, 10)[number])
            found = caption_lineage(store, identity)
            assert found.caption["bucket"] == f"bucket{number:04d}"
            assert len(found.models) == NUM_MODELS

        def ask(number: int) -> None:
            command = [sys.executable, "-m", "synclr_assets.cli", "lineage", "caption"]
            identity = str(_ids(number, 10)[number])
            answer = subprocess.run(
                [*command, identity, "--store", str(root)], capture_output=True, check=True
            )
            assert answer.stdout.count(b"model 0") == NUM_MODELS

        return Timing(
            num_captions,
            num_buckets,
            written,
            stored,
            indexed,
            median_seconds(count),
            median_seconds(sample),
            median_seconds(find),
            median_seconds(find, time.process_time),
            median_seconds(ask),
        )
    finally:
        shutil.rmtree(root)


def extrapolated(timings: list[Timing], part: str) -> float:
    """Seconds at the paper's size, along the line through the two largest sizes."""
    small, large = timings[-2:]
    slope = (getattr(large, part) - getattr(small, part)) / (large.num_captions - small.num_captions)
    return float(getattr(large, part) + max(slope, 0.0) * (PAPER_CAPTIONS - large.num_captions))


@click.command()
@click.option("--captions", "largest", type=click.IntRange(100_000), default=10_000_000, show_default=True)
def main(largest: int) -> None:
    """Print the table."""
    sizes = [size for size in (100_000, 1_000_000, 10_000_000) if size < largest] + [largest]
    print(
        row(
            "captions",
            "buckets",
            "written s",
            "MB",
            "index s",
            "count s",
            "sample s",
            "caption s",
            "command s",
        )
    )
    timings = []
    for size in sizes:
        timings.append(measure(size, min(400, size // 5000)))
        print(row(*(getattr(timings[-1], field.name) for field in fields(Timing))), flush=True)
    if len(timings) > 1:
        growth = [getattr(timings[-1], part) / getattr(timings[0], part) for part in PARTS]
        print(row(f"x {largest / sizes[0]:g}", "(growth)", "", "", *(f"x {times:.1f}" for times in growth)))
        ends = [extrapolated(timings, part) for part in PARTS]
        print(row(PAPER_CAPTIONS, "(line)", "", "", *ends))


def row(*cells: object) -> str:
    """One line of the table; seconds with three digits."""
    return "".join(
        f"{cell:.3f}".rjust(12) if isinstance(cell, float) else str(cell).rjust(12) for cell in cells
    )


if __name__ == "__main__":
    main()
