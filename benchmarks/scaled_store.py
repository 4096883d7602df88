"""Stores of any number of bucket generations, as Delta logs: all that `synclr status` and a plan read.

A small bucket is really made; its entries in the logs are repeated under other names, so that statistics and their
sizes are real. The data files they name do not exist, but for the few rows of `concepts` and `shards`: a store of a
million files takes no space.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, Transaction, write_deltalake
from deltalake.transaction import AddAction

from benchmarks.orchestration import METHODS
from synclr_assets.concept_bank.bank import ConceptBank, read_bank
from synclr_assets.store.store import Store

PAPER_CAPTIONS = 150_000_000
SAMPLE_CAPTIONS = 1024
STAGES = ("captions", "enriched_captions", "images", "shards")
TABLES = ("captions", "enriched_captions", "images", "image_bytes", "shards", "shard_members")
ROWS_PER_CAPTION = {"images": 4, "image_bytes": 4}
CAPTIONS_PER_SHARD = 1000


def write_buckets(folder: Path, count: int) -> ConceptBank:
    """Bucket files of three concepts each, the paper's captions in all."""
    folder.mkdir(parents=True)
    captions = PAPER_CAPTIONS // count
    for index in range(count):
        text = f"captions: {captions}\nconcepts: [apple, mug, {{name: quince, weight: 2}}]\n"
        (folder / f"b{index:04d}.yaml").write_text(text)
    return read_bank(folder)


class Sample:
    """A small bucket, really made by the rehearsal generators."""

    def __init__(self, folder: Path) -> None:
        (folder / "concepts").mkdir()
        names = "[digit one, digit two, digit three, mug, kite, drum, owl, apple]"
        bucket = f"captions: {SAMPLE_CAPTIONS}\nconcepts: {names}\n"
        (folder / "concepts" / "sample.yaml").write_text(bucket)
        made = [sys.executable, "-m", "benchmarks.orchestration", f"--captions={SAMPLE_CAPTIONS}"]
        alone = ["--buckets=1", "--dataset-only"]
        subprocess.run(
            [*made, *alone, f"--method={METHODS[0]}", f"--folder={folder}"], check=True, capture_output=True
        )
        self.store = Store(folder / "store")

    def entries(self, table: str) -> list[dict[str, Any]]:
        """The `add` entries of the table's log."""
        log = Path(self.store.location.local_path(f"tables/{table}/_delta_log"))
        lines = [json.loads(line) for file in sorted(log.glob("*.json")) for line in file.open()]
        return [line["add"] for line in lines if "add" in line]

    def bytes_per_row(self, table: str) -> float:
        """Of data files, without the log."""
        entries = self.entries(table)
        return float(
            sum(one["size"] for one in entries)
            / sum(json.loads(one["stats"])["numRecords"] for one in entries)
        )

    def log_bytes_per_file(self, table: str) -> float:
        """What one data file adds to the log."""
        entries = self.entries(table)
        return sum(len(json.dumps(one)) for one in entries) / len(entries)


def write_store(root: Path, bank: ConceptBank, sample: Sample, commits: int, generations: int) -> Store:
    """Every bucket complete in all generations, each stage of it in `commits` commits. Older generations are of
    another file than today's."""
    store = Store(root)
    _write_concepts(store, bank, sample, generations)
    _write_shards(store, bank, sample, generations)
    cursors = [
        Transaction(f"images/{name}/{generation}{suffix}", cursor)
        for name, bucket in bank.buckets.items()
        for generation in range(generations)
        for suffix, cursor in (("", bucket.num_captions), ("/writer", 1))
    ]
    for table in (name for name in TABLES if name != "shards"):
        template = sample.entries(table)[0]
        log_files(
            store,
            table,
            (
                _entry(template, name, generation, _share(table, bucket.num_captions, commits, part))
                for name, bucket in bank.buckets.items()
                for generation in range(generations)
                for part in range(commits)
            ),
            cursors if table == "images" else (),
        )
    of_stage = {json.loads(one["stats"])["minValues"]["stage"]: one for one in sample.entries("ledger")}
    log_files(
        store,
        "ledger",
        (
            _entry(of_stage[stage], name, generation, 1)
            for name in bank.buckets
            for generation in range(generations)
            for stage in STAGES
            for _ in range(commits)
        ),
    )
    return store


def log_files(
    store: Store, table: str, entries: Iterator[AddAction], cursors: Sequence[Transaction] = ()
) -> None:
    """One commit of files that do not exist, and a checkpoint, as after a hundred real commits."""
    handle = store.tables.open_or_create(table)
    spec = store.tables.spec(table)
    handle.create_write_transaction(
        list(entries),
        "append",
        spec.schema,
        list(spec.partition_by),
        commit_properties=CommitProperties(app_transactions=list(cursors) or None),
    )
    handle.update_incremental()
    handle.create_checkpoint()


def image_entries(sample: Sample, count: int) -> Iterator[AddAction]:
    """`count` entries of the table `images`, a hundred of a bucket."""
    template = sample.entries("images")[0]
    return (_entry(template, f"b{index // 100:06d}", 0, 256) for index in range(count))


def _share(table: str, num_captions: int, commits: int, part: int) -> int:
    """Rows of one of `commits` files."""
    if table == "shards":
        whole = -(-num_captions // CAPTIONS_PER_SHARD)
    else:
        whole = num_captions * ROWS_PER_CAPTION.get(table, 1)
    return whole * (part + 1) // commits - whole * part // commits


def _entry(template: dict[str, Any], bucket: str, generation: int, num_rows: int) -> AddAction:
    stats = {**json.loads(template["stats"]), "numRecords": num_rows}
    return AddAction(
        path=f"bucket={bucket}/generation={generation}/part-00000-{uuid.uuid4()}-c000.zstd.parquet",
        size=template["size"],
        partition_values={"bucket": bucket, "generation": str(generation)},
        modification_time=template["modificationTime"],
        data_change=True,
        stats=json.dumps(stats),
    )


def _write_concepts(store: Store, bank: ConceptBank, sample: Sample, generations: int) -> None:
    """The sample's concepts under every bucket's name, each with an equal part of its captions."""
    rows = sample.store.tables.read("concepts")
    parts = []
    for name, bucket in bank.buckets.items():
        shares = [bucket.num_captions // rows.num_rows] * rows.num_rows
        shares[0] += bucket.num_captions - sum(shares)
        for generation in range(generations):
            fingerprint = bucket.fingerprint if generation == generations - 1 else f"{generation:032x}"
            values = {"bucket": name, "generation": generation, "bucket_fingerprint": fingerprint}
            parts.append(_with(rows, {**values, "num_captions": shares}))
    every = pa.concat_tables(parts)
    assert pc.count_distinct(every["bucket"]).as_py() == len(bank.buckets)
    write_deltalake(store.tables.open_or_create("concepts"), every, mode="append")


def _write_shards(store: Store, bank: ConceptBank, sample: Sample, generations: int) -> None:
    """As many rows as the bucket has shards, of the sample's first shard but for numbers and names."""
    first = sample.store.tables.read("shards").slice(0, 1)
    parts = []
    for name, bucket in bank.buckets.items():
        sizes = [
            min(CAPTIONS_PER_SHARD, bucket.num_captions - start)
            for start in range(0, bucket.num_captions, CAPTIONS_PER_SHARD)
        ]
        rows = first.take([0] * len(sizes))
        for generation in range(generations):
            numbers = list(range(len(sizes)))
            places = [f"{name}/{generation}/{number:06d}" for number in numbers]
            own = {
                "shard_index": numbers,
                "num_captions": sizes,
                "key": [f"shards/{place}.tar" for place in places],
                "sha256": [hashlib.sha256(place.encode()).hexdigest() for place in places],
            }
            parts.append(_with(rows, {"bucket": name, "generation": generation, **own}))
    write_deltalake(store.tables.open_or_create("shards"), pa.concat_tables(parts), mode="append")


def _with(rows: pa.Table, values: dict[str, Any]) -> pa.Table:
    """The rows with other values in some columns: one for all, or a list."""
    for column, value in values.items():
        place = rows.schema.get_field_index(column)
        field = rows.schema.field(column)
        new = value if isinstance(value, list) else [value] * rows.num_rows
        rows = rows.set_column(place, field, pa.array(new, field.type))
    return rows
