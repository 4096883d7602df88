"""`synclr demo`: every asset for the shipped concepts, then one table of scores and what to do next."""

import os
import time

import click
from rich.console import Console

from synclr_assets.commands.materialize import materialize
from synclr_assets.commands.report import DEFAULT_FOLDER
from synclr_assets.commands.score_table import score_table
from synclr_assets.environment import store_root
from synclr_assets.provenance.models import models
from synclr_assets.provenance.scores import scores_of
from synclr_assets.report.page import write_report
from synclr_assets.report.scores import comparisons_of, verdicts
from synclr_assets.store.store import Store

SLICE = "all"


@click.command("demo")
@click.option(
    "--compare", is_flag=True, help="Also train SimCLR on the same images and steps, and show both."
)
def command(compare: bool) -> None:
    """Everything for the shipped concepts, ending in one table."""
    console = Console()
    started = time.monotonic()
    if compare:
        materialize(console, SLICE, checkpoint={"recipe": "rehearsal_simclr"})
    materialize(console, SLICE)
    store = Store(store_root(os.environ))
    by_recipe = {row["recipe"]: row for row in reversed(models(store, SLICE))}
    model = by_recipe["rehearsal"]
    rows = scores_of(store, model["model_id"])
    if compare:
        other = scores_of(store, by_recipe["rehearsal_simclr"]["model_id"])
        rows += [{**row, "subject": "simclr", "is_baseline": True} for row in other if not row["is_baseline"]]
    page = write_report(store, model["model_id"], DEFAULT_FOLDER / f"{model['model_id'][:12]}.html")
    console.print("\nReal images that were never seen in training:")
    console.print(score_table(rows))
    for sentence in verdicts(comparisons_of(rows)):
        console.print(sentence, markup=False)
    console.print(f"\nreport   {page}")
    console.print(f"lineage  synclr lineage model {model['model_id'][:12]}")
    console.print("next     make dev    (the asset graph on http://127.0.0.1:3000)")
    console.print(f"\n{time.monotonic() - started:.0f} s in all")
