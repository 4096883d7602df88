"""`synclr ledger`: what was spent, from the rows that every committed batch left."""

import json
import os
from dataclasses import asdict

import click
import pyarrow.compute as pc

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.commands.text_tables import aligned
from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.cost.summary import COLUMN_OF, Spent, Totals, spent_by
from synclr_assets.cost.workload import paid_buckets
from synclr_assets.report.formats import duration, grouped, size

HEADINGS = ("units", "requests", "in doubt", "tokens in", "out", "GPU time", "wall time", "bytes", "USD")


@click.command("ledger")
@click.argument("slice_name", metavar="[SLICE]", required=False)
@click.option(
    "--by",
    "names",
    type=click.Choice(list(COLUMN_OF)),
    multiple=True,
    default=("asset",),
    show_default=True,
    help="What to add up by; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
@STORE_OPTION
def command(slice_name: str | None, names: tuple[str, ...], as_json: bool, root: str | None) -> None:
    """What was spent on SLICE (left out: on everything), all generations, by committed batches.

    Lists of backgrounds that a fine-grained source shares stand under the bucket source:<name>."""
    where = None
    if slice_name is not None:
        buckets = paid_buckets(read_bank(concept_folder(os.environ)), slice_name)
        where = pc.field("bucket").isin(list(buckets))
    totals = spent_by(open_store(root).tables, *names, where=where)
    if as_json:
        rows = [dict(zip(names, key, strict=True)) | asdict(spent) for key, spent in totals.items()]
        click.echo(json.dumps(rows, indent=2))
        return
    click.echo("\n".join(_lines(names, totals)))


def _lines(names: tuple[str, ...], totals: Totals) -> list[str]:
    rows = [(*names, *HEADINGS)]
    for key, spent in totals.items():
        rows.append((*("" if part is None else str(part) for part in key), *_amounts(spent)))
    if len(totals) > 1:
        whole = sum(totals.values(), Spent())
        rows.append(("in all", *("" for _ in names[1:]), *_amounts(whole)))
    return aligned(rows, num_left=len(names))


def _amounts(spent: Spent) -> tuple[str, ...]:
    counts = (
        spent.units,
        spent.requests,
        spent.requests_in_doubt,
        spent.prompt_tokens,
        spent.completion_tokens,
    )
    times = (duration(spent.gpu_seconds) if spent.gpu_seconds else "0", duration(spent.wall_seconds))
    return (*map(grouped, counts), *times, size(spent.size_bytes), f"{spent.usd:.4f}")
