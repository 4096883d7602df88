"""`synclr demo`: every asset for the shipped concepts, then one table of scores and what to do next."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from synclr_assets.commands.materialize import materialize
from synclr_assets.commands.report import DEFAULT_FOLDER
from synclr_assets.environment import store_root
from synclr_assets.provenance.models import models
from synclr_assets.provenance.scores import scores_of
from synclr_assets.report.page import write_report
from synclr_assets.report.scores import comparisons_of, spelled, subjects_of, verdicts
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
    console.print(score_table(rows))
    for sentence in verdicts(comparisons_of(rows)):
        console.print(sentence, markup=False)
    console.print(f"\nreport   {page}")
    console.print(f"lineage  synclr lineage model {model['model_id'][:12]}")
    console.print("next     make dev    (the asset graph on http://127.0.0.1:3000)")
    console.print(f"\n{time.monotonic() - started:.0f} s in all")


def score_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The model beside its baselines, one line per score, in percent with 95 % intervals."""
    comparisons = comparisons_of(rows)
    subjects = subjects_of(comparisons)
    table = Table(
        title="Scores on real images, never seen in training, in % with 95 % intervals", title_justify="left"
    )
    table.add_column("data set", no_wrap=True)
    table.add_column("metric", no_wrap=True)
    for subject in subjects:
        table.add_column(spelled(subject), justify="right", no_wrap=True)
    shown = ""
    for comparison in comparisons:
        cells = []
        for subject in subjects:
            scored = comparison.scores.get(subject)
            cells.append(_cell(scored.value, scored.ci_low, scored.ci_high) if scored else "")
        table.add_row(
            "" if comparison.dataset == shown else comparison.dataset, spelled(comparison.metric), *cells
        )
        shown = comparison.dataset
    return table


def _cell(value: float, ci_low: float, ci_high: float) -> str:
    return f"{100 * value:.1f}\n[dim]{100 * ci_low:.1f}-{100 * ci_high:.1f}[/dim]"
