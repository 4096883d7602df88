"""What 4096 buckets and 150 million captions take of everything but GPUs: `python -m benchmarks.scale`.

Measured: the commands that read the store's logs, the growth of one Delta table, a real `synclr dev`. Computed from
bytes per row of a small bucket that is really made: table sizes, files, commits, events. docs/scale.md reads it.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import pyarrow as pa

from benchmarks.scaled_platform import QUESTIONS, RELOAD, TICK, materialise, running_platform
from benchmarks.scaled_store import (
    PAPER_CAPTIONS,
    ROWS_PER_CAPTION,
    TABLES,
    Sample,
    image_entries,
    log_files,
    write_buckets,
    write_store,
)
from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.cost.assumptions import jpeg_bytes
from synclr_assets.launch.instance import prepare_home
from synclr_assets.profiles import gpu
from synclr_assets.store.store import Store

PARTS = ("commands", "tables", "platform", "computed")
COMMANDS = (
    ("status",),
    ("status", "--bucket", "b0001"),
    ("plan", "regenerate", "--stalest", "8", "--min-age-days", "0"),
    ("ledger", "--by", "asset"),
    ("quote",),
    ("concepts", "check"),
)
TABLE_FILES = (10_000, 40_000, 160_000, 640_000)
KILO = 1024.0
VIEWS = 4
IMAGE_BYTES = jpeg_bytes(512, 95)
"""A photograph of 512 px as the profile stores it."""
EVENTS_PER_RUN, RUN_KILOBYTES = 100, 322
"""What Dagster stores of a bucket's five steps in processes of their own, contact sheet included: counted."""


@click.command()
@click.option("--buckets", default=4096, show_default=True)
@click.option("--commits", default=8, show_default=True, help="Commits of each stage of a bucket.")
@click.option("--generations", default=2, show_default=True)
@click.option("--materialised", default=400, show_default=True, help="Buckets with events in Dagster's log.")
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="Left out: all.")
def main(buckets: int, commits: int, generations: int, materialised: int, parts: tuple[str, ...]) -> None:
    """Print the tables."""
    root = Path(tempfile.mkdtemp(prefix="synclr-scale-"))
    try:
        (root / "sample").mkdir()
        sample = Sample(root / "sample")
        bank = write_buckets(root / "concepts", buckets)
        environment = {
            "SYNCLR_CONCEPTS": str(root / "concepts"),
            "SYNCLR_STORE": str(root / "store"),
            "DAGSTER_HOME": str(root / "dagster"),
        }
        chosen = parts or PARTS
        if "commands" in chosen or "platform" in chosen:
            write_store(root / "store", bank, sample, commits, generations)
            shape = f"{buckets} buckets, {generations} generations, {commits} commits a stage"
            click.echo(f"store: {shape}, {buckets * generations * commits} files a table\n")
        if "commands" in chosen:
            time_commands(environment)
        if "tables" in chosen:
            time_tables(root / "grown", sample)
        if "platform" in chosen:
            time_platform(root, bank, environment, materialised)
        if "computed" in chosen:
            compute(buckets, sample)
    finally:
        shutil.rmtree(root)


def time_commands(environment: Mapping[str, str]) -> None:
    """Clock and peak memory of commands, each a process of its own."""
    click.echo(f"{'command':58}{'s':>8}{'MiB':>8}")
    program = str(Path(sys.executable).parent / "synclr")
    for arguments in COMMANDS:
        seconds, memory = _timed([program, *arguments], environment)
        click.echo(f"{'synclr ' + ' '.join(arguments):58}{seconds:8.1f}{memory:8.0f}")
    models = {"b0001": "b" * 32, "all": "a" * 32}
    for slice_name, model_id in models.items():
        inputs = [sys.executable, "-m", "benchmarks.scale_inputs", slice_name]
        for title, command in (
            (f"inputs of a training on slice {slice_name}", inputs),
            ("the same, and the model's record", [*inputs, model_id]),
        ):
            seconds, memory = _timed(command, environment)
            click.echo(f"{title:58}{seconds:8.1f}{memory:8.0f}")
    click.echo()


def time_tables(root: Path, sample: Sample) -> None:
    """Opening, listing and one commit of a table as its files grow."""
    click.echo(
        f"{'files of images':>16}{'open s':>9}{'list s':>9}{'commit s':>10}{'one unit s':>12}{'MiB':>7}"
    )
    rows = sample.store.tables.read("images").slice(0, 4)
    for count in TABLE_FILES:
        store = Store(root / str(count))
        log_files(store, "images", image_entries(sample, count))
        opened, listed, committed, one_unit = _table_seconds(store, rows)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILO
        click.echo(f"{count:>16}{opened:9.2f}{listed:9.2f}{committed:10.2f}{one_unit:12.2f}{memory:7.0f}")
    click.echo()


def _table_seconds(store: Store, rows: pa.Table) -> tuple[float, ...]:
    """Seconds of opening, listing, one commit, and a dataset of one unit."""
    tables = store.tables

    def commit() -> None:
        handle = tables.open("images")
        assert handle is not None
        tables.append(handle, "images", rows)

    unit = {"bucket": "b000001", "generation": 0}
    calls: tuple[Callable[[], object], ...] = (
        lambda: tables.open("images"),
        lambda: tables.files("images"),
        commit,
        lambda: tables.snapshot("images", unit),
    )
    return tuple(_seconds(call) for call in calls)


def time_platform(root: Path, bank: ConceptBank, environment: Mapping[str, str], materialised: int) -> None:
    """The UI's questions and what its processes hold."""
    home = root / "dagster"
    prepare_home(home)
    per_event = materialise(home, bank, materialised)
    click.echo(
        f"synclr dev: {materialised} buckets materialised, {per_event * 1000:.0f} ms an event (SQLite)"
    )
    with running_platform(environment, root / "dev.log") as platform:
        click.echo(f"{'first answer':30}{platform.started_s:8.1f} s")
        questions = {**QUESTIONS, "tick of concept_files": TICK, "reload": RELOAD}
        for name, (query, variables) in questions.items():
            times = [platform.ask(query, variables)[1] for _ in range(2)]
            click.echo(f"{name:30}{times[0]:8.2f} s, again {times[1]:.2f} s")
        for part, held in platform.memory_mib().items():
            click.echo(f"{part:30}{held:8.0f} MiB")
    click.echo()


def compute(buckets: int, sample: Sample) -> None:
    """Sizes at the paper's scale, from bytes per row of the sample and the settings of profile gpu."""
    section = gpu().dataset
    captions_per_bucket = PAPER_CAPTIONS / buckets
    shards = buckets * -(-captions_per_bucket // section.captions_per_shard)
    text_commits = buckets * -(-captions_per_bucket // section.captions_per_commit)
    image_commits = buckets * -(-captions_per_bucket // section.image_captions_per_commit)
    files = {
        "captions": text_commits,
        "enriched_captions": text_commits,
        "images": image_commits,
        "image_bytes": image_commits,
        "shards": shards,
        "shard_members": shards,
    }
    files["ledger"] = 2 * text_commits + image_commits + shards
    click.echo(f"{'table':20}{'rows':>15}{'bytes a row':>13}{'GB':>10}{'files':>12}{'log GB':>9}")
    for table in (*TABLES, "ledger"):
        rows = PAPER_CAPTIONS * ROWS_PER_CAPTION.get(table, 1)
        if table in ("shards", "ledger"):
            rows = int(files[table])
        width = IMAGE_BYTES if table == "image_bytes" else sample.bytes_per_row(table)
        log = sample.log_bytes_per_file(table) * files[table] / 1e9
        size = rows * width / 1e9
        click.echo(f"{table:20}{rows:>15,}{width:13.0f}{size:10.1f}{int(files[table]):>12,}{log:9.2f}")
    tar_gb = VIEWS * section.captions_per_shard * IMAGE_BYTES / 1e9
    click.echo(
        f"\nshards: {int(shards):,} tar files of {tar_gb:.2f} GB, {section.captions_per_shard} captions each"
    )
    events, size_gb = EVENTS_PER_RUN * buckets, RUN_KILOBYTES * buckets / 1e6
    click.echo(
        f"Dagster's log: {buckets:,} runs of {5 * buckets:,} steps, {events:,} events, {size_gb:.1f} GB"
    )


def _timed(command: list[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds and peak MiB of one command. Raises CalledProcessError where it fails."""
    program = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        + ("print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)")
    )
    started = time.perf_counter()
    answer = subprocess.run(
        [sys.executable, "-c", program, *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - started, float(answer.stdout)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
