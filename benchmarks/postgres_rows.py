"""What Dagster keeps in Postgres of each run and tick: `python -m benchmarks.postgres_rows postgresql+psycopg2://...`.

Makes buckets one by one over the given database, which should be empty, and counts what every table gains. Rows and
bytes of a run hardly depend on how many captions it makes; contact sheets are the greatest part.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import click
import dagster as dg
import sqlalchemy
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickData, TickStatus

from synclr_assets.launch.runs import Launcher

BANK = "captions: 200\nconcepts: [digit one, digit two, digit three, mug, kite, drum]\n"
TICKS = 2000
INSTANCE = """
storage:
  postgres:
    postgres_url: {url}
telemetry: {{enabled: false}}
"""


@click.command()
@click.argument("url")
@click.option("--buckets", default=10, show_default=True)
def main(url: str, buckets: int) -> None:
    """Print rows and bytes per run, and per tick of a sensor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "concepts").mkdir()
        for index in range(buckets + 1):
            (folder / "concepts" / f"b{index:03d}.yaml").write_text(BANK)
        (folder / "dagster").mkdir()
        (folder / "dagster" / "dagster.yaml").write_text(INSTANCE.format(url=url))
        launcher = Launcher(
            {
                **os.environ,
                "SYNCLR_CONCEPTS": str(folder / "concepts"),
                "SYNCLR_STORE": str(folder / "store"),
                "DAGSTER_HOME": str(folder / "dagster"),
            }
        )
        launcher.make_dataset("b000", None, lambda entry: None)  # tables and indices are there afterwards
        before = sizes(url)
        for index in range(buckets):
            launcher.make_dataset(f"b{index + 1:03d}", None, lambda entry: None)
        of_runs = grown(before, sizes(url))
        show("a run of a bucket's five assets", of_runs, buckets)
        before = sizes(url)
        tick(launcher.instance)
        show("a tick that had nothing to do", grown(before, sizes(url)), TICKS)


def tick(instance: dg.DagsterInstance) -> None:
    """What the daemon writes of a sensor's skipped ticks."""
    for _ in range(TICKS):
        instance.create_tick(
            TickData(
                instigator_origin_id="a" * 40,
                instigator_name="concept_files",
                instigator_type=InstigatorType.SENSOR,
                status=TickStatus.SKIPPED,
                timestamp=time.time(),
                selector_id="b" * 40,
                skip_reason="all 4096 buckets have a generation of their file",
            )
        )


def sizes(url: str) -> dict[str, tuple[int, int]]:
    """Table -> (rows, bytes with indices and large values)."""
    engine = sqlalchemy.create_engine(url)
    found = {}
    with engine.connect() as connection:
        for table in sqlalchemy.inspect(engine).get_table_names():
            rows = connection.execute(sqlalchemy.text(f'select count(*) from "{table}"')).scalar_one()
            size = connection.execute(
                sqlalchemy.text("select pg_total_relation_size(:name)"), {"name": f'"{table}"'}
            ).scalar_one()
            found[table] = (rows, size)
    engine.dispose()
    return found


def grown(
    before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    """What each table gained, where it gained anything."""
    gained = {
        table: (rows - before[table][0], size - before[table][1]) for table, (rows, size) in after.items()
    }
    return {table: both for table, both in gained.items() if any(both)}


def show(title: str, gained: dict[str, tuple[int, int]], count: int) -> None:
    """One line per table, per piece."""
    click.echo(f"\n{title:34}{'rows':>9}{'KiB':>9}")
    for table, (rows, size) in sorted(gained.items(), key=lambda item: -item[1][1]):
        click.echo(f"{table:34}{rows / count:9.2f}{size / count / 1024:9.2f}")
    total = sum(size for _, size in gained.values())
    click.echo(f"{'all':34}{'':9}{total / count / 1024:9.2f}")


if __name__ == "__main__":
    main()
